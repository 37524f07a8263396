"""A worker's GPU, for one of its trials at a time: while one is timed, the next may pass the gates that need none.

Within a worker alone: workers do not share GPUs that anything is timed on.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from workers.waiting import Cancellation, wait_until_ready


class Turn:
    """Free at first."""

    def __init__(self) -> None:
        self._event_fd = os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    @contextlib.contextmanager
    def taken(self, cancel: Cancellation) -> Iterator[None]:
        """Wait for it, as long as whoever has it takes, and hold it for the block. Raises CancelledError."""
        while True:
            wait_until_ready([self._event_fd], deadline=None, cancel=cancel)
            with contextlib.suppress(BlockingIOError):  # another one that waited was quicker
                os.eventfd_read(self._event_fd)
                break
        try:
            yield
        finally:
            os.eventfd_write(self._event_fd, 1)

    def __del__(self) -> None:
        os.close(self._event_fd)
