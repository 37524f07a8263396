"""The second half of a kernel trial, where there is a GPU: every case right on the device, then time, then energy.

    once      odd, edge, small and freshly drawn held-out cases: one call each, judged
    timed     real shapes and the campaign's held-out ones (schedule.py): windows by the worker's clock, in turns with the
              champion and the baselines; then an output *of the timed runs*, of a slot that is chosen only then, is judged
    energy    while a case is set up, where somebody asks for it (kernel_energy.py)

A call that is faster than light (floor.py) or a process whose clock says more than passed (clock.py) is a violation. So is a
call that cannot be captured in a CUDA graph, launches something else than it compiled, or has torch compute beside its kernels.

Not yet run on a GPU: all but CUDA's own calls (inside/rotation.py) is tried with Triton's interpreter, `device: cpu`.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.kernel import clock, gates, schedule
from workers.kernel.cases import Case, Role
from workers.kernel.clock import Timing, Window
from workers.runners.kernel_energy import Energies
from workers.runners.kernel_known import Known, known, patience
from workers.runners.kernel_processes import WITH_GPU, Verifier, timer, verifier
from workers.runners.kernel_results import CHAMPION, KERNEL, Found, metrics, row
from workers.runners.kernel_timer import Answer, Prepared, Refused, Timer, stopped
from workers.runners.subject import violation
from workers.session import Session, Stopped
from workers.trial import KernelPlan, Outcome, Progress

_ATTEMPTS = 2  # at a case whose two clocks do not agree
_OF_OURS = frozenset({"eager", "compile"})  # baselines that every target has, and the plan may leave out


@dataclass(slots=True)
class _Turns:
    """One case, prepared: who takes turns, and which outputs were kept for the verifier."""

    case: Case
    slots: int
    output_bytes: int  # of one slot, ours
    members: Mapping[str, tuple[Timer, str]]  # the process, and the implementation's name in it
    kept: list[tuple[dict[str, Any], Answer]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Gated:
    """What the gates have found out by now."""

    source: str
    raw: list[Any]  # as cases.py said, with the trial's seed
    cases: tuple[Case, ...]
    built: gates.Built


def device_of(session: Session, plan: KernelPlan) -> str | None:
    """Where this trial is timed; None: nowhere. A GPU that others use too is no place to time anything."""
    if plan.device is not None:
        return plan.device
    return "cuda" if session.spec.gpus >= 1 and session.machine.gpu.absent_because is None else None


def run(session: Session, plan: KernelPlan, gated: Gated, device: str) -> None:
    """Measure, with the GPU to itself. Fills the session's `measured`, and `cases` further."""
    with contextlib.ExitStack() as stack:
        knowing = stack.enter_context(verifier(session, at_gates=False))
        knowing.cases(session.spec.seed)
        mine = stack.enter_context(timer(session, "timed", device, is_sealed=False))
        session.begin("correctness")
        mine.open(gated.raw, session.spec.seed, gated.source)
        stage = _Stage(session, plan, knowing, gated, device, mine)
        stage.check_once()
        session.begin("time")
        raw, timed = stage.timed_cases()
        mine.open(raw, session.spec.seed, gated.source)
        with _ours("the baselines"):
            baselines = stack.enter_context(timer(session, "baselines", device, is_sealed=True))
            baselines.open(raw, session.spec.seed, None)
        champion = None
        if session.spec.beside is not None:
            with _ours("the champion"):
                champion = stack.enter_context(timer(session, "champion", device, is_sealed=False))
                text = session.machine.repository.read(session.spec.beside, "kernel.py").decode(errors="replace")
                champion.open(raw, session.spec.seed, text)
        found = stage.time_all(timed, baselines, champion)
        for each in (mine, baselines, champion):
            if each is not None:
                each.is_done = True
        knowing.is_at_rest = True
    _note(session, found)


@contextlib.contextmanager
def _ours(who: str) -> Iterator[None]:
    """What goes wrong in a process that is not the candidate's is not held against it."""
    try:
        yield
    except Stopped as error:
        if error.outcome.by_own_fault:
            raise Stopped(Outcome.INFRA, f"{who}: {error.reason}") from None
        raise


class _Stage:
    """One trial's measuring."""

    def __init__(self, session: Session, plan: KernelPlan, knowing: Verifier, gated: Gated, device: str, mine: Timer) -> None:
        self._session, self._plan, self._knowing, self._gated = session, plan, knowing, gated
        self._device, self._mine = device, mine
        self._interpreted = device == "cpu"
        self._order = random.Random(f"{session.spec.seed}/windows")
        self._chosen = random.SystemRandom()  # which outputs are judged: by nothing that a candidate knows
        self._asked = 0  # of the verifier, so far

    # ------------------------------------------------------------------------------------------------ right answers

    def check_once(self) -> None:
        """Cases that are not timed, on the device: one call, or both kinds of content where the trial may promote."""
        names = [case.name for case in schedule.timed(self._gated.cases, interpreted=self._interpreted)]
        for case in schedule.checked(self._gated.cases, names, interpreted=self._interpreted):
            kinds = (False, True) if self._session.spec.promotion else (self._chosen.random() < 0.5,)
            for adversarial in kinds:
                call = self._chosen.randrange(2, 1 << 16)
                with self._mine.once(case, call, adversarial=adversarial) as answer:
                    self._judge(case, {"call": call, "adversarial": adversarial}, answer, "on the device")

    def _judge(self, case: Case, check: dict[str, Any], answer: Answer, where: str) -> None:
        seed, line = self._session.spec.seed, self._knowing.line
        with _ours("the oracle"):
            line.send({"type": "expect", "seed": seed, "device": self._device, "checks": [{"case": case.name, **check}]})
            question = {"type": "judge", "check": self._asked, "outputs": answer.forms, "is_tuple": answer.is_tuple}
            question |= {"device": self._device, "bytes": answer.bytes}
            line.send(question, descriptors=(answer.descriptor,))
            self._asked += 1
            reason = line.receive("verdict").header.get("reason")
        if reason is not None:
            kind = ", adversarial inputs" if check["adversarial"] else ""
            raise Stopped(Outcome.CRASH, f"wrong: {case.name}{kind}, {where}: {reason}")

    # ------------------------------------------------------------------------------------------------ time

    def timed_cases(self) -> tuple[list[Any], tuple[Case, ...]]:
        """Those that decide, with the campaign's held-out shapes. The verifier speaks of these from now on."""
        raw, cases = self._knowing.cases(schedule.held_out_seed(self._session.spec.base_commit))
        self._asked = 0
        timed = list(schedule.timed(cases, interpreted=self._interpreted))
        self._order.shuffle(timed)
        return raw, tuple(timed)

    def time_all(self, timed: Sequence[Case], baselines: Timer, champion: Timer | None) -> list[Found]:
        session = self._session
        with _ours("the ceilings"):
            memory = known(session, self._plan, baselines, self._device)
        taking_part = 3 if champion is None else 4  # with the verifier
        energies = Energies(session, timed, taking_part + session.machine.standby.count(WITH_GPU))
        names = [case.name for case in timed]
        offered = [name for name in baselines.implementations if name in self._plan.baselines or name not in _OF_OURS]
        found = []
        for nth, case in enumerate(timed):
            session.tell(Progress(session.spec.trial_id, session.phase, nth / len(timed)))
            due = [name for name in offered if memory.is_due(case.name, name, names, everything=session.spec.promotion)]
            members = self._prepared(case, baselines, due, champion, memory)
            found.append(self._time(members, memory, energies))
        memory.turn += 1
        return energies.completed(found)

    def _prepared(self, case: Case, baselines: Timer, due: Sequence[str], champion: Timer | None, memory: Known) -> _Turns:
        """Ours, the champion and those baselines that are due, ready to take turns."""
        slots = schedule.slots(case, memory.l2_bytes, self._mine.free_bytes, 2 + len(due))
        if slots is None:
            raise Stopped(Outcome.INFRA, f"{case.name}: two calls' inputs and outputs do not fit into this GPU's memory")
        prepared = self._mine.prepare(case, KERNEL, slots)
        if isinstance(prepared, Refused):
            raise stopped(prepared, case.name)
        self._check_seen(case, prepared)
        members = {KERNEL: (self._mine, KERNEL)}
        if champion is not None:
            with _ours(CHAMPION):
                other = champion.prepare(case, KERNEL, slots)
                if isinstance(other, Refused):
                    raise stopped(other, case.name)
            members[CHAMPION] = (champion, KERNEL)
        with _ours("the baselines"), patience(self._session):  # to compile one may take a minute
            for name in due:
                refused = baselines.prepare(case, name, slots)
                if isinstance(refused, Refused):
                    self._session.log.append(f"{case.name}: no baseline {name}: {refused.reason}\n".encode())
                    memory.learn(case.name, name, None)
                else:
                    members[name] = (baselines, name)
        return _Turns(case, slots, prepared.output_bytes, members)

    def _check_seen(self, case: Case, prepared: Prepared) -> None:
        """What one call did beside its kernels, and whether these are those that were compiled."""
        told = [str(name) for name, _ in self._gated.built.launched.get(case.name, ())]
        if list(prepared.launches) != told and case.role is not Role.HELD_OUT:  # of another shape, maybe by another kernel
            said = f"{', '.join(prepared.launches) or 'nothing'}, and compiles {', '.join(told)}"
            raise violation("two faces", f"{case.name}: on the device kernel_fn launches {said}")
        computing = schedule.computing(prepared.operations)
        if computing:
            raise violation("torch computes", f"{case.name}: kernel_fn has torch do {', '.join(computing[:5])}")

    def _time(self, turns: _Turns, memory: Known, energies: Energies) -> Found:
        """One case, from its first window to its end."""
        case = turns.case
        self._session.recorder.peak_vram_mb_by_now()  # a look now, while the case's memory is taken
        timings = self._timings(turns)
        for name, timing in timings.items():
            if name not in (KERNEL, CHAMPION):
                memory.learn(case.name, name, timing.latency_us)
        floor_us = self._check_floor(turns, timings[KERNEL], memory)
        energies.measure(case, self._mine, timings[KERNEL], turns.slots)
        for each in {id(each): each for each, _ in turns.members.values()}.values():
            each.drop()
        return Found(case, floor_us, timings, memory.of(case.name))

    def _timings(self, turns: _Turns) -> dict[str, Timing]:
        """Windows whose two clocks agree, and an output of theirs that is right."""
        reasons: list[str] = []
        for _ in range(_ATTEMPTS):
            with contextlib.ExitStack() as stack:
                windows = self._windows(turns, stack)
                for name, taken in windows.items():
                    told = clock.longer_inside(taken)
                    if told is not None:
                        said = violation("clock", f"{turns.case.name}: {told}")
                        raise said if name == KERNEL else Stopped(Outcome.INFRA, f"{name}: {said.reason}")
                reasons = [told for taken in windows.values() if (told := clock.shorter_inside(taken)) is not None]
                if not reasons or self._interpreted:  # there both clocks share a processor with all else
                    for check, answer in turns.kept:
                        self._judge(turns.case, check, answer, "timed runs")
                    return {name: clock.timing(taken, turns.slots) for name, taken in windows.items()}
        raise Stopped(Outcome.INFRA, f"{turns.case.name}: {reasons[0]}; is this machine busy?")

    def _windows(self, turns: _Turns, stack: contextlib.ExitStack) -> dict[str, list[Window]]:
        """All windows of a case, by who was timed. After one of ours, which nobody could foresee, outputs are kept."""
        replays = {name: self._replays(*member) for name, member in turns.members.items()}
        found: dict[str, list[Window]] = {name: [] for name in turns.members}
        chosen = self._chosen.randrange(schedule.WINDOWS)
        for name in schedule.order(list(turns.members), self._order):
            each, implementation = turns.members[name]
            with contextlib.nullcontext() if name == KERNEL else _ours(name):
                found[name].append(each.window(implementation, replays[name], control=True))
                each.poison(implementation)
                found[name].append(each.window(implementation, replays[name]))
            if name == KERNEL and len(found[name]) == 2 * (chosen + 1):
                turns.kept = [self._kept(turns, stack) for _ in range(2 if self._session.spec.promotion else 1)]
        return found

    def _kept(self, turns: _Turns, stack: contextlib.ExitStack) -> tuple[dict[str, Any], Answer]:
        """What the latest window left in a slot that is chosen now, and what it was asked."""
        slot = schedule.judged_slot(turns.slots, self._chosen)
        check = {
            "call": schedule.slot_call(slot),
            "adversarial": slot in schedule.adversarial(turns.slots),
            "replayed": {"slots": turns.slots, "slot": slot, "pokes": self._mine.pokes[KERNEL]},
        }
        return check, stack.enter_context(self._mine.output(turns.case, KERNEL, slot, turns.output_bytes))

    def _replays(self, each: Timer, implementation: str) -> int:
        """How many make a window, from short ones; and then half a window unmeasured, for the GPU's clock to rise."""
        once_s = min(each.window(implementation, 1).worker_s for _ in range(2))
        bare_s = each.window(implementation, 1, control=True).worker_s
        window_s = self._plan.window_s / schedule.WINDOWS
        first = schedule.replays(max(once_s - bare_s, 0.1 * once_s), window_s / 2)
        warm_s = each.window(implementation, first).worker_s
        steady = schedule.replays(warm_s / first, window_s)
        return steady + self._chosen.randrange(1 + steady // 20)  # how many is nobody's to know

    def _check_floor(self, turns: _Turns, ours: Timing, memory: Known) -> float | None:
        case = turns.case
        if memory.light is None:
            return None
        floor_us = memory.light.floor_us(case, turns.slots * schedule.slot_bytes(case))
        fastest = min(memory.of(case.name).values(), default=floor_us)
        floor_us = min(floor_us, fastest)  # what sealed code does is possible: the case claims more than it needs
        if memory.light.is_impossible(ours.latency_us, floor_us, ours.error_us):
            needed = f"{case.flops} operations and {case.bytes} bytes take {floor_us:.3g} us on this GPU"
            raise violation("impossible", f"{case.name}: {ours.latency_us:.3g} us a call, where {needed} at least")
        return floor_us


def _note(session: Session, found: Sequence[Found]) -> None:
    session.measured.pop("floor_fraction", None)  # of the stand-in: what is measured counts, or nothing
    session.measured.update(metrics(found))
    by_name = {each.case.name: each for each in found}
    session.cases = tuple(row(each, by_name[each.case]) if each.case in by_name else each for each in session.cases)
