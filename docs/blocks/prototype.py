"""Prototype of the policy for issue 4: asynchronous factorial blocks, one evidence for blocks and solo races.

Effects are signed so that negative is better.  A tournament is driven by events: `offer` (a candidate is ready),
`next_row` (a GPU is free), `result` (a trial ended).  See report.md for the rules in words.
"""
import heapq, math, sys, time
import numpy as np
from proto0 import Land, greedy, score, REF

# ------------------------------------------------------------------ the grid of effects, in units of the noise
SIDE, LO, HI = 70, .03, 150.
_pos = np.geomspace(LO, HI, SIDE)
GRID = np.concatenate([-_pos[::-1], [0.], _pos]); HELPS = GRID < 0; ZERO = SIDE
_SC = np.array([.25, .5, 1, 2, 4, 8, 16, 32.]); _SW = np.array([1, 1, 1, 1, 1, 1, .6, .4]); _SW = _SW/_SW.sum()
_h = (_SW*np.exp(-.5*(_pos[:, None]/_SC)**2)/_SC).sum(1)*_pos; _h /= _h.sum()     # half-normals on a log grid
START = np.concatenate([.15*_h[::-1], [.35], .50*_h]); E_MIX = _h[::-1]
FORGET = .98
NODES = np.exp(np.linspace(-2.2, 2.2, 27)); LN = np.log(NODES)                      # noise, in units of the first guess


GW2 = (np.gradient(GRID)**2/12)[None, None]                                           # a grid point stands for its cell
def learn_prior(loglik, start, now, pseudo=20., rounds=6):
    lik = np.exp(loglik - loglik.max(1, keepdims=True)); w = now
    for _ in range(rounds):
        p = lik*w; p /= p.sum(1, keepdims=True); w = (p.sum(0) + pseudo*start)/(len(lik)+pseudo)
    return w


def hadamard(n):
    h = np.ones((1, 1))
    while len(h) < n: h = np.block([[h, h], [h, -h]])
    return h
def paley(q):
    """Hadamard matrix of order q+1, q a prime = 3 mod 4, first column all ones"""
    res = {i*i % q for i in range(1, q)}; chi = np.array([0]+[1 if i in res else -1 for i in range(1, q)])
    m = np.ones((q+1, q+1)); m[1:, 1:] = [[chi[(j-i) % q] - (i == j) for j in range(q)] for i in range(q)]; m[0, 1:] = 1; m[1:, 0] = 1
    m[1:, 1:] = -m[1:, 1:]*1.; m = m*np.concatenate([[1], np.ones(q)])
    return m
HAD = {n: hadamard(n) for n in (2, 4, 8, 16, 32, 64, 128)}
for _q in (11, 19, 23, 43, 47, 59):
    _m = paley(_q)
    if not np.allclose(_m.T @ _m, (_q+1)*np.eye(_q+1)): _m[0, 1:] = -1
    if not np.allclose(_m.T @ _m, (_q+1)*np.eye(_q+1)): _m[1:, 1:] *= -1
    assert np.allclose(_m.T @ _m, (_q+1)*np.eye(_q+1)) and (_m[:, 0] == 1).all()
    HAD[_q+1] = _m
SIZES = sorted(n for n in HAD if n >= 8)


class Noise:
    """Belief about the noise sd on a log grid; forgets a little at each block, so that it follows and stays humble."""
    def __init__(self, values):
        b = np.asarray(values); self.unit = b.std(ddof=1); ss, df = (len(b)-1)*b.var(ddof=1)/self.unit**2, len(b)-1
        self.log = -df*LN - .5*ss/NODES**2
        self.forget = FORGET
    def after(self, extra):
        l = self.log + extra; return l - l.max()
    def weights(self, l): w = np.exp(l-l.max()); return w/w.sum()
    @property
    def sd(self): return float(np.exp(self.weights(self.log) @ LN))*self.unit


DEF = dict(Nmax=64, spare=None, q=.04, alpha=.05, guard="global", rule="calibrated", base_n=None, give_up=.6, cap=6, pmax=.25, fin_n=2,
           first_n=None, steer=True, lanes="both", smoke=.1, trend=False, gpu_test=True, gpu_llr=11., promote=True, retest=False)


class Policy:
    def __init__(self, T, G=1, seed=0, conflicts=None, **kw):
        self.__dict__.update(DEF); self.__dict__.update(kw); self.T, self.G = T, G
        self.r = np.random.default_rng(seed); self.conflicts = conflicts or (lambda a, b: False)
        if self.base_n is None: self.base_n = 2 if T < 60 else 3 if T <= 200 else 6
        self.ll, self.nb, self.p, self.seen = {}, {}, {}, {}      # per edit: log likelihood on GRID, blocks, p_null, rows
        self.pool, self.queue, self.kept, self.champ, self.out, self.near = [], [], [], [], [], []
        self.open, self.infl, self.nid, self.used = [], {}, 0, 0.
        self.base_y, self.noise = [], None; self.logEg = 0.; self.lalt, self.lnull = np.zeros(len(NODES)), np.zeros((6, len(NODES)))
        self.prior, self.learnt, self.hist = START.copy(), 0, []
        self.R = 0; self.lfs = 0.; self.guarded = False; self.mix = np.array([.02, .06, .15, .4]); self.logE = np.zeros(4)
        self.ncand = 0; self.keepinfo = {}; self.ports = []; self.crashed = []; self.clear = set()
        self.gnum, self.gden = np.zeros(G), np.zeros(G); self.bad = set(); self.lof_ss = self.lof_k = self.lof_r = 0.; self.pure = [0., 0.]
        self.tip = [math.nan, math.inf]; self.solo_open = {}; self.log = []
    # -- supply
    def want(self):
        if self.T - self.used < 6: return 0
        N = self.Nbest()
        return max(0, (N if N > 2 else 2) + (self.G if self.G > 1 else 0) - len(self.queue) - (len(self.pool) if N > 2 else 0))
    def offer(self, j): self.queue.append(j)
    # -- size of a block
    def Nbest(self):
        """The block size (1: solo lane) that gives the sharpest contrast at one edit a row, from noise and lack of fit."""
        if self.lanes == "solo": return 1
        if not self.steer or self.noise is None or self.lof_r < 2: return min(self.Nmax, self.first_n or self.Nmax)
        s2 = self.pure_var(); c = max(0., self.lof_ss - self.lof_r*s2)/(self.lof_k + 2*900.)
        if c <= 0: return self.Nmax
        best, n = 16, 8
        cost = math.inf
        while n < self.Nmax:
            n *= 2
            if n >= 8 and 4*(s2/n + c*n) < cost: best, cost = n, 4*(s2/n + c*n)
        return best
    def pure_var(self):
        """noise of repeats of one tree (baseline, tips), leaning on the blocks' own"""
        u = self.noise.sd**2; return (self.pure[0] + 1*u)/(self.pure[1] + 1)
    # -- rows
    def next_row(self, gpu=0):
        if self.used >= self.T - 1e-9 or gpu in self.bad: return None
        if self.noise is None:
            if len(self.base_y) + sum(v[0] == "base" for v in self.infl.values()) < self.base_n: return self._go((), ("base",))
            if self.G == 1: return None
        left = self.T - self.used
        b = next((b for b in self.open if b["todo"]), None)
        if b is None and left > self.fin_n: b = self._open_block()
        if b is not None:
            i = b["todo"].pop(); b["gpu"][i] = gpu; b["at"][i] = self.nid
            return self._go(b["base"] + tuple(j for j, s in zip(b["ids"], b["x"][i]) if s > 0), ("row", b, i))
        if self.noise is None: return None
        if self.Nbest() == 1 or getattr(self, 'solo_now', False) or (self.lanes != "blocks" and left > self.fin_n and not self.open and left < 8):
            r = self._solo(left)
            if r: return r
        if not self.open and self.kept != self.champ and not any(v[0] == "row" for v in self.infl.values()):
            if sum(v[0] == "fin" for v in self.infl.values()) < self.fin_n: return self._go(tuple(self.kept), ("fin", tuple(self.kept)))
        if left > self.fin_n + 8 and self.G > 1 and self.pool + self.queue == [] and self.open:      # nothing to add: repeat what is open
            b = self._open_block([j for b in self.open for j in b["ids"]])
            if b is not None: return self.next_row(gpu)
        return None
    def _go(self, ids, what): self.nid += 1; self.used += 1; self.infl[self.nid] = what; return self.nid, ids
    def _solo(self, left):
        if left <= self.fin_n: return None
        if self.tip[1] > self.noise.sd**2/2.5 and not any(v[0] == "tip" for v in self.infl.values()): return self._go(tuple(self.kept), ("tip", tuple(self.kept)))
        busy = {v[1] for v in self.infl.values() if v[0] == "solo"}
        src = sorted((j for j in self.pool if j not in busy), key=lambda j: self.p[j]) + self.queue
        if not src: return None
        j = src[0]
        if j in self.queue: self.queue.remove(j); self._enter(j); self.pool.append(j)
        return self._go(tuple(self.kept) + (j,), ("solo", j, tuple(self.kept)))
    def _enter(self, j):
        self.ncand += 1; self.ll[j] = np.zeros(len(GRID)); self.nb[j] = 0; self.p[j] = .85; self.seen[j] = 0
    def _open_block(self, ids=None):
        N = self.Nbest()
        if N == 1: return None
        left = self.T - self.used - self.fin_n
        if left < 3*N: N = left/math.ceil(left/N)
        N = max((n for n in SIZES if n <= N), default=0)
        if N < 8: return None
        room = N - 1 - (self.spare if self.spare is not None else (3 if self.G == 1 else 2) if N >= 32 and self.T > 200 else 1)
        if ids is None:
            ids = []
            for j in sorted(self.pool, key=lambda j: self.p[j]) + self.queue:
                if len(ids) < room and not any(self.conflicts(j, k) for k in ids): ids.append(j)
            N = min(n for n in SIZES if n > min(len(ids) + (N - 1 - room), N - 1))
        ids = list(dict.fromkeys(ids))[:room]
        if self.lanes == "both" and len(ids) < .65*N and self.noise is not None:
            wanting = any(self.conflicts(j, k) for j in self.queue[:8] for k in ids)
            size = float(self.prior[HELPS] @ -GRID[HELPS]/self.prior[HELPS].sum())*self.noise.unit
            if wanting and size > 1.2*self.noise.sd: self.solo_now = True; return None
        self.solo_now = False
        if len(ids) < 3: return None
        for j in ids:
            if j in self.queue: self.queue.remove(j); self._enter(j)
            elif j in self.pool: self.pool.remove(j)
        h = HAD[N]; power2 = N & (N-1) == 0
        last = [N//2, N//4] if power2 else []                # the slowest columns carry 94 % of a drift: left empty while there is room
        cols = [c for c in self.r.permutation(N-1)+1 if c not in last] + last[::-1]; cols = np.array(cols[:len(ids)])
        x = h[:, cols]*-h[:1, cols]                        # row 0: nothing but the base itself
        order = np.arange(N)[::-1] if power2 and self.G == 1 else np.concatenate([[0], 1 + self.r.permutation(N-1)])[::-1]
        good = set(self._smoke(ids)); at = [i for i, j in enumerate(ids) if j in good]
        x, cols, ids = x[:, at], cols[at], [ids[i] for i in at]
        if not ids: return None
        b = dict(x=x[:, :len(ids)], ids=ids, y=np.full(N, np.nan), todo=list(order), left=N, base=tuple(self.kept), n=N,
                 gpu=np.zeros(N, int), at=np.zeros(N), again=0, full=h[:, 1:]*-h[:1, 1:], cols=cols-1, natural=bool(power2 and self.G == 1))
        self.open.append(b); return b
    def _smoke(self, ids):
        """group smoke test by bisection: every test costs `smoke` of a trial; `crashes` is the oracle of the simulation"""
        new = [j for j in ids if j not in self.clear]
        def test(g):
            self.used += self.smoke
            if not any(self.crashes(j) for j in g): self.clear.update(g); return
            if len(g) == 1: self.crashed.append(g[0]); return
            test(g[:len(g)//2]); test(g[len(g)//2:])
        g = 8 if self.crashed else 64
        for i in range(0, len(new), g): test(new[i:i+g])
        return [j for j in ids if j in self.clear]
    crashes = staticmethod(lambda j: False)
    # -- results
    def result(self, rid, y, gpu=0):
        kind, *a = self.infl.pop(rid)
        if kind == "base":
            self.base_y.append(y)
            if len(self.base_y) >= self.base_n:
                self.noise = Noise(self.base_y); b = np.array(self.base_y); self.pure = [((b-b.mean())**2).sum(), len(b)-1.]
                self.tip = [b.mean(), self.noise.sd**2/len(b)]
        elif kind == "fin":
            if a[0] == tuple(self.kept): self.champ = list(a[0])
        elif kind == "tip": self._tip_seen(y, a[0])
        elif kind == "solo":
            j, base = a
            if y is None: self.crashed.append(j); self.pool.remove(j) if j in self.pool else None; return
            if j in self.pool: self._solo_result(j, y, base)
        else:
            b, i = a; b["y"][i] = y; b["left"] -= 1
            if b["left"] == 0: self._close(b)
    def _tip_seen(self, y, tree):
        if tree != tuple(self.kept): return
        s2 = self.noise.sd**2; m, v = self.tip
        self.tip = [(m/v + y/s2)/(1/v + 1/s2), 1/(1/v + 1/s2)] if math.isfinite(v) else [y, s2]
        self.champ = list(tree)
    def _solo_result(self, j, y, base):
        s = self.noise.sd; self.clear.add(j)
        x, f = y - self.tip[0], math.sqrt(1 + self.tip[1]/s**2)      # variance factor in units of the noise
        u = self.noise.unit; w = self.noise.weights(self.noise.log)
        self._guard([j], np.array([x])/u, np.array([f]), self.noise.log, 1)
        self._learn_from([j], np.array([x])/u, np.array([f]), w, 1)
        same = base == tuple(self.kept); self.decide([j])
        if same and self.kept == list(base) + [j]: self.champ = list(self.kept)          # this very tree was measured
    def _learn_from(self, ids, x, f, w, rows):
        """x, f*s: effect and its sd, units of noise.unit; w: belief about s. Student-t: a mixture over s with a tail."""
        t = self._kernel(x, f, rows)
        L = np.log(np.einsum("s,ksd->kd", w, t) + 1e-290)
        for j, l in zip(ids, L): self.ll[j] = self.ll[j] + l; self.nb[j] += 1; self.seen[j] += rows
    def _odd_machine(self, b):
        n, s = b["n"], self.noise.sd; con = 2/n*(b["full"].T @ b["y"]); g = b["gpu"]; sd = 2*s/math.sqrt(n); u = self.noise.unit
        used = np.zeros(n-1, bool); used[b["cols"]] = True
        ax = np.linspace(-1.5, 1.5, 3001)*max(np.abs(con).max(), 8*sd)
        v = (sd/u)**2 + GW2[0, 0]; T = np.log((np.exp(-.5*(ax[:, None]/u - GRID)**2/v)/np.sqrt(v)) @ self.prior + 1e-12)
        f = lambda c: np.interp(c[..., used], ax, T).sum(-1) - .5*((c[..., ~used]/sd)**2).sum(-1)
        delta = s*np.concatenate([-np.geomspace(1, 100, 30), np.geomspace(1, 100, 30)]); l0 = f(con); best = (None, self.gpu_llr)
        for k in np.unique(g):
            pat = 2/n*b["full"][g == k].sum(0); l = f(con[None] - delta[:, None]*pat[None]).max() - l0
            if l > best[1] and k not in self.bad: best = (k, l)
        return best
    def _kernel(self, x, f, rows):
        v = (f[:, None]*NODES[None])[:, :, None]**2 + GW2; z2 = (x[:, None, None] - GRID[None, None])**2/v
        return (np.exp(-.5*z2) if rows > 4 else (1+z2/5)**-3)/np.sqrt(v)              # [K, S, D]
    def _guard(self, ids, x, f, lpi, rows):
        """Bayes factor of new data against "nothing here helps", noise integrated out under either; multiplied over the campaign"""
        if self.guarded: return
        lp = np.array([np.log(self.prior+1e-300) + self.ll[j] for j in ids]); pr = np.exp(lp - lp.max(1, keepdims=True)); pr /= pr.sum(1, keepdims=True)
        dn = self._kernel(x, f, rows); falt = np.einsum("ksd,kd->ks", dn, pr)
        ph = self.prior*(GRID > 0)/self.prior[GRID > 0].sum(); f0, fh = dn[:, :, ZERO], dn @ ph
        for i, h in enumerate((0, .1, .3, .5, .7, .9)): self.lnull[i] += np.log((1-h)*f0 + h*fh + 1e-290).sum(0)
        self.lalt += np.log(falt+1e-290).sum(0); lse = np.logaddexp.reduce
        self.logEg = lse(lpi + self.lalt) - max(lse(lpi + l) for l in self.lnull)
    def _close(self, b):
        n, y, x, ids = b["n"], b["y"], b["x"], b["ids"]
        u = self.noise.unit
        at = b["at"]; tr = (at - at.mean())/(at.std()+1e-9)
        A = np.hstack([np.ones((n, 1)), x/2] + ([tr[:, None]] if b['natural'] and n - 1 - len(ids) >= 2 else []))
        ok = np.isfinite(y); B = A[ok]; Q = np.linalg.inv(B.T @ B + 1e-9*np.eye(A.shape[1]))
        coef = Q @ (B.T @ y[ok]); res = y[ok] - B @ coef; rdf = len(B) - A.shape[1]
        late = [i for i in range(n) if b["gpu"][i] in self.bad]
        if late and len(self.bad) < self.G/2: b["todo"] = late; b["left"] = len(late); return            # re-run elsewhere
        # a machine that disagrees with the others: would an offset on its rows explain the contrasts much better?
        if self.gpu_test and self.G > 1 and ok.all() and b["again"] < 2:
            k, llr = self._odd_machine(b)
            if k is not None:
                self.bad.add(k); self.log.append(("bad", int(k), round(llr, 1))); rows = [i for i in range(n) if b["gpu"][i] == k]
                b["todo"] = rows; b["left"] = len(rows); b["again"] += 1; return
        self.open = [o for o in self.open if o is not b]
        if len(b["base"]) >= len(self.champ) and set(self.champ) <= set(b["base"]): self.champ = list(b["base"])
        xs, f = coef[1:1+len(ids)]/u, np.sqrt(np.diag(Q)[1:1+len(ids)])
        # what this block says of its own noise: residuals, and the contrasts under the learnt distribution
        extra = -rdf*LN - .5*(res @ res)/u**2/NODES**2
        self._guard(ids, xs, f, self.noise.after(extra), n)
        post = self.noise.after(extra); w = self.noise.weights(post); self.noise.log = self.noise.forget*post
        if rdf: self.lof_ss += res @ res; self.lof_r += rdf; self.lof_k += rdf*len(ids)**2
        self._learn_from(ids, xs, f, w, n)
        self.decide(ids)
        # tip of the solo lane: the block's estimate of its base, and what was kept since
        if ids:
            s2 = self.noise.sd**2; base = y[0] if np.isfinite(y[0]) else coef[0]-coef[1:1+len(ids)].sum()/2
            self.tip = [base + sum(self._mean(j) for j in self.kept[len(b["base"]):]), s2*(1 + .3*len(self.kept[len(b["base"]):]))]
    def _var(self, j):
        p = self.prior*np.exp(self.ll[j]-self.ll[j].max()); p /= p.sum(); return float(p @ GRID**2 - (p @ GRID)**2)*self.noise.unit**2
    def _mean(self, j):
        p = self.prior*np.exp(self.ll[j]-self.ll[j].max()); return float(p @ GRID/p.sum())*self.noise.unit
    # -- decisions
    def decide(self, J):
        J = [j for j in J if j not in self.keepinfo and j not in self.out_set]
        P = [j for j in self.pool if j not in J]; both = J + P
        if not both: return
        ll = np.array([self.ll[j] for j in both])
        nh = len(self.hist) + len(both)
        if nh >= self.learnt + max(5, self.learnt//10):
            self.learnt = nh; self.prior = learn_prior(np.vstack([np.array(self.hist[-600:]), ll]) if self.hist else ll, START, self.prior)
        w = np.log(self.prior) + ll; w -= w.max(1, keepdims=True); w = np.exp(w); w /= w.sum(1, keepdims=True)
        pn = w[:, ~HELPS].sum(1)
        e = np.exp(np.minimum(np.log(np.exp(np.minimum(ll[:, HELPS]-ll[:, [ZERO]], 600)) @ E_MIX), 300))
        if not self.guarded:
            tot = self.logE + np.log1p(self.mix[:, None]*(e[None]-1)).sum(1); lE = np.logaddexp.reduce(tot) - math.log(len(tot))
            self.guarded = {"global": self.logEg >= math.log(1/self.alpha), "prod": lE >= math.log(1/self.alpha), "max": e.max() >= self.T/self.alpha, "none": True}[self.guard]
        Js = set(J); kept_now = []
        for i in np.argsort(pn, kind="stable"):
            j = both[i]; self.p[j] = pn[i]
            if self.rule == "provable": keep = e[i] >= self.T/(self.alpha*(self.R+1))
            else: keep = self.guarded and pn[i] < self.pmax and self.lfs + pn[i] <= self.q*(self.R+1)
            inopen = any(j in b["ids"] for b in self.open)
            if keep and any(self.conflicts(j, k) for k in kept_now): self._port(j); continue
            if keep:
                self.R += 1; self.lfs += pn[i]; kept_now.append(j); self.keepinfo[j] = (pn[i], e[i], self.seen[j])
            elif j in Js and (pn[i] >= (self.give_up if self.seen[j] > 4 else (.85, .7, .6, .6)[self.seen[j]-1]) or self.nb[j] >= self.cap) and not inopen:
                self.out.append(j); self.out_set.add(j); self.hist.append(ll[i]); self.logE += np.log1p(self.mix*(e[i]-1))
            elif j in Js and j not in self.pool and not inopen: self.pool.append(j)
            if keep:
                self.hist.append(ll[i]); self.logE += np.log1p(self.mix*(e[i]-1))
            if (keep or j in self.out_set) and j in self.pool: self.pool.remove(j)
        if kept_now:
            self.tip = [self.tip[0] + sum(self._mean(j) for j in kept_now), self.tip[1] + sum(self._var(j) for j in kept_now)]
            self.kept = self.kept + kept_now
            for k in kept_now:
                for lst in (self.pool, self.queue):
                    for j in [j for j in lst if self.conflicts(j, k)]: lst.remove(j); self._port(j)
    @property
    def out_set(self):
        if not hasattr(self, "_os"): self._os = set()
        return self._os
    def _port(self, j):
        """the edit must be written anew on the present champion: it comes back through the proposer, with fresh evidence"""
        if j in self.pool: self.pool.remove(j)
        if self.p.get(j, .85) < .9: self.ports.append(j)


# ------------------------------------------------------------------ virtual time
def night(L, T, G=1, seed=0, in_flight=None, prop_s=60., trial_s=325., hours=None, pol=None):
    P = pol; rng = np.random.default_rng(seed+77)
    in_flight = in_flight or max(8, G//4 + 4)
    heap, now, k, nxt, inprop, busy = [], 0., 0, 0, 0, 0.
    free = list(range(G)); born = {}
    if L.conflict:
        P.conflicts = lambda a, b: bool(L.C[a, b]) and b not in born.get(a, ()) and a not in born.get(b, ())
    if L.crash.any(): P.crashes = lambda j: bool(L.crash[j])
    def go():
        nonlocal k, nxt, inprop, busy, free
        while inprop < in_flight and (P.ports or (P.want() > inprop and nxt < len(L.d))):
            if P.ports: j = P.ports.pop(0)
            else: j = nxt; nxt += 1
            inprop += 1; k += 1; heapq.heappush(heap, (now+prop_s, k, "p", j, None, 0))
        still = []
        for g in free:
            r = None if hours and now >= hours*3600 else P.next_row(g)
            if r is None: still.append(g); continue
            d = trial_s*(.95+.1*rng.random()); k += 1; busy += d
            heapq.heappush(heap, (now+d, k, "t", r[0], r[1], g))
        free = still
    go()
    while heap:
        now, _, kind, a, ids, g = heapq.heappop(heap)
        if kind == "p": inprop -= 1; born[a] = set(P.kept); P.offer(a)
        else: free.append(g); P.result(a, L.measure(ids, g, now/3600), g)
        go()
    return P, now, busy/(G*now)

def run(reps, T, land, G=1, seed0=0, night_kw={}, n=None, **kw):
    out = []; t0 = time.time()
    for i in range(reps):
        L = Land(np.random.default_rng(1000+seed0+i), gpus=G, n=n or max(400, 2*T), **land)
        P, now, occ = night(L, T, G, seed0+i, pol=Policy(T, G, seed0+i, **kw), **night_kw)
        out.append((*score(L, P.champ), len(P.kept)-len(P.champ), occ, P.ncand, np.mean([v[2] for v in P.keepinfo.values()] or [0]), len(P.bad), P.Nbest() if P.noise else 0))
    z = np.array(out); se = z.std(0)/math.sqrt(reps)
    return z.mean(0), se, (z[:, 1] > 0).mean(), (time.time()-t0)/reps
def show(name, res, ref=None):
    m, se, anyk, t = res
    print(f"{name:34s} gain {m[0]:.4f}±{se[0]:.4f}" + (f" ratio {m[0]/ref:.3f}±{se[0]/ref:.3f}" if ref else "") + f" keeps {m[1]:5.1f} false {m[2]:.3f}±{se[2]:.3f} any {anyk:.2f} unmoved {m[3]:.1f} cand {m[5]:.0f} rows/keep {m[6]:.0f} occ {m[4]:.3f} bad {m[7]:.2f} N {m[8]:.0f} {t:.2f}s", flush=True)
def trio(name, T, reps, land={}, refs=REF, **kw):
    for sd in (3e-4, 1e-3, 2e-3): show(f"{T} {name} sd{sd}", run(reps, T, dict(sd=sd, **land), **kw), refs[T, sd] if refs else None)
def nul(name, T, reps, **kw):
    for lk, land in (("zero N", dict(null=True)), ("zero t3", dict(null=True, noise="t")), ("harm N", dict(null=True, nullkind="harm")), ("harm t3", dict(null=True, nullkind="harm", noise="t"))):
        m, se, a, t = run(reps, T, land, **kw); print(f"   null {T} {name} {lk}: any {a:.3f} keeps {m[1]:.2f}", flush=True)
