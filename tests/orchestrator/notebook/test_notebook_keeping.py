"""RUN/notebook.md: when it is written, from what, and what a failure to write it means."""

from __future__ import annotations

from pathlib import Path

import pytest
from nights import Night, eventful

from orchestrator.notebook import digest, tokens
from orchestrator.notebook.keeping import EVERY_S, FILE_TOKENS, NotebookFile
from orchestrator.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


def test_it_is_written_when_something_has_happened_and_every_few_seconds_at_most(run: RunDirectory) -> None:
    night = eventful()
    notes = NotebookFile(run, night.ledger, minimize=True)
    notes.update(100.0)
    assert run.notebook.read_text() == digest(night.ledger, most_tokens=FILE_TOKENS)
    night.proposed("a late idea")
    notes.update(100.0 + EVERY_S / 2)
    assert "a late idea" not in run.notebook.read_text()
    notes.update(100.0 + EVERY_S)
    assert "a late idea" in run.notebook.read_text()
    run.notebook.unlink()
    notes.update(100.0 + 3 * EVERY_S)
    assert not run.notebook.exists()  # nothing had happened


def test_a_fresh_process_writes_the_same(run: RunDirectory) -> None:
    night = eventful()
    NotebookFile(run, night.ledger, minimize=True).write()
    written = run.notebook.read_bytes()
    run.notebook.unlink()
    NotebookFile(run, night.retold(), minimize=True).write()
    assert run.notebook.read_bytes() == written


def test_crashes_are_told_with_the_end_of_the_log_that_the_run_keeps(run: RunDirectory) -> None:
    night = Night()
    trial = night.crashed(night.proposed())
    run.trial(trial).mkdir(parents=True)
    run.trial_log(trial).write_bytes(b"\xff" * 100_000 + b"\nNameError: x\n")
    NotebookFile(run, night.ledger, minimize=True).write()
    text = run.notebook.read_text()
    assert "| NameError: x\n" in text
    assert tokens(text) < FILE_TOKENS


def test_knobs_are_looked_up_anew_when_the_champion_has_moved(run: RunDirectory) -> None:
    night = Night()
    asked: list[str] = []

    def knobs(commit: str) -> list[str]:
        asked.append(commit)
        return ["DEPTH"]

    notes = NotebookFile(run, night.ledger, minimize=True, knobs=knobs)
    notes.write()
    notes.write()
    assert asked == ["base"]
    night.kept(night.proposed(), -0.01)
    notes.write()
    assert asked == ["base", "champion-c0001"]
    assert "has turned: DEPTH." in run.notebook.read_text()


def test_a_notebook_that_cannot_be_written_ends_no_campaign(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "gone")
    NotebookFile(run, eventful().ledger, minimize=True).write()
    assert not run.notebook.exists()


def test_no_draft_is_left_behind(run: RunDirectory) -> None:
    NotebookFile(run, eventful().ledger, minimize=True).write()
    assert [path.name for path in run.path.iterdir()] == ["notebook.md"]
