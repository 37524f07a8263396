"""Processes that wait for the next trial: they have imported their libraries and run nothing of any candidate.

Importing torch and Triton takes longer than to check a kernel. So a worker keeps processes ready, each in its workspace and
its sandbox, for as long as trials of the same kind come. A process that runs a candidate's code serves one trial.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Hashable
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
    """At most one process of each name. Those of another kind than is asked for are ended."""

    keeps: bool = False  # worth while only where trials come one after another
    _waiting: dict[str, tuple[Hashable, Ready]] = field(default_factory=dict)

    def take(self, name: str, kind: Hashable) -> Ready | None:
        """The process that waits under this name, which is the caller's now; None where none of this kind is alive."""
        known, ready = self._waiting.pop(name, (None, None))
        if ready is None:
            return None
        if known != kind or ready.process.poll() is not None:
            ready.end()
            return None
        return ready

    def put(self, name: str, kind: Hashable, ready: Ready) -> None:
        self._waiting[name] = (kind, ready)

    def close(self) -> None:
        while self._waiting:
            self._waiting.popitem()[1][1].end()
