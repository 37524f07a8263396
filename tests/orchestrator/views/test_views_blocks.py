"""Blocks in plain words: samples with an edit beside those without, and failures that are blamed on nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from views_support import BASE, EventfulRun, commit_id, write_run

from orchestrator import events as ev
from orchestrator.design import inclusion
from orchestrator.events import Purpose, Verdict
from orchestrator.views.export import export
from orchestrator.views.live import render
from orchestrator.views.loading import Record, load
from orchestrator.views.log import log
from orchestrator.views.report import write_report
from orchestrator.views.show import show
from orchestrator.views.status import status, status_text
from workers.trial import Outcome

NAMES = ("c0001", "c0002", "c0003", "c0004", "c0005")
COLUMNS = (1, 2, 3, 4, 5)


def evidence(effect: float) -> ev.Evidence:
    return ev.Evidence(
        1.6 + effect, 4, 1.6, 4, effect, 0.004, 0.006, 9, 900.0, None, 0.001, 0.04, "calibrated", ("b0001",)
    )  # fmt: skip


class BlockRun(EventfulRun):
    """One block of eight rows, of which one crashed; c0001 helps, c0002 does not, c0003 is sent solo, c0004 stays."""

    def tell_all(self) -> Record:
        self.open()
        for name in NAMES:
            self.propose(name, f"idea {name}")
        smoke = self.row(None, NAMES, None, Purpose.SMOKE, Outcome.CRASH)
        assert smoke
        self.tell(ev.BlockOpened("b0001", BASE, 8, NAMES, COLUMNS, tuple(range(8))))
        taken = inclusion(8, COLUMNS)
        for row in range(8):
            members = tuple(name for name, held in zip(NAMES, taken[row], strict=True) if held)
            value = 1.6 - 0.03 * ("c0001" in members) + 0.02 * ("c0002" in members) + 0.001 * (row % 3)
            crashed = row == 5
            self.row(row, members, None if crashed else value, Purpose.BLOCK, Outcome.CRASH if crashed else Outcome.OK)
        self.tell(ev.SentSolo("c0003", "each of its 2 trials in b0001 crashed"))
        told = ("c0001", "c0002", "c0004", "c0005")
        effects, spreads = (-0.03, 0.02, 0.0004, 0.0), (0.7, 0.7, 0.8, 0.8)
        self.tell(ev.BlockClosed("b0001", told, effects, spreads, (4, 4, 3, 4), 7, 1.6, 1e-5, 2))
        self.tell(ev.CandidateDecided("c0001", Verdict.WON, "better", evidence(-0.03)))
        self.tell(ev.CandidateDecided("c0002", Verdict.DISCARD, "not better", evidence(0.02)))
        self.tell(ev.CandidateDecided("c0005", Verdict.INCONCLUSIVE, "near miss", evidence(-0.001)))
        self.tell(ev.StackBuilt("s0001", BASE, commit_id("s0001"), ("c0001",), (commit_id("s0001"),)))
        self.tell(ev.BlockOpened("b0002", commit_id("s0001"), 8, ("c0004",), (3,), tuple(range(8)), "s0001"))
        return load(write_run(self.path, self.told))

    def row(self, row: int | None, members: tuple[str, ...], value: float | None, purpose: Purpose, outcome: Outcome) -> str:
        self.trials += 1
        name, block = f"t{self.trials:06d}", None if row is None else "b0001"
        commit = BASE if not members else commit_id(name)
        self.tell(ev.TrialStarted(name, purpose, commit, members, 7, "w0", 1.0, None, block, row))
        measured = {} if value is None else {"val_bpb": value}
        reason = None if outcome is Outcome.OK else "exit status 1"
        self.tell(ev.TrialEnded(name, 1, outcome, reason, measured, {}, 3.0, None, "w0", "cpu", 0.0, 3.0, "f00d"))
        return name


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return BlockRun(tmp_path / "run").tell_all()


def test_a_winner_shows_its_samples_beside_those_without_it_and_the_threshold_of_that_moment(record: Record) -> None:
    text = show(record, "c0001")
    assert "open: it has won" in text
    assert "b0001 on the baseline, with 4 other edits, about half of them in each trial: effect -0.0300 ± 0.0042" in text
    assert "with it" in text
    assert "without" in text
    assert "The trials with it are 0.0300 lower than those without, ± 0.0040" in text
    assert "over 4 trials with it and 4 without, in b0001: better" in text
    assert "The probability that it does not help was 0.1 %; a keep allowed at most 4 %" in text
    assert "held apart" in text
    assert "row 0 of b0002" in text
    assert "b0001 row 1" in text


def test_every_fate_in_blocks_is_told(record: Record) -> None:
    assert "dropped" in show(record, "c0002")
    assert "measured by itself since then: each of its 2 trials in b0001 crashed" in show(record, "c0003")
    waiting = show(record, "c0004")
    assert "open: it is measured together with others, in blocks" in waiting
    assert "b0002 on the stack s0001 (c0001 on the baseline)" in waiting
    assert "open, 0 of its 8 trials are in" in waiting
    assert "After 1 block that was not enough: a near miss" in show(record, "c0005")


def test_a_row_that_crashed_is_blamed_on_nobody(record: Record) -> None:
    rows = [trial for trial in record.ledger.trials.values() if trial.started.block == "b0001" and trial.ended is not None]
    crashed = next(trial.started for trial in rows if trial.ended is not None and trial.ended.outcome is Outcome.CRASH)
    assert "1 trial with it failed; others were in them too, so nobody is blamed" in show(record, crashed.candidates[0])
    lines = "\n".join(log(record))
    assert f"crash with {len(crashed.candidates)} edits together, blamed on none of them" in lines.replace(" after 3.0 s", "")
    assert "one of 5 is at fault and each half is tested by itself" in lines


def test_the_log_tells_blocks_in_a_line_each(record: Record) -> None:
    lines = list(log(record))
    opened, closed, on_stack = (line for line in lines if "  block  " in line and (" opened" in line or " closed" in line))
    assert "b0001 opened: 5 edits in 8 trials, about half of them in each, on" in opened
    assert "b0001 closed, 7 trials ended well; the clearest of 4 effects: c0001 -0.0" in closed
    assert "on the stack s0001, whose final it begins with" in on_stack
    assert any("b0001 row 0: its base alone" in line for line in lines)
    assert any("smoke test of 5 edits: c0001" in line for line in lines)
    assert any("c0003 is not measured together with others any more" in line for line in lines)


def test_numbers_of_an_undecided_one_are_what_its_blocks_say(record: Record) -> None:
    rows = {row.split('"id": "')[1][:5]: row for row in export(record, "candidates", "jsonl")}
    assert '"delta": 0.0004' in rows["c0004"]
    assert '"status": "pending"' in rows["c0004"]


def test_trials_carry_purpose_block_and_row(record: Record) -> None:
    rows = list(export(record, "trials", "jsonl"))
    assert sum('"purpose": "smoke", "block": null, "row": null' in row for row in rows) == 1
    assert sum('"purpose": "block", "block": "b0001", "row": 3' in row for row in rows) == 1
    assert all(len(line.split("\t")) == 15 for line in export(record, "trials", "tsv"))


def test_status_counts_blocks(record: Record) -> None:
    found = status(record, 0.0)
    assert (found.blocks.open, found.blocks.closed, found.blocks.candidates) == (1, 1, 1)
    assert "1 open, 1 closed; 1 candidate measured together" in status_text(found)


def test_the_report_and_the_live_view_know_blocks(record: Record) -> None:
    page = write_report(record).read_text()
    assert "edits together in b0001 row 5, blamed on none of them" in page
    assert render(record.ledger, record.config, EventfulRun.START + 9000) is not None
