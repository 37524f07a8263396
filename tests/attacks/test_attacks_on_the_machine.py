"""Confined candidates that try to read, to call and to break out: each attempt is in vain, as they and the test see it.

Each kind is one candidate and one trial. It prints what every attempt brought; nothing must have come of any.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from arena import HERE, Arena, Happened
from attacks_on_the_machine import BREAKING, CALLING, EXPECTED, READING
from trust_table import Notes

from orchestrator.edits import Edit

# Not there on every machine, or closed by the way that a worker starts a process.
OPEN_TO_NOBODY = (
    "use a descriptor that the worker left open", "read the machine's memory and disks", "read other secrets of a home",
)  # fmt: skip
SECRET = f"canary-{uuid.uuid4().hex}"


def tried(arena: Arena, candidate: str, known: dict[str, Any]) -> tuple[Happened, dict[str, list[str]]]:
    """One of candidates/ let loose, and what its attempts brought."""
    source = (HERE / "candidates" / f"{candidate}.py").read_text()
    content = source.replace("KNOWN = {}", f"KNOWN = {known!r}")
    happened = arena.measure((Edit("work.py", content=content),))
    lines = [json.loads(line.removeprefix("TRIED ")) for line in happened.log.splitlines() if line.startswith("TRIED ")]
    return happened, dict(lines)


def judge(notes: Notes, chapter: str, tried: dict[str, list[str]], name: str, elsewhere: Any) -> None:
    """One attempt's end."""
    brought = tried.get(name, ["it never ran"])
    outcome, rule = (EXPECTED[0], EXPECTED[1]) if brought == [] else ("got through", str(brought))
    notes.take(chapter, name, outcome, rule, elsewhere)
    assert (outcome, rule) == EXPECTED


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a secret in its environment, as the head has one."""
    environment = {**os.environ, "ANTHROPIC_API_KEY": SECRET}
    command = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home, a run directory and a data folder with things to find in them."""
    folder = tmp_path_factory.mktemp("place")
    for name in ("home/.ssh/id_ed25519", "home/.netrc", "run/journal.sqlite", "data/tiny/val.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(SECRET)
    return folder


def known_to_a_spy(arena: Arena, head: subprocess.Popen[bytes], place: Path, workspace: Path) -> dict[str, Any]:
    node = arena.machine.repository
    return {
        "marks": [SECRET, str(place), str(workspace)],
        "head": head.pid,
        "home": str(place / "home"),
        "run": str(place / "run"),
        "data": str(place / "data"),
        "workspace": str(workspace),
        "node": str(node.root),
        "cache": str(node.root / "repository.git"),
        "repository": str(arena.repository.path),
    }


@pytest.fixture(scope="module")
def reading(measuring: Arena, head: subprocess.Popen[bytes], place: Path) -> dict[str, list[str]]:
    node = measuring.machine.repository
    with node.workspace(measuring.base, measuring.base, ()) as other:
        happened, found = tried(measuring, "spy", known_to_a_spy(measuring, head, place, other.path))
    assert happened.outcome == "ok", happened
    assert SECRET in (place / "home/.ssh/id_ed25519").read_text()
    return found


@pytest.mark.parametrize("name", READING)
def test_reading_what_is_not_its_own_is_in_vain(reading: dict[str, list[str]], notes: Notes, name: str) -> None:
    judge(notes, "Reading", reading, name, READING[name])


@dataclass
class Listeners:
    """Sockets of every kind that a candidate might reach, and who called."""

    folder: Path
    name: str = field(default_factory=lambda: f"canary-{uuid.uuid4().hex}")
    ends: dict[str, socket.socket] = field(default_factory=dict)

    def open(self) -> None:
        for kind, family, type_, address in (
            ("tcp", socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", 0)),
            ("udp", socket.AF_INET, socket.SOCK_DGRAM, ("0.0.0.0", 0)),
            ("unix", socket.AF_UNIX, socket.SOCK_STREAM, str(self.folder / "s")),
            ("abstract", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self.name}"),
        ):
            self.ends[kind] = end = socket.socket(family, type_)
            end.setblocking(False)
            end.bind(address)
            if type_ == socket.SOCK_STREAM:
                end.listen()

    def callers(self) -> list[str]:
        """The kinds on which somebody called."""
        found = []
        for kind, end in self.ends.items():
            with contextlib.suppress(BlockingIOError):
                if kind == "udp":
                    end.recv(100)
                else:
                    end.accept()[0].close()
                found.append(kind)
        return found


def call(arena: Arena, listeners: Listeners) -> tuple[dict[str, list[str]], list[str]]:
    """What the candidate that calls home says came of it, and on which sockets it was heard."""
    listeners.open()
    known = {
        "tcp": listeners.ends["tcp"].getsockname()[1],
        "udp": listeners.ends["udp"].getsockname()[1],
        "unix": str(listeners.folder / "s"),
        "abstract": listeners.name,
        "address": "127.0.0.1",
        "agents": [path for path in (os.environ.get("SSH_AUTH_SOCK"),) if path],
    }
    happened, found = tried(arena, "caller", known)
    assert happened.outcome == "ok", happened
    heard = listeners.callers()
    for end in listeners.ends.values():
        end.close()
    if "udp" not in heard:  # a datagram that nobody gets is sent all the same: the listener has the last word
        found["open a UDP socket"] = []
    return found, heard


@pytest.fixture(scope="module")
def calling(measuring: Arena, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    found, heard = call(measuring, Listeners(tmp_path_factory.mktemp("s")))
    assert heard == []
    return found


@pytest.mark.parametrize("name", CALLING)
def test_calling_anybody_is_in_vain(calling: dict[str, list[str]], notes: Notes, name: str) -> None:
    judge(notes, "Calling", calling, name, CALLING[name])


@pytest.fixture(scope="module")
def breaking(measuring: Arena, head: subprocess.Popen[bytes], place: Path) -> dict[str, list[str]]:
    segment = 0x7E9A77A
    ours = [place / "home", place / "run", measuring.machine.repository.root, measuring.repository.path]
    folders = [*ours, Path.home(), Path("/work")]
    hostname = socket.gethostname()
    known = {"head": head.pid, "segment": segment, "folders": list(map(str, folders))}
    before = {folder: sorted(folder.iterdir()) for folder in ours}
    happened, found = tried(measuring, "breaker", known)
    assert happened.outcome == "ok", (happened, happened.log)
    assert str(segment) not in Path("/proc/sysvipc/shm").read_text().split()
    assert socket.gethostname() == hostname
    assert {folder: sorted(folder.iterdir()) for folder in before} == before
    assert not any((folder / "canary").exists() for folder in folders)  # in those of others somebody else may be at work
    assert not list(Path(sys.prefix).rglob("canary*"))
    assert head.poll() is None
    assert Path(f"/proc/{head.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T"
    return found


@pytest.mark.parametrize("name", BREAKING)
def test_breaking_out_is_in_vain(breaking: dict[str, list[str]], notes: Notes, name: str) -> None:
    judge(notes, "Writing and breaking out", breaking, name, BREAKING[name])


def test_without_a_sandbox_the_same_candidates_get_through(
    measuring: Arena, head: subprocess.Popen[bytes], place: Path, tmp_path: Path
) -> None:
    """So it is the sandbox that keeps them, and not an attack that is badly made."""
    measuring.confined = False
    try:
        happened, read = tried(measuring, "spy", known_to_a_spy(measuring, head, place, place / "run"))
        assert happened.outcome == "ok", happened
        assert set(read) == set(READING)
        listeners = Listeners(tmp_path)
        called = call(measuring, listeners)
    finally:
        measuring.confined = True
    assert [name for name, brought in read.items() if not brought and name not in OPEN_TO_NOBODY] == []
    assert called[1] == ["tcp", "udp", "unix", "abstract"]


def test_the_candidates_try_what_the_table_says() -> None:
    for candidate, names in (("spy", READING), ("caller", CALLING), ("breaker", BREAKING)):
        source = (HERE / "candidates" / f"{candidate}.py").read_text()
        assert [name for name in names if f'"{name}"' not in source] == []
