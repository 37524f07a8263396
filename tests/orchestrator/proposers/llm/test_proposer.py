"""The proposer against a scripted server: what it asks, delivers, repairs, remembers and survives."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_support import KEY, Deliveries, Night, desk_of, proposer_of
from scripted_model import Fail, Hang, Raw, Reply, Say, Script, ScriptedModel, candidate

from orchestrator.proposers.base import Proposal, ProposalError
from orchestrator.proposers.ideas import Steering
from orchestrator.proposers.llm.proposer import USELESS_ANSWERS
from orchestrator.proposers.llm.record import Exchange

PATIENCE_S = 60.0  # for what takes a moment on an idle machine
GOOD = candidate("train.py", "LR = 0.1", "LR = 0.2", "a higher rate")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


class Session:
    """A proposer at its desk, in front of a scripted model."""

    def __init__(self, script: Script, folder: Path, night: Night, desk: dict[str, Any], more: dict[str, Any]) -> None:
        self.model = ScriptedModel(script).__enter__()
        self.proposer = proposer_of(self.model.url, desk_of(night, folder, **desk), **more)
        self.campaign = Deliveries(night, self.proposer)
        self.under_way = self.campaign.begin()

    def close(self) -> None:
        self.proposer.close()
        self.model.__exit__()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    open_ones: list[Session] = []

    def begin(script: Script, night: Night | None = None, desk: dict[str, Any] | None = None, **more: Any) -> Session:
        session = Session(script, tmp_path, night or Night(), desk or {}, more)
        open_ones.append(session)
        return session

    yield begin
    for session in open_ones:
        session.close()


def one_after_another(*replies: Reply) -> Script:
    return lambda prompt, nth: replies[min(nth, len(replies) - 1)]


def test_an_answer_becomes_a_proposal_with_all_that_is_known_of_it(start: Any) -> None:
    session = start(lambda prompt, nth: Say(GOOD))
    assert session.campaign.request() == 1
    found = session.campaign.next()
    assert found.asked == 1
    proposal = found.proposals[0]
    assert isinstance(proposal, Proposal)
    assert (proposal.description, proposal.family, proposal.expected_effect) == ("a higher rate", "schedule", -0.1)
    assert (proposal.model, proposal.against) == ("openai/scripted", session.campaign.night.champion)
    assert proposal.usd == pytest.approx(0.02)
    assert proposal.token == "x000001.0.explore"


def test_asking_does_not_wait_for_the_answer(start: Any) -> None:
    asked = threading.Event()

    def after_the_last(prompt: str, nth: int) -> Reply:
        asked.wait(PATIENCE_S)
        return Say(GOOD)

    session = start(after_the_last)
    for _ in range(3):
        session.campaign.request()
    assert session.model.answered == 0
    asked.set()
    for _ in range(3):
        assert session.campaign.next().proposals


@pytest.mark.parametrize(
    "bad",
    ["", "I think deeper is better.", "I'm sorry, I can't help with that.", GOOD.replace("=======", "---"), "x" * 2_000_000,
     candidate("prepare.py", "a", "b"), candidate("nothere.py", "a", "b"), candidate("train.py", "gone", "b"),
     candidate("train.py", " = ", " == ")],
    ids=["empty", "prose", "refusal", "broken", "2 MB", "scope", "no file", "not found", "found twice"],
)  # fmt: skip
def test_what_cannot_be_used_is_sent_back_once_with_what_is_wrong(start: Any, bad: str) -> None:
    session = start(one_after_another(Say(bad), Say(GOOD)))
    session.campaign.request()
    found = session.campaign.next()
    assert isinstance(found.proposals[0], Proposal)
    assert found.proposals[0].usd == pytest.approx(0.04), "both calls were paid for"
    assert len(session.model.requests) == 2
    assert "cannot be used" in session.model.prompts()[1]
    assert sum(len(prompt) for prompt in session.model.prompts()) < 100_000


def test_what_cannot_be_used_twice_is_a_rejected_candidate_with_its_cost(start: Any) -> None:
    session = start(lambda prompt, nth: Say("no edits from me"))
    session.campaign.request()
    found = session.campaign.next().proposals[0]
    assert isinstance(found, ProposalError)
    assert "holds no edit" in found.reason
    assert "no edits from me" in found.reason
    assert found.stands_for.usd == pytest.approx(0.04)
    assert len(session.model.requests) == 2


def test_of_several_candidates_the_good_ones_go_and_the_bad_ones_are_told(start: Any) -> None:
    bad = candidate("train.py", "gone", "b", "a slip")
    session = start(lambda prompt, nth: Say(f"{GOOD}\n{bad}"))
    session.campaign.request(wanted=2)
    good, refused = session.campaign.next().proposals
    assert isinstance(good, Proposal)
    assert isinstance(refused, ProposalError)
    assert refused.description == "a slip"
    assert good.usd == pytest.approx(0.01)
    assert refused.stands_for.usd == pytest.approx(0.01)


@pytest.mark.parametrize(
    "fault", [Fail(500), Fail(429, "slow", {"Retry-After": "1"}), Fail(401), Hang(), Raw(b"\xff\xfe{", cut=True)], ids=repr
)
def test_a_fault_is_told_and_survived(start: Any, fault: Reply) -> None:
    session = start(one_after_another(fault, Say(GOOD)), timeout_s=3.0 if fault == Hang() else PATIENCE_S)
    session.campaign.request()
    found = session.campaign.next()
    assert (found.asked, found.proposals) == (1, ())
    assert "no model answers" in found.notes[0]
    assert KEY not in found.notes[0]
    assert not session.proposer.ready()
    deadline = time.monotonic() + PATIENCE_S
    while not session.proposer.ready():
        assert time.monotonic() < deadline
    session.campaign.request()
    found = session.campaign.next()
    assert found.proposals
    assert "answers again" in found.notes[0]


def test_money_in_flight_counts_against_the_limit(start: Any) -> None:
    asked = threading.Event()

    def after_the_last(prompt: str, nth: int) -> Reply:
        asked.wait(PATIENCE_S)
        return Say(GOOD)

    session = start(after_the_last, desk={"usd": 0.05}, max_tokens=2000)
    assert session.proposer.ready()
    session.campaign.request()
    assert session.proposer.ready(), "a long answer of 4 cents is under way, one cent is left"
    session.campaign.request()
    assert not session.proposer.ready()
    asked.set()
    session.campaign.next()
    session.campaign.next()
    assert session.proposer.ready(), "they were cheaper than they might have been"


def test_an_answer_that_a_killed_head_had_paid_for_is_delivered_again(start: Any, tmp_path: Path) -> None:
    night = Night()
    first = start(lambda prompt, nth: Say(GOOD), night)
    first.campaign.request()
    first.campaign.next(record=False)  # the head dies before its journal has it
    second = start(lambda prompt, nth: Say(GOOD), night)
    assert second.under_way == 1
    found = second.campaign.next()
    assert [each.token for each in found.proposals] == ["x000001.0.explore"]
    assert found.proposals[0].usd == pytest.approx(0.02)
    assert second.model.requests == []
    third = start(lambda prompt, nth: Say(GOOD), night)
    assert third.under_way == 0


def test_of_an_answer_that_was_half_taken_in_the_other_half_is_delivered(start: Any) -> None:
    night = Night()
    other = candidate("train.py", "WIDTH = 64", "WIDTH = 128", "wider")
    first = start(lambda prompt, nth: Say(f"{GOOD}\n{other}"), night)
    first.campaign.request(wanted=2)
    found = first.campaign.next(record=False)
    night.propose(token=found.proposals[0].token, usd=found.proposals[0].usd)
    second = start(lambda prompt, nth: Say(GOOD), night)
    again = second.campaign.next()
    assert [each.description for each in again.proposals] == ["wider"]
    assert again.proposals[0].usd == pytest.approx(0.01)


def test_every_exchange_is_stored_without_secrets(start: Any, tmp_path: Path) -> None:
    desk = {"notebook": lambda: f"somebody wrote {KEY} here"}
    session = start(lambda prompt, nth: Say(f"the key is {KEY}\n{GOOD}"), desk=desk)
    session.campaign.request()
    session.campaign.next()
    stored = Exchange(tmp_path / "exchanges/llm/x000001")
    assert stored.task() is not None
    reply, asked = stored.answered(1), stored.asked(1)
    assert reply is not None
    assert asked is not None
    assert reply.prompt_tokens == 1000
    assert "somebody wrote [redacted] here" in asked[1].content
    everything = "".join(path.read_text() for path in stored.folder.iterdir())
    assert KEY not in everything + "".join(session.model.prompts())


def test_an_idea_of_a_person_is_tried_next_and_ticked_off(start: Any, tmp_path: Path) -> None:
    session = start(lambda prompt, nth: Say(GOOD))
    assert not session.proposer.insists()
    (tmp_path / "ideas.md").write_text("- [ ] a cosine\n")
    assert session.proposer.insists()
    session.campaign.request()
    assert not session.proposer.insists(), "it is being tried"
    session.campaign.next()
    assert "a cosine" in session.model.prompts()[0]
    assert (tmp_path / "ideas.md").read_text() == "- [x] a cosine (c0001)\n"


def test_an_idea_whose_answers_are_never_usable_is_not_tried_for_ever(start: Any, tmp_path: Path) -> None:
    session = start(lambda prompt, nth: Say("no"))
    (tmp_path / "ideas.md").write_text("- [ ] a cosine\n")
    for _ in range(2):
        assert session.proposer.insists()
        session.campaign.request()
        session.campaign.next()
    assert not session.proposer.insists()
    assert "no usable answer" in (tmp_path / "ideas.md").read_text()


def test_closing_does_not_wait_for_a_server_that_hangs(start: Any) -> None:
    session = start(lambda prompt, nth: Hang())
    session.campaign.request()
    while not session.model.requests:
        time.sleep(0.01)
    began = time.monotonic()
    session.proposer.close()
    assert time.monotonic() - began < PATIENCE_S / 2  # it would hang for longer


def test_two_models_do_not_take_up_the_same_idea(start: Any, tmp_path: Path) -> None:
    (tmp_path / "ideas.md").write_text("- [ ] a cosine\n")
    night = Night()
    steering = Steering([tmp_path])
    one = start(lambda prompt, nth: Say(GOOD, delay_s=0.2), night, {"steering": steering})
    two = start(lambda prompt, nth: Say(GOOD), night, {"steering": steering})
    one.campaign.request()
    assert not two.proposer.insists()
    one.campaign.next()


def test_answers_of_no_use_one_after_another_are_as_good_as_no_answer(start: Any) -> None:
    session = start(lambda prompt, nth: Say("no edits from me"))
    for _ in range(USELESS_ANSWERS - 1):
        session.campaign.request()
        assert session.campaign.next().notes == ()
        assert session.proposer.ready()
    session.campaign.request()
    found = session.campaign.next()
    assert "nothing that can be used" in found.notes[0]
    assert found.proposals, "what was paid for is recorded"
    assert not session.proposer.ready()


def test_a_disk_that_takes_nothing_more_is_no_endless_loop(start: Any, tmp_path: Path) -> None:
    session = start(lambda prompt, nth: Say(GOOD))
    (tmp_path / "exchanges").write_text("a file where a folder should be")
    session.campaign.request()
    found = session.campaign.next()
    assert (found.asked, found.proposals) == (1, ())
    assert "no model answers" in found.notes[0]
    assert not session.proposer.ready()
    assert session.model.requests == []
