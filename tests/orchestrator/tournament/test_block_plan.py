"""Which block comes next: how large, on which base, with whom; and who is tested or raced alone instead."""

from __future__ import annotations

import math

import pytest
from block_story import BlockStory, additive, names, outlook, step
from resumable import settings
from story import BASE

from orchestrator import events as ev
from orchestrator.design import SIZES
from orchestrator.events import BlockOpened, CandidateDecided, Purpose, SentSolo, StackDecided, Verdict
from orchestrator.tournament import block_plan
from orchestrator.tournament.beliefs import Beliefs
from orchestrator.tournament.block_plan import ASKED_AGAIN_AFTER, FEWEST, FIRST, PATIENCE_S, SMALLEST, Outlook
from orchestrator.tournament.decisions import Compose, StartTrial
from orchestrator.tournament.schedule import next_trial
from orchestrator.tournament.settings import Limits, Settings
from workers.trial import Outcome

AUTO = settings(lanes="auto")
LATER = PATIENCE_S * 10  # nobody waits for company so long


def size(story: BlockStory, trials_left: float, told: Settings = AUTO, reserved: float = 2.0) -> int:
    return block_plan.size_of_next(story.ledger, told, outlook(story, trials_left=trials_left, reserved=reserved))


def opened(story: BlockStory, told: Settings = AUTO, **changes: object) -> BlockOpened:
    """The next block, everyone fitting on everyone."""
    for _ in range(3):
        found = step(story, told, **{"now": LATER, **changes})
        if isinstance(found, Compose):
            story.tell(ev.Composed(found.base, found.candidates, found.candidates[: found.room]))
        else:
            break
    assert isinstance(found, BlockOpened), found
    return found


def scheduled(story: BlockStory, told: Settings = AUTO, **changes: object) -> object:
    """What a free worker does next."""
    return next_trial(story.ledger, told, lambda candidate: 0.5, outlook(story, told, **{"now": LATER, **changes}))


def believing(sd: float, helpful: float) -> Beliefs:
    """Beliefs after a block that showed that half of the edits help by `helpful`."""
    found = Beliefs([1.0 - sd, 1.0 + sd, 1.0, 1.0], 1e-9, minimize=True, alpha=0.05)
    for block in range(4):
        k = 28
        effects = tuple(-helpful if nth % 2 else 0.0 for nth in range(k))
        told = tuple(f"x{block}-{nth}" for nth in range(k))
        found.learn(ev.BlockClosed(f"x{block}", told, effects, (2 / 32**0.5,) * k, (16,) * k, 32, 1.0, 3 * sd**2, 3))
    return found


# -- how large


def test_a_long_campaign_begins_with_large_blocks() -> None:
    assert size(BlockStory(), 900.0) == FIRST
    assert size(BlockStory(), math.inf) == FIRST


@pytest.mark.parametrize("left", range(10, 3 * FIRST, 7))
def test_the_last_blocks_share_what_is_left_evenly(left: int) -> None:
    found = size(BlockStory(), left + 2.0)
    even = left / math.ceil(left / FIRST)
    assert found == max((each for each in SIZES if each <= even), default=0)


@pytest.mark.parametrize("left", [0.0, 1.0, 2.0, 9.9])
def test_what_is_reserved_for_finals_opens_no_block(left: float) -> None:
    assert size(BlockStory(), left) < SMALLEST


def test_the_size_of_the_config_is_the_size_where_enough_trials_are_left() -> None:
    assert size(BlockStory(), 900.0, settings(lanes="auto", block=16)) == 16
    assert size(BlockStory(), 14.0, settings(lanes="auto", block=16)) == 12


@pytest.mark.parametrize(("unexplained", "found"), [(1.0, 64), (3.0, 64), (100.0, 16)])
def test_the_more_edits_interact_the_smaller_the_blocks(unexplained: float, found: int) -> None:
    story = BlockStory()
    beliefs = Beliefs(story.ledger.samples(BASE).values, 1e-9, minimize=True, alpha=0.05)
    for nth in range(10):
        taken = names(60)
        if not nth:
            for name in taken:
                story.candidate(name)
        story.tell(ev.BlockOpened(f"b{nth}", BASE, 64, taken, tuple(range(1, 61)), tuple(range(64))))
        squares = 3 * unexplained * 0.1155**2
        story.tell(ev.BlockClosed(f"b{nth}", taken, (0.0,) * 60, (0.25,) * 60, (32,) * 60, 64, 1.0, squares, 3))
    view = outlook(story, beliefs=beliefs, trials_left=2000.0)
    assert block_plan.size_of_next(story.ledger, AUTO, view) == found


def test_few_candidates_take_a_design_that_they_fill() -> None:
    found = opened(BlockStory(10, workers=2), trials_left=900.0)
    assert len(found.candidates) == 10
    assert found.size == 16  # the smallest with as many columns to spare as one of 64 would have


def test_in_time_columns_are_chosen_where_one_worker_runs_the_rows() -> None:
    one, two = opened(BlockStory(14), trials_left=900.0), opened(BlockStory(14, workers=2), trials_left=900.0)
    assert sorted(one.order) == sorted(two.order) == list(range(one.size))
    assert one.order[0] == two.order[0] == 0
    assert (one.order == tuple(range(one.size))) is (one.size & (one.size - 1) == 0)
    assert two.order != tuple(range(two.size))


# -- with whom


def test_nobody_is_asked_about_before_it_is_found_out_who_fits() -> None:
    story = BlockStory(5)
    found = step(story, now=LATER, trials_left=900.0)
    assert isinstance(found, Compose)
    assert (found.base, found.candidates) == (BASE, names(5))


def test_those_that_clash_wait_for_a_later_block() -> None:
    story = BlockStory(6)
    story.fits("c0001", "c0002", "c0004", "c0006", asked=names(6))
    found = step(story, now=LATER, trials_left=900.0)
    assert isinstance(found, BlockOpened)
    assert found.candidates == ("c0001", "c0002", "c0004", "c0006")
    story.tell(found)
    assert [c.id for c in story.ledger.pending.values() if c.state == "waiting"] == ["c0003", "c0005"]


def test_those_that_stayed_come_before_new_ones_and_the_most_promising_first() -> None:
    story = BlockStory(4)
    story.run_rows(block := story.block(8, *names(4)), additive({})).close(block)
    story.candidate("c0005")
    found = step(story, now=LATER, trials_left=900.0, p_null={"c0003": 0.1, "c0001": 0.2, "c0004": 0.3, "c0002": 0.4})
    assert isinstance(found, Compose)
    assert found.candidates == ("c0003", "c0001", "c0004", "c0002", "c0005")


def test_who_is_to_race_alone_is_in_no_block() -> None:
    story = BlockStory(5)
    story.tell(SentSolo("c0002", "why not"))
    assert opened(story, trials_left=900.0).candidates == ("c0001", "c0003", "c0004", "c0005")


def test_no_candidate_is_in_a_block_for_longer_than_is_allowed_however_long_workers_have_nothing_else_to_do() -> None:
    # Ten candidates, five workers, and no limit but that of the candidates.
    told = settings(lanes="auto", limits=Limits(candidates=10))
    story = BlockStory(10, workers=5)
    story.tell(ev.ProposalsEnded("replay"))
    story.tell(ev.LimitReached(ev.StopReason.CANDIDATES))
    for _ in range(24):
        found = scheduled(story, told, p_null={name: 0.3 for name in names(10) if story.ledger.candidates[name].heats})
        if isinstance(found, Compose):
            story.tell(ev.Composed(found.base, found.candidates, found.candidates[: found.room]))
            continue
        if not isinstance(found, BlockOpened):
            break
        story.tell(found)
        # It overlaps with the one before: that one is closed only now.
        for block in list(story.ledger.blocks.open.values())[:-1]:
            story.run_rows(block, additive({})).close(block)
        story.run_rows(story.ledger.blocks.open[found.block], additive({}))
    assert max(len(c.heats) + c.open_blocks for c in story.ledger.candidates.values()) <= 6


# -- too few


@pytest.mark.parametrize("count", range(1, FEWEST))
def test_too_few_for_a_block_race_alone(count: int) -> None:
    found = step(BlockStory(count), now=LATER, trials_left=900.0)
    assert isinstance(found, SentSolo)
    assert found.candidate == "c0001"


@pytest.mark.parametrize(("now", "waits"), [(0.0, True), (PATIENCE_S / 2 - 1, True), (PATIENCE_S + 1, False)])
def test_they_wait_a_moment_for_company(now: float, waits: bool) -> None:
    assert (step(BlockStory(2), now=now, trials_left=900.0) is None) is waits


def test_nobody_waits_for_company_that_will_not_come() -> None:
    assert isinstance(step(BlockStory(2), now=0.0, trials_left=900.0, more_to_come=False), SentSolo)


def test_nobody_waits_longer_than_a_part_of_a_trial() -> None:
    assert isinstance(step(BlockStory(2), now=1.0, trials_left=900.0, trial_s=4.0), SentSolo)


def test_no_more_race_alone_at_once_than_there_are_workers() -> None:
    story = BlockStory(2)
    story.tell(SentSolo("c0001", "too few"))
    assert step(story, now=LATER, trials_left=900.0) is None


def test_the_lane_of_blocks_sends_nobody_solo_for_want_of_company() -> None:
    assert step(BlockStory(2), settings(lanes="blocks"), now=LATER, trials_left=900.0) is None


def test_too_few_that_fit_on_each_other_race_alone() -> None:
    story = BlockStory(4)
    story.fits("c0001", asked=names(4))
    assert isinstance(step(story, now=LATER, trials_left=900.0), SentSolo)


# -- clashes


def clashing(fit: int, asked: int = 40) -> BlockStory:
    """So many fitted together when so many were asked about."""
    story = BlockStory(asked)
    story.tell(ev.Composed(BASE, names(asked), names(fit), 60))
    return story


@pytest.mark.parametrize(("fit", "helpful", "found"), [(4, 5.0, SentSolo), (4, 0.3, BlockOpened), (12, 5.0, BlockOpened)])
def test_all_race_alone_where_hardly_any_fit_together_and_one_trial_shows_what_helps(
    fit: int, helpful: float, found: type
) -> None:
    assert isinstance(step(clashing(fit), now=LATER, trials_left=900.0, beliefs=believing(0.1, helpful * 0.1)), found)


def test_where_edits_clash_they_go_alone_one_after_the_other_and_few_are_written_ahead() -> None:
    story, believed = clashing(4), believing(0.1, 0.5)
    found = step(story, now=LATER, trials_left=900.0, beliefs=believed)
    assert isinstance(found, SentSolo)
    story.tell(found)
    assert step(story, now=LATER, trials_left=900.0, beliefs=believed) is None  # its race comes first
    assert block_plan.wanted(story.ledger, AUTO, outlook(story, trials_left=900.0, beliefs=believed)) == 2


def test_how_edits_clash_is_asked_again_when_many_more_have_come() -> None:
    story, believed = clashing(4), believing(0.1, 0.5)
    asked, fit, _ = story.ledger.blocks.last_large_fit
    story.ledger.blocks.last_large_fit = asked, fit, -ASKED_AGAIN_AFTER
    assert isinstance(step(story, now=LATER, trials_left=900.0, beliefs=believed), BlockOpened)


def test_how_many_fitted_counts_only_where_many_were_asked_about_and_had_room() -> None:
    story = BlockStory(40)
    for asked, room in ((names(10), 60), (names(40), 9), (names(40), None)):
        story.tell(ev.Composed(BASE, asked, names(2), room))
        assert story.ledger.blocks.last_large_fit == (0, 0, 0)


# -- on which base


def with_a_stack_due(workers: int = 1) -> BlockStory:
    """c0001 won in a block; its stack waits for a final, and five more candidates for a block."""
    story = BlockStory(4, workers=workers)
    story.run_rows(block := story.block(8, *names(4)), additive({"c0001": -1.0})).close(block)
    story.wins("c0001")
    for name in names(9)[4:]:
        story.candidate(name)
    story.stack("s0001", "c0001")
    return story


def test_the_next_block_stands_on_the_stack_whose_final_is_due() -> None:
    found = opened(with_a_stack_due(), trials_left=900.0)
    assert (found.base, found.stack) == ("s0001", "s0001")


def test_without_a_stack_it_stands_on_the_champion() -> None:
    found = opened(BlockStory(6), trials_left=900.0)
    assert (found.base, found.stack) == (BASE, None)


def test_a_stack_that_was_turned_down_is_no_base() -> None:
    story = with_a_stack_due()
    story.tell(StackDecided("s0001", False, "worse"))
    assert opened(story, trials_left=900.0).base == BASE


def test_row_0_of_that_block_is_the_final_of_its_stack() -> None:
    story = with_a_stack_due()
    story.tell(opened(story, trials_left=900.0))
    found = scheduled(story, trials_left=900.0)
    assert isinstance(found, StartTrial)
    assert (found.purpose, found.commit, found.stack, found.row) == (Purpose.FINAL, "s0001", "s0001", 0)
    assert found.candidates == ("c0001",)


def test_the_final_is_run_as_row_0_only_once() -> None:
    story = with_a_stack_due(workers=3)
    story.tell(block := opened(story, trials_left=900.0))
    story.tell(ev.TrialStarted("t900", Purpose.FINAL, "s0001", ("c0001",), 1, "w0", stack="s0001", block=block.block, row=0))
    second = ev.BlockOpened("b0009", "s0001", 8, ("c0005", "c0006", "c0007"), (1, 2, 4), tuple(range(8)), "s0001")
    story.tell(second)
    story.ledger.blocks.open[block.block].todo.clear()
    found = scheduled(story, trials_left=900.0)
    assert isinstance(found, StartTrial)
    assert (found.block, found.row) == ("b0009", 0)
    assert (found.purpose, found.commit) == (Purpose.BLOCK, "s0001")


def test_a_stack_with_one_that_was_raced_alone_has_a_final_of_its_own_before_any_block() -> None:
    story = BlockStory(6)
    story.tell(SentSolo("c0001", "why not"))
    story.measure("c0001@base", 0.1, 0.1, names=("c0001",)).wins("c0001").stack("s0001", "c0001")
    found = scheduled(story, trials_left=900.0)
    assert isinstance(found, StartTrial)
    assert (found.purpose, found.block) == (Purpose.FINAL, None)


def test_a_stack_that_no_block_will_bring_gets_its_final_by_itself() -> None:
    story = BlockStory(4)
    story.run_rows(block := story.block(8, *names(4)), additive({"c0001": -1.0})).close(block)
    story.wins("c0001").stack("s0001", "c0001")
    for name in names(4)[1:]:
        story.tell(CandidateDecided(name, Verdict.DISCARD, "worse"))
    found = scheduled(story, trials_left=5.0, more_to_come=False)
    assert isinstance(found, StartTrial)
    assert (found.purpose, found.commit, found.block) == (Purpose.FINAL, "s0001", None)


# -- rows


def test_rows_of_an_open_block_come_before_another_block_and_the_oldest_first() -> None:
    story = BlockStory(9, workers=2)
    first = story.block(8, *names(4))
    story.block(8, *names(9)[4:], name="b0002")
    found = scheduled(story, trials_left=900.0)
    assert isinstance(found, StartTrial)
    assert (found.block, found.row, found.commit) == (first.name, 0, BASE)
    story.start_row(first)
    found = scheduled(story, trials_left=900.0)
    assert isinstance(found, StartTrial)
    assert (found.block, found.row, found.commit) == (first.name, 1, None)
    assert found.candidates == first.members(1)


def test_the_lane_of_races_opens_no_block() -> None:
    assert step(BlockStory(9), settings(lanes="solo"), now=LATER, trials_left=900.0) is None


def test_what_is_left_for_finals_is_kept_back_while_a_winner_waits_for_one() -> None:
    story = with_a_stack_due()
    view: Outlook = outlook(story, trials_left=2.0, reserved=2.0)
    assert block_plan.keeps_back(story.ledger, AUTO, view)
    assert not block_plan.keeps_back(BlockStory(4).ledger, AUTO, view)
    assert not block_plan.keeps_back(story.ledger, settings(lanes="solo"), view)


def test_a_row_that_one_machine_has_failed_is_run_on_another_and_there_another_row() -> None:
    story = BlockStory(7, workers=2)
    block = story.block(8, *names(7))
    failed = story.start_row(block, "w0")
    row = story.ledger.trials[failed].started.row
    story.end(failed, outcome=Outcome.INFRA)
    again = scheduled(story)
    assert isinstance(again, StartTrial)
    assert (again.worker, again.row) == ("w1", row)
    story.tell(ev.TrialStarted("busy", Purpose.REPEAT, BASE, (), 9, "w1"))
    another = scheduled(story)
    assert isinstance(another, StartTrial)
    assert another.worker == "w0"
    assert another.row != row


def test_where_only_a_row_is_left_that_the_free_one_has_failed_it_may_try_again() -> None:
    story = BlockStory(7)
    block = story.block(8, *names(7))
    story.run_rows(block, additive({}), at_most=7)
    story.end(story.start_row(block), outcome=Outcome.INFRA)
    again = scheduled(story)
    assert isinstance(again, StartTrial)
    assert (again.worker, again.row) == ("w0", 7)
