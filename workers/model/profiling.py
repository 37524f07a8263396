"""The program behind `regatta profile`: runs the user's model under torch.profiler and says what its time went to.

    python -m workers.model.profiling MODEL.py RESULT.json DEVICE STEPS BACKWARD(0 or 1)

Writes {"device", "name", "operations": [{"operation", "target", "sizes", "dtype", "why", "calls", "time_us"}]}, or
{"error": one line}. Time is self time: the device's on a GPU, the CPU's else. What a decomposed operation is made of counts as
that operation where one target does all of it.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from workers.model.loading import Loaded, ModelError, forward, leaves, load, told
from workers.model.operations import DTYPES, Argument, Fit, Found, NoFit, Operand, fit

SEED = 0
WARM_UP = 2  # calls: the first ones make libraries choose, allocate and compile


def main(model: str, result: str, device: str, steps: str, backward: str) -> None:
    place = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if place == "cuda" and not torch.cuda.is_available():
            raise ModelError("--device cuda: torch sees no GPU here; without --device it is profiled on the CPU")
        found = measured(load(Path(model), place, SEED), int(steps), backward == "1")
    except ModelError as error:
        found = {"error": str(error)}
    Path(result).write_text(json.dumps(found), encoding="utf-8")


def measured(loaded: Loaded, steps: int, backward: bool) -> dict[str, Any]:
    on_gpu = loaded.device.type == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    try:
        for _ in range(WARM_UP):
            _step(loaded, backward)
        with profile(activities=kinds, record_shapes=True) as profiler:
            for _ in range(steps):
                _step(loaded, backward)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"the model failed on its inputs: {told(error)}") from error
    rows = _counted(profiler, on_gpu)
    name = torch.cuda.get_device_name(loaded.device) if on_gpu else None
    return {"device": loaded.device.type, "name": name, "operations": rows}


def _step(loaded: Loaded, backward: bool) -> None:
    with torch.set_grad_enabled(backward):
        output = forward(loaded, SEED)
        if backward:
            torch.autograd.backward(_loss(output))
            loaded.model.zero_grad(set_to_none=True)
    if loaded.device.type == "cuda":
        torch.cuda.synchronize()


def _loss(output: Any) -> torch.Tensor:
    """The first scalar that has a gradient, as most models return their loss; else the sum of all that has one."""
    with_gradient = [one for one in leaves(output) if one.requires_grad]
    if not with_gradient:
        raise ModelError("--backward: no output of the model has a gradient")
    scalars = [one for one in with_gradient if not one.dim()]
    return scalars[0] if scalars else torch.stack([one.float().sum() for one in with_gradient]).sum()


# ------------------------------------------------------------------------------------------------ counting


def _counted(profiler: Any, on_gpu: bool) -> list[dict[str, Any]]:
    """One row for each operation, target, sizes and type."""
    recorded = profiler.profiler.kineto_results.events()
    types = {event.correlation_id(): event.dtypes() for event in recorded if event.dtypes()}  # kernels have none, and like ids
    rows: dict[tuple[object, ...], dict[str, Any]] = {}
    for event in profiler.events():
        if event.device_type.name != "CPU":
            continue  # a kernel: its time is on the operation that launched it
        time_us = float(event.self_device_time_total if on_gpu else event.self_cpu_time_total)
        owner, found = _owner(event, types)
        fits = isinstance(found, Fit)
        key = (owner.name, found) if fits else (owner.name, tuple(map(str, owner.input_shapes)))
        row = rows.setdefault(key, _row(_name(owner.name), found, _shapes(owner)))
        row["times_us"].setdefault((event.name, str(event.input_shapes)), []).append(time_us)
        if event is owner:
            row["calls"] += found.calls if isinstance(found, Fit) else 1
    for row in rows.values():
        alike = row.pop("times_us").values()
        row["time_us"] = sum(statistics.median(times) * len(times) for times in alike)  # an interruption is not the model's
    return list(rows.values())


def _row(operation: str, found: Found, shapes: list[list[int]]) -> dict[str, Any]:
    row: dict[str, Any] = {"operation": operation, "shapes": shapes, "calls": 0, "times_us": {}}
    if isinstance(found, Fit):
        return row | {"target": found.target, "sizes": list(found.sizes), "dtype": found.dtype, "why": None}
    return row | {"target": None, "sizes": [], "dtype": None, "why": found.why}


def _owner(event: Any, types: dict[int, Sequence[str]]) -> tuple[Any, Found]:
    """The outermost operation around this one, or itself, that a target does; else the event itself, and why none does."""
    owner, found = event, fit(_name(event.name), _arguments(event, types))
    around = event.cpu_parent
    if isinstance(found, Fit) and around is not None and _name(around.name) == "mean":
        found = NoFit("it is the sum in a mean")
    while around is not None:
        outer = fit(_name(around.name), _arguments(around, types))
        if isinstance(outer, Fit):
            owner, found = around, outer
        around = around.cpu_parent
    return owner, found


def _name(name: str) -> str:
    """Autograd's own steps have names as many as there are operations; they count as one."""
    return "autograd" if name.startswith("autograd::") or name.endswith("Backward0") else name.removeprefix("aten::")


def _shapes(event: Any) -> list[list[int]]:
    return [list(shape) for shape in event.input_shapes if shape and all(isinstance(size, int) for size in shape)]


def _arguments(event: Any, types: dict[int, Sequence[str]]) -> list[Argument]:
    kinds = types.get(event.id, ())
    return list(_read(event.input_shapes or (), kinds, event.concrete_inputs or ()))


def _read(shapes: Sequence[Any], kinds: Sequence[str], values: Sequence[Any]) -> Iterable[Argument]:
    for nth, shape in enumerate(shapes):
        kind = kinds[nth] if nth < len(kinds) else ""
        value = values[nth] if nth < len(values) else None
        if kind in ("", "Scalar", "ScalarList", "TensorList"):
            yield value
        else:
            yield Operand(tuple(shape), DTYPES.get(kind, kind))


if __name__ == "__main__":
    main(*sys.argv[1:])
