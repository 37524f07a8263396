"""Finals: when a stack becomes champion, when it is halved, and what a lost final means for one winner."""

from __future__ import annotations

import pytest
from resumable import settings
from story import BASE, Story

from orchestrator.events import CandidateDecided, Purpose, StackDecided, Verdict
from orchestrator.tournament.decisions import BuildStack, MoveChampion
from orchestrator.tournament.finals import final_cap, judge_final, next_stack, turned_down
from orchestrator.tournament.machine import Tournament
from orchestrator.tournament.settings import Constraint, Settings
from workers.trial import Outcome


def winners(count: int) -> Story:
    story = Story()
    story.baseline(1.0, 1.001, 0.999, 1.0)
    for i in range(count):
        name = f"c{i + 1:04d}"
        story.measure(story.candidate(name), 0.9, names=(name,)).wins(name)
    return story


def judged(story: Story, told: Settings | None = None) -> StackDecided | None:
    assert story.ledger.open_stack is not None
    return judge_final(story.ledger, story.ledger.open_stack, told or settings())


def final(story: Story, *values: float) -> Story:
    stack = story.ledger.open_stack
    assert stack is not None
    return story.measure(stack.built.commit, *values, purpose=Purpose.FINAL)


def kept(story: Story) -> bool | None:
    found = judged(story)
    return None if found is None else found.kept


def test_one_sample_decides_no_final() -> None:
    story = winners(1)
    story.stack("s0001", "c0001")
    assert kept(final(story, 0.5)) is None


def test_two_samples_that_confirm_the_race_make_a_champion() -> None:
    story = winners(1)
    story.stack("s0001", "c0001")
    assert kept(final(story, 0.9, 0.9)) is True


def test_two_samples_that_contradict_the_race_turn_it_down() -> None:
    story = winners(1)
    story.stack("s0001", "c0001")
    assert kept(final(story, 1.1, 1.1)) is False


def test_winners_that_were_never_measured_together_need_more_than_one_that_was() -> None:
    single, several = winners(2), winners(2)
    single.stack("s0001", "c0001")
    several.stack("s0001", "c0001", "c0002")
    values = (0.9985, 0.9992)  # better with a probability between the two rules
    assert kept(final(single, *values)) is True
    assert kept(final(several, *values)) is None


def test_a_final_ends_at_its_cap() -> None:
    told = settings(max_repeats=8)
    story = winners(2)
    story.stack("s0001", "c0001", "c0002")
    final(story, *([0.9997, 1.0001] * 4))
    assert final_cap(told) == 8
    assert judged(story, told) is not None


@pytest.mark.parametrize("outcome", [Outcome.CRASH, Outcome.TIMEOUT, Outcome.VIOLATION])
def test_a_stack_that_fails_by_itself_is_not_kept(outcome: Outcome) -> None:
    story = winners(2)
    stack = story.stack("s0001", "c0001", "c0002")
    story.end(story.start(stack, "c0001", "c0002", purpose=Purpose.FINAL), outcome=outcome)
    found = judged(story)
    assert found is not None
    assert not found.kept
    assert found.reason == f"because {outcome}"


def test_a_stack_that_breaks_a_constraint_is_not_kept() -> None:
    story = winners(1)
    stack = story.stack("s0001", "c0001")
    story.end(story.start(stack, "c0001", purpose=Purpose.FINAL), 0.5, vram=11.0)
    found = judged(story, settings(constraints=(Constraint("vram", max=10.0),)))
    assert found is not None
    assert not found.kept


@pytest.mark.parametrize(("failures", "ends"), [(5, False), (6, True)])
def test_a_final_outlives_a_few_failures_of_the_machines(failures: int, ends: bool) -> None:
    story = winners(1)
    stack = story.stack("s0001", "c0001")
    for _ in range(failures):
        story.end(story.start(stack, "c0001", purpose=Purpose.FINAL), outcome=Outcome.INFRA)
    assert (kept(story) is False) is ends


# -- halving


def test_a_stack_of_all_winners_comes_first_in_the_order_they_won() -> None:
    story = winners(3)
    assert next_stack(story.ledger) == ("c0001", "c0002", "c0003")


def test_a_lost_stack_of_several_is_halved_and_nobody_is_turned_down() -> None:
    story = winners(5)
    story.stack("s0001", *story.ledger.won)
    final(story, 1.1, 1.1)
    found = judged(story)
    assert found is not None
    story.tell(found)
    assert turned_down(story.ledger, story.ledger.stacks["s0001"]) is None
    assert next_stack(story.ledger) == ("c0001", "c0002")


def test_a_lost_final_of_one_is_inconclusive_and_says_that_the_race_was_won() -> None:
    story = winners(1)
    story.stack("s0001", "c0001")
    final(story, 1.1, 1.1)
    found = judged(story)
    assert found is not None
    story.tell(found)
    decided = turned_down(story.ledger, story.ledger.stacks["s0001"])
    assert decided is not None
    assert decided.verdict is Verdict.INCONCLUSIVE
    assert decided.reason.startswith("won its race, but not its final")


def test_a_winner_that_crashes_on_the_champion_is_a_crash() -> None:
    story = winners(1)
    stack = story.stack("s0001", "c0001")
    story.end(story.start(stack, "c0001", purpose=Purpose.FINAL), outcome=Outcome.CRASH)
    tournament = Tournament(story.ledger, settings())
    lost = tournament.next(0.0)
    assert isinstance(lost, StackDecided)
    story.tell(lost)
    decided = tournament.next(0.0)
    assert isinstance(decided, CandidateDecided)
    assert decided.verdict is Verdict.CRASH


def test_after_a_keep_the_next_stack_holds_all_that_wait() -> None:
    story = winners(4)
    story.stack("s0001", "c0001", "c0002", "c0003", "c0004")
    story.tell(StackDecided("s0001", False, "worse"))
    story.stack("s0002", "c0001", "c0002")
    final(story, 0.8, 0.8)
    story.keeps("s0002", "new")
    assert next_stack(story.ledger) == ("c0003", "c0004")


def test_a_won_final_moves_the_champion_before_anything_else() -> None:
    story = winners(1)
    story.stack("s0001", "c0001")
    final(story, 0.8, 0.8)
    story.tell(StackDecided("s0001", True, "better"))
    assert Tournament(story.ledger, settings()).next(0.0) == MoveChampion("s0001")


def test_winners_wait_while_a_final_goes_on() -> None:
    story = winners(2)
    story.stack("s0001", "c0001")
    decision = Tournament(story.ledger, settings()).next(0.0)
    assert not isinstance(decision, BuildStack)


def test_a_final_is_against_the_champion_as_it_is_and_not_against_the_base() -> None:
    story = winners(2)
    story.stack("s0001", "c0001")
    final(story, 0.8, 0.8)
    story.keeps("s0001", "new")
    story.stack("s0002", "c0002", base="new")
    final(story, 0.9, 0.9)  # better than the base, worse than the champion
    assert kept(story) is False


def test_the_champion_is_as_well_measured_as_its_final() -> None:
    story = winners(1)
    story.stack("s0001", "c0001")
    final(story, 0.8, 0.8)
    story.keeps("s0001", "new")
    assert story.ledger.samples("new").values == [0.8, 0.8]
    story.measure("new", 0.81, purpose=Purpose.REPEAT)
    assert story.ledger.samples("new").n == 3
    assert story.ledger.champion is not None
    assert story.ledger.samples(BASE).n == 4
