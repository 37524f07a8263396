"""Who is tested before a block is opened, with whom, and what becomes of those whose test crashes."""

from __future__ import annotations

import pytest
from block_story import BlockStory, names, step
from resumable import settings
from story import BASE

from orchestrator.events import BlockOpened, CandidateDecided, Purpose, Verdict
from orchestrator.tournament import block_plan
from orchestrator.tournament.block_plan import PATIENCE_S
from orchestrator.tournament.decisions import StartTrial
from orchestrator.tournament.machine import Tournament
from workers.trial import Outcome

AUTO = settings(lanes="auto")
LATER = PATIENCE_S * 10  # nobody waits for company so long


def crashed(count: int, candidates: int) -> BlockStory:
    """Some candidates, and `count` others that crashed alone."""
    story = BlockStory(candidates, workers=2)
    for nth in range(count):
        name = f"x{nth:04d}"
        story.candidate(name)
        story.smoke(name, outcome=Outcome.CRASH)
        story.tell(CandidateDecided(name, Verdict.CRASH, "it crashes"))
    return story


def test_where_nothing_has_crashed_a_small_block_needs_no_smoke_test() -> None:
    story = BlockStory(10)
    story.fits(*names(10))
    assert isinstance(step(story, now=LATER, trials_left=900.0), BlockOpened)


def test_where_candidates_crash_those_that_never_ran_are_tested_first() -> None:
    story = crashed(5, 10)
    story.fits(*names(10))
    found = step(story, now=LATER, trials_left=900.0)
    assert isinstance(found, StartTrial)
    assert (found.purpose, found.commit, found.base) == (Purpose.SMOKE, None, BASE)
    assert set(found.candidates) <= set(names(10))


def test_the_more_crash_the_fewer_are_tested_together() -> None:
    def tested(count: int) -> int:
        story = crashed(count, 20)
        story.fits(*names(20))
        found = step(story, now=LATER, trials_left=900.0)
        assert isinstance(found, StartTrial)
        return len(found.candidates)

    assert tested(2) > tested(8) > tested(100) == 1


def test_who_has_run_is_not_tested() -> None:
    story = crashed(5, 10)
    story.smoke(*names(8))
    story.fits(*names(10))
    found = step(story, now=LATER, trials_left=900.0)
    assert not isinstance(found, StartTrial) or set(found.candidates) <= {"c0009", "c0010"}


def test_a_smoke_test_that_crashes_is_split_and_each_half_tested_by_itself() -> None:
    story = crashed(5, 10)
    story.smoke(*names(4), outcome=Outcome.CRASH)
    story.fits(*names(10))
    found = step(story, now=LATER, trials_left=900.0)
    assert isinstance(found, StartTrial)
    assert found.candidates == ("c0001", "c0002")
    story.smoke("c0001", "c0002")
    found = step(story, now=LATER, trials_left=900.0)
    assert isinstance(found, StartTrial)
    assert found.candidates == ("c0003", "c0004")


def test_who_is_in_a_crashed_smoke_test_with_others_is_no_crash() -> None:
    story = crashed(5, 10)
    story.smoke(*names(2), outcome=Outcome.CRASH)
    for name in names(2):
        assert block_plan.crashed_alone(story.ledger, story.ledger.candidates[name]) is None
    assert not isinstance(Tournament(story.ledger, AUTO).next(LATER), CandidateDecided)


@pytest.mark.parametrize(("outcome", "verdict"), [(Outcome.CRASH, Verdict.CRASH), (Outcome.VIOLATION, Verdict.VIOLATION)])
def test_who_crashes_a_smoke_test_alone_is_a_crash(outcome: Outcome, verdict: Verdict) -> None:
    story = crashed(5, 10)
    story.smoke("c0001", "c0002", outcome=Outcome.CRASH)
    story.smoke("c0002", outcome=outcome)
    decided = Tournament(story.ledger, AUTO).next(LATER)
    assert isinstance(decided, CandidateDecided)
    assert (decided.candidate, decided.verdict) == ("c0002", verdict)


def test_a_machine_that_fails_a_smoke_test_makes_nobody_a_suspect() -> None:
    story = crashed(5, 4)
    story.smoke(*names(4), outcome=Outcome.INFRA)
    assert all(story.ledger.candidates[name].suspects == () for name in names(4))


def test_the_numbers_of_a_smoke_test_count_for_nothing() -> None:
    story = BlockStory(4)
    before = story.ledger.book.count
    story.smoke(*names(4))
    assert story.ledger.book.count == before
    assert all(story.ledger.candidates[name].runs for name in names(4))
