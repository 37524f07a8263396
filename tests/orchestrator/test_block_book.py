"""The book of blocks, as the ledger keeps it: which rows are run, again or never, and what a second fold would say."""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import Path

import pytest

from orchestrator import events as ev
from orchestrator.block_book import Block
from orchestrator.design import inclusion
from orchestrator.edits import Edit
from orchestrator.events import Purpose, Verdict, WorkerState
from orchestrator.journal import Journal
from orchestrator.ledger import CandidateState, IllegalTransitionError, Ledger
from workers.trial import Outcome

CANDIDATES = ("c0001", "c0002", "c0003", "c0004")
COLUMNS = (1, 2, 4, 7)


class Told:
    """A ledger with a block of eight rows, four candidates and two workers; it keeps the events."""

    def __init__(self) -> None:
        self.ledger = Ledger("m")
        self.events: list[tuple[ev.Event, float]] = []
        self.tell(ev.CampaignOpened("name", "base", "here", "command", 0, 10))
        self.tell(ev.HeadStarted(1, "host", 0, "none"))
        for worker in ("w0", "w1"):
            self.tell(ev.WorkerChanged(worker, "n", "d", WorkerState.IDLE))
        for name in CANDIDATES:
            self.tell(ev.Proposed(name, "replay", name, (Edit("x", content=name),)))
            self.tell(ev.Admitted(name, f"{name}@base", "base", 1, name))
        self.tell(ev.Composed("base", CANDIDATES, CANDIDATES))
        self.tell(ev.BlockOpened("b0001", "base", 8, CANDIDATES, COLUMNS, (0, 5, 2, 7, 1, 3, 4, 6)))

    def tell(self, event: ev.Event) -> Told:
        at = float(len(self.events))
        self.events.append((event, at))
        self.ledger.apply(event, at)
        return self

    @property
    def block(self) -> Block:
        return self.ledger.blocks.blocks["b0001"]

    def start(self, worker: str = "w0") -> str:
        row = self.block.todo[-1]
        trial = f"t{len(self.ledger.trials) + 1:06d}"
        members = self.block.members(row)
        started = ev.TrialStarted(
            trial, Purpose.BLOCK, f"base+{trial}" if members else "base", members, 0, worker, block="b0001", row=row
        )
        self.tell(started)
        return trial

    def end(self, trial: str, outcome: Outcome = Outcome.OK, value: float = 1.0) -> Told:
        measured = {"m": value} if outcome is Outcome.OK else {}
        worker = self.ledger.trials[trial].worker
        return self.tell(ev.TrialEnded(trial, 1, outcome, None, measured, {}, 1.0, None, worker, "cpu", 0.0, 1.0, "f"))

    def run(self, rows: int, outcome: Outcome = Outcome.OK) -> Told:
        for _ in range(rows):
            self.end(self.start(), outcome)
        return self

    def close(self) -> Told:
        return self.tell(ev.BlockClosed("b0001", CANDIDATES, (-0.1,) * 4, (0.7,) * 4, (4,) * 4, 8, 1.0, 0.5, 3))

    def state(self, name: str) -> CandidateState:
        return self.ledger.candidates[name].state


# -- rows


def test_rows_are_run_in_the_order_that_the_block_was_opened_with() -> None:
    told = Told().run(8)
    assert list(told.block.rows) == [0, 5, 2, 7, 1, 3, 4, 6]
    assert told.block.is_over


def test_a_row_holds_who_the_design_puts_in_it() -> None:
    told = Told().run(8)
    taken = inclusion(8, COLUMNS)
    for row, found in told.block.rows.items():
        assert found.candidates == tuple(name for name, held in zip(CANDIDATES, taken[row], strict=True) if held)


@pytest.mark.parametrize("outcome", [Outcome.INFRA, Outcome.CANCELLED])
def test_a_row_that_the_machine_wasted_is_run_again_next(outcome: Outcome) -> None:
    told = Told().run(1).run(1, outcome)
    assert told.block.todo[-1] == 5
    assert list(told.block.rows) == [0]
    told.run(7)
    assert sorted(told.block.rows) == list(range(8))
    assert told.block.is_over


@pytest.mark.parametrize("outcome", [Outcome.CRASH, Outcome.TIMEOUT, Outcome.VIOLATION])
def test_a_row_that_failed_by_itself_is_not_run_again(outcome: Outcome) -> None:
    told = Told().run(1).run(1, outcome)
    assert 5 not in told.block.todo
    assert told.block.rows[5].outcome is outcome
    assert told.block.rows[5].value is None


@pytest.mark.parametrize("outcome", [Outcome.CRASH, Outcome.TIMEOUT, Outcome.VIOLATION])
def test_a_base_that_does_not_run_empties_its_block(outcome: Outcome) -> None:
    told = Told().run(1, outcome)
    assert told.block.todo == []
    assert told.block.is_over


def test_a_base_that_the_machine_failed_is_run_again() -> None:
    told = Told().run(1, Outcome.INFRA)
    assert told.block.todo[-1] == 0
    assert len(told.block.todo) == 8


def test_a_block_is_over_only_when_what_runs_has_ended() -> None:
    told = Told().run(7)
    last = told.start()
    assert not told.block.todo
    assert not told.block.is_over
    told.end(last)
    assert told.block.is_over


def test_one_that_is_sent_solo_is_in_no_later_row_and_stays_in_the_former_ones() -> None:
    told = Told().run(4)
    before = {row: found.candidates for row, found in told.block.rows.items()}
    assert any("c0002" in members for members in before.values())
    told.tell(ev.SentSolo("c0002", "why not")).run(4)
    assert all("c0002" not in told.block.rows[row].candidates for row in (1, 3, 4, 6))
    assert {row: told.block.rows[row].candidates for row in before} == before


def test_one_that_is_sent_solo_waits_for_a_race_and_returns_to_no_block_when_its_own_closes() -> None:
    told = Told().run(4).tell(ev.SentSolo("c0002", "why not")).run(4).close()
    assert told.state("c0002") is CandidateState.WAITING
    assert told.ledger.candidates["c0002"].alone
    assert "c0002" not in told.ledger.between_blocks


# -- candidates


def test_a_block_takes_its_candidates_in_and_gives_them_back_when_it_closes() -> None:
    told = Told()
    assert set(told.ledger.in_blocks) == set(CANDIDATES)
    assert told.ledger.between_blocks == {}
    told.run(8).close()
    assert set(told.ledger.between_blocks) == set(CANDIDATES)
    assert told.ledger.blocks.open == {}


def test_what_a_closed_block_said_stays_with_each_candidate() -> None:
    told = Told().run(8).close()
    (heat,) = told.ledger.candidates["c0003"].heats
    assert (heat.block, heat.effect, heat.rows_with, heat.rows) == ("b0001", -0.1, 4, 8)


def test_what_a_block_leaves_unexplained_is_noise() -> None:
    told = Told().run(8)
    before = told.ledger.book.noise().df
    told.close()
    assert told.ledger.book.noise().df == before + 3
    assert (told.ledger.blocks.residual_squares, told.ledger.blocks.residual_df) == (0.5, 3)


def test_rows_that_held_it_and_ran_show_that_a_candidate_runs() -> None:
    told = Told().run(1)
    assert told.ledger.ran == 0
    told.run(1)
    held = told.block.rows[5].candidates
    assert {name for name in CANDIDATES if told.ledger.candidates[name].runs} == set(held)


def test_a_win_in_a_block_is_not_undone_when_a_later_block_closes() -> None:
    told = Told().run(8).close()
    told.tell(ev.BlockOpened("b0002", "base", 8, CANDIDATES, COLUMNS, tuple(range(8))))
    told.tell(ev.CandidateDecided("c0001", Verdict.WON, "better"))
    told.tell(ev.BlockClosed("b0002", (), (), (), (), 0, 1.0, 0.0, 0))
    assert told.state("c0001") is CandidateState.WON
    assert "c0001" not in told.ledger.between_blocks


def test_what_was_found_to_fit_is_known_until_the_next_block_is_opened() -> None:
    told = Told()
    told.tell(ev.Composed("base", ("c0001", "c0002"), ("c0001",)))
    assert told.ledger.blocks.composed("base", ("c0001", "c0002")) == ("c0001",)
    assert told.ledger.blocks.composed("other", ("c0001", "c0002")) is None
    told.tell(ev.BlockOpened("b0002", "base", 8, ("c0001",), (1,), tuple(range(8))))
    assert told.ledger.blocks.composed("base", ("c0001", "c0002")) is None


def test_a_candidate_that_was_never_proposed_is_in_no_block() -> None:
    with pytest.raises(IllegalTransitionError, match="c0009 was never proposed"):
        Told().tell(ev.BlockOpened("b0002", "base", 8, ("c0009",), (1,), tuple(range(8))))


# -- the same events give the same ledger


def eventful() -> Told:
    """A wasted row, a crashed one, one sent solo, a closed block, a win and a keep."""
    told = Told().run(2).run(1, Outcome.INFRA).run(1, Outcome.CRASH)
    told.tell(ev.SentSolo("c0002", "it may crash")).run(5).close()
    told.tell(ev.CandidateDecided("c0001", Verdict.WON, "better"))
    told.tell(ev.StackBuilt("s0001", "base", "s0001", ("c0001",), ("s0001",)))
    told.tell(ev.BlockOpened("b0002", "s0001", 8, ("c0003", "c0004"), (3, 5), tuple(range(8)), "s0001"))
    told.tell(ev.TrialStarted("t9", Purpose.FINAL, "s0001", ("c0001",), 1, "w0", stack="s0001", block="b0002", row=0))
    told.end("t9", value=0.5).tell(ev.StackDecided("s0001", True, "better"))
    return told.tell(ev.ChampionMoved("new", "base", ("c0001",), ("new",), 0.5, None, 1, "s0001"))


def plain(thing: object) -> object:
    """All that is in it, as plain values that compare and print."""
    if isinstance(thing, Enum):
        return repr(thing)
    if dataclasses.is_dataclass(thing):
        return {field.name: plain(getattr(thing, field.name)) for field in dataclasses.fields(thing)}
    if isinstance(thing, dict):
        return [(repr(key), plain(value)) for key, value in thing.items()]
    if isinstance(thing, list | tuple):
        return [plain(each) for each in thing]
    if isinstance(thing, set):
        return sorted(map(repr, thing))
    return {key: plain(value) for key, value in vars(thing).items()} if hasattr(thing, "__dict__") else repr(thing)


def content(ledger: Ledger) -> str:
    """Everything but the caches of who is free, which are asked for."""
    ledger.free_workers()
    return repr(plain(ledger))


def folded(events: list[tuple[ev.Event, float]], ledger: Ledger | None = None) -> Ledger:
    whole = ledger or Ledger("m")
    for event, at in events:
        whole.apply(event, at)
    return whole


def test_two_folds_of_the_same_events_are_equal() -> None:
    told = eventful()
    assert content(folded(told.events)) == content(folded(told.events)) == content(told.ledger)


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_a_fold_that_paused_and_was_read_goes_on_as_if_it_had_not(at: int) -> None:
    events = eventful().events
    half = folded(events[:at])
    if at > 8:
        content(half)
        [block.members(row) for block in half.blocks.open.values() for row in range(block.opened.size)]
    assert content(folded(events[at:], half)) == content(folded(events))


def test_a_journal_gives_back_the_ledger_that_was_written_into_it(tmp_path: Path) -> None:
    told = eventful()
    journal = Journal.create(tmp_path / "journal.sqlite")
    for event, at in told.events:
        journal.append(event, at)
    read = [(entry.event, entry.at) for entry in journal.entries()]
    journal.close()
    assert content(folded(read)) == content(told.ledger)


def test_the_final_that_is_row_0_of_a_block_is_its_base_row_too() -> None:
    told = eventful()
    row = told.ledger.blocks.blocks["b0002"].rows[0]
    assert (row.trial, row.value, row.candidates) == ("t9", 0.5, ("c0001",))
    assert told.ledger.samples("new").values == [0.5]
