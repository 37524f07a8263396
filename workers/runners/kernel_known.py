"""What a worker has measured of its GPU and of a target's baselines, and keeps from trial to trial.

Ceilings are measured once a worker process and GPU. A baseline is measured when its case is first seen; after that one case's
baselines are measured anew in each trial, in turns with the candidate, so that no number is older than the target has cases:
a chip that has grown warm since is seen within minutes, at a tenth of what it costs to measure all beside all. A trial that
may promote measures all anew.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from workers.kernel import schedule
from workers.kernel.floor import COPY, PRODUCTS, Ceilings, Light, light
from workers.kernel.peaks import peaks
from workers.runners.kernel_timer import Refused, Timer
from workers.session import Session
from workers.trial import KernelPlan

_CEILING_S = 0.2  # of work, to measure one
_CEILING_WINDOWS = 3

_ceilings: dict[Hashable, tuple[Ceilings, int]] = {}  # and the size of the L2 cache; by the GPU
_known: dict[Hashable, Known] = {}


@dataclass(slots=True)
class Known:
    """Of one target on one GPU."""

    light: Light | None
    l2_bytes: int
    baselines: dict[str, dict[str, float | None]] = field(default_factory=dict)  # µs by case and name; None: it cannot be run
    turn: int = 0  # of the case whose baselines are measured anew

    def is_due(self, case: str, baseline: str, cases: Sequence[str], *, everything: bool) -> bool:
        """Whether a baseline is to be measured now. `cases`: all that are timed."""
        before = self.baselines.get(case, {})
        if baseline not in before:
            return True
        return before[baseline] is not None and (everything or sorted(cases)[self.turn % len(cases)] == case)

    def learn(self, case: str, baseline: str, latency_us: float | None) -> None:
        self.baselines.setdefault(case, {})[baseline] = latency_us

    def of(self, case: str) -> dict[str, float]:
        return {name: latency_us for name, latency_us in self.baselines.get(case, {}).items() if latency_us is not None}


def known(session: Session, plan: KernelPlan, ours: Timer, device: str) -> Known:
    """What this worker knows; the ceilings are measured where they are not known yet, by a process of ours."""
    machine, spec = session.machine, session.spec
    gpu = (machine.gpu.name, machine.visible_devices, device)
    key = (gpu, str(machine.repository.root), spec.base_commit, spec.sealed, plan)
    if key not in _known:
        if gpu not in _ceilings:
            with patience(session):
                _ceilings[gpu] = _measured(ours, small=device == "cpu"), ours.l2_bytes
        measured, l2_bytes = _ceilings[gpu]
        sheet = peaks(machine.gpu.name) if device == "cuda" else None
        _known[key] = Known(light(sheet, machine.gpu.highest_sm_clock_mhz(), measured, l2_bytes), l2_bytes)
    return _known[key]


@contextlib.contextmanager
def patience(session: Session) -> Iterator[None]:
    """What the worker did not know before is not on the candidate's time."""
    began = time.monotonic()
    try:
        yield
    finally:
        session.deadline += time.monotonic() - began


def _measured(ours: Timer, *, small: bool) -> Ceilings:
    """What the device reaches in a short while."""
    rates = {name: _rate(ours, name, small=small) for name in (COPY, *PRODUCTS)}
    ours.drop()
    teras = {f"{name}_tflops": None if (rate := rates[name]) is None else 1e-12 * rate for name in PRODUCTS}
    copied = rates[COPY]
    return Ceilings(copy_gb_s=None if copied is None else 1e-9 * copied, **teras)


def _rate(ours: Timer, name: str, *, small: bool) -> float | None:
    """Bytes or operations a second; None where the device cannot do it."""
    work = ours.ceiling(name, small=small)
    if isinstance(work, Refused):
        return None
    once_s = min(ours.window(name, 1).worker_s for _ in range(2))
    replays = schedule.replays(once_s, _CEILING_S / 10 if small else _CEILING_S)
    return work * replays / statistics.median(ours.window(name, replays).worker_s for _ in range(_CEILING_WINDOWS))
