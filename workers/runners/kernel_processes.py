"""The processes of a kernel trial, ready before it begins where one like it came before (standby.py). Those of the gates see
no GPU and give way to whoever is timed meanwhile.

The verifier and the baselines run sealed files alone and serve many trials, as long as each leaves them at rest. A process of
a candidate's, or of the champion's, serves one.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.kernel.arch import Arch
from workers.kernel.cases import Case, CasesError, decode
from workers.output import CappedLog
from workers.runners.kernel_timer import Timer
from workers.runners.subject import Conversation, Limit
from workers.session import Session, Stopped
from workers.standby import Ready
from workers.trial import Outcome

_ROOT = Path(__file__).parents[2]  # of our own package, for the processes in the sandbox
WITH_GPU = ("verifier", "timed", "baselines", "champion")  # names under which processes wait that have the GPU open
_GIVING_WAY = ("nice", "-n", "5")
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from workers.kernel.inside import {0}; {0}.main(*sys.argv[2:])"


@dataclass(slots=True)
class Verifier:
    """Who knows the right answers. At rest, with everything answered that it was asked, it may serve again."""

    line: Conversation
    is_at_rest: bool = False

    def cases(self, seed: int) -> tuple[list[Any], tuple[Case, ...]]:
        """What the target's cases.py says, as it is and decoded: the verifier speaks of these from now on. Raises Stopped."""
        self.line.send({"type": "cases", "seed": seed})
        raw = self.line.receive("cases").header.get("cases")
        try:
            return raw if isinstance(raw, list) else [], decode(raw)
        except CasesError as error:
            raise Stopped(Outcome.CRASH, f"cases.py: {error}") from None


@dataclass(frozen=True, slots=True)
class Candidate:
    """The two halves of the candidate's process."""

    compiling: Conversation
    interpreting: Conversation


@contextlib.contextmanager
def verifier(session: Session, *, at_gates: bool = True) -> Iterator[Verifier]:
    """The process for a trial; it waits for the next one if this one has left it at rest. At the gates it sees no GPU."""
    kind, name = _kind(session), "verifier at the gates" if at_gates else "verifier"
    ready = session.machine.standby.take(name, kind) or _start(session, "verifier", (), sockets=1, at_gates=at_gates)
    knowing = Verifier(_conversations(session, ready)[0])
    try:
        yield knowing
    except BaseException:
        knowing.is_at_rest = knowing.is_at_rest and ready.process.poll() is None
        raise
    finally:
        _take_log(session, ready)
        if knowing.is_at_rest and session.machine.standby.keeps:
            session.machine.standby.put(name, kind, ready)
        else:
            ready.end()


@contextlib.contextmanager
def candidate(session: Session, chip: Arch) -> Iterator[Candidate]:
    """The process for a trial. When it has ended, another one begins to get ready for the next."""
    kind = (*_kind(session), chip.name)
    target = (chip.backend, str(chip.capability), str(chip.warp_threads))
    ready = session.machine.standby.take("candidate", kind) or _start(session, "candidate", target, sockets=2, at_gates=True)
    try:
        yield Candidate(*_conversations(session, ready))
        session.note_memory(ready.process.end(at_once=True))
    finally:
        ready.process.end(at_once=True)
        _take_log(session, ready)
        ready.end()
        if session.machine.standby.keeps and not session.cancel.cancelled:
            session.machine.standby.put("candidate", kind, _start(session, "candidate", target, sockets=2, at_gates=True))


@contextlib.contextmanager
def timer(session: Session, who: str, device: str, *, is_sealed: bool) -> Iterator[Timer]:
    """A process that is timed. `who`: under which name the next one gets ready. `is_sealed`: it runs sealed files alone, and
    waits for the next trial if this one ended in order (`is_done`)."""
    kind = (*_kind(session), device)
    ready = session.machine.standby.take(who, kind) or _start(session, "timing", (device,), sockets=1, at_gates=False)
    keeps = session.machine.standby.keeps
    timed = Timer(_conversations(session, ready)[0])
    is_over = False
    try:
        yield timed
        is_over = timed.is_done and ready.process.poll() is None
    finally:
        _take_log(session, ready)
        if is_sealed and is_over and keeps:
            session.machine.standby.put(who, kind, ready)
        else:
            exited = ready.process.end(at_once=True)
            ready.end()
            if is_over:
                session.note_memory(exited)
            if not is_sealed and keeps and not session.cancel.cancelled:
                session.machine.standby.put(who, kind, _start(session, "timing", (device,), sockets=1, at_gates=False))


def _kind(session: Session) -> tuple[Hashable, ...]:
    """What must be equal for a process to serve a trial that it was not started for."""
    spec = session.spec
    return spec.base_commit, spec.sealed, spec.confined, spec.cpus, spec.gpus


def _start(session: Session, program: str, words: tuple[str, ...], *, sockets: int, at_gates: bool) -> Ready:
    spec = session.spec
    workspace = session.machine.repository.workspace(spec.base_commit, spec.base_commit, spec.sealed)
    pairs = [socket.socketpair() for _ in range(sockets)]
    log = CappedLog()
    try:
        numbers = [theirs.fileno() for _, theirs in pairs]
        argv = ("python", "-P", "-s", "-c", _PROGRAM.format(program), str(_ROOT), *map(str, numbers), *words)
        argv = (*(_GIVING_WAY if at_gates else ()), *argv)
        process = session.process(argv, workspace, handed=tuple(numbers), log=log, sees_gpu=not at_gates)
    except BaseException:
        for ours, _ in pairs:
            ours.close()
        workspace.remove()
        raise
    finally:
        for _, theirs in pairs:
            theirs.close()
    return Ready(process, tuple(ours for ours, _ in pairs), log, workspace)


def _conversations(session: Session, ready: Ready) -> list[Conversation]:
    limit = Limit("time", "", time.monotonic(), None)
    return [Conversation(session, ready.process, ours, limit, ready.log) for ours in ready.sockets]


def _take_log(session: Session, ready: Ready) -> None:
    """What the process has printed since it was asked for last belongs to this trial."""
    session.log.append(ready.log.drain())
