"""A run directory appears whole or not at all, and belongs to one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.run_directory import RunDirectory, RunDirectoryError, refuse_existing

HOLD = """
import sys, time
from pathlib import Path
from orchestrator.run_directory import RunDirectory
with RunDirectory(Path(sys.argv[1])).locked(1.0):
    print("held", flush=True)
    time.sleep(60)
"""


def made(path: Path) -> RunDirectory:
    with RunDirectory.creating(path) as draft:
        draft.journal.touch()
        draft.config.touch()
    return RunDirectory.existing(path)


# -- making


def test_nothing_is_at_its_place_before_everything_is(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with RunDirectory.creating(path) as draft:
        draft.config.write_text("name: x")
        assert not path.exists()
    assert (path / "config.yaml").read_text() == "name: x"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError("disk")])
def test_a_failure_half_way_leaves_nothing_behind(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises((type(error), RunDirectoryError)), RunDirectory.creating(tmp_path / "runs" / "run"):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_above_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(ValueError, match="no"), RunDirectory.creating(tmp_path / "runs" / "deep" / "run"):
        raise ValueError("no")
    assert [entry.name for entry in tmp_path.iterdir()] == ["runs"]
    assert list((tmp_path / "runs").iterdir()) == []


def test_an_empty_folder_may_become_a_run(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    assert made(path).journal.is_file()


def test_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("mine")
    with pytest.raises(RunDirectoryError, match="is a file"), RunDirectory.creating(path):
        pytest.fail("must not begin")
    assert path.read_text() == "mine"


def test_a_folder_with_something_in_it_is_refused_and_resume_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(RunDirectoryError, match=f"not empty; go on with `regatta resume {tmp_path}`"):
        refuse_existing(tmp_path)


def test_what_another_process_put_there_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(RunDirectoryError, match="cannot be made"), RunDirectory.creating(path):  # noqa: PT012
        path.mkdir()
        (path / "mine").touch()
    assert [entry.name for entry in path.iterdir()] == ["mine"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("missing", ["journal.sqlite", "config.yaml"])
def test_a_folder_without_a_run_says_what_makes_one(tmp_path: Path, missing: str) -> None:
    run = made(tmp_path / "run")
    (run.path / missing).unlink()
    with pytest.raises(RunDirectoryError, match="regatta run CONFIG"):
        RunDirectory.existing(run.path)


# -- the lock


def test_while_it_is_held_the_holder_is_named(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    with run.locked(5.0):
        holder = run.holder()
        assert holder is not None
        assert (holder.pid, holder.since, holder.is_here) == (os.getpid(), 5.0, True)
        with pytest.raises(RunDirectoryError, match=f"in use by process {os.getpid()} on .*regatta stop {run.path}"):  # noqa: SIM117
            with RunDirectory(run.path).locked(6.0):
                pytest.fail("two processes run one run directory")
    assert run.holder() is None


def test_after_an_error_nobody_holds_it(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    with pytest.raises(ValueError, match="no"), run.locked(5.0):
        raise ValueError("no")
    assert run.holder() is None
    with run.locked(6.0):
        pass


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    with subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        holder = run.holder()
        assert holder is not None
        assert holder.pid == other.pid
        with pytest.raises(RunDirectoryError, match=f"process {other.pid}"), run.locked(2.0):
            pytest.fail("held by another process")
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert run.holder() is None
    with run.locked(2.0):
        pass


def test_a_run_that_nobody_ever_ran_has_no_holder(tmp_path: Path) -> None:
    assert made(tmp_path / "run").holder() is None


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    with run.locked(1.0):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert run.holder() is None
    finally:
        child.communicate(b"\n")
