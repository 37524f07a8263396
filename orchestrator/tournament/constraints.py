"""Constraints on metrics other than the objective: does a commit keep to them? Pure.

An absolute bound holds for every trial. A ratio compares two noisy means, so it is broken only where the candidate's mean is
beyond it by more than two standard errors: with a bound as tight as the noise, half of all honest edits would fail
otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.events import TrialEnded
from orchestrator.ledger import Ledger, Trial
from orchestrator.tournament.settings import Constraint, Settings
from workers.trial import GPU_METRICS, Outcome

STANDARD_ERRORS = 2.0


@dataclass(frozen=True, slots=True)
class Lacking:
    """A metric that the campaign was told to look at and that the base commit itself has no value of."""

    trial: str
    detail: str


def lacking(ledger: Ledger, settings: Settings) -> Lacking | None:
    """None while the base commit is unmeasured, and where its first trial gave all that is asked about: every candidate would
    be turned down for a slip in a metric's name."""
    first = next(iter(_ok(ledger.trials_of.get(ledger.base, []))), None)
    if first is None:
        return None
    wanted = {bound.metric: "objective.constraints" for bound in settings.constraints}
    wanted |= dict.fromkeys(settings.front, "objective.front")
    for metric, key in wanted.items():
        if first.metric(metric) is None:
            known = ", ".join(sorted({*first.measured, *first.reported}))
            no_gpu = metric in GPU_METRICS and not ledger.trials[first.trial].started.gpus
            why = "; its trials have no GPU to measure it on" if no_gpu else ""
            said = f"{key} names {metric}, and the base commit's own trial gave no such number{why}; it gave {known}"
            return Lacking(first.trial, f"{said}. Mend the name or the target, then begin a new run")
    return None


def broken_constraint(
    ledger: Ledger, trials: Iterable[Trial], reference: str, constraints: tuple[Constraint, ...]
) -> str | None:
    """The first constraint that `trials` break against the commit `reference`, in words; None when all hold."""
    measured = _ok(trials)
    if not constraints or not measured:
        return None
    beside = _ok(ledger.trials_of.get(reference, []))
    for bound in constraints:
        lacking = next((ended for ended in measured if ended.metric(bound.metric) is None), None)
        if lacking is not None:
            return f"constraint on {bound.metric}: {lacking.trial} gave no such number"
        values = _values(measured, bound.metric)
        broken = _breaks_absolute(bound, values) or _breaks_ratio(bound, values, _values(beside, bound.metric))
        if broken is not None:
            return broken
    return None


def _breaks_absolute(bound: Constraint, values: Sequence[float]) -> str | None:
    if bound.max is not None and max(values) > bound.max:
        return f"constraint: {bound.metric} is {max(values):g}, at most {bound.max:g} is allowed"
    if bound.min is not None and min(values) < bound.min:
        return f"constraint: {bound.metric} is {min(values):g}, at least {bound.min:g} is asked for"
    return None


def _breaks_ratio(bound: Constraint, values: Sequence[float], beside: Sequence[float]) -> str | None:
    if not beside:
        return None
    mean, reference = _mean(values), _mean(beside)
    slack = STANDARD_ERRORS * _spread(values, beside) * math.sqrt(1 / len(values) + 1 / len(beside))
    if bound.max_ratio is not None and mean - bound.max_ratio * reference > slack:
        return _told(bound.metric, mean, "at most", bound.max_ratio, reference)
    if bound.min_ratio is not None and bound.min_ratio * reference - mean > slack:
        return _told(bound.metric, mean, "at least", bound.min_ratio, reference)
    return None


def _told(metric: str, mean: float, what: str, ratio: float, reference: float) -> str:
    return f"constraint: {metric} is {mean:g}, {what} {ratio:g} times the champion's {reference:g} is asked for"


def _spread(*groups: Sequence[float]) -> float:
    """Pooled standard deviation within the groups; 0 where nothing was repeated."""
    squares = sum((value - _mean(group)) ** 2 for group in groups for value in group)
    df = sum(len(group) - 1 for group in groups)
    return math.sqrt(squares / df) if df else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _values(trials: Iterable[TrialEnded], metric: str) -> list[float]:
    return [value for ended in trials if (value := ended.metric(metric)) is not None]


def _ok(trials: Iterable[Trial]) -> list[TrialEnded]:
    return [trial.ended for trial in trials if trial.ended is not None and trial.ended.outcome is Outcome.OK]
