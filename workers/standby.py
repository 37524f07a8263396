"""Processes that wait for the next trial: they have imported their libraries and run nothing of any candidate.

Importing torch and Triton takes longer than to check a kernel. So a worker keeps processes ready, each in its workspace and
its sandbox, for as long as trials of the same kind come. A process that runs a candidate's code serves one trial.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Collection, Hashable
from dataclasses import dataclass, field

from workers.output import CappedLog
from workers.process import ContainedProcess
from workers.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Ready:
    """One process, the worker's ends of its sockets, what it prints, and where it lives."""

    process: ContainedProcess
    sockets: tuple[socket.socket, ...]
    log: CappedLog
    workspace: Workspace

    def end(self) -> None:
        for ours in self.sockets:
            ours.close()
        with contextlib.suppress(OSError):  # the worker is ending too, and its folders may be gone
            self.process.end(at_once=True)
            self.workspace.remove()


@dataclass(slots=True)
class Standby:
    """As many processes of each name as trials run side by side, at most. Those of another kind than is asked for are ended."""

    keeps: int = 0  # of a name; worth while only where trials come one after another
    _waiting: dict[str, list[tuple[Hashable, Ready]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, name: str, kind: Hashable) -> Ready | None:
        """A process that waits under this name, which is the caller's now; None where none of this kind is alive."""
        while (found := self._next(name)) is not None:
            known, ready = found
            if known == kind and ready.process.poll() is None:
                return ready
            ready.end()
        return None

    def put(self, name: str, kind: Hashable, ready: Ready) -> None:
        with self._lock:
            waiting = self._waiting.setdefault(name, [])
            is_kept = len(waiting) < self.keeps
            if is_kept:
                waiting.append((kind, ready))
        if not is_kept:
            ready.end()

    def count(self, names: Collection[str]) -> int:
        """How many processes wait under any of these names."""
        with self._lock:
            return sum(len(waiting) for name, waiting in self._waiting.items() if name in names)

    def close(self) -> None:
        for name in list(self._waiting):
            while (found := self._next(name)) is not None:
                found[1].end()

    def _next(self, name: str) -> tuple[Hashable, Ready] | None:
        with self._lock:
            waiting = self._waiting.get(name)
            return waiting.pop() if waiting else None
