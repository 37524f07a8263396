"""The number that decides, out of what a runner has found: a metric as it is, or the product of several.

A product is `measured` where the worker measured all of its parts, else `reported`. A part that is missing, or not above 0, is
a crash that names it, and says so where it is this machine that cannot measure it.
"""

from __future__ import annotations

import math

from workers.session import Session, Stopped
from workers.telemetry import Recorder
from workers.trial import GPU_METRICS, PEAK_VRAM_MB, TRIAL_ENERGY_J, Outcome, Product

ADDED_LATER = frozenset({PEAK_VRAM_MB, TRIAL_ENERGY_J})  # by the worker itself, after any runner has ended


def add_telemetry(session: Session, recorder: Recorder) -> None:
    """What the recorder, which has ended, saw of the trial's GPUs; nothing of a GPU that others may have used meanwhile."""
    if session.spec.gpus and recorder.peak_vram_mb is not None:
        session.measured.setdefault(PEAK_VRAM_MB, recorder.peak_vram_mb)
    if session.spec.gpus >= 1 and recorder.energy_j is not None:
        session.measured.setdefault(TRIAL_ENERGY_J, recorder.energy_j)


def settle(session: Session) -> None:
    """See to it that the objective is there, computed where it is a product. Raises Stopped where it cannot be known."""
    product = session.spec.product
    if product is not None:
        _multiply(session, product)
    elif _value(session, session.spec.objective) is None:
        raise Stopped(Outcome.CRASH, _missing(session, session.spec.objective))


def _multiply(session: Session, product: Product) -> None:
    values: dict[str, float] = {}
    for part in product.metrics:
        value = _value(session, part)
        if value is None:
            raise Stopped(Outcome.CRASH, f"{product.name} cannot be computed: {_missing(session, part)}")
        if not (math.isfinite(value) and value > 0):
            raise Stopped(
                Outcome.CRASH, f"{product.name} cannot be computed: {part} is {value:g}; a part of a product must be above 0"
            )
        values[part] = value
    result = product.of(values)
    if not (math.isfinite(result) and result > 0):
        parts = ", ".join(f"{part} {value:g}" for part, value in values.items())
        raise Stopped(Outcome.CRASH, f"{product.name} is {result:g}, beyond what a number can hold: of {parts}")
    found = session.measured if session.measured.keys() >= values.keys() else session.reported
    found[product.name] = result


def _value(session: Session, metric: str) -> float | None:
    """The worker's own before the candidate's."""
    return session.measured.get(metric, session.reported.get(metric))


def _missing(session: Session, metric: str) -> str:
    known = ", ".join(sorted({*session.measured, *session.reported})) or "none"
    return f"there is no value of {metric}; known are {known}{why_not_here(session, metric)}"


def why_not_here(session: Session, metric: str) -> str:
    """To end a reason with, where it is this machine that cannot measure `metric`; empty where it can, or nobody knows."""
    gpu, gpus = session.machine.gpu, session.spec.gpus
    if metric not in GPU_METRICS:
        return ""
    if gpu.absent_because is not None:
        return f"; this machine cannot measure it: {gpu.absent_because}"
    if gpus < 1:
        return f"; this machine cannot measure it: trial.gpus is {gpus:g}, and a GPU that is shared is metered as a whole"
    if metric != PEAK_VRAM_MB and gpu.energy_j() is None:
        return "; this machine cannot measure it: its GPU has no energy counter that NVML can read"
    return ""
