"""The `kernel` runner: gates that need no GPU, then, where there is one, time and energy (docs/kernel-track.md).

The gates: what the source may not do; ahead-of-time compilation of all that the candidate's own wrapper launches; right answers
on small shapes under Triton's interpreter, told by a process that has nothing of the candidate's in it. Registers, spills,
shared memory and instructions are on record then, and `static_cost`, a stand-in for time by a model of the chip (cost.py),
which is never to be taken for a measurement.

Both processes begin in workspaces of the base commit; the candidate's kernel.py travels in the question. They see no GPU and
have ended before the trial asks for it, so that one trial may be at the gates while another one is timed (turn.py).
"""

from __future__ import annotations

from workers.kernel import gates, static_check
from workers.kernel.arch import Arch, UnknownArchError, arch, of_capability
from workers.kernel.cases import Case
from workers.runners import kernel_timing
from workers.runners.kernel_processes import Candidate, Verifier, candidate, verifier
from workers.runners.kernel_timing import Gated
from workers.runners.subject import Conversation, violation
from workers.runners.wire import Message
from workers.session import Session, Stopped
from workers.trial import KernelPlan, Outcome

STAND_IN = "static_cost"
SOURCE = "kernel.py"
_MOST_BYTES = 256 << 20  # of one message's texts or outputs


def run(session: Session, plan: KernelPlan) -> None:
    """Pass the gates and measure. Fills the session's `measured` and `cases`."""
    chip = _chip(session, plan)
    session.begin("check")
    source = session.machine.repository.read(session.spec.commit, SOURCE).decode(errors="replace")
    _check_source(source)
    measure(session, plan, source, chip)


def measure(session: Session, plan: KernelPlan, source: str, chip: Arch) -> None:
    """What is behind the static check, which holds whatever that let through."""
    with verifier(session) as knowing, candidate(session, chip) as halves:
        raw, cases = knowing.cases(session.spec.seed)
        checks = gates.checks(cases)
        if not checks:
            raise Stopped(
                Outcome.CRASH, "no case is small and in fp32, so nothing can be checked without a GPU: add one to cases.py"
            )
        asked = [{"case": check.case.name, "call": check.call, "adversarial": check.adversarial} for check in checks]
        question = {"cases": raw, "source": source}
        compiled = [case.name for case in gates.compiled_cases(cases)]
        halves.compiling.send(question | {"type": "compile", "compiled": compiled})
        halves.interpreting.send(question | {"type": "interpret", "seed": session.spec.seed, "checks": asked})
        knowing.line.send({"type": "expect", "seed": session.spec.seed, "device": "cpu", "checks": asked})
        knowing.is_at_rest = True  # nothing that it was asked is without an answer, whatever becomes of the candidate
        session.begin("compile")
        built = _built(halves.compiling, cases, chip)
        session.begin("correctness")
        _judge(halves, knowing, checks, built)
        _note(session, built, cases, chip)
    device = kernel_timing.device_of(session, plan)
    if device is not None:
        session.begin("queue")
        with session.on_gpu():
            kernel_timing.run(session, plan, Gated(source, raw, cases, built), device)


def _chip(session: Session, plan: KernelPlan) -> Arch:
    capability = session.machine.gpu.capability() if session.spec.gpus else None
    try:
        return arch(plan.arch or of_capability(capability))
    except UnknownArchError as error:
        raise Stopped(Outcome.INFRA, f"target.arch: {error}") from None


def _check_source(source: str) -> None:
    found = static_check.check(source)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise violation(found[0].rule, f"{SOURCE}, line {found[0].line}: {found[0].reason}{more}")


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
        if not built.launched[case.name]:
            raise violation("no kernel", f"{case.name}: kernel_fn launches nothing for this shape")
        for launch in built.launches.get(case.name, ()):
            too_large = launch.compiled.too_large_for(chip)
            if too_large is not None:
                raise Stopped(Outcome.CRASH, f"{case.name}: {too_large}")
    return built


def _judge(halves: Candidate, knowing: Verifier, checks: tuple[gates.Check, ...], built: gates.Built) -> None:
    """Every answer, in turn: its form as the candidate's process tells of it, its numbers as the verifier does."""
    for nth, check in enumerate(checks):
        where = f"{check.case.name}{', adversarial inputs' if check.adversarial else ''}"
        message = halves.interpreting.receive_any(("answer", "flawed"))
        if message.header.get("check") != nth:
            raise violation("protocol", f"an answer to another question than {where}")
        if message.type == "flawed":
            raise Stopped(Outcome.CRASH, f"wrong: {where}: {str(message.header.get('reason'))[:500]}")
        if message.header.get("launches") != built.launched[check.case.name]:
            raise violation("two faces", f"{where}: under the interpreter kernel_fn launches something else than it compiles")
        _check_size(message)
        payload = halves.interpreting.payload(message)
        try:
            outputs = gates.outputs(message.header, len(payload))
        except gates.MalformedError as error:
            raise violation("protocol", str(error)) from None
        question = {"type": "judge", "check": nth, "outputs": outputs, "is_tuple": bool(message.header.get("is_tuple"))}
        knowing.is_at_rest = False
        knowing.line.send(question | {"device": "cpu"}, [payload] if payload else ())
        reason = knowing.line.receive("verdict").header.get("reason")
        knowing.is_at_rest = True
        if reason is not None:
            raise Stopped(Outcome.CRASH, f"wrong: {where}: {reason}")
    halves.interpreting.receive("done")


def _check_size(message: Message) -> None:
    if message.payload_bytes > _MOST_BYTES:
        raise violation("protocol", f"`{message.type}` with {message.payload_bytes} bytes, allowed are {_MOST_BYTES}")


def _note(session: Session, built: gates.Built, cases: tuple[Case, ...], chip: Arch) -> None:
    session.cases = tuple(built.row(case, chip) for case in gates.compiled_cases(cases))
    session.measured.update(built.facts(cases))
    stand_in = built.stand_in(cases, chip)
    if stand_in is not None:
        too_little = built.too_little(cases) if STAND_IN in session.spec.decisive else None
        if too_little is not None:  # on a GPU its answers are looked at instead
            raise violation("impossible", too_little)
        session.measured.update(stand_in)
    elif STAND_IN in session.spec.decisive:
        raise Stopped(
            Outcome.CRASH,
            "static_cost cannot be told: work that cannot be counted before the kernel runs (a `while`, a loop whose length is "
            "loaded or changes unevenly from turn to turn, noinline functions, assembly); let it follow from the arguments",
        )
