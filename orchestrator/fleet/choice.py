"""Whose turn is next in a fleet, and how far it may go. Pure: the same standings and rules give the same turn.

A turn goes to the target with the greatest

    share · headroom / cost · 0.5 ** (turns since its last keep)

which is the gain for the whole model that a second of trial time can at best be hoped for: `share` of the model's time is spent
there, `headroom` of that is above the floor that the machine sets, and a candidate costs `cost` seconds to decide. Headroom is
what is there, not what can be found: a target whose proposers are out of ideas keeps it for ever, and would hold up all others.
So each turn that keeps nothing halves the hope, a keep restores it, and after `patience` such turns the target gets no more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from orchestrator.tournament.settings import Limits

HOPE_LEFT = 0.5  # after a turn without a keep


class Because(StrEnum):
    """Why a target has the turn."""

    GOES_ON = "goes on"  # its turn was interrupted
    FIRST = "first turn"
    WORTH = "most to gain"
    DECIDES = "decides what was begun"


class FleetStop(StrEnum):
    """What ended a fleet. Limits first, in the order in which they are looked at."""

    TRIALS = "trials"
    HOURS = "hours"
    GPU_HOURS = "gpu_hours"
    USD = "usd"
    ENERGY = "energy"
    CANDIDATES = "candidates"
    PATIENCE = "patience"  # every target has had so many turns in a row without a keep, or can propose no more
    PROPOSALS = "proposals"  # no target can go on by itself: nothing more to propose, its goal reached, or it failed


@dataclass(frozen=True, slots=True)
class Spent:
    """What limits are about."""

    trials: int = 0
    candidates: int = 0
    hours: float = 0.0
    gpu_hours: float = 0.0
    usd: float = 0.0
    energy_wh: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What the choice knows of a target."""

    name: str
    share: float
    headroom: float = 1.0  # share of its time that lies above the floor; 1 where no floor is known
    cost_s: float | None = None  # trial time that one candidate took so far
    spent: Spent = Spent()
    pending: int = 0  # candidates that are not decided, and ideas of a person that wait
    turns: int = 0
    turns_since_keep: int = 0
    open_turn: int | None = None  # candidates that there were when its turn, which was interrupted, began; None: none was
    is_done: bool = False  # it cannot go on by itself


@dataclass(frozen=True, slots=True)
class NextTurn:
    target: str
    because: Because
    limits: Limits  # of its campaign, for the time of the turn


@dataclass(frozen=True, slots=True)
class Rules:
    candidates: int  # that one turn proposes
    patience: int
    limits: Limits  # of the whole fleet; `plateau` and `worth_per_gpu_hour` hold for each target by itself


def next_turn(standings: Sequence[Standing], rules: Rules) -> NextTurn | FleetStop:
    """The next turn, or what ends the fleet. Ties go to the first."""
    spent = total(standings)
    reached = limit_reached(spent, rules.limits)
    if reached is not None and reached is not FleetStop.CANDIDATES:
        return reached
    able = [each for each in standings if not each.is_done]
    waiting = [each for each in able if not each.turns and each.open_turn is None]
    hopeful = [each for each in able if each.turns_since_keep < rules.patience]
    begun = [each for each in able if each.pending]
    may_propose = reached is None
    for because, among in (
        (Because.GOES_ON, [each for each in able if each.open_turn is not None]),
        (Because.FIRST, waiting if may_propose else []),
        (Because.WORTH, hopeful if may_propose else []),
        (Because.DECIDES, begun),
    ):
        if among:
            chosen = max(among, key=lambda each: worth(each, standings)) if because is Because.WORTH else among[0]
            others = sum(each is not chosen for each in waiting)
            return NextTurn(chosen.name, because, limits_of_turn(chosen, because, others, spent, rules))
    return reached or (FleetStop.PATIENCE if able else FleetStop.PROPOSALS)


def worth(standing: Standing, among: Sequence[Standing] = ()) -> float:
    """What a second of this target can be hoped to gain for the whole. One of unknown cost counts as costing what others do."""
    cost_s = standing.cost_s or _mean([each.cost_s for each in among if each.cost_s]) or 1.0
    return standing.share * standing.headroom / cost_s * HOPE_LEFT**standing.turns_since_keep


def total(standings: Sequence[Standing]) -> Spent:
    """What all have spent."""
    return Spent(*(sum(getattr(each.spent, field.name) for each in standings) for field in fields(Spent)))


def limit_reached(spent: Spent, limits: Limits) -> FleetStop | None:
    """The limit of the fleet that is reached; that of candidates, which only ends the proposing, if there is no other."""
    checks = (
        (FleetStop.TRIALS, spent.trials, limits.trials),
        (FleetStop.HOURS, spent.hours, limits.hours),
        (FleetStop.GPU_HOURS, spent.gpu_hours, limits.gpu_hours),
        (FleetStop.USD, spent.usd, limits.usd),
        (FleetStop.ENERGY, spent.energy_wh, limits.energy_wh),
        (FleetStop.CANDIDATES, spent.candidates, limits.candidates),
    )
    return next((reason for reason, is_spent, limit in checks if limit is not None and is_spent >= limit), None)


def limits_of_turn(standing: Standing, because: Because, others_waiting: int, spent: Spent, rules: Rules) -> Limits:
    """How far the campaign of `standing` may go in its turn.

    Of what is left to the fleet, so much as leaves as much to each of `others_waiting`, which have had no turn yet: one slow
    target must not take the first turns of the others. Of candidates, one each is enough.
    """
    limits, own, parts = rules.limits, standing.spent, others_waiting + 1

    def part(limit: float | None, of_all: float, of_own: float) -> float | None:
        return None if limit is None else of_own + (limit - of_all) / parts

    left = math.inf if limits.candidates is None else max(0, limits.candidates - spent.candidates - others_waiting)
    begun_at = own.candidates if standing.open_turn is None else standing.open_turn
    wanted = 0 if because is Because.DECIDES else begun_at + rules.candidates - own.candidates
    trials = part(limits.trials, spent.trials, own.trials)
    return Limits(
        trials=None if trials is None else max(own.trials + 1, math.floor(trials)),
        candidates=max(1, own.candidates + int(min(max(0, wanted), left))),
        hours=part(limits.hours, spent.hours, own.hours),
        gpu_hours=part(limits.gpu_hours, spent.gpu_hours, own.gpu_hours),
        usd=part(limits.usd, spent.usd, own.usd),
        energy_wh=part(limits.energy_wh, spent.energy_wh, own.energy_wh),
        plateau=limits.plateau,
        worth_per_gpu_hour=limits.worth_per_gpu_hour,
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
