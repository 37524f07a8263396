"""The life of a candidate: the states it goes through, which may follow which, and what is known of it. Pure data.

Only the ledger moves a candidate from one state to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator import events as ev

RETEST = "retest"  # the proposer of candidates that take a kept edit, their parent, out of the champion again


class CandidateState(StrEnum):
    """The life of a candidate, one line each."""

    PROPOSED = "proposed"  # arrived; the gates have not spoken
    WAITING = "waiting"  # a commit on a champion; no trial yet
    RACING = "racing"  # at least one trial of a race of its own started, undecided
    IN_BLOCKS = "in blocks"  # measured together with others, undecided; between two blocks too
    WON = "won"  # won its race; waits for, or is in, a final
    KEPT = "keep"  # on the champion branch
    DISCARDED = "discard"
    INCONCLUSIVE = "inconclusive"
    REJECTED = "rejected"  # a gate said no
    CRASHED = "crash"
    VIOLATION = "violation"
    CONFLICT = "conflict"  # could not be carried over to the champion as it is now


TRANSITIONS: dict[CandidateState, frozenset[CandidateState]] = {
    CandidateState.PROPOSED: frozenset({CandidateState.WAITING, CandidateState.REJECTED, CandidateState.CONFLICT}),
    CandidateState.WAITING: frozenset(
        {
            CandidateState.WAITING,
            CandidateState.RACING,
            CandidateState.IN_BLOCKS,
            CandidateState.CONFLICT,
            CandidateState.CRASHED,
            CandidateState.VIOLATION,
        }
    ),
    CandidateState.IN_BLOCKS: frozenset(
        {
            CandidateState.WAITING,
            CandidateState.WON,
            CandidateState.DISCARDED,
            CandidateState.INCONCLUSIVE,
            CandidateState.CONFLICT,
            CandidateState.CRASHED,
            CandidateState.VIOLATION,
        }
    ),
    CandidateState.RACING: frozenset(
        {
            CandidateState.WON,
            CandidateState.DISCARDED,
            CandidateState.INCONCLUSIVE,
            CandidateState.CRASHED,
            CandidateState.VIOLATION,
        }
    ),
    CandidateState.INCONCLUSIVE: frozenset({CandidateState.WON}),
    CandidateState.WON: frozenset(
        {
            CandidateState.WAITING,
            CandidateState.KEPT,
            CandidateState.INCONCLUSIVE,
            CandidateState.CRASHED,
            CandidateState.VIOLATION,
            CandidateState.CONFLICT,
        }
    ),
}

PENDING = frozenset(
    {
        CandidateState.PROPOSED,
        CandidateState.WAITING,
        CandidateState.RACING,
        CandidateState.IN_BLOCKS,
        CandidateState.WON,
    }
)

VERDICT_STATE = {
    ev.Verdict.WON: CandidateState.WON,
    ev.Verdict.DISCARD: CandidateState.DISCARDED,
    ev.Verdict.INCONCLUSIVE: CandidateState.INCONCLUSIVE,
    ev.Verdict.CRASH: CandidateState.CRASHED,
    ev.Verdict.VIOLATION: CandidateState.VIOLATION,
}


@dataclass(frozen=True, slots=True)
class Heat:
    """What one block said of one candidate."""

    block: str
    effect: float  # in the metric's own units
    spread: float  # its standard error, in standard deviations of the noise
    rows_with: int
    rows: int
    base_mean: float


@dataclass(slots=True)
class Candidate:
    proposed: ev.Proposed
    proposed_at: float
    state: CandidateState = CandidateState.PROPOSED
    admitted: ev.Admitted | None = None
    reason: str | None = None
    evidence: ev.Evidence | None = None  # of its race
    decided_at: float | None = None
    trials: list[str] = field(default_factory=list)  # every one that held it
    race_since: int = 0  # where in `trials` its present race begins
    raced: int = 0  # trials of its present race that count or are running
    running: int = 0  # trials that hold it and have not ended
    nth: int = 0  # in the order of arrival
    alone: bool = False  # it is to race alone, not in blocks
    open_blocks: int = 0
    heats: list[Heat] = field(default_factory=list)  # what closed blocks said of it
    runs: bool = False  # a trial that held it has ended without a crash
    suspects: tuple[str, ...] = ()  # with whom it was, or is to be, in a smoke test, since a larger one crashed
    history: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.proposed.candidate

    @property
    def retests(self) -> tuple[str, ...]:
        """The kept candidate that it takes out again; none for any other."""
        return self.proposed.parents if self.proposed.proposer == RETEST else ()

    @property
    def race_trials(self) -> list[str]:
        return self.trials[self.race_since :]

    @property
    def commit(self) -> str | None:
        return self.admitted.commit if self.admitted else None

    @property
    def diff_lines(self) -> int:
        """Lines that it adds and removes; 0 before it was admitted."""
        return self.admitted.diff_lines if self.admitted else 0

    @property
    def base(self) -> str | None:
        return self.admitted.base if self.admitted else None
