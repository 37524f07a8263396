"""Joules of one call, from readings of NVML's energy counter while the same work goes on for seconds. Pure.

`nvmlDeviceGetTotalEnergyConsumption` counts millijoules and moves in ticks, 20 to 100 ms apart depending on the GPU; between
two ticks it says nothing. So power is taken from one tick to another (`mean_power_w`), over `span_s` of steady work: 2 s, or
50 ticks where that is longer. What the GPU draws with our processes on it and nothing to do is measured before and after.

    gross = busy power × time of a call        net = (busy power - idle power) × time of a call

Pokes (pokes.py) are a small part of the busy time and are taken to draw as much as the calls. Readings in which the clock was
held down or another process had the GPU are void (`void_because`); to run at the card's power limit is not, for large products
always do, on every try alike.

Zeus (ml-energy, `ZeusMonitor`) is the field's library for windows of seconds, and serves well around a training step. It is
not used here: it reads the counter at a window's ends wherever they fall between two ticks, its own check of a window is
absolute (0.01 J), which any window of seconds passes, and it knows nothing of idle power, throttling or neighbours.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_SPAN_S = 2.0
LEAST_TICKS = 50
SETTLING_S = 0.3  # at the start of busy readings, in which clocks and power are still rising
IDLE_S = 1.2  # long enough for ten of the longest ticks
POWER_CAP = "SwPowerCap"  # NVML's name
_IDLE_TICKS = 5  # fewest that an idle power is worked out from
_LEAST_SHARE_OF_TICKS = 0.8  # of those that are due in busy readings


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the GPU. None: it does not tell."""

    at_s: float  # time.monotonic
    energy_j: float | None
    power_w: float | None = None  # of NVML: on recent GPUs a mean over the last second
    sm_clock_mhz: float | None = None
    temperature_c: float | None = None
    throttles: frozenset[str] | None = None
    processes: int | None = None


@dataclass(frozen=True, slots=True)
class Energy:
    """Of one call, and what it was worked out from."""

    net_mj: float
    gross_mj: float
    busy_w: float
    idle_w: float
    sensor_w: float | None  # by NVML's power readings over the same time: should be near `busy_w`
    is_power_capped: bool
    sm_clock_mhz: float | None  # the lowest that was seen
    temperature_c: float | None  # the highest that was seen

    def __str__(self) -> str:
        at_limit = ", at the card's power limit" if self.is_power_capped else ""
        return (
            f"{self.net_mj:.4g} mJ net and {self.gross_mj:.4g} mJ gross a call: {self.busy_w:.1f} W at work (sensor: "
            f"{_shown(self.sensor_w, 'W')}), {self.idle_w:.1f} W idle, SM clock from {_shown(self.sm_clock_mhz, 'MHz')}, up to "
            f"{_shown(self.temperature_c, 'C')}{at_limit}"
        )


def _shown(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:.5g} {unit}"


def ticks(looks: Sequence[Look]) -> list[tuple[float, float]]:
    """When the counter was first seen at each new value, and the value; its first value is none, as nobody saw it come."""
    found: list[tuple[float, float]] = []
    last: float | None = None
    for look in looks:
        if look.energy_j is None:
            continue
        if last is not None and look.energy_j != last:
            found.append((look.at_s, look.energy_j))
        last = look.energy_j
    return found


def tick_s(looks: Sequence[Look]) -> float | None:
    """The usual time between two ticks; None where too few were seen."""
    times = [at_s for at_s, _ in ticks(looks)]
    if len(times) < 3:
        return None
    return statistics.median(after - before for before, after in itertools.pairwise(times))


def span_s(tick: float) -> float:
    """How long work must go on, once it is steady."""
    return max(LEAST_SPAN_S, LEAST_TICKS * tick)


def mean_power_w(looks: Sequence[Look], least_ticks: int = _IDLE_TICKS) -> float | None:
    """From the first tick to the last one; None where fewer were seen."""
    seen = ticks(looks)
    if len(seen) < max(2, least_ticks):
        return None
    (began_s, before_j), (ended_s, after_j) = seen[0], seen[-1]
    return (after_j - before_j) / (ended_s - began_s)


def steady(looks: Sequence[Look]) -> list[Look]:
    """Without those at the start."""
    return [look for look in looks if look.at_s >= looks[0].at_s + SETTLING_S] if looks else []


def void_because(looks: Sequence[Look], ours: int) -> str | None:
    """Why readings of busy time do not count; None where they do. `ours`: processes of this worker's on the GPU."""
    held_down = _held_down(looks) - {POWER_CAP}
    if held_down:
        return f"the GPU's clock was held down: {', '.join(sorted(held_down))}"
    most = max((look.processes for look in looks if look.processes is not None), default=0)
    if most > ours:
        return f"{most} processes had the GPU, where {ours} are this worker's"
    return None


def energy(busy: Sequence[Look], before: Sequence[Look], after: Sequence[Look], latency_us: float, tick: float) -> Energy | str:
    """Of one call, from steady readings while it was repeated and readings of the idle GPU before and after; or why not."""
    due = _LEAST_SHARE_OF_TICKS * span_s(tick) / tick
    busy_w = mean_power_w(busy, int(due))
    if busy_w is None:
        return f"the energy counter ticked {len(ticks(busy))} times, where {int(due)} are needed"
    idles = [power for power in (mean_power_w(before), mean_power_w(after)) if power is not None]
    if len(idles) < 2:
        return "the energy counter did not tick often enough while the GPU was idle"
    idle_w = statistics.mean(idles)
    if busy_w <= idle_w:
        return f"the GPU drew {busy_w:.1f} W at work and {idle_w:.1f} W idle"
    clocks = [look.sm_clock_mhz for look in busy if look.sm_clock_mhz is not None]
    heat = [look.temperature_c for look in busy if look.temperature_c is not None]
    return Energy(
        net_mj=1e-3 * (busy_w - idle_w) * latency_us,  # W × µs = µJ
        gross_mj=1e-3 * busy_w * latency_us,
        busy_w=busy_w,
        idle_w=idle_w,
        sensor_w=_sensor_w(busy),
        is_power_capped=POWER_CAP in _held_down(busy),
        sm_clock_mhz=min(clocks, default=None),
        temperature_c=max(heat, default=None),
    )


def edp_uj_s(energy_mj: float, latency_us: float) -> float:
    """The energy-delay product of one call: millijoules × microseconds are 1e-9 J·s."""
    return 1e-3 * energy_mj * latency_us


def _held_down(looks: Sequence[Look]) -> frozenset[str]:
    return frozenset[str]().union(*(look.throttles or () for look in looks))


def _sensor_w(looks: Sequence[Look]) -> float | None:
    """Power readings, integrated by trapezoids and divided by the time."""
    known = [(look.at_s, look.power_w) for look in looks if look.power_w is not None]
    if len(known) < 2 or known[-1][0] <= known[0][0]:
        return None
    area = sum(
        (after_s - before_s) * (before_w + after_w) / 2
        for (before_s, before_w), (after_s, after_w) in itertools.pairwise(known)
    )
    return area / (known[-1][0] - known[0][0])
