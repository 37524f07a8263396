"""The other program behind `regatta verify`: what the model answers as it is, and how far the answers with champions are off.
Runs the user's model and nothing of any champion's; reads what replacing.py saved as data.

    python -m workers.model.judging MODEL.py FOLDER DEVICE SEED VARIANTS

FOLDER holds outputs-N.pt of each variant that came to its end, and mark.json. Written there: verdict.json: {"oracle", "own":
{"norm", "worst"} or null, "variants": {N: {"reason", "norm", "worst"}}}, or {"error": one line}.

The oracle is the model itself in fp64. A replaced model may be twice as far from it as the unmodified one, plus the floor of
the type (workers/kernel/oracle.py); whole numbers may differ from the oracle's in twice as many places. Where the model cannot
be raised to fp64, or draws random numbers (dropout), which are others there, the oracle is the unmodified model, and eight
floors are allowed.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from workers.kernel.oracle import CREDIBLE, FLOORS, output_error
from workers.model.loading import Loaded, ModelError, forward, leaves, load, told
from workers.model.state import Buffers, mark

RANDOM = "as it draws random numbers, which are others in fp64: call .eval() in model() for a sharper oracle"
FACTOR = 2.0  # times the unmodified model's own error


@dataclass(frozen=True, slots=True)
class Truth:
    """One output as it should be."""

    own: torch.Tensor  # of the unmodified model
    oracle: torch.Tensor
    is_raised: bool


def main(model: str, folder: str, device: str, seed: str, variants: str) -> None:
    place = Path(folder)
    try:
        found = judged(load(Path(model), device, int(seed)), place, int(seed), [int(each) for each in variants.split(",")])
    except ModelError as error:
        found = {"error": str(error)}
    (place / "verdict.json").write_text(json.dumps(found), encoding="utf-8")


@torch.no_grad()
def judged(loaded: Loaded, folder: Path, seed: int, variants: Sequence[int]) -> dict[str, Any]:
    marks = zip(mark(loaded), json.loads((folder / "mark.json").read_text()), strict=False)
    if not all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in marks):
        raise ModelError("model() or inputs() makes something else each time: let torch.manual_seed decide all of it")
    truths, how = _truths(loaded, seed)
    floats = [each for each in truths if each.own.is_floating_point()]
    errors = [output_error(each.own, each.oracle) for each in floats if each.is_raised]
    own = {"norm": max(e.norm for e in errors), "worst": max(e.worst for e in errors)} if errors else None
    return {
        "oracle": how,
        "own": own,
        "variants": {str(nth): _verdict(folder / f"outputs-{nth}.pt", truths) for nth in variants},
    }


def _truths(loaded: Loaded, seed: int) -> tuple[list[Truth], str]:
    buffers = Buffers(loaded.model)
    try:
        own, other = (_outputs(loaded, buffers, each, loaded.inputs) for each in (seed, seed + 1))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"the model failed on its inputs: {told(error)}") from error
    if not all(torch.equal(*map(_without_nan, pair)) for pair in zip(own, other, strict=True)):
        return [Truth(one, one, False) for one in own], f"the unmodified model, {RANDOM}"
    buffers.restore()
    try:
        loaded.model.double()
        raised = [one.double() if isinstance(one, torch.Tensor) and one.is_floating_point() else one for one in loaded.inputs]
        oracle = _outputs(loaded, Buffers(loaded.model), seed, raised)
        if any(one.is_floating_point() and one.dtype != torch.float64 for one in oracle) or len(oracle) != len(own):
            raise TypeError("it answers in a type of its own")
    except Exception as error:  # noqa: BLE001  the user's code: many models name a type somewhere
        return [Truth(one, one, False) for one in own], f"the unmodified model, which cannot be raised to fp64: {told(error)}"
    return [Truth(*pair, True) for pair in zip(own, oracle, strict=True)], "the model in fp64"


def _without_nan(one: torch.Tensor) -> torch.Tensor:
    return one.nan_to_num() if one.is_floating_point() else one


def _outputs(loaded: Loaded, buffers: Buffers, seed: int, inputs: Sequence[Any]) -> list[torch.Tensor]:
    buffers.restore()
    return [one.cpu().contiguous() for one in leaves(forward(loaded, seed, inputs))]


def _verdict(file: Path, truths: Sequence[Truth]) -> dict[str, Any]:
    try:
        outputs = torch.load(file, weights_only=True)
    except Exception as error:  # noqa: BLE001  a file that the candidate's process wrote
        return {"reason": f"its outputs cannot be read: {told(error)}", "norm": None, "worst": None}
    if not isinstance(outputs, list) or len(outputs) != len(truths):
        return {"reason": f"it has {len(outputs)} outputs; due are {len(truths)}", "norm": None, "worst": None}
    reason, norm, worst = None, 0.0, 0.0
    for nth, (output, truth) in enumerate(zip(outputs, truths, strict=True)):
        found = _form(output, truth) or _whole_numbers(output, truth)
        if found is None and truth.own.is_floating_point():
            off = output_error(output, truth.oracle)
            norm, worst = max(norm, off.norm), max(worst, off.worst)
            found = _too_far(output, truth)
        if found is not None and reason is None:
            reason = found if len(truths) == 1 else f"output {nth}: {found}"
    return {"reason": reason, "norm": norm, "worst": worst}


def _form(output: object, truth: Truth) -> str | None:
    if not isinstance(output, torch.Tensor) or output.shape != truth.own.shape or output.dtype != truth.own.dtype:
        return "it has another shape or type than the unmodified model's"
    if output.is_floating_point() and not torch.equal(torch.isfinite(output), torch.isfinite(truth.own)):
        return "it is not finite where the unmodified model's is, or the other way round"
    return None


def _whole_numbers(output: torch.Tensor, truth: Truth) -> str | None:
    if output.is_floating_point() or output.is_complex():
        return None
    off, allowed = int((output != truth.oracle).sum()), FACTOR * int((truth.own != truth.oracle).sum())
    return f"{off} whole numbers differ, allowed are {allowed:.0f}" if off > allowed else None


def _too_far(output: torch.Tensor, truth: Truth) -> str | None:
    floor = FLOORS.get(str(output.dtype).removeprefix("torch."), 0.0)
    found, own = output_error(output, truth.oracle), output_error(truth.own, truth.oracle)
    for name in ("norm", "worst"):
        error, its = getattr(found, name), getattr(own, name)
        limit = FACTOR * its + floor if truth.is_raised else CREDIBLE * floor
        if not error <= limit:
            what = "largest" if name == "worst" else name
            return f"its {what} error is {error:.2e}, allowed are {limit:.2e} (the unmodified model's own: {its:.2e})"
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
