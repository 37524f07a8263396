"""Waiting for descriptors with a deadline and a way to call it off. Everything that blocks in a worker blocks here."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable
from typing import Protocol

_LONGEST_MS = 2e9  # what poll(2) can count: 23 days


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class DeadlinePassedError(Exception):
    """The time was over before anything happened."""


class CancelledError(Exception):
    """Someone called `Cancellation.cancel`."""


class Cancellation:
    """A switch that any thread may throw, once; whoever waits through `wait_until_ready` wakes at once."""

    def __init__(self) -> None:
        self._event_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def cancel(self) -> None:
        os.eventfd_write(self._event_fd, 1)

    @property
    def cancelled(self) -> bool:
        return bool(select.select([self._event_fd], [], [], 0)[0])

    def fileno(self) -> int:
        return self._event_fd

    def __del__(self) -> None:
        os.close(self._event_fd)


def wait_until_ready(
    reading: Iterable[HasFileno | int],
    *,
    writing: Iterable[HasFileno | int] = (),
    deadline: float | None,
    cancel: Cancellation | None,
) -> set[int]:
    """The descriptors (as numbers) that are readable, writable or closed.

    `deadline` is on `time.monotonic`'s scale. Raises DeadlinePassedError or CancelledError; a cancellation comes first.
    """
    poll = select.poll()
    for source in reading:
        poll.register(source, select.POLLIN)
    for sink in writing:
        poll.register(sink, select.POLLOUT)
    if cancel is not None:
        poll.register(cancel, select.POLLIN)
    left_ms = None if deadline is None else min(max(0.0, deadline - time.monotonic()) * 1e3, _LONGEST_MS)
    ready = {descriptor for descriptor, _ in poll.poll(left_ms)}
    if cancel is not None and cancel.fileno() in ready:
        raise CancelledError
    if not ready:
        raise DeadlinePassedError
    return ready
