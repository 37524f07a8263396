"""The view on a terminal: everything a person looks for, at any width, whatever candidates wrote."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from views_support import EventfulRun, write_run

from orchestrator import events as ev
from orchestrator.config import parse_config
from orchestrator.journal import Journal
from orchestrator.ledger import Ledger
from orchestrator.run_directory import RunDirectory
from orchestrator.views.live import Happening, LiveView, notable, render, watch
from orchestrator.views.loading import Record, entries
from workers.trial import Progress


def happened(run: RunDirectory) -> list[Happening]:
    ledger = Ledger("val_bpb")
    found = []
    for entry in entries(run):
        ledger.apply(entry.event, entry.at)
        found.append(notable(entry.event, entry.at, ledger))
    return [each for each in found if each is not None]


def screen(record: Record, width: int = 100, height: int = 40) -> str:
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    progress = {"t000018": Progress("t000018", "train", 0.5, 120, 3.1234)}
    now = (record.ledger.last_at or 0.0) + 90.0
    recent = happened(record.run)
    console.print(
        render(record.ledger, record.config, now, progress=progress, recent=recent, run="runs/x", height=height, width=width)
    )
    return console.export_text()


def test_it_shows_champion_limits_workers_counts_and_what_happened(record: Record) -> None:
    text = screen(record, 140)
    for words in (
        "eventful",
        "sandbox: none",
        "val_bpb ↓ measured",
        "1.5700 ± 0.0027 (2)",
        "1.9 % better",
        "18 of 100",
        "left",
        "w0",
        "t000018",
        "race of c0009 (still running)",
        "train",
        "━━━━━─────",
        "90 s",
        "loss 3.123",
        "set aside",
        "9",
        "1 rejected",
        "c0001 kept: MATRIX_LR 0.02 → 0.04",
        "http://127.0.0.1:9464/metrics",
        "regatta watch runs/x",
    ):
        assert words in text, words


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(record: Record, width: int) -> None:
    lines = screen(record, width).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    assert len(lines) == len(screen(record, 200).splitlines())  # cut, never wrapped


def test_many_workers_leave_room_for_the_rest(tmp_path: Path) -> None:
    scripted = EventfulRun(tmp_path / "run")
    scripted.open()
    for n in range(64):
        scripted.tell(ev.WorkerChanged(f"w{n}", "node", "NVIDIA H100", ev.WorkerState.IDLE))
    record = _record(scripted)
    text = screen(record, 80, 32)
    assert "+ 52 more, 0 of them busy" in text
    assert len(text.splitlines()) <= 32


def test_what_each_model_cost_and_brought_is_in_sight_and_takes_its_lines_from_the_workers(tmp_path: Path) -> None:
    scripted = EventfulRun(tmp_path / "run")
    scripted.open()
    for n in range(64):
        scripted.tell(ev.WorkerChanged(f"w{n}", "node", "NVIDIA H100", ev.WorkerState.IDLE))
    scripted.propose("c0001", "an idea", usd=0.25, model="openai/big")
    scripted.propose("c0002", "another", usd=0.01, model="openai/small")
    text = screen(_record(scripted), 80, 32)
    assert "proposers   llm (openai/big): 1 candidate, 0 kept, $0.25\n" in text
    assert "            llm (openai/small): 1 candidate, 0 kept, $0.01\n" in text
    assert len(text.splitlines()) <= 32


def _record(scripted: EventfulRun) -> Record:
    from orchestrator.views.loading import load

    return load(write_run(scripted.path, scripted.told))


def test_hostile_descriptions_are_neither_markup_nor_commands() -> None:
    ledger = Ledger("val_bpb")
    scripted = EventfulRun(Path("nowhere"))
    scripted.tell(ev.CampaignOpened("x", "ab" * 20, "nanotrain", "train", 0, 10))
    scripted.tell(ev.HeadStarted(1, "here", 0, "none"))
    scripted.tell(ev.WorkerChanged("w1", "node", "[bold]GPU[/]\x1b[2J", ev.WorkerState.IDLE))
    scripted.propose("c0001", "[red]not markup[/red] [/oops] \x1b[2J\x1b]0;t\x07")
    scripted.trial(ev.Purpose.RACE, "cd" * 20, ("c0001",), end=False)
    for at, event in scripted.told:
        ledger.apply(event, at)
    config = parse_config(
        "{name: x, target: {repo: r, editable: [a]}, objective: {metric: val_bpb}, proposers: [{kind: knobs}]}", "t"
    )
    file = io.StringIO()
    Console(width=120, file=file).print(render(ledger, config, scripted.at, width=120))
    assert "[red]not markup[/red] [/oops]" in file.getvalue()
    assert "\x1b" not in file.getvalue()


def test_the_view_is_drawn_when_told_and_leaves_the_terminal_clean(record: Record) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=40)
    with LiveView(record.ledger, record.config, record.run, console) as view:
        view.observe(ev.Note("careful", "warning"), 0.0)
        view.say("stopping", 1.0)
        view.update(record.ledger.last_at or 0.0, {})
        drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert "careful" in drawn
    assert "stopping" in drawn
    assert "\x1b[?25h" in console.file.getvalue()  # type: ignore[attr-defined]


def test_what_was_kept_stays_in_sight_while_lesser_things_happen(record: Record) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=40)
    ledger = Ledger("val_bpb")
    with LiveView(ledger, record.config, record.run, console) as view:
        for entry in entries(record.run):
            ledger.apply(entry.event, entry.at)
            view.observe(entry.event, entry.at)
        for n in range(20):
            view.say(f"noise {n}", entry.at)
        console.file = io.StringIO()
        view.update(entry.at, {})
    assert "c0001 kept" in console.file.getvalue()
    assert "noise 19" in console.file.getvalue()


def test_watching_from_another_process_follows_the_journal_until_the_head_lets_go(run: RunDirectory) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=40)
    journal = Journal.open(run.journal)
    lock = run.locked(0.0)
    lock.__enter__()
    polls = 0

    def wait(_: float) -> None:
        nonlocal polls
        polls += 1
        if polls == 1:
            journal.append(ev.Note("seen by the watcher"), EventfulRun.START)
        else:
            lock.__exit__(None, None, None)

    watch(run, console, wait=wait, now=lambda: EventfulRun.START + 9000)
    journal.close()
    assert polls == 2
    assert "seen by the watcher" in console.file.getvalue()  # type: ignore[attr-defined]


def test_watching_a_run_that_nobody_runs_returns_at_once(run: RunDirectory) -> None:
    watch(run, Console(file=io.StringIO(), force_terminal=True), wait=lambda _: pytest.fail("nothing to wait for"))


def test_watching_without_a_terminal_gives_plain_lines(run: RunDirectory) -> None:
    file = io.StringIO()
    watch(run, Console(file=file, width=40))
    assert "c0001 kept: MATRIX_LR 0.02 → 0.04: val_bpb 1.6000 → 1.5700" in file.getvalue()
    assert "\x1b" not in file.getvalue()
