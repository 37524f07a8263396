"""What the tournament asks for. An event among the decisions is journalled as it stands; the others are carried out by the
campaign, which journals what came of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.events import (
    BlockClosed,
    BlockOpened,
    CandidateDecided,
    LimitReached,
    MachineCleared,
    MachineDoubted,
    MachineSuspected,
    Purpose,
    SentSolo,
    StackDecided,
    StopReason,
    TrialVoided,
)


@dataclass(frozen=True, slots=True)
class StartTrial:
    """`commit` None: `candidates` on top of `base`, as a commit that is yet to be made."""

    worker: str
    purpose: Purpose
    commit: str | None
    candidates: tuple[str, ...]
    seed: int
    stack: str | None = None
    base: str | None = None
    block: str | None = None
    row: int | None = None


@dataclass(frozen=True, slots=True)
class RestartTrial:
    """Hand out again a trial whose head died: same id, same seed."""

    trial: str
    worker: str


@dataclass(frozen=True, slots=True)
class Reapply:
    """Carry a candidate that was never measured over to the champion as it is now."""

    candidate: str


@dataclass(frozen=True, slots=True)
class Compose:
    """Find out which of these fit on `base` and on each other, in this order, `room` of them at most."""

    base: str
    candidates: tuple[str, ...]
    room: int


@dataclass(frozen=True, slots=True)
class Retest:
    """Make a candidate of each of these kept ones: the champion without it."""

    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BuildStack:
    """Put these winners, in this order, on the current champion."""

    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MoveChampion:
    """The stack's final is won: make it the champion."""

    stack: str


@dataclass(frozen=True, slots=True)
class Propose:
    """More proposals are wanted: one, and at most `wanted` where several come at once."""

    wanted: int = 1


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is running and nothing is left to do."""

    reason: StopReason


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The campaign cannot go on; `trial` is the one whose log says why."""

    detail: str
    trial: str | None = None


Journalled = (
    CandidateDecided
    | StackDecided
    | LimitReached
    | SentSolo
    | BlockOpened
    | BlockClosed
    | MachineSuspected
    | MachineCleared
    | MachineDoubted
    | TrialVoided
)
Act = StartTrial | RestartTrial | Reapply | Compose | Retest | BuildStack | MoveChampion | Propose | Journalled
Decision = Act | Finish | GiveUp
