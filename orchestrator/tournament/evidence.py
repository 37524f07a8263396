"""The evidence for a candidate: how strongly its samples say that it is better than the commit it was branched from.

Pure. Effects are signed so that negative is better; scales are in units of the noise between repeats. Two numbers come out:

*e-value* against "not better": a mixture over half-normal alternatives of the likelihood ratio of the difference of means,
with the noise integrated out under its Haar prior (a Student-t with the pooled degrees of freedom in place of a normal). A
ratio of likelihoods of the maximal invariant is a test martingale, so it may be looked at after every sample (Pérez-Ortiz,
Lardy, de Heide, Grünwald 2024, "E-statistics, group invariance and anytime-valid testing"; Ville's inequality). The mixture
over scales makes it strong for effects of any size, and a noiseless target no special case.

*p_null*: the posterior probability that the edit does not help, under a distribution of effects learnt from the races decided
so far by EM over the same mixture (Kiefer–Wolfowitz on a grid of scales; 20 pseudo-counts on a generic start, as in the
reference simulation: a fixed wrong prior gives 20 % false keeps, a learnt one 2–4 %).

With pooled noise s on ν degrees of freedom, an observed effect x of variance factor u = 1/n + 1/m, and d | g ~ N(0, g·σ²):
x ~ t_ν(0, s·√(u+g)), and d | x ~ t_{ν+1}(κx, √(κu)·s'), κ = g/(g+u), s'² = (ν·s² + x²/(u+g))/(ν+1). Exact, by conjugacy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, hyp2f1, stdtr  # stdtr: Student-t distribution function

Array = NDArray[np.float64]

# Scales of effects in units of the noise. Six carry nine tenths of the weight; the far ones are there so that a target
# with little or no noise is decided as surely as a noisy one.
SCALES: Array = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 32.0, 256.0, 4096.0, 1e6, 1e8, 1e11])
_SCALE_WEIGHTS: Array = np.array([0.15] * 6 + [0.1 / 6] * 6)
HELPFUL_AT_START = 0.15  # before anything is known: the shares of the landscape in docs/design.md
NULL_AT_START = 0.35
PSEUDO_COUNTS = 20.0
EM_ROUNDS = 15
# A mean is not known better than this, relative to itself: below it repeats count as equal.
RELATIVE_RESOLUTION = 1e-9


@dataclass(frozen=True, slots=True)
class Contrast:
    """An observed effect: the difference of two means."""

    effect: float  # signed: negative is better
    variance_factor: float  # u = 1/n + 1/m
    noise_sd: float  # > 0
    noise_df: int  # >= 1
    margin: float = 0.0  # by which it may be worse: already taken off the effect

    def shifted(self, margin: float) -> Contrast:
        """The same against "worse by more than `margin`": evidence is then of non-inferiority."""
        return replace(self, effect=self.effect - margin, margin=margin) if margin else self

    @property
    def stderr(self) -> float:
        return self.noise_sd * math.sqrt(self.variance_factor)


@dataclass(frozen=True, slots=True)
class EffectPrior:
    """Weights of the mixture: helpful scales, exactly nothing, harmful scales. They add up to 1."""

    helpful: Array
    null: float
    harmful: Array

    @classmethod
    def start(cls) -> EffectPrior:
        harmful = 1.0 - HELPFUL_AT_START - NULL_AT_START
        return cls(HELPFUL_AT_START * _SCALE_WEIGHTS, NULL_AT_START, harmful * _SCALE_WEIGHTS)


def noise_floor(*means: float) -> float:
    """The smallest noise that is believed, for means of this size."""
    return max([RELATIVE_RESOLUTION * abs(m) for m in means if math.isfinite(m)] + [1e-300])


@lru_cache(maxsize=4096)  # races that wait for the same news are weighed again and again, by both numbers
def log_ratios(contrast: Contrast) -> tuple[Array, Array]:
    """Log likelihood ratios of each scale against "exactly nothing": if it helps, if it harms. Two arrays `[len(SCALES)]`,
    to be read only."""
    s, df, u, x = contrast.noise_sd, contrast.noise_df, contrast.variance_factor, contrast.effect
    g = SCALES**2
    z2 = (x / s) ** 2
    kappa = g / (g + u)
    marginal = 0.5 * np.log(u / (u + g)) + 0.5 * (df + 1) * (np.log1p(z2 / (df * u)) - np.log1p(z2 / (df * (u + g))))
    posterior_sd = np.sqrt(kappa * u * (df + z2 / (u + g)) / (df + 1))
    t = kappa * (x / s) / posterior_sd
    helps = marginal + math.log(2.0) + _log_tail(df + 1, t)
    harms = marginal + math.log(2.0) + _log_tail(df + 1, -t)
    return helps, harms


def _log_tail(df: int, t: Array) -> Array:
    """Log of P(T > t), also where that is too small for a float: a clear harm must not look like a gain for want of digits."""
    tail = stdtr(df, -t)
    far = tail < 1e-290
    log_tail = np.log(np.where(far, 1.0, tail))
    if far.any():  # half the incomplete beta function, of which the power of x is what vanishes
        ratio, a = t[far] ** 2 / df, df / 2
        series = np.log(hyp2f1(1.0, a + 0.5, a + 1.0, 1.0 / (1.0 + ratio)))
        log_tail[far] = -a * np.log1p(ratio) - 0.5 * np.log1p(1.0 / ratio) - math.log(df) - betaln(a, 0.5) + series
    return log_tail


@lru_cache(maxsize=4096)
def e_value(contrast: Contrast) -> float:
    """Evidence against "not better", valid at any stopping time; under the null its mean is at most 1."""
    helps, _ = log_ratios(contrast)
    return float(np.exp(np.minimum(helps, 690.0)) @ _SCALE_WEIGHTS)


def p_null(contrast: Contrast, prior: EffectPrior) -> float:
    """Posterior probability that the edit does not help: nothing, or harm."""
    log_helpful, log_not = _log_masses(contrast, prior)
    top = max(log_helpful, log_not)
    helpful, not_helpful = math.exp(log_helpful - top), math.exp(log_not - top)
    return not_helpful / (helpful + not_helpful)


def p_better(contrast: Contrast) -> float:
    """Probability that the true effect is negative, with no prior preference (Student-t)."""
    return float(stdtr(contrast.noise_df, -contrast.effect / contrast.stderr))


def learn_prior(contrasts: Sequence[Contrast], pseudo_counts: float = PSEUDO_COUNTS) -> EffectPrior:
    """The distribution of effects behind these observed ones: EM from the generic start, which keeps its pseudo-counts."""
    start = EffectPrior.start()
    if not contrasts:
        return start
    base = np.concatenate([start.helpful, [start.null], start.harmful])
    rows = []
    for contrast in contrasts:
        helps, harms = log_ratios(contrast)
        row = np.concatenate([helps, [0.0], harms])
        rows.append(np.exp(row - row.max()))
    likelihood = np.array(rows)
    weights = base
    for _ in range(EM_ROUNDS):
        posterior = likelihood * weights
        posterior /= posterior.sum(axis=1, keepdims=True)
        weights = (posterior.sum(axis=0) + pseudo_counts * base) / (len(rows) + pseudo_counts)
    k = len(SCALES)
    return EffectPrior(weights[:k], float(weights[k]), weights[k + 1 :])


def _log_masses(contrast: Contrast, prior: EffectPrior) -> tuple[float, float]:
    helps, harms = log_ratios(contrast)
    not_helpful = np.concatenate([[math.log(prior.null)], np.log(prior.harmful) + harms])
    return float(np.logaddexp.reduce(np.log(prior.helpful) + helps)), float(np.logaddexp.reduce(not_helpful))
