"""What a fleet has gained for the whole model: Amdahl's law over its targets. Pure.

A ratio is a champion's mean over its baseline's, or the inverse where more is better: below 1 is a gain. Standard errors go
through both to first order; what is not known is None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Number:
    """A mean, and its standard error where that is known."""

    value: float
    stderr: float | None


UNCHANGED = Number(1.0, 0.0)  # the champion is the baseline


def ratio(baseline: Number, champion: Number, *, minimize: bool) -> Number | None:
    """None where a ratio says nothing: beside a number that is not above zero."""
    below, above = (baseline, champion) if minimize else (champion, baseline)
    if baseline.value <= 0 or champion.value <= 0:
        return None
    value = above.value / below.value
    if above.stderr is None or below.stderr is None:
        return Number(value, None)
    return Number(value, value * math.hypot(above.stderr / above.value, below.stderr / below.value))


def speed_up(shares: Mapping[str, float], ratios: Mapping[str, Number]) -> Number:
    """How many times as fast the targets are together: 1 / Σ share · ratio, the shares normalised.

    The shares are those of the targets' time at the baseline; time outside of them is not looked at.
    """
    whole = sum(shares.values())
    parts = {name: share / whole for name, share in shares.items()}
    factor = 1 / sum(part * ratios[name].value for name, part in parts.items())
    errors = [None if (error := ratios[name].stderr) is None else part * error for name, part in parts.items()]
    known = [error for error in errors if error is not None]
    return Number(factor, factor**2 * math.hypot(*known) if len(known) == len(errors) else None)
