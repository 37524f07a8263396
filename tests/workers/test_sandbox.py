"""What a confined process sees of the machine, and what it cannot do."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from workers_support import PATIENCE_S

from workers import sandbox
from workers.output import CappedLog
from workers.process import Command, ContainedProcess, Exit
from workers.sandbox import HOME, TMP, WORKSPACE, Confinement

Shell = Callable[..., tuple[Exit, str]]


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path, Path]:
    made = (tmp_path / "workspace", tmp_path / "home", tmp_path / "tmp")
    for place in made:
        place.mkdir()
    return made


@pytest.fixture
def shell(tmp_path: Path, places: tuple[Path, Path, Path]) -> Shell:
    """Runs a shell command in a sandbox: how it ended, and what it printed."""

    def run(script: str, **more: object) -> tuple[Exit, str]:
        confinement = Confinement(*places, **more)  # type: ignore[arg-type]
        environment = {"PATH": os.environ["PATH"], "HOME": str(HOME), "TMPDIR": str(TMP)}
        command = Command(("sh", "-c", script), tmp_path, environment, tmp_path, confinement=confinement)
        log = CappedLog()
        with ContainedProcess(command, log) as process:
            exited = process.wait(time.monotonic() + PATIENCE_S, None)
        return exited, log.value().decode()

    return run


def test_this_machine_can_confine() -> None:
    assert sandbox.lacks() is None


def test_a_machine_without_bubblewrap_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert str(sandbox.lacks()) == "bubblewrap is not installed; mend it with: apt-get install bubblewrap"


def test_a_bubblewrap_that_does_not_work_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    lack = sandbox.lacks()
    assert lack is not None
    assert "No permissions to create new namespace" in lack.what
    assert lack.mend


def test_the_workspace_the_home_and_tmp_are_writable_and_kept(shell: Shell, places: tuple[Path, Path, Path]) -> None:
    exited, _ = shell("pwd; echo 1 > a; echo 2 > ~/b; echo 3 > /tmp/c")
    assert exited.succeeded
    workspace, home, tmp = places
    assert [(workspace / "a").read_text(), (home / "b").read_text(), (tmp / "c").read_text()] == ["1\n", "2\n", "3\n"]


@pytest.mark.parametrize("place", ["/", "/etc", "/usr", "/dev", "/home", "/proc/sys/kernel/hostname", "/root"])
def test_nothing_else_is_writable(shell: Shell, place: str) -> None:
    exited, _ = shell(f"touch {place}/x 2>/dev/null || echo 1 > {place}")
    assert not exited.succeeded


def test_nobodys_home_and_no_other_run_are_there(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "other-run").mkdir()
    _, said = shell(f"ls -A /home /root {Path.home()} {tmp_path} /var /run /mnt 2>/dev/null")
    on_the_way_to_python = {*Path(sys.prefix).parts, *Path(sys.base_prefix).parts}
    assert {name for name in said.split() if not name.endswith(":")} <= {HOME.name, *on_the_way_to_python}


def test_no_other_process_is_seen_and_none_can_be_signalled(shell: Shell) -> None:
    exited, said = shell(f"ls /proc | grep -c '^[0-9]'; kill -0 {os.getpid()} 2>/dev/null")
    assert int(said.split()[0]) <= 6  # bubblewrap's reaper, the shell and its own
    assert not exited.succeeded


def test_there_is_no_privilege_and_no_way_to_one(shell: Shell) -> None:
    _, said = shell(
        "grep -E 'Cap(Prm|Eff|Bnd)|NoNewPrivs|Seccomp:' /proc/self/status;"
        "unshare -U id 2>/dev/null; unshare -n id 2>/dev/null; id -u"
    )
    assert said.count("0000000000000000") == 3
    assert "NoNewPrivs:\t1" in said
    assert "Seccomp:\t2" in said
    assert "uid=" not in said
    assert said.split()[-1] == "1000"


def test_sealed_files_cannot_be_changed_removed_or_replaced(shell: Shell, places: tuple[Path, Path, Path]) -> None:
    (places[0] / "data").mkdir()
    (places[0] / "data/cases.txt").write_text("1 2 3")
    _, said = shell(
        "echo easy > data/cases.txt; rm -f data/cases.txt; mv x data/cases.txt; cat data/cases.txt", sealed=("data/cases.txt",)
    )
    assert said.endswith("1 2 3")
    assert (places[0] / "data/cases.txt").read_text() == "1 2 3"


def test_hidden_files_and_folders_look_empty(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "readable"
    (folder / "package").mkdir(parents=True)
    (folder / "package/secret.py").write_text("the answers")
    (folder / "secret.py").write_text("the answers")
    (folder / "other.py").write_text("fine")
    hidden = (folder / "package", folder / "secret.py")
    _, said = shell(f"cd {folder}; cat other.py secret.py package/*; ls package", readable=(folder,), hidden=hidden)
    assert "fine" in said
    assert "answers" not in said
    assert not said.endswith("secret.py\n")


def test_python_and_its_packages_work(shell: Shell) -> None:
    exited, said = shell(f"{sys.executable} -c 'import numpy, ssl, multiprocessing; print(numpy.ones(2).sum())'")
    assert (exited.code, said) == (0, "2.0\n")


def test_only_the_given_devices_are_there(shell: Shell) -> None:
    _, without = shell("ls /dev")
    _, with_one = shell("ls /dev; head -c 4 /dev/zero", devices=(Path("/dev/kmsg"),))
    assert "kmsg" not in without
    assert "kmsg" in with_one


def test_shared_memory_is_its_own_and_has_a_size(shell: Shell) -> None:
    exited, said = shell("head -c 3000000 /dev/zero > /dev/shm/x; ls -l /dev/shm | wc -l", shared_memory_mb=1)
    assert "No space left" in said
    assert not Path("/dev/shm/x").exists()
    assert exited.succeeded


def test_signals_and_exit_statuses_come_through(shell: Shell) -> None:
    assert shell("exit 7")[0].code == 7
    assert str(shell("kill -SEGV $$")[0]) == "killed by SIGSEGV"


def test_the_memory_of_what_ran_inside_is_known(shell: Shell) -> None:
    peak_mb = shell(f"{sys.executable} -c 'b = bytearray(80 << 20)'; true")[0].peak_rss_mb
    assert peak_mb is not None
    assert 80 < peak_mb < 200


def test_a_sandbox_that_cannot_be_put_up_is_no_candidates_fault(tmp_path: Path, places: tuple[Path, Path, Path]) -> None:
    confinement = Confinement(places[0], places[1], tmp_path / "was removed")
    command = Command(("true",), tmp_path, {"PATH": os.environ["PATH"]}, tmp_path, confinement=confinement)
    with ContainedProcess(command, CappedLog()) as process:
        exited = process.wait(time.monotonic() + PATIENCE_S, None)
    assert exited.unconfined


def test_a_candidate_that_fails_as_bubblewrap_does_is_not_taken_for_it(shell: Shell) -> None:
    exited, _ = shell("echo 'bwrap: No permissions' >&2; exit 1")
    assert (exited.code, exited.unconfined) == (1, False)


def test_arguments_of_the_sandbox_are_not_to_be_read_inside(shell: Shell, tmp_path: Path) -> None:
    _, said = shell("tr '\\0' ' ' < /proc/1/cmdline; tr '\\0' '\\n' < /proc/1/environ")
    assert "--ro-bind" not in said
    assert str(tmp_path) not in said
    assert str(WORKSPACE) not in said.split("sh -c")[0]
