"""`python -m workers` measures one commit without Ray and prints the measurement."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from workers_support import PATIENCE_S, Repository, alive, eventually


def by_hand(repository: Path, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workers", "--repo", str(repository), "--root", str(root), "--gpus", "0", *arguments],
        capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip


COMMAND = ("--runner", "command", "--objective", "t", "--command", "sh bench.sh")


def test_a_measurement_is_printed_as_json(repository: Repository, root: Path) -> None:
    done = by_hand(repository.path, root, "--commit", "base", *COMMAND)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["outcome"], found["reported"]) == ("ok", {"t": 1.5})
    assert done.stderr == "METRIC t=1.5\n"


def test_files_that_are_not_editable_are_the_bases(repository: Repository, root: Path, tmp_path: Path) -> None:
    cheat = repository.commit({"bench.sh": "echo METRIC t=0\n", "code.py": "x = 5\n"})
    arguments = ("--commit", cheat, "--base", "base", "--editable", "*.py", "--log", str(tmp_path / "log"))
    command = ("--runner", "command", "--objective", "t", "--command", "cat code.py; sh bench.sh")
    done = by_hand(repository.path, root, *arguments, *command)
    assert json.loads(done.stdout)["reported"] == {"t": 1.5}
    assert (tmp_path / "log").read_text() == "x = 5\nMETRIC t=1.5\n"


def test_a_folder_inside_a_repository_is_measured_as_if_it_were_one(repository: Repository, root: Path) -> None:
    repository.commit({"sub/only.sh": "ls; echo METRIC t=2\n"})
    done = by_hand(repository.path / "sub", root, "--runner", "command", "--objective", "t", "--command", "sh only.sh")
    assert json.loads(done.stdout)["reported"] == {"t": 2.0}
    assert done.stderr == "only.sh\nMETRIC t=2\n"


def test_a_candidate_that_fails_is_exit_status_1_and_a_reason(repository: Repository, root: Path) -> None:
    done = by_hand(repository.path, root, "--runner", "command", "--objective", "t", "--command", "exit 9")
    assert done.returncode == 1
    assert json.loads(done.stdout)["reason"] == "the command failed: exit status 9"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--commit", "nope", *COMMAND), "--commit nope: fatal: Needed a single revision"),
        (("--runner", "command"), "the command runner needs --command and --objective: --command 'sh bench.sh'"),
        ((*COMMAND, "--gpus", "99"), "--gpus 99: this machine shows"),
    ],
)
def test_wrong_arguments_are_exit_status_2_and_one_message(
    repository: Repository, root: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = by_hand(repository.path, root, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interruption_ends_the_candidate_and_is_exit_status_130(repository: Repository, root: Path) -> None:
    marker = uuid.uuid4().hex
    command = f"echo here >&2; setsid sh -c 'sleep 600; : {marker}' & sleep 600"
    running = subprocess.Popen(
        [sys.executable, "-m", "workers", "--repo", str(repository.path), "--root", str(root), "--gpus", "0",
         "--runner", "command", "--objective", "t", "--command", command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    with running:
        try:  # the worker, the guardian, the sandbox's two, the command and what it left behind
            assert eventually(lambda: len(alive(marker)) >= 6)
            running.send_signal(signal.SIGINT)
            printed, _ = running.communicate(timeout=PATIENCE_S)
        finally:
            running.kill()
    assert running.returncode == 130
    assert json.loads(printed)["outcome"] == "cancelled"
    assert alive(marker) == []
