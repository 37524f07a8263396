"""What a candidate prints: read as fast as it comes, kept within a cap, and shown to whoever follows it live."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

HEAD_BYTES = 64 * 1024
TAIL_BYTES = 192 * 1024


class CappedLog:
    """The first and the last bytes of a stream of any length. One thread appends; any may read."""

    def __init__(self, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> None:
        self._head_bytes, self._tail_bytes = head_bytes, tail_bytes
        self._head = bytearray()
        self._tail = bytearray()
        self._total_bytes = 0
        self._lock = threading.Lock()

    def append(self, chunk: bytes) -> None:
        with self._lock:
            self._total_bytes += len(chunk)
            room = self._head_bytes - len(self._head)
            self._head += chunk[:room]
            self._tail += chunk[room:]
            if len(self._tail) > 2 * self._tail_bytes:  # twice: a cut moves the whole tail
                del self._tail[: -self._tail_bytes]

    def value(self) -> bytes:
        """Head and tail; where something was left out between them, a line says how many bytes."""
        with self._lock:
            tail = bytes(self._tail[-self._tail_bytes :])
            left_out = self._total_bytes - len(self._head) - len(tail)
            gap = f"\n[... {left_out} bytes left out ...]\n".encode() if left_out else b""
            return bytes(self._head) + gap + tail

    def drain(self) -> bytes:
        """`value`, after which the stream begins anew."""
        taken = self.value()
        with self._lock:
            self._head.clear()
            self._tail.clear()
            self._total_bytes = 0
        return taken

    def since(self, offset: int) -> tuple[bytes, int]:
        """What came after `offset` bytes of the stream, as far as it is kept, and the offset to ask from next."""
        with self._lock:
            tail_begins = self._total_bytes - len(self._tail)
            chunk = bytes(self._head[offset:]) + bytes(self._tail[max(0, offset - tail_begins) :])
            return chunk, self._total_bytes

    @property
    def total_bytes(self) -> int:
        """All that was ever appended."""
        return self._total_bytes

    def last_line(self, offset: int = 0, most: int = 300) -> str | None:
        """The last line with something on it behind `offset` bytes, fit to be shown; None where nothing was printed."""
        text = self.since(offset)[0][-8192:].decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            return None
        return "".join(letter if letter.isprintable() else " " for letter in lines[-1])[:most]


class OutputReader(threading.Thread):
    """Empties a candidate's standard output and error into a log until both end; standard output also goes to `on_stdout`."""

    def __init__(self, stdout: int, stderr: int, log: CappedLog, on_stdout: Callable[[bytes], None] | None) -> None:
        super().__init__(name="candidate-output", daemon=True)
        self._stdout, self._open = stdout, {stdout, stderr}
        self._log, self._on_stdout = log, on_stdout
        self._stop_event_fd = os.eventfd(0, os.EFD_CLOEXEC)

    def run(self) -> None:
        poll = select.poll()
        for descriptor in (*self._open, self._stop_event_fd):
            poll.register(descriptor, select.POLLIN)
        while self._open:
            ready = {descriptor for descriptor, _ in poll.poll()}
            for descriptor in ready & self._open:
                chunk = os.read(descriptor, 1 << 16)
                if not chunk:
                    poll.unregister(descriptor)
                    self._open.discard(descriptor)
                self._log.append(chunk)
                if descriptor == self._stdout and self._on_stdout is not None:
                    self._on_stdout(chunk)
            if self._stop_event_fd in ready:
                return

    def finish(self, patience_s: float) -> None:
        """Wait for the end of the stream; give up after `patience_s`, since a process that escaped may hold it open."""
        self.join(patience_s)
        os.eventfd_write(self._stop_event_fd, 1)
        self.join()
        os.close(self._stop_event_fd)
