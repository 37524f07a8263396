"""Whose turn it is, what is under way, and what becomes of a delivery: with proposers of a few lines."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from llm_support import Night

from orchestrator import events as ev
from orchestrator import proposing
from orchestrator.edits import Edit
from orchestrator.events import StopReason
from orchestrator.proposers.base import Brief, Delivery, Proposal, ProposalError, Result
from orchestrator.proposing import Proposing
from orchestrator.scope import Scope

EDIT = (Edit("train.py", search="a", replace="b"),)


class AtOnce:
    """Gives a proposal as soon as it is asked."""

    name = "knobs"

    def propose(self, brief: Brief) -> Proposal | None:
        return Proposal("at once", EDIT)

    def learn(self, result: Result) -> None: ...

    def planned(self) -> int | None:
        return None


class Later:
    """Writes until it is told to deliver."""

    name = "llm"

    def __init__(self) -> None:
        self.is_ready = True
        self.insisting = False
        self.left_over = 0
        self.requests: list[int] = []
        self.told: list[Delivery] = []
        self.wound_up = self.closed = False

    def begin(self, deliver: Callable[[Delivery], None]) -> int:
        return self.left_over

    def ready(self) -> bool:
        return self.is_ready

    def insists(self) -> bool:
        return self.insisting

    def request(self, brief: Brief) -> int:
        self.requests.append(brief.wanted)
        return min(2, brief.wanted)

    def taken(self, delivery: Delivery) -> None:
        self.told.append(delivery)

    def wind_up(self) -> None:
        self.wound_up = True

    def close(self) -> None:
        self.closed = True

    def learn(self, result: Result) -> None: ...

    def planned(self) -> int | None:
        return None


class Campaign:
    """Parts of a campaign around real `Proposing`."""

    def __init__(self, weights: tuple[float, float] = (1.0, 1.0), candidates: int | None = None) -> None:
        self.night = Night()
        self.later, self.at_once = Later(), AtOnce()
        self.admitted: list[str] = []
        repository = SimpleNamespace(files=lambda commit: ("train.py",), read=lambda commit, path: "a")
        parts: Any = SimpleNamespace(
            ledger=self.night.ledger,
            proposers=(self.later, self.at_once),
            config=SimpleNamespace(proposers=tuple(SimpleNamespace(weight=weight) for weight in weights)),
            settings=SimpleNamespace(
                prices=SimpleNamespace(usd_per_gpu_hour=0.0), limits=SimpleNamespace(candidates=candidates)
            ),
            repository=repository,
            admission=SimpleNamespace(scoping=SimpleNamespace(scope=Scope(("train.py",), frozenset()))),
        )
        self.proposing = Proposing(parts, self.night.tell, self.admitted.append, lambda delivery: None)

    def deliver(self, *proposals: Proposal | ProposalError, asked: int = 1, **more: Any) -> None:
        self.proposing.take_in(Delivery("llm", asked, proposals, **more))

    @property
    def descriptions(self) -> list[str]:
        return [candidate.proposed.description for candidate in self.night.ledger.candidates.values()]


def test_turns_alternate_and_what_is_being_written_counts_as_given() -> None:
    campaign = Campaign()
    for _ in range(4):
        campaign.proposing.ask(1)
    assert campaign.later.requests == [1, 1]
    assert campaign.descriptions == ["at once", "at once"]
    assert campaign.proposing.under_way() == 2


def test_what_is_delivered_is_no_longer_under_way() -> None:
    campaign = Campaign(weights=(100.0, 1.0))
    campaign.proposing.ask(5)
    assert campaign.proposing.under_way() == 2
    campaign.deliver(Proposal("one", EDIT), Proposal("two", EDIT), asked=2)
    assert campaign.proposing.under_way() == 0
    assert campaign.descriptions == ["one", "two"]
    assert campaign.admitted == ["c0001", "c0002"]
    assert len(campaign.later.told) == 1


def test_who_cannot_be_asked_is_passed_over_and_others_fill_in() -> None:
    campaign = Campaign()
    campaign.later.is_ready = False
    for _ in range(3):
        campaign.proposing.ask(1)
    assert campaign.later.requests == []
    assert campaign.proposing.ready()
    campaign.night.tell(ev.ProposalsEnded("knobs", "used up"))
    assert not campaign.proposing.ready()


def test_who_holds_a_persons_idea_goes_first() -> None:
    campaign = Campaign(weights=(1.0, 1000.0))
    campaign.later.insisting = True
    campaign.proposing.ask(1)
    assert campaign.later.requests == [1]


def test_a_proposal_that_cannot_be_read_is_a_rejected_candidate_with_its_cost() -> None:
    campaign = Campaign()
    campaign.deliver(ProposalError("prose", "no edit in it", Proposal("prose", (), usd=0.25, model="m")))
    candidate = campaign.night.ledger.candidates["c0001"]
    assert (candidate.state, candidate.reason) == ("rejected", "edit: no edit in it")
    assert (candidate.proposed.usd, candidate.proposed.model) == (0.25, "m")
    assert campaign.admitted == []


def test_more_than_the_limit_has_room_for_is_left_out_and_paid_for_all_the_same() -> None:
    campaign = Campaign(candidates=2)
    campaign.deliver(*(Proposal(f"idea {n}", EDIT, usd=1.0) for n in range(5)))
    assert campaign.descriptions == ["idea 0", "idea 1"]
    assert campaign.night.ledger.proposer_usd == pytest.approx(5.0)


def test_notes_and_the_end_of_a_proposer_are_recorded() -> None:
    campaign = Campaign()
    campaign.deliver(notes=("it is down",), ended="its key was refused")
    assert "llm" in campaign.night.ledger.exhausted


def test_what_a_former_head_was_killed_over_is_under_way_from_the_start() -> None:
    campaign = Campaign()
    campaign.later.left_over = 3
    campaign.proposing.begin()
    assert campaign.proposing.under_way() == 3


def test_at_the_end_answers_are_waited_for_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = Campaign(weights=(100.0, 1.0))
    campaign.proposing.ask(1)
    assert campaign.proposing.under_way() == 1
    assert not campaign.later.wound_up
    campaign.night.tell(ev.LimitReached(StopReason.HOURS))
    assert campaign.proposing.under_way() == 1
    assert campaign.later.wound_up
    now = proposing.time.monotonic()
    monkeypatch.setattr(proposing.time, "monotonic", lambda: now + proposing.DRAIN_S + 1)
    assert campaign.proposing.under_way() == 0
    campaign.proposing.close()
    assert campaign.later.closed
