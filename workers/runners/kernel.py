"""The `kernel` runner: gates that need no GPU, then, where there is one, time and energy (docs/kernel-track.md).

The gates: what the source may not do; ahead-of-time compilation of all that the candidate's own wrapper launches; right answers
on small shapes under Triton's interpreter, told by a process that has nothing of the candidate's in it. Registers, spills,
shared memory and instructions are on record then, and `static_cost`, a stand-in for time by a model of the chip (cost.py),
which is never to be taken for a measurement.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.kernel import gates, static_check
from workers.kernel.arch import DEFAULT, Arch, UnknownArchError, arch
from workers.kernel.cases import Case, CasesError, decode
from workers.runners.subject import Conversation, Limit, violation
from workers.runners.wire import Message
from workers.session import Session, Stopped
from workers.trial import KernelPlan, Outcome
from workers.workspace import Workspace

STAND_IN = "static_cost"
_ROOT = Path(__file__).parents[2]  # of our own package, for the processes in the sandbox
_MOST_TEXT_BYTES = 256 << 20
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from workers.kernel.inside import {0}; {0}.main(*map(int, sys.argv[2:]))"
)


@dataclass(frozen=True, slots=True)
class _Told:
    """What the target's cases.py said, and what it comes to."""

    raw: list[Any]
    cases: tuple[Case, ...]


def run(session: Session, plan: KernelPlan) -> None:
    """Pass the gates and measure. Fills the session's `measured`."""
    chip = _chip(plan)
    session.begin("check")
    _check_source(session)
    spec = session.spec
    with (
        session.machine.repository.workspace(spec.base_commit, spec.base_commit, spec.sealed) as sealed,
        session.workspace() as workspace,
        _talking(session, sealed, "verifier", 1) as (verifier,),
        _talking(session, workspace, "candidate", 2) as (compiling, interpreting),
    ):
        verifier.send({"type": "cases", "seed": spec.seed})
        told = _cases(verifier)
        checks = gates.checks(told.cases)
        if not checks:
            raise Stopped(
                Outcome.CRASH, "no case is small and in fp32, so nothing can be checked without a GPU: add one to cases.py"
            )
        compiling.send(
            {"type": "compile", "cases": told.raw, "backend": chip.backend, "capability": chip.capability}
            | {"warp_threads": chip.warp_threads}
        )
        asked = [{"case": check.case.name, "call": check.call, "adversarial": check.adversarial} for check in checks]
        interpreting.send({"type": "interpret", "cases": told.raw, "seed": spec.seed, "checks": asked})
        verifier.send({"type": "expect", "seed": spec.seed, "device": "cpu", "checks": asked})
        session.begin("compile")
        built = _built(compiling, told.cases, chip)
        session.begin("correctness")
        _judge(interpreting, verifier, checks, built)
    _note(session, built, told.cases, chip)


def _chip(plan: KernelPlan) -> Arch:
    try:
        return arch(plan.arch or DEFAULT)
    except UnknownArchError as error:
        raise Stopped(Outcome.INFRA, f"target.arch: {error}") from None


def _check_source(session: Session) -> None:
    source = session.machine.repository.read(session.spec.commit, "kernel.py").decode(errors="replace")
    found = static_check.check(source)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise violation(found[0].rule, f"kernel.py, line {found[0].line}: {found[0].reason}{more}")


@contextlib.contextmanager
def _talking(session: Session, workspace: Workspace, program: str, sockets: int) -> Iterator[tuple[Conversation, ...]]:
    """A process of ours in the sandbox, and a conversation with each of its parts. Leaving ends it."""
    pairs = [socket.socketpair() for _ in range(sockets)]
    with contextlib.ExitStack() as stack:
        for ours, _ in pairs:
            stack.enter_context(ours)
        try:
            numbers = [theirs.fileno() for _, theirs in pairs]
            argv = ("python", "-P", "-s", "-c", _PROGRAM.format(program), str(_ROOT), *map(str, numbers))
            process = stack.enter_context(session.process(argv, workspace, handed=tuple(numbers)))
        finally:
            for _, theirs in pairs:
                theirs.close()
        limit = Limit("time", "", time.monotonic(), None)
        yield tuple(Conversation(session, process, ours, limit) for ours, _ in pairs)
        session.note_memory(process.end(at_once=True))


def _cases(verifier: Conversation) -> _Told:
    raw = verifier.receive("cases").header.get("cases")
    try:
        return _Told(raw if isinstance(raw, list) else [], decode(raw))
    except CasesError as error:
        raise Stopped(Outcome.CRASH, f"cases.py: {error}") from None


def _built(compiling: Conversation, cases: tuple[Case, ...], chip: Arch) -> gates.Built:
    message = compiling.receive_any(("compiled", "refused"))
    if message.type == "refused":
        where, error = (str(message.header.get(key))[:2000] for key in ("case", "error"))
        raise Stopped(Outcome.CRASH, f"{where}: does not compile for {chip.name}: {' '.join(error.split())}")
    _check_size(message)
    texts = compiling.payload(message)
    try:
        built = gates.take(message.header, texts, cases, chip)
    except gates.MalformedError as error:
        raise violation("protocol", str(error)) from None
    for case in cases:
        if not built.launches[case.name]:
            raise violation("no kernel", f"{case.name}: kernel_fn launches nothing for this shape")
        for launch in built.launches[case.name]:
            too_large = launch.compiled.too_large_for(chip)
            if too_large is not None:
                raise Stopped(Outcome.CRASH, f"{case.name}: {too_large}")
    return built


def _judge(interpreting: Conversation, verifier: Conversation, checks: tuple[gates.Check, ...], built: gates.Built) -> None:
    """Every answer, in turn: its form as the candidate's process tells of it, its numbers as the verifier does."""
    for nth, check in enumerate(checks):
        where = f"{check.case.name}{', adversarial inputs' if check.adversarial else ''}"
        message = interpreting.receive_any(("answer", "flawed"))
        if message.header.get("check") != nth:
            raise violation("protocol", f"an answer to another question than {where}")
        if message.type == "flawed":
            raise Stopped(Outcome.CRASH, f"{where}: {str(message.header.get('reason'))[:500]}")
        if message.header.get("launches") != built.told(check.case.name):
            raise violation("two faces", f"{where}: under the interpreter kernel_fn launches something else than it compiles")
        _check_size(message)
        payload = interpreting.payload(message)
        try:
            outputs = gates.outputs(message.header, len(payload))
        except gates.MalformedError as error:
            raise violation("protocol", str(error)) from None
        question = {"type": "judge", "check": nth, "outputs": outputs, "is_tuple": bool(message.header.get("is_tuple"))}
        verifier.send(question | {"device": "cpu"}, [payload] if payload else ())
        reason = verifier.receive("verdict").header.get("reason")
        if reason is not None:
            raise Stopped(Outcome.CRASH, f"wrong: {where}: {reason}")
    interpreting.receive("done")


def _check_size(message: Message) -> None:
    if message.payload_bytes > _MOST_TEXT_BYTES:
        raise violation("protocol", f"`{message.type}` with {message.payload_bytes} bytes, allowed are {_MOST_TEXT_BYTES}")


def _note(session: Session, built: gates.Built, cases: tuple[Case, ...], chip: Arch) -> None:
    session.measured.update(built.facts(cases))
    stand_in = built.stand_in(cases, chip)
    if stand_in is not None:
        session.measured.update(stand_in)
    elif session.spec.objective == STAND_IN:
        raise Stopped(
            Outcome.CRASH,
            "static_cost cannot be told: a loop's length is not known before the kernel runs; let it follow from the arguments",
        )
