"""Numbers, times and counts as people read them. Pure; every view uses these, so that one number looks the same everywhere."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from orchestrator.events import Evidence

UNKNOWN = "–"


def number(value: float | None, error: float | None = None) -> str:
    """`value` to the digits that its standard error leaves meaningful (two of the error's); six where that is unknown."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    decimals = _decimals(error)
    return f"{value:.6g}" if decimals is None else f"{value:.{decimals}f}"


def with_error(mean: float | None, stderr: float | None) -> str:
    """1.6124 ± 0.0041"""
    if stderr is None or mean is None:
        return number(mean)
    return f"{number(mean, stderr)} ± {number(stderr, stderr)}"


def change(effect: float | None, stderr: float | None = None) -> str:
    """-0.0290 ± 0.0041, always with its sign."""
    if effect is None or not math.isfinite(effect):
        return UNKNOWN
    text = with_error(effect, stderr)
    return text if text.startswith("-") else f"+{text}"


def _decimals(error: float | None) -> int | None:
    if error is None or not math.isfinite(error) or error <= 0:
        return None
    return min(12, max(0, 1 - math.floor(math.log10(error))))


def improvement(mean: float | None, baseline: float | None, *, minimize: bool) -> float | None:
    """The share by which `mean` is better than `baseline`; negative when worse, None when it cannot be said."""
    if mean is None or baseline is None or baseline == 0:
        return None
    return (baseline - mean if minimize else mean - baseline) / abs(baseline)


def better(mean: float | None, baseline: float | None, *, minimize: bool) -> str | None:
    """As in "1.9 % better" or "0.30 % worse"; None where it cannot be said."""
    share = improvement(mean, baseline, minimize=minimize)
    if share is None:
        return None
    percent = abs(share) * 100
    digits = f"{percent:.3g}" if percent < 1 else f"{percent:.1f}" if percent < 100 else f"{percent:.0f}"
    return f"{digits} % {'better' if share >= 0 else 'worse'}"


def duration(seconds: float | None) -> str:
    """45 s, 12 min, 3 h 05 min, 2 d 4 h"""
    if seconds is None:
        return UNKNOWN
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def clock(at: float) -> str:
    """Local date and time."""
    return datetime.fromtimestamp(at, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def utc(at: float) -> str:
    """ISO 8601 in UTC, to the millisecond, for machines."""
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def probability(p: float) -> str:
    """A share as words would have it: "0.4 %", "less than 0.01 %"."""
    if p < 1e-4:
        return "less than 0.01 %"
    if p > 0.9999:
        return "more than 99.99 %"
    return f"{p * 100:.2g} %" if p < 0.1 else f"{p * 100:.1f} %" if p > 0.99 else f"{p * 100:.0f} %"


def odds(e_value: float) -> str:
    """An e-value without needless digits."""
    if e_value >= 1e6:
        return f"{e_value:.1e}".replace("e+0", "e").replace("e+", "e")
    return f"{e_value:,.0f}" if e_value >= 100 else f"{e_value:.2g}"


def comparison(evidence: Evidence, *, minimize: bool, against: str = "the champion's") -> str:
    """Its mean against the reference's, in words."""
    mean = number(evidence.mean, evidence.stderr)
    samples = f"over {plural(evidence.samples, 'trial')} (against {evidence.reference_samples})"
    if evidence.effect == 0:
        return f"its mean {mean} equals {against} {samples}"
    side = "lower" if evidence.effect < 0 else "higher"
    size = number(abs(evidence.effect), evidence.stderr)
    return (
        f"its mean {mean} is {size} {side} than {against} {number(evidence.reference_mean, evidence.stderr)}, "
        f"± {number(evidence.stderr, evidence.stderr)}, {samples}: {_called(evidence, minimize=minimize)}"
    )


def _called(evidence: Evidence, *, minimize: bool) -> str:
    loss = evidence.effect if minimize else -evidence.effect
    if loss < 0:
        return "better"
    return "within the margin" if loss < evidence.margin else "worse"


def with_and_without(evidence: Evidence, *, minimize: bool) -> str:
    """What blocks say: the trials with it against those without, in words."""
    counts = f"{plural(evidence.samples, 'trial')} with it and {evidence.reference_samples} without"
    samples = f"over {counts}, in {', '.join(evidence.blocks)}"
    if evidence.effect == 0:
        return f"the trials with it are neither lower nor higher than those without, {samples}"
    side = "lower" if evidence.effect < 0 else "higher"
    size = number(abs(evidence.effect), evidence.stderr)
    return (
        f"the trials with it are {size} {side} than those without, ± {number(evidence.stderr, evidence.stderr)}, all other "
        f"edits held apart, {samples}: {_called(evidence, minimize=minimize)}"
    )
