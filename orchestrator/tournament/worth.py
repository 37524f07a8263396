"""Worth: how much the champion can be expected to gain by one more GPU-hour, from what the campaign has learnt. Pure.

A candidate is worth what an edit brings, weighed by how likely one of that size is to be kept: an integral over the
distribution of effects behind the last candidates that were decided on their numbers (`learn_prior`, with few pseudo-counts:
here, what is generally so would promise a gain for ever). An hour brings as many candidates as it did so far, with what those
that crashed have cost. Edits are taken to add up, and proposers to go on as they do; `benchmarks/tournament.py` compares the
estimate with what came.
"""

from __future__ import annotations

import statistics

import numpy as np
from scipy.special import ndtr  # the normal distribution function

from orchestrator.events import Evidence
from orchestrator.ledger import Ledger
from orchestrator.tournament.evidence import SCALES, Array, learn_prior
from orchestrator.tournament.race import contrast_of

KNOWN_FROM = 30  # candidates decided on their numbers; before that there is no estimate
REMEMBERS = 100  # of them, the last: ideas run dry while a campaign goes on
PSEUDO_COUNTS = 2.0
# Of its standard errors an effect is shown by, where it is kept: the bar of both lanes lies about there.
KEPT_FROM = 2.0

_STEPS: Array = np.linspace(0.0, 5.0, 101)  # sizes of a half-normal effect, in units of its scale
_DENSITY: Array = np.exp(-0.5 * _STEPS**2) / np.exp(-0.5 * _STEPS**2).sum()


class Worth:
    """The estimate, which is made anew only when a candidate was decided: what is decided is all that it depends on."""

    def __init__(self, *, minimize: bool) -> None:
        self._minimize = minimize
        self._estimated_from: list[Evidence] = []
        self._of_a_candidate = 0.0

    def per_gpu_hour(self, ledger: Ledger) -> float | None:
        """In the objective's own units, >= 0; None while too little is known. A trial without a GPU counts its slot's time."""
        hours = (ledger.gpu_seconds or ledger.trial_seconds) / 3600
        if len(ledger.decided_races) < KNOWN_FROM or not hours:
            return None
        last = _last(ledger.decided_races)
        if last != self._estimated_from:
            self._estimated_from = last
            self._of_a_candidate = gain_of_a_candidate(last, minimize=self._minimize)
        return self._of_a_candidate * len(ledger.decided_races) / hours


def _last(decided: list[Evidence]) -> list[Evidence]:
    """The last ones, those of a block together: its winners are decided first, and would be cut off."""
    start = max(0, len(decided) - REMEMBERS)
    while start and decided[start].blocks and decided[start - 1].blocks[-1:] == decided[start].blocks[-1:]:
        start -= 1
    return decided[start:]


def gain_of_a_candidate(decided: list[Evidence], *, minimize: bool) -> float:
    """What one more like these can be expected to bring, in the objective's own units, >= 0."""
    learnt = learn_prior([contrast_of(evidence, minimize) for evidence in decided], PSEUDO_COUNTS)
    noise_sd = decided[-1].noise_sd
    # Who is promising is measured on: the finest quarter says how well it is known in the end.
    stderr = statistics.quantiles((evidence.stderr / evidence.noise_sd for evidence in decided), n=4)[0]
    seen = max(abs(evidence.effect) / evidence.noise_sd for evidence in decided)  # beyond it are pseudo-counts alone
    sizes = SCALES[:, None] * _STEPS
    if_of_scale = (_DENSITY * sizes * ndtr(sizes / stderr - KEPT_FROM)).sum(axis=1)
    return float(learnt.helpful @ np.where(max(1.0, seen) >= SCALES, if_of_scale, 0.0)) * noise_sd
