"""A subject's process with the socket on which the worker talks to it: what goes wrong there, as a trial's outcome.

A subject that ends or hangs up too early is a crash, and its last words are told; one that does not keep to the protocol
is a violation.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, BinaryIO

from workers.runners.wire import Channel, MalformedError, Message, PeerGoneError
from workers.session import Session, Stopped
from workers.trial import Outcome
from workers.waiting import DeadlinePassedError
from workers.workspace import Workspace


class Subject:
    """`python SCRIPT` in one phase. A context manager: leaving it ends the process tree."""

    def __init__(self, session: Session, workspace: Workspace, phase: str, script: str) -> None:
        self._session = session
        self._end, theirs = socket.socketpair()
        try:
            extra = {"REGATTA_SOCKET_FD": str(theirs.fileno()), "REGATTA_PHASE": phase}
            self.process = session.process(("python", script), workspace, extra=extra, handed=(theirs.fileno(),))
        except BaseException:
            self._end.close()
            raise
        finally:
            theirs.close()
        self._channel = Channel(self._end, session.cancel)

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.close()
        self.process.__exit__(kind, error, trace)

    def send(self, header: dict[str, Any], payload: Sequence[bytes] = (), descriptors: Sequence[int] = ()) -> None:
        try:
            self._channel.send(header, payload, descriptors=descriptors, deadline=self._session.deadline)
        except PeerGoneError:
            raise self._gone(f"before it took in `{header['type']}`") from None

    def receive(self, wanted: str, *, also: Sequence[str] = (), deadline: float | None = None) -> Message:
        """The next message, which must be `wanted` or one of `also`."""
        try:
            message = self._channel.receive(self._session.deadline if deadline is None else deadline)
        except PeerGoneError:
            raise self._gone(f"before `{wanted}`") from None
        except MalformedError as error:
            raise violation("protocol", f"the subject sent {error}") from None
        if message.type not in (wanted, *also):
            raise violation("protocol", f"the subject sent `{message.type[:64]}` where `{wanted}` was due")
        if message.type in also and message.payload_bytes:
            raise violation("protocol", f"`{message.type}` with a payload")
        return message

    def payload(self, message: Message) -> bytes:
        try:
            return self._channel.payload(message, self._session.deadline)
        except PeerGoneError:
            raise self._gone(f"in the midst of `{message.type}`") from None

    def payload_to(self, file: BinaryIO, message: Message, deadline: float) -> None:
        try:
            self._channel.payload_to(file, message, deadline)
        except PeerGoneError:
            raise self._gone(f"in the midst of `{message.type}`") from None

    def end(self) -> None:
        """End the process tree at once."""
        self._session.note_memory(self.process.end(at_once=True))

    def _gone(self, when: str) -> Stopped:
        """The subject hung up: most likely it has just ended, and its exit status says why."""
        session = self._session
        try:
            exited = self.process.wait(min(time.monotonic() + 5.0, session.deadline), session.cancel)
        except DeadlinePassedError:
            return Stopped(Outcome.CRASH, f"the subject closed its socket {when}{session.last_words()}")
        session.note_memory(exited)
        return Stopped(Outcome.CRASH, f"the subject ended {when}: {exited}{session.last_words()}")


def violation(rule: str, what: str) -> Stopped:
    """A broken rule, by its name."""
    return Stopped(Outcome.VIOLATION, f"{rule}: {what}")
