"""Every exchange with a model, on disk before anything follows from it.

RUN/exchanges/<proposer>/x000001/   one task: what was asked for (`task.json`), its calls in order (`1.request.json`,
`1.answer.json` or `1.error.json` where no answer came; `2.…` is the repair), and how many candidates it came to (`end.json`). A
file is in place by one rename, and an answer is on the disk (fsync) before its candidates are proposed, so that what was paid
for is never paid for again. Texts are redacted before they come here. A night can be played again from such a folder, without a
key.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from orchestrator.config_text import ConfigError
from orchestrator.durable import write_durably

T = TypeVar("T")
USAGE = "usage.jsonl"  # a line an answer, for who adds up tokens: what is missing there is in the answers


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from one call, and what it cost."""

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    usd: float
    wall_s: float
    finish_reason: str | None = None
    at: float = 0.0  # Unix time


@dataclass(frozen=True, slots=True)
class Task:
    """What a model was asked for."""

    kind: str  # of strategy.Kind
    champion: str  # the commit that it was shown
    count: int = 1  # how many candidates
    parents: tuple[str, ...] = ()  # candidates that it continues
    idea: str | None = None  # a person's
    about: str = ""  # in the prompt: what this task is in particular
    of_run: str | None = None  # where it was played again from


class Exchange:
    """One task's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    def begin(self, task: Task) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.folder / "task.json", task)

    def task(self) -> Task | None:
        return _read(self.folder / "task.json", Task)

    def ask(self, nth: int, messages: list[Message]) -> None:
        _write(self.folder / f"{nth}.request.json", messages)

    def asked(self, nth: int) -> list[Message] | None:
        return _read(self.folder / f"{nth}.request.json", list[Message])

    def answer(self, nth: int, reply: Reply, *, played: bool = False) -> None:
        """`played`: it comes from another run, and no token was sent for it."""
        _write(self.folder / f"{nth}.answer.json", reply)
        if played:
            return
        line = {"exchange": self.name, "model": reply.model, "sent": reply.prompt_tokens, "written": reply.completion_tokens}
        with (self.folder.parent / USAGE).open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")

    def answered(self, nth: int) -> Reply | None:
        return _read(self.folder / f"{nth}.answer.json", Reply)

    def end(self, candidates: int) -> None:
        """How many candidates (or refusals) the journal is to have of it."""
        _write(self.folder / "end.json", candidates)

    def candidates(self) -> int | None:
        return _read(self.folder / "end.json", int)

    def fail(self, nth: int, reason: str) -> None:
        _write(self.folder / f"{nth}.error.json", {"reason": reason})


class Exchanges:
    """All tasks of one proposer, in the order they were begun."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last = max((int(each.name[1:]) for each in self._folders()), default=0)

    def new(self) -> Exchange:
        """A folder for the next task; nothing is made yet."""
        self._last += 1
        return Exchange(self.folder / f"x{self._last:06d}")

    def all(self) -> list[Exchange]:
        return [Exchange(each) for each in self._folders()]

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        found = (each for each in self.folder.iterdir() if each.name[:1] == "x" and each.name[1:].isdecimal())
        return sorted(found, key=lambda each: each.name)


def tokens_used(exchanges: Path) -> dict[tuple[str, str], tuple[int, int]]:
    """Tokens sent and written, by proposer and model, of everything under RUN/exchanges."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for usage in sorted(exchanges.glob(f"*/{USAGE}")):
        for line in usage.read_bytes().splitlines():
            try:
                read = msgspec.json.decode(line, type=_Usage)
            except (msgspec.DecodeError, UnicodeDecodeError):  # cut off by a kill
                continue
            sent, written = found.get((usage.parent.name, read.model), (0, 0))
            found[usage.parent.name, read.model] = (sent + read.sent, written + read.written)
    return found


class _Usage(msgspec.Struct):
    model: str
    sent: int
    written: int


def to_replay(given: str, working_dir: Path, proposer: str, key: str) -> list[Exchange]:
    """The exchanges that `replay: DIR` names: a run's, its `exchanges`, or one proposer's in there. Raises `ConfigError`."""
    path = working_dir / given
    for folder in (path, path / "exchanges"):
        for each in (folder, folder / proposer, *(sorted(folder.iterdir()) if folder.is_dir() else ())):
            found = (
                [exchange for exchange in Exchanges(each).all() if exchange.answered(1) is not None] if each.is_dir() else []
            )
            if found:
                return found
    raise ConfigError([f"{key}: given {given!r}; a run directory that a model has proposed in, or its exchanges/<proposer>"])


def _write(path: Path, content: object) -> None:
    write_durably(path, msgspec.json.format(msgspec.json.encode(content), indent=1))


def _read(path: Path, kind: type[T]) -> T | None:
    """None where there is none, or the machine stopped in the middle of writing it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
