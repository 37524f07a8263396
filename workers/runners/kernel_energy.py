"""Joules of a kernel's cases: seconds of back-to-back work, with an eye on NVML's counters. The arithmetic is in
workers/kernel/energy.py.

Only where somebody asks: the objective, a constraint, the front, or a trial that may promote. A case takes two seconds and
more; each has a window of its own, in every trial that measures energy, because a mixture of cases would be another number.
Only shapes of models count, no held-out ones. The GPU's idle power is measured before the first case and after the last one.

A window that was void is measured again, thrice in all. What cannot be measured is None and said once; where it decides, that
is the machine's fault.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from workers.kernel import energy
from workers.kernel.cases import Case
from workers.kernel.clock import Timing
from workers.kernel.energy import Look
from workers.runners.kernel_results import KERNEL, Found, counted
from workers.runners.kernel_timer import Timer
from workers.session import Session, Stopped
from workers.telemetry import Gpu
from workers.trial import ENERGY_METRICS, Outcome
from workers.waiting import DeadlinePassedError, wait_until_ready

_ATTEMPTS = 3
_LOOK_EVERY_S = 0.002
_SLOWLY = 25  # looks: how often is asked for what changes slowly


@dataclass(frozen=True, slots=True)
class _Worked:
    """A case that was repeated for seconds."""

    latency_us: float
    looks: tuple[Look, ...]  # steady ones


class Energies:
    """Of one trial. `measure` each case while it is set up, and `completed` when all are done."""

    def __init__(self, session: Session, timed: Sequence[Case], processes: int) -> None:
        """`processes`: how many of this worker's have the GPU meanwhile."""
        spec, self._session, self._processes = session.spec, session, processes
        self._gpu = session.machine.gpu
        self._decides = bool(ENERGY_METRICS & {*spec.decisive})
        is_asked = self._decides or spec.promotion or bool(ENERGY_METRICS & {*spec.wanted})
        self._names = {case.name for case in counted(timed)} if is_asked else set()
        self._before: tuple[Look, ...] = ()
        self._tick_s: float | None = None
        self._worked: dict[str, _Worked] = {}
        if self._names and self._gpu.energy_j() is None:
            self._give_up(self._gpu.absent_because or "this GPU has no energy counter that NVML can read")

    def measure(self, case: Case, timer: Timer, timing: Timing, slots: int) -> None:
        if case.name not in self._names:
            return
        if not self._before:
            self._before = self._idle()
            self._tick_s = energy.tick_s(self._before)
        if self._tick_s is None:
            self._give_up("the energy counter of this GPU does not tick")
            return
        worked_s = energy.span_s(self._tick_s) + energy.SETTLING_S + 2 * self._tick_s
        replays = math.ceil(worked_s / (1e-6 * timing.latency_us * slots))
        why = None
        for _ in range(_ATTEMPTS):
            with _watched(self._gpu) as looks:
                timer.window(KERNEL, replays)
            why = energy.void_because(looks, self._processes)
            if why is None:
                self._worked[case.name] = _Worked(timing.latency_us, tuple(energy.steady(looks)))
                return
        self._give_up(f"{case.name}: {why}, {_ATTEMPTS} times in a row")

    def completed(self, found: Sequence[Found]) -> list[Found]:
        """With the energy of every case that has one."""
        if not self._worked or not self._names:
            return list(found)
        after = self._idle()
        assert self._tick_s is not None
        known = {}
        for name, worked in self._worked.items():
            one = energy.energy(worked.looks, self._before, after, worked.latency_us, self._tick_s)
            if isinstance(one, str):
                self._give_up(f"{name}: {one}")
                return list(found)
            known[name] = one
            self._session.log.append(f"{name}: {one}\n".encode())  # with power, clocks and heat, for people
        return [replace(each, energy=known.get(each.case.name)) for each in found]

    def _idle(self) -> tuple[Look, ...]:
        """Our processes are there and wait."""
        with _watched(self._gpu) as looks, contextlib.suppress(DeadlinePassedError):
            wait_until_ready([], deadline=time.monotonic() + energy.IDLE_S, cancel=self._session.cancel)
        return tuple(looks)

    def _give_up(self, why: str) -> None:
        """No energy in this trial: a mean over some of the cases would be another number."""
        self._names = set()
        self._session.log.append(f"energy is not known: {why}\n".encode())
        if self._decides:
            raise Stopped(Outcome.INFRA, f"energy cannot be measured: {why}")


@contextlib.contextmanager
def _watched(gpu: Gpu) -> Iterator[list[Look]]:
    """Looks at the GPU, as often as its counter may tick, until the block ends."""
    looks: list[Look] = []
    over = threading.Event()

    def watch() -> None:
        slowly = Look(0.0, None)
        turn = 0
        while not over.wait(_LOOK_EVERY_S):
            if turn % _SLOWLY == 0:
                seen = gpu.read()
                slowly = Look(0.0, None, seen.power_w, seen.sm_clock_mhz, seen.temperature_c, gpu.throttles(), gpu.processes())
            looks.append(replace(slowly, energy_j=gpu.energy_j(), at_s=time.monotonic()))
            turn += 1

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join()
