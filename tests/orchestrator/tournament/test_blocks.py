"""What the rows of a block say, and what follows for its candidates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from block_story import Answer, BlockStory, additive, names
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from resumable import settings

from orchestrator.design import columns_for, order_of
from orchestrator.events import BlockClosed, CandidateDecided, SentSolo, Verdict
from orchestrator.journal import Journal
from orchestrator.tournament.beliefs import Beliefs
from orchestrator.tournament.blocks import GIVEN_UP_FROM, MOST_BLOCKS, close, judge_blocks, suspect_of
from workers.trial import Outcome

ONE = "c0001"


def worth_of(candidates: Sequence[str]) -> dict[str, float]:
    """A different effect for each."""
    return {name: 0.01 * (nth + 1) * (-1) ** nth for nth, name in enumerate(candidates)}


def effects_of(closed: BlockClosed) -> dict[str, float]:
    return dict(zip(closed.candidates, closed.effects, strict=True))


def answered(answers: Sequence[float | Outcome]) -> Answer:
    """These, one row after the other."""
    left = iter(answers)
    return lambda members: next(left)


def with_rows_lost(size: int, candidates: int, lost: Sequence[int]) -> tuple[BlockClosed, dict[str, float]]:
    """A block of which these rows crashed, and what its candidates are really worth."""
    taken = names(candidates)
    story, worth = BlockStory(candidates), worth_of(taken)
    block = story.block(size, *taken)
    rows = iter(range(size))
    value = additive(worth)
    story.run_rows(block, lambda members: Outcome.CRASH if next(rows) in lost else value(members))
    return story.close(block), worth


# -- least squares


@pytest.mark.parametrize(("size", "candidates"), [(8, 3), (8, 7), (12, 9), (16, 14), (20, 18), (64, 60)])
def test_without_noise_the_effects_come_out_exactly(size: int, candidates: int) -> None:
    closed, worth = with_rows_lost(size, candidates, [])
    assert effects_of(closed) == pytest.approx(worth)
    assert closed.base_mean == pytest.approx(1.0)
    assert closed.residual_squares == pytest.approx(0.0, abs=1e-20)
    assert (closed.rows, closed.residual_df) == (size, size - 1 - candidates)


def test_each_effect_of_a_whole_design_is_as_sharp_as_all_its_rows_allow() -> None:
    closed, _ = with_rows_lost(16, 12, [])
    assert closed.spreads == pytest.approx((2 / 16**0.5,) * 12)
    assert closed.rows_with == (8,) * 12


def test_rows_that_crashed_bias_no_effect_while_columns_are_left_for_it() -> None:
    closed, worth = with_rows_lost(16, 10, [3, 7, 12])
    assert effects_of(closed) == pytest.approx(worth)
    assert closed.rows == 13
    assert min(closed.spreads) > 2 / 16**0.5


def test_one_that_was_sent_solo_meanwhile_biases_no_other() -> None:
    taken = names(10)
    story, worth = BlockStory(10), worth_of(taken)
    block = story.block(16, *taken)
    story.run_rows(block, additive(worth), at_most=7)
    story.tell(SentSolo("c0004", "why not"))
    story.run_rows(block, additive(worth))
    assert effects_of(story.close(block)) == pytest.approx(worth)


def test_the_spread_is_the_standard_error_also_where_rows_crashed() -> None:
    taken, rng = names(9), np.random.default_rng(0)
    found = []
    for _ in range(150):
        story = BlockStory(9)
        answers: list[float | Outcome] = rng.normal(1.0, 1.0, 16).tolist()
        answers[2] = answers[9] = Outcome.CRASH
        closed = story.run_rows(block := story.block(16, *taken), answered(answers)).close(block)
        found.append(closed.effects)
    assert np.std(found, axis=0) == pytest.approx(np.array(closed.spreads), rel=0.25)
    assert np.abs(np.mean(found, axis=0)).max() < 4 * max(closed.spreads) / 150**0.5


def test_residuals_are_what_the_effects_leave_unexplained() -> None:
    story, rng, squares = BlockStory(8), np.random.default_rng(0), []
    for nth in range(40):
        block = story.block(16, *names(8), name=f"b{nth:04d}")
        story.run_rows(block, lambda members: float(rng.normal(1.0, 0.1)))
        closed = story.close(block)
        squares.append(closed.residual_squares / closed.residual_df)
    assert np.mean(squares) == pytest.approx(0.1**2, rel=0.25)


@given(size=st.sampled_from([8, 12, 16]), spare=st.integers(0, 4), data=st.data())
@how(max_examples=60, deadline=None)
def test_whichever_rows_crash_nobody_is_told_the_effect_of_another(size: int, spare: int, data: st.DataObject) -> None:
    lost = data.draw(st.lists(st.integers(0, size - 1), unique=True, max_size=size // 2), label="rows that crashed")
    closed, worth = with_rows_lost(size, size - 1 - spare, [row for row in lost if row])
    told = effects_of(closed)
    assert told == pytest.approx({name: worth[name] for name in told})


def test_two_that_were_always_together_are_both_left_out() -> None:
    # Columns 1 and 2 of the design of 8 agree in the rows 0, 3, 4 and 7.
    story = BlockStory(3)
    block = story.block(8, "c0001", "c0002", "c0003", columns=(1, 2, 4))
    rows = iter(range(8))
    value = additive({"c0002": -5.0})
    story.run_rows(block, lambda members: value(members) if next(rows) in (0, 3, 4, 7) else Outcome.CRASH)
    assert effects_of(story.close(block)) == pytest.approx({"c0003": 0.0})


def test_one_that_was_in_every_row_that_ran_is_left_out() -> None:
    story = BlockStory(4)
    block = story.block(8, *names(4))
    story.run_rows(block, lambda members: 1.0 if ONE in members else Outcome.CRASH)
    assert ONE not in story.close(block).candidates


def test_one_whose_every_row_crashed_is_left_out_and_biases_no_other() -> None:
    taken = names(4)
    story, worth = BlockStory(4), worth_of(taken)
    block, value = story.block(16, *taken, columns=(1, 2, 4, 8)), additive(worth)
    story.run_rows(block, lambda members: Outcome.CRASH if ONE in members else value(members))
    assert effects_of(story.close(block)) == pytest.approx({name: worth[name] for name in taken[1:]})


# -- drift


@pytest.mark.parametrize(("size", "candidates"), [(16, 12), (20, 15), (64, 60)])
def test_a_steady_drift_is_no_effect_where_rows_are_run_one_after_the_other(size: int, candidates: int) -> None:
    taken = names(candidates)
    story, worth = BlockStory(candidates), worth_of(taken)
    block, value, rows = story.block(size, *taken, in_time=True), additive(worth), iter(range(size))
    story.run_rows(block, lambda members: value(members) + 0.5 * next(rows))
    closed = story.close(block, in_time=True)
    assert effects_of(closed) == pytest.approx(worth)
    assert closed.residual_squares == pytest.approx(0.0, abs=1e-18)


@given(size=st.sampled_from([8, 12, 16]), spare=st.integers(0, 6), in_time=st.booleans(), data=st.data())
@how(max_examples=100, deadline=None)
def test_whichever_rows_crash_all_numbers_are_finite(size: int, spare: int, in_time: bool, data: st.DataObject) -> None:
    lost = data.draw(st.lists(st.integers(0, size - 1), unique=True), label="rows that crashed")
    candidates = max(1, size - 1 - spare)
    story = BlockStory(candidates)
    block, rows = story.block(size, *names(candidates), in_time=in_time), iter(range(size))
    value = additive(worth_of(names(candidates)))
    story.run_rows(block, lambda members: Outcome.CRASH if next(rows) in lost else value(members))
    closed = close(block, in_time=in_time)
    numbers = (*closed.effects, *closed.spreads, closed.residual_squares)
    assert all(math.isfinite(number) for number in numbers)
    assert all(spread > 0 for spread in closed.spreads)


def with_one_that_crashes(size: int, spare: int, nth: int, guilty: int) -> tuple[BlockClosed, dict[str, float]]:
    """A block as one worker runs it: one candidate crashes two rows and is sent solo. And what the others are worth."""
    taken = names(size - 1 - spare)
    story, worth, seed = BlockStory(len(taken)), worth_of(taken), f"0/b{nth:04d}"
    columns, order = columns_for(size, len(taken), seed, in_time=True), order_of(size, seed, in_time=True)
    block, value = story.block(size, *taken, columns=columns, order=order), additive(worth)
    while block.todo:
        story.run_rows(block, lambda members: Outcome.CRASH if taken[guilty] in members else value(members), at_most=1)
        if taken[guilty] not in block.struck and sum(row.value is None for row in block.rows.values()) == 2:
            story.tell(SentSolo(taken[guilty], "two rows with it crashed"))
    return story.close(block, in_time=True), {name: effect for name, effect in worth.items() if name != taken[guilty]}


@pytest.mark.parametrize("spare", [1, 2, 3])
@pytest.mark.parametrize("size", [16, 32, 64])
def test_one_that_crashes_until_it_is_sent_solo_biases_no_other(size: int, spare: int) -> None:
    closed, worth = with_one_that_crashes(size, spare, nth=1, guilty=5)
    told = effects_of(closed)
    assert told == pytest.approx({name: worth[name] for name in told})


def test_a_drift_that_cannot_be_told_from_the_rows_that_are_left_makes_no_number_infinite() -> None:
    closed, _ = with_one_that_crashes(20, 3, nth=5, guilty=15)
    assert all(0 < spread < 10 for spread in closed.spreads)


@pytest.mark.parametrize("lost_by", ["its base crashed", "every row crashed"])
def test_a_block_without_a_number_can_be_written_into_the_journal(lost_by: str, tmp_path: Path) -> None:
    story = BlockStory(4)
    block = story.block(8, *names(4))
    story.run_rows(block, lambda members: Outcome.CRASH)
    if lost_by == "its base crashed":
        assert len(block.rows) == 1
    closed = close(block, in_time=False)
    journal = Journal.create(tmp_path / "journal.sqlite")
    journal.append(closed, 0.0)
    assert [entry.event for entry in journal.entries()] == [closed]
    journal.close()


# -- verdicts


@dataclass
class Believed:
    """Stands in for the beliefs: what `judge_blocks` asks them."""

    may_keep: bool = True
    e: float = 1.0
    noise_sd: float = 0.1

    def e_value(self, _: str, margin: float = 0.0) -> float:
        return self.e * (1.0 + 1e6 * margin)


def measured(candidates: int = 6, blocks: int = 1) -> BlockStory:
    """All of them were in that many blocks, all closed."""
    story = BlockStory(candidates)
    for nth in range(blocks):
        block = story.block(16, *names(candidates), name=f"b{nth + 1:04d}")
        story.run_rows(block, additive({})).close(block)
    return story


def judged(
    story: BlockStory, p_null: dict[str, float], found: Believed | None = None, **told: object
) -> CandidateDecided | None:
    beliefs: Beliefs = found or Believed()  # type: ignore[assignment]
    return judge_blocks(story.ledger, beliefs, p_null, settings(**{"lanes": "auto", **told}))


def winners(story: BlockStory, p_null: dict[str, float], found: Believed | None = None, **told: object) -> list[str]:
    """Who wins, in order, until nobody further does."""
    won = []
    while (decided := judged(story, p_null, found, **told)) is not None and decided.verdict is Verdict.WON:
        story.tell(decided)
        won.append(decided.candidate)
    return won


def test_the_most_promising_wins_first() -> None:
    assert winners(measured(), {"c0003": 1e-4, "c0001": 1e-3, "c0002": 2e-3}) == ["c0003", "c0001", "c0002"]


def test_keeps_end_where_their_mean_probability_of_no_help_would_pass_the_budget() -> None:
    # 0.8 of 5 %: a mean of 0.04.
    found = {"c0001": 0.039, "c0002": 0.040, "c0003": 0.041, "c0004": 0.042}
    assert winners(measured(), found) == ["c0001", "c0002", "c0003"]


def test_a_sure_keep_makes_room_for_a_less_sure_one() -> None:
    assert winners(measured(), {"c0001": 0.001, "c0002": 0.07}) == ["c0001", "c0002"]
    assert winners(measured(), {"c0002": 0.07}) == []


def test_nothing_wins_while_the_guard_is_shut() -> None:
    assert winners(measured(), {"c0001": 1e-9}, Believed(may_keep=False)) == []


def test_the_budget_spent_by_races_and_by_blocks_is_one() -> None:
    story = measured()
    spent = judged(story, {"c0001": 0.03})
    assert spent is not None
    story.tell(spent)
    assert winners(story, {"c0002": 0.06}) == []
    assert winners(story, {"c0002": 0.05}) == ["c0002"]


@pytest.mark.parametrize(("factor", "wins"), [(0.99, False), (1.0, True)])
@pytest.mark.parametrize("keeps", [0, 1, 3])
def test_provable_keeps_need_an_e_value_of_the_planned_over_the_rate_and_the_keeps(
    keeps: int, factor: float, wins: bool
) -> None:
    story = measured()
    for name in names(keeps):
        decided = judged(story, {name: 1e-9}, Believed(e=1e9), rule="provable")
        assert decided is not None
        story.tell(decided)
    needed = 20 / (0.05 * (keeps + 1))
    found = Believed(may_keep=False, e=factor * needed)  # provable asks no guard
    assert bool(winners(story, {"c0006": 1e-3}, found, rule="provable")) is wins


def test_who_wins_is_told_with_all_its_blocks() -> None:
    decided = judged(measured(blocks=2), {"c0001": 1e-4})
    assert decided is not None
    assert decided.evidence is not None
    assert decided.evidence.blocks == ("b0001", "b0002")
    assert (decided.evidence.samples, decided.evidence.reference_samples) == (16, 16)
    assert decided.evidence.stderr == pytest.approx(0.1 * 2 / 32**0.5)


@pytest.mark.parametrize(("null", "verdict"), [(GIVEN_UP_FROM, Verdict.DISCARD), (GIVEN_UP_FROM - 0.01, None)])
def test_who_most_likely_does_not_help_is_given_up(null: float, verdict: Verdict | None) -> None:
    decided = judged(measured(), {"c0001": null})
    assert (decided.verdict if decided else None) is verdict


@pytest.mark.parametrize(("blocks", "verdict"), [(MOST_BLOCKS - 1, None), (MOST_BLOCKS, Verdict.INCONCLUSIVE)])
def test_who_stays_undecided_for_too_many_blocks_is_a_near_miss(blocks: int, verdict: Verdict | None) -> None:
    decided = judged(measured(blocks=blocks), {"c0001": 0.3})
    assert (decided.verdict if decided else None) is verdict


def test_who_is_in_another_open_block_is_not_given_up_but_may_win() -> None:
    story = measured(blocks=MOST_BLOCKS)
    story.block(16, *names(6), name="open")
    assert judged(story, {"c0001": 0.99, "c0002": 0.3}) is None
    assert winners(story, {"c0001": 1e-4}) == ["c0001"]


def test_who_is_decided_already_is_not_judged_again() -> None:
    story = measured()
    found = {"c0001": 0.99}
    decided = judged(story, found)
    assert decided is not None
    story.tell(decided)
    assert judged(story, found) is None


# -- crashes


def crashing(*guilty: str, candidates: int = 6, rows: int = 8) -> BlockStory:
    story = BlockStory(candidates)
    block = story.block(16, *names(candidates))
    story.run_rows(block, lambda members: Outcome.CRASH if set(guilty) & set(members) else 1.0, at_most=rows)
    return story


def suspect(story: BlockStory) -> str | None:
    found = suspect_of(story.ledger, story.ledger.blocks.open["b0001"])
    return found.candidate if found else None


def test_who_crashed_every_row_it_was_in_is_sent_solo() -> None:
    assert suspect(crashing("c0003", rows=16)) == "c0003"


def test_who_ran_once_is_no_suspect() -> None:
    story = BlockStory(3)
    block = story.block(16, *names(3))
    crashes = iter([Outcome.OK, Outcome.OK, Outcome.CRASH, Outcome.CRASH] * 4)

    def answer(members: tuple[str, ...]) -> float | Outcome:
        found = next(crashes)
        return 1.0 if found is Outcome.OK else found

    story.run_rows(block, answer)
    assert all(any(row.outcome is Outcome.OK and name in row.candidates for row in block.rows.values()) for name in names(3))
    assert suspect(story) is None


def test_one_crash_makes_no_suspect() -> None:
    story = BlockStory(1)
    story.block(8, ONE)
    block = story.ledger.blocks.open["b0001"]
    times = 0
    while times < 1:
        times += ONE in block.members(block.todo[-1])
        story.run_rows(block, lambda members: Outcome.CRASH if members else 1.0, at_most=1)
    assert suspect(story) is None


def test_while_nothing_has_run_nobody_is_a_suspect() -> None:
    story = BlockStory(6, workers=2)
    block = story.block(16, *names(6))
    story.start_row(block, "w1")  # its base, and it takes its time
    story.run_rows(block, lambda members: Outcome.CRASH, at_most=6)
    assert suspect(story) is None


def test_a_suspect_is_named_once() -> None:
    story = crashing("c0003", rows=16)
    story.tell(SentSolo("c0003", "it crashes"))
    assert suspect(story) is None


def test_a_machine_that_fails_makes_no_suspect() -> None:
    story = BlockStory(6)
    block = story.block(16, *names(6))
    story.run_rows(block, lambda members: Outcome.INFRA if ONE in members else 1.0, at_most=40)
    assert suspect(story) is None
