"""Processes that wait for the next trial: taken once, of one kind, alive, or not at all."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.output import CappedLog
from workers.process import Command, ContainedProcess
from workers.standby import Ready, Standby
from workers.workspace import NodeRepository


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeRepository]:
    repository = NodeRepository(tmp_path / "node")
    yield repository
    repository.close()


@pytest.fixture
def standby() -> Iterator[Standby]:
    waiting = Standby(keeps=1)
    yield waiting
    waiting.close()


def ready(node: NodeRepository, tmp_path: Path, *argv: str) -> Ready:
    """A process with one socket, in a workspace of an empty commit."""
    tree = node._git("mktree", given=b"").decode().strip()
    who = {f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    commit = node._git("commit-tree", tree, "-m", "empty", extra=who).decode().strip()
    workspace = node.workspace(commit, commit, ())
    ours, theirs = socket.socketpair()
    log = CappedLog()
    command = Command(argv or ("sleep", "60"), workspace.path, {"PATH": "/usr/bin:/bin"}, workspace.folder, (theirs.fileno(),))
    process = ContainedProcess(command, log)
    theirs.close()
    return Ready(process, (ours,), log, workspace)


def test_what_waits_is_taken_once(standby: Standby, node: NodeRepository, tmp_path: Path) -> None:
    waiting = ready(node, tmp_path)
    standby.put("verifier", "a", waiting)
    assert standby.take("candidate", "a") is None
    assert standby.take("verifier", "a") is waiting
    assert standby.take("verifier", "a") is None
    waiting.end()


def test_what_waits_for_another_kind_of_trial_is_ended(standby: Standby, node: NodeRepository, tmp_path: Path) -> None:
    waiting = ready(node, tmp_path)
    standby.put("verifier", "a", waiting)
    assert standby.take("verifier", "b") is None
    assert waiting.process.poll() is not None
    assert not waiting.workspace.folder.exists()


def test_what_has_died_meanwhile_is_not_taken(standby: Standby, node: NodeRepository, tmp_path: Path) -> None:
    waiting = ready(node, tmp_path, "true")
    waiting.process.wait(None, None)
    standby.put("verifier", "a", waiting)
    assert standby.take("verifier", "a") is None


def test_as_many_wait_under_a_name_as_trials_go_abreast(node: NodeRepository, tmp_path: Path) -> None:
    standby = Standby(keeps=2)
    three = [ready(node, tmp_path) for _ in range(3)]
    for each in three:
        standby.put("verifier", "a", each)
    assert three[2].process.poll() is not None, "one more than can be of use is ended"
    assert standby.count(("verifier", "champion")) == 2
    assert standby.count(("champion",)) == 0
    taken = {id(standby.take("verifier", "a")) for _ in range(2)}
    assert taken == {id(each) for each in three[:2]}
    assert standby.take("verifier", "a") is None
    for each in three[:2]:
        each.end()


def test_closing_ends_all_that_wait(standby: Standby, node: NodeRepository, tmp_path: Path) -> None:
    both = [ready(node, tmp_path), ready(node, tmp_path)]
    for name, waiting in zip(("verifier", "candidate"), both, strict=True):
        standby.put(name, "a", waiting)
    standby.close()
    assert all(waiting.process.poll() is not None for waiting in both)
    assert not any(waiting.workspace.folder.exists() for waiting in both)


def test_what_a_process_printed_belongs_to_one_trial() -> None:
    log = CappedLog()
    log.append(b"first")
    assert log.drain() == b"first"
    log.append(b"second")
    assert log.value() == b"second"
    assert log.total_bytes == 6
