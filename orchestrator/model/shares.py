"""What a model's time goes to, from what the profiler counted: ranked, and by target. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

LEAST_SHARE = 0.005  # of the time: an operation with less is not worth a campaign
MOST_SHAPES = 8  # of a target: those with the most time


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of calls that are alike."""

    sizes: tuple[int, ...]  # as the target's `case` takes them
    dtype: str
    calls: int  # of the target's kernel, in one step
    share: float


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the table: an operation, as far as it goes to one target or to none."""

    name: str
    target: str | None
    why: str | None  # why no target does it
    share: float
    calls: int  # of the operation, in one step
    shapes: tuple[str, ...]  # the largest, as text


@dataclass(frozen=True, slots=True)
class Profile:
    """What a model's time goes to."""

    device: str  # cpu or cuda
    device_name: str | None  # of a GPU
    steps: int
    step_us: float  # self time of everything, of one step
    operations: tuple[Operation, ...]  # by share
    shapes: Mapping[str, tuple[Shape, ...]]  # by target, those with the most time first

    @property
    def targets(self) -> dict[str, float]:
        """The share of each target's operations, the greatest first; those that are worth a campaign."""
        shares: dict[str, float] = {}
        for each in self.operations:
            if each.target is not None:
                shares[each.target] = shares.get(each.target, 0.0) + each.share
        return {name: shares[name] for name in sorted(shares, key=lambda one: -shares[one]) if shares[name] >= LEAST_SHARE}

    def as_json(self) -> dict[str, Any]:
        return {
            "device": self.device,
            "device_name": self.device_name,
            "steps": self.steps,
            "step_us": self.step_us,
            "operations": [asdict(each) for each in self.operations],
            "targets": self.targets,
        }


def profile_of(found: Mapping[str, Any], steps: int) -> Profile:
    """`found`: what workers/model/profiling.py wrote."""
    rows = _without_half_losses(found["operations"])
    whole = sum(row["time_us"] for row in rows) or 1.0
    return Profile(
        device=found["device"],
        device_name=found["name"],
        steps=steps,
        step_us=whole / steps,
        operations=_operations(rows, whole, steps),
        shapes=_shapes(rows, whole, steps),
    )


def _without_half_losses(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A log-softmax is half a cross-entropy only where a negative log-likelihood of the same logits follows."""
    halves = {("_log_softmax", "nll_loss_forward"), ("_log_softmax_backward_data", "nll_loss_backward")}
    there = {(row["operation"], tuple(row["sizes"])) for row in rows}
    kept = []
    for row in rows:
        others = [{a: b, b: a}.get(row["operation"]) for a, b in halves]
        partner = next((one for one in others if one is not None), None)
        alone = row["target"] is not None and partner is not None and (partner, tuple(row["sizes"])) not in there
        kept.append({**row, "target": None, "why": "no loss of classes goes with it"} if alone else dict(row))
    return kept


def _operations(rows: Sequence[Mapping[str, Any]], whole: float, steps: int) -> tuple[Operation, ...]:
    groups: dict[tuple[str, str | None], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["operation"], row["target"]), []).append(row)
    made = []
    for (name, target), members in groups.items():
        members.sort(key=lambda row: -row["time_us"])
        time_us = sum(row["time_us"] for row in members)
        if time_us > 0:
            calls = round(sum(row["calls"] for row in members) / steps)
            texts = tuple(dict.fromkeys(text for text in map(_shape_text, members) if text))
            made.append(Operation(name, target, members[0]["why"], time_us / whole, calls, texts[:3]))
    return tuple(sorted(made, key=lambda each: -each.share))


def _shape_text(row: Mapping[str, Any]) -> str:
    if row["target"] is not None:
        return f"{'×'.join(map(str, row['sizes']))} {row['dtype']}"
    return ", ".join("×".join(map(str, shape)) for shape in row["shapes"][:2])


def _shapes(rows: Sequence[Mapping[str, Any]], whole: float, steps: int) -> dict[str, tuple[Shape, ...]]:
    sums: dict[tuple[str, tuple[int, ...], str], tuple[float, int]] = {}
    for row in rows:
        if row["target"] is not None:
            key = (row["target"], tuple(row["sizes"]), row["dtype"])
            time_us, calls = sums.get(key, (0.0, 0))
            sums[key] = (time_us + row["time_us"], calls + row["calls"])
    found: dict[str, list[Shape]] = {}
    for (target, sizes, dtype), (time_us, calls) in sorted(sums.items(), key=lambda item: -item[1][0]):
        shape = Shape(sizes, dtype, max(1, round(calls / steps)), time_us / whole)
        if len(found.setdefault(target, [])) < MOST_SHAPES:
            found[target].append(shape)
    return {target: tuple(shapes) for target, shapes in found.items()}
