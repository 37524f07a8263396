"""Streaming factorial tournament: prototype (numpy). Effects: negative is better."""
import heapq, math, sys, time
import numpy as np
from scipy.special import log_ndtr

# ---------------------------------------------------------------- landscape
class Land:
    def __init__(self, rng, sd=1e-3, n=2000, helpful=0.15, null=False, noise="normal", df=3, share=0.0, strength=0.0,
                 conflict=0.0, crash=0.0, offset_sd=0.0, drift_h=0.0, bad=None, gpus=1, nullkind="zero"):
        self.rng, self.sd, self.noise, self.df = rng, sd, noise, df
        u = rng.random(n)
        harm, tiny = 0.50/.85*(1-helpful), 0.35/.85*(1-helpful)
        d = np.where(u < harm, np.abs(rng.normal(0, 5e-3, n)),
                     np.where(u < harm+tiny, np.abs(rng.normal(0, 3e-4, n)), -rng.exponential(1.5e-3, n)))
        if null: d = np.zeros(n) if nullkind == "zero" else np.where(u < .59, np.abs(rng.normal(0, 5e-3, n)), np.abs(rng.normal(0, 3e-4, n)))
        self.d = d
        self.I = None
        if share > 0 and strength > 0:
            m = min(n, 1500); self.m = m
            a = np.sqrt(np.abs(d[:m]))
            J = rng.normal(0, 1, (m, m)) * strength * a[:, None] * a[None] * (rng.random((m, m)) < share)
            J = np.triu(J, 1); self.I = J + J.T
        self.conflict = conflict
        if conflict > 0:
            m = min(n, 1500); c = np.triu(rng.random((m, m)) < conflict, 1); self.C = c | c.T
        self.crash = rng.random(n) < crash
        self.off = rng.normal(0, offset_sd, gpus) if offset_sd else np.zeros(gpus)
        self.drift_h, self.bad = drift_h, bad
    def value(self, ids):
        ids = np.fromiter(ids, int)
        v = self.d[ids].sum()
        if self.I is not None: v += 0.5 * self.I[np.ix_(ids, ids)].sum()
        return v
    def marginal(self, j, others):
        v = self.d[j]
        if self.I is not None: v += self.I[j, np.fromiter((k for k in others if k != j), int)].sum()
        return v
    def eps(self):
        return self.sd * (self.rng.normal() if self.noise == "normal" else self.rng.standard_t(self.df) / math.sqrt(self.df/(self.df-2)))
    def measure(self, ids, gpu, h):
        if self.crash.any() and self.crash[np.fromiter(ids, int)].any(): return None
        y = 1.0 + self.value(ids) + self.off[gpu] + self.drift_h * h + self.eps()
        if self.bad and gpu == self.bad[0] and h >= self.bad[2]: y += self.bad[1]
        return y

def greedy(L, T):
    kept, rec, cand = [], 1.0 + L.eps(), 0
    for t in range(T):
        y = 1.0 + L.value(kept + [t]) + L.eps()
        if not L.crash[t] and y < rec: kept.append(t); rec = y
    return kept

# ---------------------------------------------------------------- evidence: half-normal mixture, vectorised
SC = np.array([.125, .25, .5, 1, 2, 4, 8, 16, 32, 128, 1024.])
SW = np.array([.08, .12, .14, .14, .14, .14, .1, .06, .04, .02, .02]); SW /= SW.sum()
NUL0, HELP0 = .35, .15
PRI0 = np.concatenate([HELP0*SW, [NUL0], (1-HELP0-NUL0)*SW])
def loglik(x, v, scale):
    """log LR against d=0 of [helps(11), 0, harms(11)] for each edit; and E[-d|helps,k]."""
    g = (SC*scale)**2; v = v[:, None]; x = x[:, None]
    ka = g/(g+v); marg = .5*np.log(v/(v+g)) + .5*x*x*(1/v-1/(v+g)) + math.log(2)
    s = np.sqrt(ka*v); t = -ka*x/s
    lp = log_ndtr(t); helps = marg + lp; harms = marg + log_ndtr(-t)
    mean = s*(t + np.exp(-.5*t*t - .9189385332 - lp))
    s_ = np.sqrt(ka*v); far = log_ndtr((-DEL*scale-ka*x)/s_) - lp     # log P(d<-DEL*scale | helps, k)
    return np.concatenate([helps, np.zeros((len(x), 1)), harms], 1), np.exp(far)
def learn(ll, pseudo=20., rounds=15):
    lik = np.exp(ll - ll.max(1, keepdims=True)); w = PRI0
    for _ in range(rounds):
        p = lik*w; p /= p.sum(1, keepdims=True); w = (p.sum(0)+pseudo*PRI0)/(len(ll)+pseudo)
    return w
NH = len(SC)
DEL = .4

# ---------------------------------------------------------------- the policy
DEF = dict(K=24, lag=64, q=.025, alpha=.05, guard="global", rule="calibrated", pdrop=.0, theta=.5, base_n=4, every=0, fin_rows=32,
           nu=5., tail=1.0, M=12, qb=.02, cap=400, minrows=0, pmaxkeep=.25, design="opt", pwarm=.95)
class Stream:
    def __init__(self, T, G=1, seed=0, **kw):
        p = dict(DEF); p.update(kw); self.__dict__.update(p); self.T, self.G = T, G
        self.r = np.random.default_rng(seed)
        self.owner = [-1]; self.ix = {-1: 0}; self.m = np.zeros(1); self.P = np.full((1, 1), 1e12)
        self.H = np.zeros((0, 1)); self.y = np.zeros(0); self.w = np.ones(0); self.rg = []
        self.infl = {}                       # row id -> (ids set)
        self.pending, self.kept, self.champ, self.gone = [], [], [], []
        self.tau2 = {}; self.nrow = {}; self.looks = {}
        self.ss, self.sdf = 0., 0.; self.scale = None; self.s2 = None
        self.fin = {}; self.fin_open = None; self.rows_since_fin = 0
        self.hist_ll = []; self.learnt = 0; self.prior = PRI0; self.e0 = None
        self.lfs = 0.; self.R = 0; self.Eprod = np.zeros(4); self.eps_ = np.array([.02, .06, .15, .4])
        self.new = 0; self.started = 0; self.basedone = []; self.tau_now = None; self.nid = 0
        self.keptp = {}; self.guarded = False; self.Pd = None; self.ncand = 0; self.queue = []
        self.cleared = set(); self.crashed = []; self.ncr, self.nok = 0, 0; self.force = []
        self.ev = self.every or max(1, self.K//8)
    # -- columns
    def add(self, j):
        t2 = self.tau_now
        n = len(self.owner); self.owner.append(j); self.ix[j] = n; self.tau2[j] = t2
        self.m = np.append(self.m, 0.)
        for a in ("P", "Pd"):
            A = getattr(self, a); B = np.zeros((n+1, n+1)); B[:n, :n] = A; B[n, n] = t2; setattr(self, a, B)
        self.H = np.hstack([self.H, np.zeros((len(self.H), 1))])
        self.pending.append(j); self.nrow[j] = 0
    def _del(self, js):
        if not js: return
        keep = np.ones(len(self.owner), bool)
        for j in js: keep[self.ix[j]] = False
        k = np.flatnonzero(keep)
        self.owner = [self.owner[i] for i in k]; self.ix = {o: i for i, o in enumerate(self.owner)}
        self.m = self.m[k]; self.P = self.P[np.ix_(k, k)]; self.Pd = self.Pd[np.ix_(k, k)]; self.H = self.H[:, k]
    # -- rows
    def want(self):                         # new candidates wanted now
        left = self.T - self.started
        if left < self.tail*self.K: return 0
        return max(0, self.K - len(self.pending) - len(self.queue))
    def offer(self, j): self.queue.append(j)
    def _admit(self):
        while self.queue and len(self.pending) < self.K and self.tau_now is not None:
            self.ncand += 1; self.add(self.queue.pop(0))
    def next_row(self):
        """-> (row id, ids) or None"""
        if self.started >= self.T: return None
        if len(self.basedone) + sum(1 for v in self.infl.values() if v[1] == "base") < self.base_n:
            return self._go((), "base")
        if self.tau_now is None: return self._go((), "base")
        self._admit()
        left = self.T - self.started
        if self.kept != self.champ and self.fin_open is None and (self.rows_since_fin >= self.fin_rows or left <= 2):
            if left > 2 or not self.infl or left == 1:
                self.fin_open = [tuple(self.kept), 2, 0]
        if self.fin_open and self.fin_open[1] > 0:
            self.fin_open[1] -= 1; self.rows_since_fin = 0
            return self._go(self.fin_open[0], "fin")
        if left <= 2 and self.infl: return None
        self.rows_since_fin += 1
        pend = self.pending
        if not pend: return self._go(tuple(self.kept), "row")
        K = len(pend); n = len(self.owner)
        u = [j for j in pend if j not in self.cleared]
        cols = np.array([self.ix[j] for j in pend])
        base = np.zeros(n); base[0] = 1
        for j in self.kept:
            if j in self.ix: base[self.ix[j]] = 1
        M = self.M if K > 2 else 4
        X = np.tile(base, (M, 1))
        if K == 1: X[::2, cols[0]] = 1
        else:
            a = self.r.random((M, K)).argsort(1) < (K + (self.started & 1))//2
            X[:, cols] = a
        if M > 1:
            sc = np.einsum("ij,jk,ik->i", X, self.Pd, X); x = X[int(sc.argmax())]
        else: x = X[0]
        px = self.Pd @ x; self.Pd = self.Pd - np.outer(px, px)/(self._R() + x @ px)
        ids = [j for j in pend if x[self.ix[j]] > 0]
        return self._go(tuple(self.kept) + tuple(ids), "row")
    def _go(self, ids, kind):
        self.nid += 1; self.started += 1; self.infl[self.nid] = (ids, kind); return self.nid, ids
    def _R(self): return self.s2*(self.nu+3)/(self.nu+1)
    def result(self, rid, y, gpu=0):
        ids, kind = self.infl.pop(rid)
        if kind == "fin" and self.fin_open and self.fin_open[0] == ids:
            self.fin_open[2] += 1
            if self.fin_open[2] == 2: self.champ = list(ids); self.fin_open = None
        x = np.zeros(len(self.owner)); x[0] = 1
        for j in ids:
            if j in self.ix: x[self.ix[j]] = 1
            if j in self.nrow: self.nrow[j] += 1
        if self.tau_now is None:
            self.basedone.append(y)
            if len(self.basedone) >= self.base_n:
                b = np.array(self.basedone); s2 = b.var(ddof=1); self.ss, self.sdf = (len(b)-1)*s2, len(b)-1.
                self.s2 = s2*.8 + 1e-30; self.scale = math.sqrt(s2); self.tau_now = (8*self.scale)**2
                self.m = np.array([b.mean()]); self.P = np.array([[s2/len(b)]]); self.Pd = self.P.copy()
            return
        self.H = np.vstack([self.H, x]); self.y = np.append(self.y, y); self.w = np.append(self.w, 1.)
        self.new += 1
        if self.new >= self.ev or not self.infl or self.T - self.started <= 2: self.evaluate()
    # -- inference
    def _solve(self, iters):
        H, y = self.H, self.y; n = len(y); nu = self.nu
        HP = H @ self.P; S0 = HP @ H.T
        qb = self.qb*self.s2
        i = np.arange(1, n+1); Q = qb*np.minimum(i[:, None], i[None])
        r0 = y - H @ self.m
        for it in range(iters):
            R = self._R()/self.w
            Sinv = np.linalg.inv(S0 + Q + np.diag(R))
            e = Sinv @ r0                     # R e = smoothed residual
            res = R*e; h = np.maximum(R - R*R*np.diag(Sinv), 0)      # posterior residual and variance of fitted
            self.w = (nu+1)/(nu + (res*res + h)/self.s2)
        G_ = HP.T @ Sinv
        m = self.m + G_ @ r0; P = self.P - G_ @ HP
        lev = 1 - R*np.diag(Sinv); lev = 1-np.clip(R*np.diag(Sinv), 0, 1)
        return m, P, res, lev
    def _absorb(self):
        """oldest rows of the buffer go into (m, P)"""
        while len(self.y) > self.lag:
            k = len(self.y) - self.lag; k = max(k, self.lag//4)
            H = self.H[:k]; R = self._R()/self.w[:k]
            for i in range(k):
                x = H[i]; self.P[0, 0] += self.qb*self.s2
                px = self.P @ x; S = R[i] + x @ px; rr = self.y[i] - x @ self.m
                self.m = self.m + px*(rr/S); self.P = self.P - np.outer(px, px)/S
            self.ss += self._wr[:k].sum(); self.sdf += self._wl[:k].sum()
            self._wr, self._wl = self._wr[k:], self._wl[k:]
            self.H, self.y, self.w = self.H[k:], self.y[k:], self.w[k:]
    def evaluate(self):
        self.new = 0
        m, P, res, lev = self._solve(2)
        self._wr, self._wl = self.w*res*res/.8 , 1-lev     # unbiased-ish scale, sigma^2 units
        df = self.sdf + self._wl.sum(); s2 = (self.ss + self._wr.sum())/df
        self.s2 = .8*s2; self.df_noise = df
        self.mm, self.PP = m, P
        self.decide(m, P, df)
        self._absorb(); self._clean()
        # design covariance
        Pd = self._post_now()
        self.Pd = Pd
    def _post_now(self):
        m, P = self.m, self.P
        rows = [self.H] if len(self.y) else []
        R = [self._R()/self.w]
        if self.infl:
            F = np.zeros((len(self.infl), len(self.owner))); F[:, 0] = 1
            for i, (ids, _) in enumerate(self.infl.values()):
                for j in ids:
                    c = self.ix.get(j)
                    if c is not None: F[i, c] = 1
            rows.append(F); R.append(np.full(len(F), self._R()))
        if not rows: return P.copy()
        H = np.vstack(rows); R = np.concatenate(R)
        HP = H @ P; return P - HP.T @ np.linalg.solve(HP @ H.T + np.diag(R), HP)
    def _clean(self):
        live = set(self.pending); dead = []
        inuse = set()
        for ids, _ in self.infl.values(): inuse.update(ids)
        fl = [set(ids) for ids, _ in self.infl.values()]
        kept = set(self.kept)
        for j in self.owner[1:]:
            if j in live: continue
            c = self.ix[j]
            if j in kept:
                if (self.H[:, c] > 0).all() and all(j in f for f in fl):
                    for A in (self.P, self.Pd): A[0] += A[c]; A[:, 0] += A[:, c]
                    self.m[0] += self.m[c]; dead.append(j)
            elif not (self.H[:, c] > 0).any() and j not in inuse: dead.append(j)
        self._del(dead)
    def decide(self, m, P, df):
        if not self.pending: return
        J = list(self.pending); c = np.array([self.ix[j] for j in J])
        v = np.diag(P)[c]; t2 = np.array([self.tau2[j] for j in J])
        prec = np.maximum(1/v - 1/t2, 1e-9/t2); x = (m[c]/v)/prec; lv = 1/prec
        z2 = x*x/lv; x = np.sign(x)*np.sqrt(lv*np.minimum(z2, (df+1)*np.log1p(z2/df)))
        ll, mean = loglik(x, lv, self.scale)
        nh = len(self.hist_ll) + len(J)
        if nh >= self.learnt + max(5, self.learnt//10):
            self.learnt = nh
            A = np.vstack(self.hist_ll[-1500:] + [ll]) if self.hist_ll else ll
            self.prior = learn(A)
            k = np.concatenate([SC, [0], SC])*self.scale; k = k*(k < 64*self.scale)
            self.tau_now = max(1.0*float(self.prior @ k**2), (2*self.scale)**2)
            self.e0 = float(self.prior[:NH] @ (2*np.exp(log_ndtr(-DEL/SC))))
        if self.e0 is None: self.e0 = float(PRI0[:NH] @ (2*np.exp(log_ndtr(-DEL/SC))))
        lw = np.log(self.prior+1e-300) + ll; lw -= lw.max(1, keepdims=True); w = np.exp(lw); w /= w.sum(1, keepdims=True)
        ph = w[:, :NH].sum(1); pn = w[:, NH:].sum(1); gain = (w[:, :NH]*mean).sum(1)
        le = np.log(np.exp(np.minimum(ll[:, :NH], 600)) @ SW)
        e = np.exp(np.minimum(le, 300))
        if not self.guarded and self.rule == "calibrated":
            tot = self.Eprod + np.log1p(self.eps_[:, None]*(e[None]-1)).sum(1)
            lE = np.logaddexp.reduce(tot) - math.log(len(tot))
            mx = (e.max() >= self.T/self.alpha)
            self.guarded = (lE >= math.log(1/self.alpha)) if self.guard == "global" else mx if self.guard == "max" else True
        drop = []
        for i in np.argsort(pn):
            j = J[i]; keep = False
            if self.rule == "provable": keep = e[i] >= self.T/(self.alpha*(self.R+1))
            elif self.guarded: keep = pn[i] < self.pmaxkeep and self.lfs + pn[i] <= self.q*(self.R+1)
            if keep:
                self.R += 1; self.lfs += pn[i]; self.kept.append(j); self.keptp[j] = (pn[i], e[i], self.nrow[j], x[i], lv[i])
                drop.append(i)
            elif (gain[i] < self.theta*self.e0 and pn[i] > self.pdrop and self.nrow[j] >= self.minrows) or self.nrow[j] >= self.cap or pn[i] > self.pwarm:
                drop.append(i); self.gone.append((j, pn[i], self.nrow[j], x[i], lv[i]))
        for i in drop:
            self.hist_ll.append(ll[i]); self.Eprod += np.log1p(self.eps_*(e[i]-1)); self.pending.remove(J[i])

# ---------------------------------------------------------------- virtual time
def night(L, T, G=1, seed=0, in_flight=8, prop_s=60., trial_s=325., hours=None, pol=None, **kw):
    P = pol or Stream(T, G, seed, **kw)
    rng = np.random.default_rng(seed + 77)
    heap, now, k, nxt, inprop = [], 0., 0, 0, 0
    free = list(range(G))[::-1]; busy = 0.
    def go():
        nonlocal k, nxt, inprop, busy
        while inprop < in_flight and P.want() > inprop and nxt < len(L.d):
            inprop += 1; k += 1; heapq.heappush(heap, (now+prop_s, k, "p", nxt, None, 0)); nxt += 1
        while free:
            if hours and now >= hours*3600: break
            r = P.next_row()
            if r is None: break
            g = free.pop(); d = trial_s*(.95+.1*rng.random()); k += 1; busy += d
            heapq.heappush(heap, (now+d, k, "t", r[0], r[1], g))
    go()
    while heap:
        now, _, kind, a, ids, g = heapq.heappop(heap)
        if kind == "p": inprop -= 1; P.offer(a)
        else: free.append(g); P.result(a, L.measure(ids, g, now/3600), g)
        go()
    return P, now, busy/(G*now)

def score(L, champ):
    g = -L.value(champ); f = sum(L.marginal(j, champ) >= 0 for j in champ)
    return g, len(champ), f/max(1, len(champ))

def run(reps, T, land, G=1, seed0=0, **kw):
    out = []; t0 = time.time()
    for i in range(reps):
        L = Land(np.random.default_rng(1000+seed0+i), gpus=G, **land)
        P, now, occ = night(L, T, G, seed0+i, **kw)
        out.append((*score(L, P.champ), len(P.kept)-len(P.champ), occ, P.ncand, np.mean([v[2] for v in P.keptp.values()] or [0])))
    z = np.array(out); se = z.std(0)/math.sqrt(reps)
    return z.mean(0), se, (z[:, 1] > 0).mean(), (time.time()-t0)/reps
def show(name, res, ref=None):
    m, se, anyk, t = res
    print(f"{name:36s} gain {m[0]:.4f}±{se[0]:.4f}" + (f" ratio {m[0]/ref:.3f}" if ref else "") + f" keeps {m[1]:5.1f} false {m[2]:.3f}±{se[2]:.3f} any {anyk:.2f} cand {m[5]:.0f} rows/keep {m[6]:.0f} occ {m[4]:.3f} {t:.2f}s", flush=True)
REF = {(100, 3e-4): .02093, (100, 1e-3): .01519, (100, 2e-3): .00787, (900, 3e-4): .18797, (900, 1e-3): .13315, (900, 2e-3): .05981}
