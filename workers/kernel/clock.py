"""Windows of back-to-back work, timed by the worker, and what they say of one call. Pure.

A window is `replays` replays of a graph that goes through all slots; the worker's clock runs from its word to the answer. A
control window replays the pokes alone (pokes.py), with the same number of replays, the same messages and the same waking
up, and is taken off. What the process's own device events say is compared and never used: it runs the candidate's code.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_APART_SHARE = 0.05  # by which the worker's clock and the process's may differ, if that is more than
_APART_S = 50e-6
_WAKING_S = 50e-6  # the worker's clock is that uncertain in one window: sockets and the scheduler


@dataclass(frozen=True, slots=True)
class Window:
    """One window, or one control window."""

    implementation: str
    replays: int
    worker_s: float
    device_s: float  # as the process says
    replays_s: tuple[float, ...] = ()  # of single replays, as the process says; the first ones of many
    is_control: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """One call of one implementation on one case."""

    latency_us: float  # median of the windows
    p20_us: float
    p80_us: float
    windows_us: tuple[float, ...]  # in the order in which they were measured
    error_us: float  # of one window, by the worker's clock
    replay_p20_us: float | None = None  # over single replays, as the process says: shown, never used
    replay_p80_us: float | None = None


def timing(windows: Sequence[Window], slots: int) -> Timing:
    """From all windows of one implementation on one case, control ones among them. No time is below what the clock can tell."""
    control_s = statistics.median([window.worker_s for window in windows if window.is_control] or [0.0])
    full = [window for window in windows if not window.is_control]
    error_us = 1e6 * _WAKING_S / (min(window.replays for window in full) * slots)
    found = tuple(max(error_us, 1e6 * (each.worker_s - control_s) / (each.replays * slots)) for each in full)
    poked_s = statistics.median([each.device_s / each.replays for each in windows if each.is_control] or [0.0])
    replays_us = [1e6 * (replay_s - poked_s) / slots for window in full for replay_s in window.replays_s]
    return Timing(
        statistics.median(found),
        quantile(found, 0.2),
        quantile(found, 0.8),
        found,
        error_us,
        quantile(replays_us, 0.2) if replays_us else None,
        quantile(replays_us, 0.8) if replays_us else None,
    )


def longer_inside(windows: Sequence[Window]) -> str | None:
    """Why the process's events cannot be true: they tell of more time than passed outside. None where they do not."""
    for window in windows:
        if window.device_s - window.worker_s > max(_APART_SHARE * window.worker_s, _APART_S):
            return (
                f"the process's events say {1e6 * window.device_s:.0f} us of a window that took {1e6 * window.worker_s:.0f} us "
                "by the worker's clock"
            )
    return None


def shorter_inside(windows: Sequence[Window]) -> str | None:
    """Why the two clocks do not agree, control windows taken off: outside more time passes than the device's work explains.

    The worker's clock counts, so nobody gains by it: a machine that is too busy to be a clock, most likely.
    """
    outside, inside = (_net_s(windows, which) for which in ("worker_s", "device_s"))
    if outside - inside <= max(_APART_SHARE * outside, _APART_S):
        return None
    return (
        f"a window took {1e6 * outside:.0f} us by the worker's clock and {1e6 * inside:.0f} us by the process's events, "
        "control windows taken off"
    )


def speed_up(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times as fast we are, from windows that took turns as A B B A: of a round's sums, an even drift cancels."""
    rounds = [sum(theirs[at : at + 2]) / sum(ours[at : at + 2]) for at in range(0, min(len(ours), len(theirs)) - 1, 2)]
    return geometric_mean(rounds)


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive numbers, one at least."""
    return math.exp(sum(map(math.log, values)) / len(values))


def quantile(values: Sequence[float], share: float) -> float:
    """By linear interpolation between the sorted values."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _net_s(windows: Sequence[Window], which: str) -> float:
    control = statistics.median([getattr(window, which) for window in windows if window.is_control] or [0.0])
    return float(statistics.median([getattr(window, which) - control for window in windows if not window.is_control]))
