"""What the closed blocks have taught: how large the noise is, how effects are distributed, what each candidate may be worth,
and whether any of them helps at all. Pure: the same blocks in the same order give the same beliefs.

Everything is kept on grids. A candidate has a log likelihood for each effect on `GRID`, in units of the noise that the first
repeats showed; blocks add to it (a product of likelihoods), so evidence counts from the first block on. The noise is not known
but believed in: weights on `NODES`, from the baseline's repeats and from what the designs leave unexplained, never from the
contrasts themselves (deconvolution over-estimates it up to threefold); each likelihood is averaged over them. The distribution
of effects is learnt by EM over the grid (Kiefer-Wolfowitz; 20 pseudo-counts on a generic start).

`may_keep` is the guard against campaigns in which nothing helps. It multiplies, over the blocks, the likelihood of the
contrasts under what had been learnt *before* each block, and divides by the best of six distributions under which nothing
helps, the noise summed out under both; by Ville's inequality such a ratio passes 1/α in at most α of null campaigns. Taking the
best of the null distributions makes it the stricter; that the noise's weights follow the residuals makes it an approximation,
whose rate `benchmarks/tournament.py` measures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.candidate import Heat
from orchestrator.events import BlockClosed

Array = NDArray[np.float64]

# -- the grid of effects, in units of the noise; the far points are for targets with little noise or none
_NEAR = np.geomspace(0.03, 150.0, 70)
_SIZES: Array = np.concatenate([_NEAR, 150.0 * np.geomspace(10.0, 1e9, 9)])
GRID: Array = np.concatenate([-_SIZES[::-1], [0.0], _SIZES])
HELPS: NDArray[np.bool_] = GRID < 0
_ZERO = len(_SIZES)
_CELLS: Array = np.gradient(GRID) ** 2 / 12  # a grid point stands for its cell: else a sharp contrast falls between two

# -- the start: half-normals of many scales; the shares of the landscape in docs/design.md
_SCALES: Array = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
_SCALE_WEIGHTS: Array = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.6, 0.4]) / 7.0
_FAR_SHARE = 0.01
HELPFUL_AT_START, NULL_AT_START = 0.15, 0.35
PSEUDO_COUNTS = 20.0
EM_ROUNDS = 6  # each begins where the former learning ended
REMEMBERED = 600  # candidates from which the distribution is learnt, the last ones

# -- the noise, in units of the first repeats' standard deviation
NODES: Array = np.exp(np.linspace(-2.2, 2.2, 27))
# Repeats that are equal say little of the noise, as of a metric of few digits: up to a hundred million times the resolution.
_WIDE_NODES: Array = np.exp(np.linspace(-2.2, 18.6, len(NODES)))
FORGETS = 0.98  # at each block: so the belief follows a noise that changes, and stays humble
_NULL_HARM = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)  # shares of harm in the six distributions under which nothing helps
_TINY = 1e-290


def _start() -> Array:
    near = (_SCALE_WEIGHTS * np.exp(-0.5 * (_NEAR[:, None] / _SCALES) ** 2) / _SCALES).sum(axis=1) * _NEAR
    sizes = np.concatenate([(1 - _FAR_SHARE) * near / near.sum(), np.full(9, _FAR_SHARE / 9)])
    harmful = 1.0 - HELPFUL_AT_START - NULL_AT_START
    return np.concatenate([HELPFUL_AT_START * sizes[::-1], [NULL_AT_START], harmful * sizes])


START: Array = _start()
_HELPFUL_START: Array = np.where(HELPS, START, 0.0) / START[HELPS].sum()


class Beliefs:
    """Fold the blocks with `learn`, in the order in which they were closed."""

    def __init__(self, repeats: Sequence[float], floor: float, *, minimize: bool, alpha: float) -> None:
        """`repeats`: the first values of one commit, two at least; `floor` > 0: the least noise that is believed."""
        values = np.asarray(repeats, dtype=np.float64)
        df, sd = len(values) - 1, float(values.std(ddof=1))
        self.unit = max(sd, floor)
        self.prior = START.copy()
        self.closed = 0
        self._repeats_squares, self._repeats_df = df * sd**2, df
        self._sign = 1.0 if minimize else -1.0
        self._alpha = alpha
        equal = sd <= floor
        self._nodes = _WIDE_NODES if equal else NODES
        self._log_nodes: Array = np.log(self._nodes)
        self._noise: Array = -df * self._log_nodes - 0.5 * df * (sd / self.unit) ** 2 / self._nodes**2
        if equal:
            self._noise = np.zeros(len(self._nodes))
        self.noise_sd = self._believed_sd()
        self._likelihood: dict[str, Array] = {}  # log, on GRID, by candidate; the last one to be measured comes last
        self._learnt_from = 0
        self._log_something: Array = np.zeros(len(NODES))
        self._log_nothing: Array = np.zeros((len(_NULL_HARM), len(NODES)))
        self.may_keep = False  # the guard is open: that nothing helps is out of the question

    # -- learning

    def learn(self, block: BlockClosed) -> None:
        """Take in what a block has shown."""
        self.closed += 1
        residual = (math.sqrt(block.residual_squares) / self.unit) ** 2
        noise = self._noise - block.residual_df * self._log_nodes - 0.5 * residual / self._nodes**2
        noise -= noise.max()
        if block.candidates:
            effects = self._sign * np.asarray(block.effects) / self.unit
            density = _log_density(effects, np.asarray(block.spreads), self._nodes)
            self._ask_the_guard(block.candidates, density, noise)
            weights = _normalised(noise)
            added = np.log(np.einsum("s,ksd->kd", weights, np.exp(density)) + _TINY)
            for name, log_likelihood in zip(block.candidates, added, strict=True):
                self._likelihood[name] = self._likelihood.pop(name, 0.0) + log_likelihood
        self._noise = FORGETS * noise
        self.noise_sd = self._believed_sd()
        self._relearn()

    def _ask_the_guard(self, candidates: Sequence[str], density: Array, noise: Array) -> None:
        if self.may_keep:
            return
        foreseen = _normalised(np.array([np.log(self.prior) + self._likelihood.get(name, 0.0) for name in candidates]))
        likelihood = np.exp(density)
        self._log_something += np.log(np.einsum("ksd,kd->ks", likelihood, foreseen) + _TINY).sum(axis=0)
        harm = np.where(GRID > 0, self.prior, 0.0)
        zero, harmful = likelihood[:, :, _ZERO], likelihood @ (harm / harm.sum())
        for nth, share in enumerate(_NULL_HARM):
            self._log_nothing[nth] += np.log((1 - share) * zero + share * harmful + _TINY).sum(axis=0)
        something = np.logaddexp.reduce(noise + self._log_something)
        nothing = max(np.logaddexp.reduce(noise + each) for each in self._log_nothing)
        self.may_keep = bool(something - nothing >= math.log(1 / self._alpha))

    def _relearn(self) -> None:
        """At each tenth part more candidates: what is learnt is a function of the blocks alone."""
        if len(self._likelihood) < self._learnt_from + max(5, self._learnt_from // 10):
            return
        self._learnt_from = len(self._likelihood)
        last = list(self._likelihood.values())[-REMEMBERED:]
        likelihood = np.exp(np.array([each - each.max() for each in last]))
        weights = self.prior
        for _ in range(EM_ROUNDS):
            posterior = likelihood * weights
            posterior /= posterior.sum(axis=1, keepdims=True)
            weights = (posterior.sum(axis=0) + PSEUDO_COUNTS * START) / (len(last) + PSEUDO_COUNTS)
        self.prior = weights

    # -- telling

    def _believed_sd(self) -> float:
        """Standard deviation between repeats, in the metric's own units: the belief's geometric mean."""
        return float(np.exp(_normalised(self._noise) @ self._log_nodes)) * self.unit

    def repeats_variance(self, leaning_on: float) -> float:
        """Of repeats of one commit alone, leaning with the weight of one repeat on another estimate."""
        return (self._repeats_squares + leaning_on) / (self._repeats_df + 1)

    def p_null(self, candidates: Sequence[str], margins: Sequence[float] = ()) -> Array:
        """For each candidate the probability that it does not help; before it was measured, what is generally so. With
        `margins` (one each, in the metric's own units), that it is worse by that much or more."""
        not_helpful = ~HELPS if not margins else np.asarray(margins)[:, None] / self.unit <= GRID
        return np.asarray((self._posterior(candidates) * not_helpful).sum(axis=1))  # row by row: whoever else is asked about

    def e_value(self, candidate: str, margin: float = 0.0) -> float:
        """The likelihood of "it helps", over effects of all sizes, over that of "exactly nothing"; with a margin (in the
        metric's own units), of effects better than that over that of exactly that."""
        found = self._likelihood.get(candidate, np.zeros(len(GRID)))
        if margin:
            found = np.interp(GRID + margin / self.unit, GRID, found)
        ratios = np.minimum(found - found[_ZERO], 690.0)
        return float((np.exp(np.where(HELPS, ratios, 0.0)) * _HELPFUL_START).sum())

    def expected(self, candidate: str) -> float:
        """Posterior mean of its effect, negative is better, in the metric's own units."""
        return float(self._posterior([candidate])[0] @ GRID) * self.unit

    def log_mixture(self, effects: Array, spread: float) -> Array:
        """Log density of observed effects (in the metric's own units) of candidates unknown so far, up to a constant."""
        variance = (spread * self.noise_sd / self.unit) ** 2 + _CELLS
        distance = self._sign * effects[:, None] / self.unit - GRID
        return np.asarray(np.log((np.exp(-0.5 * distance**2 / variance) / np.sqrt(variance)) @ self.prior + 1e-12))

    def helpful_size(self) -> float:
        """What a helpful edit brings on average, in the metric's own units, > 0."""
        usual = HELPS & (np.abs(GRID) <= _NEAR[-1])  # the far points hold pseudo-counts alone, and would outweigh all others
        helpful = self.prior[usual]
        return float(helpful @ -GRID[usual] / helpful.sum()) * self.unit

    def _posterior(self, candidates: Sequence[str]) -> Array:
        known = [np.log(self.prior) + self._likelihood.get(name, 0.0) for name in candidates]
        return _normalised(np.array(known).reshape(-1, len(GRID)))


def pooled(heats: Sequence[Heat]) -> tuple[float, float]:
    """The effect that several blocks show together, weighed by their precision, and its spread in noise sds."""
    precision = [heat.spread**-2 for heat in heats]
    total = math.fsum(precision)
    return math.fsum(p * heat.effect for p, heat in zip(precision, heats, strict=True)) / total, total**-0.5


def _log_density(effects: Array, spreads: Array, nodes: Array) -> Array:
    """Of an observed effect, for each noise and true effect: `[candidates, NODES, GRID]`, up to one constant a candidate."""
    variance = (spreads[:, None] * nodes)[:, :, None] ** 2 + _CELLS
    squares = (effects[:, None] - GRID)[:, None, :] ** 2 / variance
    density = -0.5 * (squares + np.log(variance))
    # A far point stands for a wide cell, but not for one that reaches over to the other side.
    density -= 600.0 * ((effects[:, None] * GRID < 0) & (np.abs(GRID) > 100.0))[:, None, :]
    top = density.max(axis=(1, 2), keepdims=True)
    return np.asarray(np.maximum(density - top, -600.0))


def _normalised(logs: Array) -> Array:
    weights = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))
