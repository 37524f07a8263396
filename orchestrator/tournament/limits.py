"""Limits: what a campaign has spent, and which limit it has reached. Pure."""

from __future__ import annotations

import math

from orchestrator.events import StopReason
from orchestrator.ledger import Ledger
from orchestrator.tournament.settings import Prices, Settings

_PROPOSING_ENDS = frozenset({StopReason.CANDIDATES, StopReason.PROPOSALS, StopReason.WORTH})

FINALS_AT_THE_END = 2  # trials that are kept back for what the last block brings
FINAL_ROUND = 1.1  # trial times that a final takes, at the end of a campaign that a clock ends


def gpu_hours(ledger: Ledger) -> float:
    return ledger.gpu_seconds / 3600


def energy_wh(ledger: Ledger) -> float | None:
    return None if ledger.energy_j is None else ledger.energy_j / 3600


def usd(ledger: Ledger, prices: Prices) -> float:
    """Dollars: what proposers cost, and the GPUs and energy at the campaign's prices."""
    kwh = (energy_wh(ledger) or 0.0) / 1000
    return ledger.proposer_usd + gpu_hours(ledger) * prices.usd_per_gpu_hour + kwh * prices.usd_per_kwh


def only_ends_proposing(reason: StopReason | None, settings: Settings) -> bool:
    """Whether what is under way is still measured to its end: what dollars have bought too, where trials cost none."""
    trials_cost = settings.prices.usd_per_gpu_hour or settings.prices.usd_per_kwh
    return reason in _PROPOSING_ENDS or (reason is StopReason.USD and not trials_cost)


def reached(ledger: Ledger, settings: Settings, now: float) -> StopReason | None:
    """The first limit that is reached at Unix time `now`; after one that only ends the proposing, the first that ends more. Of
    worth, which is an estimate, `Worth` tells."""
    limits = settings.limits
    energy = energy_wh(ledger)
    checks = (
        (StopReason.TARGET, at_target(ledger, settings) and not wants_confirmation(ledger, settings)),
        (StopReason.TRIALS, _at(len(ledger.trials), limits.trials)),
        (StopReason.HOURS, _at(ledger.running_s(now) / 3600, limits.hours)),
        (StopReason.GPU_HOURS, _at(gpu_hours(ledger), limits.gpu_hours)),
        (StopReason.USD, _at(usd(ledger, settings.prices), limits.usd)),
        (StopReason.ENERGY, energy is not None and _at(energy, limits.energy_wh)),
        (StopReason.PLATEAU, _at(ledger.decided_since_keep, limits.plateau)),
        (StopReason.CANDIDATES, _at(ledger.proposed, limits.candidates)),
        (StopReason.PROPOSALS, bool(settings.proposers) and ledger.exhausted >= set(settings.proposers)),
    )
    harder = ledger.limit is not None
    return next((r for r, is_reached in checks if is_reached and not (harder and only_ends_proposing(r, settings))), None)


def mean_trial_s(ledger: Ledger) -> float | None:
    """Wall-clock that a trial takes; None before one has ended."""
    ended = len(ledger.trials) - len(ledger.open_trials)
    return ledger.trial_seconds / ended if ended else None


def trials_left(ledger: Ledger, settings: Settings, now: float) -> float:
    """How many more trials the limits allow, at the pace so far; inf where none ends the campaign in sight."""
    limits, trial_s = settings.limits, mean_trial_s(ledger)
    left = math.inf if limits.trials is None else float(limits.trials - len(ledger.trials))
    if trial_s:
        if limits.hours is not None:
            seconds = limits.hours * 3600 - ledger.running_s(now)
            left = min(left, len(ledger.workers) * seconds / trial_s)
        if limits.gpu_hours is not None and ledger.gpu_seconds:
            a_trial_h = gpu_hours(ledger) / (len(ledger.trials) - len(ledger.open_trials))
            left = min(left, (limits.gpu_hours - gpu_hours(ledger)) / a_trial_h - len(ledger.open_trials))
    return max(0.0, left)


def reserved_trials(ledger: Ledger, settings: Settings) -> float:
    """How many of the trials left are for finals: where time ends the campaign, all that run beside the last final."""
    return FINALS_AT_THE_END + (len(ledger.workers) * FINAL_ROUND if settings.limits.hours is not None else 0)


def _at(spent: float, limit: float | None) -> bool:
    return limit is not None and spent >= limit


def at_target(ledger: Ledger, settings: Settings) -> bool:
    """Whether the champion's mean is where the campaign wants it."""
    if settings.target is None or ledger.champion is None:
        return False
    samples = ledger.samples(ledger.champion.commit)
    return samples.n > 0 and settings.signed(samples.mean) <= settings.signed(settings.target)


def wants_confirmation(ledger: Ledger, settings: Settings) -> bool:
    """Whether a champion at the target was measured less often than the baseline was: its mean may be luck."""
    assert ledger.champion is not None
    return ledger.samples(ledger.champion.commit).n < settings.baseline_repeats
