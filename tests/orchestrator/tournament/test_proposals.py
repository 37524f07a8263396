"""How many proposals are asked for while some are still being written."""

from __future__ import annotations

from dataclasses import dataclass, replace

from llm_support import Night

from orchestrator import events as ev
from orchestrator.events import StopReason
from orchestrator.tournament.decisions import Finish, Propose
from orchestrator.tournament.machine import Tournament
from orchestrator.tournament.settings import Limits, Settings

SETTINGS = Settings("loss", True, 0, 100, ("llm",), baseline_repeats=2)


@dataclass
class Writers:
    writing: int = 0
    free: bool = True

    def under_way(self) -> int:
        return self.writing

    def ready(self) -> bool:
        return self.free


def proposing(night: Night, writers: Writers, limits: Limits | None = None) -> Propose | None:
    return Tournament(night.ledger, replace(SETTINGS, limits=limits or Limits()), writers)._propose(0.0)


def test_what_is_being_written_counts_as_what_waits() -> None:
    night = Night()  # one worker: one ahead, and one more
    assert proposing(night, Writers()) == Propose(2)
    assert proposing(night, Writers(writing=1)) == Propose(1)
    assert proposing(night, Writers(writing=2)) is None
    night.propose()
    assert proposing(night, Writers(writing=1)) is None


def test_nobody_is_asked_while_nobody_can_be() -> None:
    assert proposing(Night(), Writers(free=False)) is None


def test_never_more_is_written_than_the_limit_has_room_for() -> None:
    night = Night()
    assert proposing(night, Writers(), Limits(candidates=1)) == Propose(1)
    assert proposing(night, Writers(writing=1), Limits(candidates=1)) is None


def test_a_campaign_that_is_over_waits_for_what_has_been_paid_for() -> None:
    night = Night()
    night.tell(ev.LimitReached(StopReason.HOURS))
    assert Tournament(night.ledger, SETTINGS, Writers(writing=1))._finish() is None
    assert Tournament(night.ledger, SETTINGS, Writers())._finish() == Finish(StopReason.HOURS)
