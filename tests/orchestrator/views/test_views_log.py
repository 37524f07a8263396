"""What happened, a line each; followed without a gap; and what a trial printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from views_support import EventfulRun, commit_id, write_run

from orchestrator import events as ev
from orchestrator.journal import Journal
from orchestrator.run_directory import RunDirectory
from orchestrator.views.loading import Record, load
from orchestrator.views.log import UnknownTrialError, follow, follow_trial, line_for, log, trial_log


def test_every_event_is_one_line_with_its_time_and_no_terminal_control(record: Record) -> None:
    lines = list(log(record))
    assert all(line[:4] == "2026" and line.isprintable() for line in lines)
    text = "\n".join(lines)
    assert "kept       c0001 kept: MATRIX_LR 0.02 → 0.04: val_bpb 1.6000 → 1.5700 ± 0.0040 (-0.0300 ± 0.0040)" in text
    assert "head started, process 4242 on here, sandbox: none" in text
    assert "w3 set aside" in text
    assert "c0003 refused, scope" in text
    assert "c0007 does not fit" in text
    assert "t000018 on w0: race of c0009" in text


def test_quiet_lines_leave_out_the_trials_that_went_well(record: Record) -> None:
    ok = record.ledger.trials["t000001"]
    crash = record.ledger.trials["t000010"]
    assert ok.ended is not None
    assert crash.ended is not None
    assert line_for(ok.started, 0.0, record.ledger, quiet=True) is None
    assert line_for(ok.ended, 0.0, record.ledger, quiet=True) is None
    assert "crash" in (line_for(crash.ended, 0.0, record.ledger, quiet=True) or "")


def test_following_tells_each_event_once_until_the_head_lets_go(tmp_path: Path) -> None:
    scripted = EventfulRun(tmp_path / "run")
    scripted.open()
    run = write_run(scripted.path, scripted.told)
    before = len(scripted.told)
    scripted.propose("c0001", "while we look")
    later: Iterator[tuple[float, ev.Event]] = iter(scripted.told[before:])
    journal = Journal.open(run.journal)

    with run.locked(0.0):

        def wait(_: float) -> None:
            happened = next(later, None)
            if happened is not None:
                journal.append(happened[1], happened[0])

        lines = follow(run, wait=wait)
        seen = [next(lines) for _ in range(before + 2)]
    seen += list(lines)
    journal.close()
    assert len(seen) == len(set(seen)) == before + 2
    assert seen[-2].endswith("c0001 by replay: while we look")


def test_following_a_run_that_nobody_runs_ends_at_once(run: RunDirectory) -> None:
    def wait(_: float) -> None:
        raise AssertionError("nothing to wait for")

    assert len(list(follow(run, wait=wait))) > 50


def test_a_trials_log_comes_without_terminal_control(record: Record) -> None:
    path = record.run.trial_log("t000001")
    path.parent.mkdir()
    path.write_bytes(b"step 1\rstep 2\r\n\x1b[31mred\x1b[0m \xff\n")
    assert trial_log(record, "t000001") == "step 1\nstep 2\nred \ufffd\n"
    assert trial_log(record, "t000002") == ""
    with pytest.raises(UnknownTrialError, match="t000099: no such trial; this run has t000001 to t000018"):
        trial_log(record, "t000099")


def test_a_running_trials_log_is_followed_to_its_end(running: Record) -> None:
    path = running.run.trial_log("t000018")
    path.parent.mkdir()
    path.write_bytes(b"half a lin")
    journal = Journal.open(running.run.journal)
    steps = iter(["e é"[:-1].encode() + b"\xc3", b"\xa9\nlast", None])

    def wait(_: float) -> None:
        more = next(steps)
        if more is not None:
            with path.open("ab") as file:
                file.write(more)
        else:
            ended = ev.TrialEnded(
                "t000018", 1, ev.Outcome.CRASH, "gone", {}, {}, 1.0, None, "w0", "d", 0.0, 1.0, None
            )  # fmt: skip
            journal.append(ended, 1.0)

    assert list(follow_trial(running, "t000018", wait=wait)) == ["half a line é", "last"]
    journal.close()


def test_a_killed_head_that_was_resumed_shows_what_was_handed_out_again(tmp_path: Path) -> None:
    scripted = EventfulRun(tmp_path / "run")
    scripted.open()
    name = scripted.trial(ev.Purpose.REPEAT, commit_id("base"), end=False)
    scripted.tell(ev.HeadStarted(2, "there", 0, "none"))
    scripted.tell(ev.TrialRestarted(name, 2, "w0"))
    text = "\n".join(log(load(write_run(scripted.path, scripted.told))))
    assert f"{name} handed out again to w0, attempt 2" in text
