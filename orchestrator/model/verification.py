"""What `regatta verify` found, from what the two processes said. Pure. The one with the champions in it is believed only as far
as its words have the right form; whether outputs are right is what the other one says.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec


class Tally(msgspec.Struct, frozen=True):
    """As in workers/model/answering.py."""

    replaced: int
    copied: int
    left: dict[str, int]


class Variant(msgspec.Struct, frozen=True):
    """One run of the model with champions in it."""

    targets: list[str]
    why: str | None  # it did not come to its end
    tallies: dict[str, Tally]


class Report(msgspec.Struct, frozen=True):
    """What replacing.py wrote, or a champion in its place."""

    mark: list[float]
    variants: list[Variant]
    times_ms: dict[str, list[float]] | None


def report_of(found: object, targets: Sequence[str]) -> Report | None:
    """`found` as a report on these targets; None where it is none."""
    try:
        report = msgspec.convert(found, Report)
    except msgspec.ValidationError:
        return None
    due = [list(targets), *([each] for each in targets if len(targets) > 1)]
    return report if [each.targets for each in report.variants] == due else None


@dataclass(frozen=True, slots=True)
class Error:
    """The distance of a model's outputs from the oracle's: the greatest of all outputs."""

    norm: float
    worst: float


@dataclass(frozen=True, slots=True)
class Part:
    """One champion in the model."""

    target: str
    replaced: int  # calls
    copied: int  # operands that were not contiguous and had to be copied
    left: Mapping[str, int]  # calls that were not replaced, by the reason
    error: Error | None  # with this champion alone
    wrong: str | None  # why, if so


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether the champions do in the model what they did in their trials."""

    device: str
    device_name: str | None
    oracle: str  # in words
    own_error: Error | None  # of the unmodified model; None: not known
    error: Error | None  # with all champions
    wrong: str | None  # of all together
    parts: tuple[Part, ...]
    left_out: Mapping[str, str]
    as_it_is_ms: float | None  # median of one call; None: not measured
    replaced_ms: float | None

    @property
    def succeeded(self) -> bool:
        return (
            self.wrong is None and all(each.wrong is None for each in self.parts) and any(each.replaced for each in self.parts)
        )

    @property
    def ratio(self) -> float | None:
        return None if self.as_it_is_ms is None or not self.replaced_ms else self.as_it_is_ms / self.replaced_ms

    def as_json(self) -> dict[str, Any]:
        """Keys may be added; what is not known is null."""
        return {**asdict(self), "succeeded": self.succeeded, "ratio": self.ratio}


def verification(
    report: Report,
    verdict: Mapping[str, Any],
    targets: Sequence[str],
    left_out: Mapping[str, str],
    device: str,
    device_name: str | None,
) -> Verification:
    """`report`: replacing.py's; `verdict`: judging.py's."""
    errors = [_judged(nth, each, verdict) for nth, each in enumerate(report.variants)]
    parts = []
    for target in targets:
        nth = next(nth for nth, each in enumerate(report.variants) if each.targets == [target])
        tally = report.variants[nth].tallies.get(target, Tally(0, 0, {}))
        parts.append(Part(target, tally.replaced, tally.copied, tally.left, *errors[nth]))
    times = report.times_ms or {}
    medians = [statistics.median(times[side]) if times.get(side) else None for side in ("as_it_is", "replaced")]
    own = verdict.get("own")
    return Verification(
        device=device,
        device_name=device_name,
        oracle=str(verdict["oracle"]),
        own_error=None if own is None else Error(**own),
        error=errors[0][0],
        wrong=errors[0][1],
        parts=tuple(parts),
        left_out=dict(left_out),
        as_it_is_ms=medians[0],
        replaced_ms=medians[1],
    )


def _judged(nth: int, variant: Variant, verdict: Mapping[str, Any]) -> tuple[Error | None, str | None]:
    if variant.why is not None:
        return None, variant.why
    found = verdict["variants"].get(str(nth))
    if found is None:
        return None, "its process left no outputs"
    error = None if found["norm"] is None else Error(found["norm"], found["worst"])
    return error, found["reason"]
