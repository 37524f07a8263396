"""A subject's process with the socket on which the worker talks to it: what goes wrong there, as a trial's outcome.

A subject that ends or hangs up too early is a crash, and its last words are told; one that does not keep to the protocol,
or takes longer than it is allowed, is a violation.
"""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO

from workers.output import CappedLog
from workers.process import ContainedProcess
from workers.runners import preload
from workers.runners.wire import Channel, MalformedError, Message, PeerGoneError
from workers.session import Session, Stopped
from workers.trial import Outcome
from workers.waiting import DeadlinePassedError
from workers.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Limit:
    """How long a subject may take for something, beside the trial's own limit. `allowed_s` None: as long as that lets it."""

    rule: str
    what: str  # as in "not ready"
    began: float  # time.monotonic
    allowed_s: float | None

    @property
    def until(self) -> float:
        return math.inf if self.allowed_s is None else self.began + self.allowed_s

    def exceeded(self) -> Stopped:
        assert self.allowed_s is not None
        return violation(self.rule, f"{self.what} {self.allowed_s:.1f} s after the start; that is all that is allowed")

    def check(self) -> None:
        """Stopped if it is too late by now."""
        if time.monotonic() > self.until:
            raise self.exceeded()


class Conversation:
    """One socket to a process of the trial. `limit` holds for everything that is said until another is set."""

    def __init__(
        self, session: Session, process: ContainedProcess, end: socket.socket, limit: Limit, log: CappedLog | None = None
    ) -> None:
        """`log`: where the process prints, if not into the trial's log."""
        self._session = session
        self._log = log
        self.process = process
        self.limit = limit
        self._channel = Channel(end, session.cancel)

    def send(self, header: dict[str, Any], payload: Sequence[bytes] = (), descriptors: Sequence[int] = ()) -> None:
        with self._in_time(f"before it took in `{header['type']}`") as deadline:
            self._channel.send(header, payload, descriptors=descriptors, deadline=deadline)

    def receive(self, wanted: str, *, also: Sequence[str] = (), deadline: float | None = None) -> Message:
        """The next message, which must be `wanted` or one of `also`. With a `deadline` of the caller's, that one holds."""
        message = self.receive_any((wanted, *also), deadline=deadline)
        if message.type in also and message.payload_bytes:
            raise violation("protocol", f"`{message.type}` with a payload")
        return message

    def receive_any(self, wanted: Sequence[str], *, deadline: float | None = None) -> Message:
        """The next message, which must be one of these; any of them may have a payload."""
        try:
            with self._in_time(f"before `{wanted[0]}`", deadline) as until:
                message = self._channel.receive(until)
        except MalformedError as error:
            raise violation("protocol", f"the subject sent {error}") from None
        if message.type not in wanted:
            raise violation("protocol", f"the subject sent `{message.type[:64]}` where `{wanted[0]}` was due")
        return message

    def payload(self, message: Message) -> bytes:
        with self._in_time(f"in the midst of `{message.type}`") as deadline:
            return self._channel.payload(message, deadline)

    def payload_to(self, file: BinaryIO, message: Message, deadline: float) -> None:
        with self._in_time(f"in the midst of `{message.type}`", deadline):
            self._channel.payload_to(file, message, deadline)

    @contextlib.contextmanager
    def _in_time(self, when: str, deadline: float | None = None) -> Iterator[float]:
        """The deadline of an exchange, and what it means that it passed or that the subject hung up."""
        try:
            yield min(self._session.deadline, self.limit.until) if deadline is None else deadline
        except PeerGoneError:
            raise self._gone(when) from None
        except DeadlinePassedError:
            if deadline is None and self.limit.until < self._session.deadline:
                raise self.limit.exceeded() from None
            raise

    def _gone(self, when: str) -> Stopped:
        """The subject hung up: most likely it has just ended, and its exit status says why."""
        session = self._session
        try:
            exited = self.process.wait(min(time.monotonic() + 5.0, session.deadline), session.cancel)
        except DeadlinePassedError:
            return Stopped(Outcome.CRASH, f"the subject closed its socket {when}{self._last_words()}")
        session.note_memory(exited)
        return Stopped(Outcome.CRASH, f"the subject ended {when}: {exited}{self._last_words()}")

    def _last_words(self) -> str:
        if self._log is None:
            return self._session.last_words()
        line = self._log.last_line()
        return f": {line}" if line else ""


class Subject(Conversation):
    """`python SCRIPT` in one phase. A context manager: leaving it ends the process tree.

    With `libraries`, nothing of the script runs before the first message is sent, but these are imported by then.
    """

    def __init__(
        self,
        session: Session,
        workspace: Workspace,
        phase: str,
        script: str,
        limit: Limit,
        libraries: tuple[str, ...] | None = None,
    ) -> None:
        self._end, theirs = socket.socketpair()
        try:
            extra = {"REGATTA_SOCKET_FD": str(theirs.fileno()), "REGATTA_PHASE": phase}
            argv = ("python", script) if libraries is None else preload.command(script, theirs.fileno(), libraries)
            process = session.process(argv, workspace, extra=extra, handed=(theirs.fileno(),))
        except BaseException:
            self._end.close()
            raise
        finally:
            theirs.close()
        super().__init__(session, process, self._end, limit)

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.close()
        self.process.__exit__(kind, error, trace)

    def end(self) -> float | None:
        """End the process tree at once; its peak memory in MB, where that is known."""
        exited = self.process.end(at_once=True)
        self._session.note_memory(exited)
        return exited.peak_rss_mb


def violation(rule: str, what: str) -> Stopped:
    """A broken rule, by its name."""
    return Stopped(Outcome.VIOLATION, f"{rule}: {what}")
