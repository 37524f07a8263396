"""What a candidate of the `train` runner may use outside its budget, from what the champion used. Pure.

Training is held to the worker's clock; set-up, scoring and the checkpoint are not, and whatever is free there can be put to
use: training before the clock starts, or a model that is good because it takes minutes to ask. So these are tied to the
champion's own needs, with room for a model twice as slow, and for the time that machines lose. A champion that was not
measured yet allows everything: the first trials of a campaign end by `timeout_s` alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from orchestrator.events import Purpose
from orchestrator.ledger import Ledger, Trial
from workers.trial import Allowances, Outcome

# Times the champion's median, and more on top: a start of Python alone varies by seconds between a cold disk and a warm one.
_SETUP, _SETUP_MORE_S = 2.0, 5.0
_SCORING, _SCORING_MORE_S = 3.0, 10.0
_MEMORY, _MEMORY_MORE_MB = 3.0, 512.0
_CHECKPOINT, _CHECKPOINT_MORE_MB = 4.0, 64.0


def allowances(ledger: Ledger, held_out: bool) -> Allowances:
    """Of a trial that is about to start. `held_out`: whether it scores the split that decides nothing too."""
    champion = ledger.champion
    return Allowances() if champion is None else from_trials(ledger.trials_of.get(champion.commit, []), held_out)


def from_trials(trials: Iterable[Trial], held_out: bool) -> Allowances:
    """From those of the champion's trials that were measured."""
    ok = [trial for trial in trials if trial.ended is not None and trial.ended.outcome is Outcome.OK]
    with_test = [trial for trial in ok if scores_held_out(trial.started.purpose)]
    like_this = with_test if held_out else [each for each in ok if not scores_held_out(each.started.purpose)] or with_test
    return Allowances(
        setup_s=_allowed(ok, "setup_seconds", _SETUP, _SETUP_MORE_S),
        scoring_s=_allowed(like_this, "scoring_seconds", _SCORING, _SCORING_MORE_S),
        scoring_rss_mb=_allowed(ok, "scoring_rss_mb", _MEMORY, _MEMORY_MORE_MB),
        checkpoint_mb=_allowed(ok, "checkpoint_mb", _CHECKPOINT, _CHECKPOINT_MORE_MB),
    )


def scores_held_out(purpose: Purpose) -> bool:
    """What is compared at the end, on text that decided nothing: the baseline, and each champion as it was measured."""
    return purpose in (Purpose.BASELINE, Purpose.REPEAT, Purpose.FINAL)


def _allowed(trials: list[Trial], metric: str, times: float, more: float) -> float | None:
    used = [trial.ended.measured[metric] for trial in trials if trial.ended is not None and metric in trial.ended.measured]
    return times * median(used) + more if used else None
