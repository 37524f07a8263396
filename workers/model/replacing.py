"""One of the two programs behind `regatta verify`: calls the model with the champions in it. Runs champions, so nothing that it
says is believed but the outputs, which another process compares (judging.py); its counts and times are its own word.

    python -m workers.model.replacing MODEL.py FOLDER DEVICE SEED TARGET,TARGET,…

FOLDER holds a TARGET.py each. Written there: outputs-N.pt, and report.json: {"mark", "variants": [{"targets", "why",
"tallies"}], "times_ms": {"as_it_is", "replaced"} or null}, or {"error": one line}. `why`: it did not come to its end. The first
variant has all champions, the others, where there are several, one each: so it can be said whose fault a wrong output is.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from workers.model.answering import Answering, AnsweringCalls, ChampionFailedError, Champions, Kernel
from workers.model.loading import Loaded, ModelError, forward, leaves, load, told
from workers.model.state import Buffers, mark

ROUNDS = 10  # of as it is, replaced, replaced, as it is


def main(model: str, folder: str, device: str, seed: str, targets: str) -> None:
    place = Path(folder)
    try:
        found = replaced(load(Path(model), device, int(seed)), place, int(seed), targets.split(","))
    except ModelError as error:
        found = {"error": str(error)}
    (place / "report.json").write_text(json.dumps(found), encoding="utf-8")


@torch.no_grad()
def replaced(loaded: Loaded, folder: Path, seed: int, targets: Sequence[str]) -> dict[str, Any]:
    signature, buffers = mark(loaded), Buffers(loaded.model)
    kernels: dict[str, Kernel] = {}
    broken: dict[str, str] = {}
    for target in targets:
        try:
            kernels[target] = _kernel(folder / f"{target}.py", target)
        except Exception as error:  # noqa: BLE001  the candidate's code
            broken[target] = f"kernel.py cannot be imported: {told(error)}"
    variants = [list(targets), *([each] for each in targets if len(targets) > 1)]
    rows = []
    for nth, wanted in enumerate(variants):
        buffers.restore()
        rows.append(_variant(loaded, folder / f"outputs-{nth}.pt", seed, wanted, kernels, broken))
    on_gpu = loaded.device.type == "cuda"
    times = _times(loaded, seed, kernels) if on_gpu and not broken and rows[0]["why"] is None else None
    return {"mark": signature, "variants": rows, "times_ms": times}


def _kernel(path: Path, target: str) -> Kernel:
    spec = importlib.util.spec_from_file_location(f"champion_{target}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    kernel: Kernel = module.kernel_fn
    return kernel


def _variant(
    loaded: Loaded, file: Path, seed: int, wanted: list[str], kernels: Mapping[str, Kernel], broken: Mapping[str, str]
) -> dict[str, Any]:  # fmt: skip
    interpreted = loaded.device.type == "cpu"
    champions = Champions({each: kernels[each] for each in wanted if each in kernels}, loaded.model, interpreted=interpreted)
    missing = [each for each in wanted if each in broken]
    if missing:
        return {"targets": wanted, "why": broken[missing[0]], "tallies": {}}
    why = None
    try:
        output = _under(champions, loaded, seed)
        torch.save([one.detach().cpu().contiguous() for one in leaves(output)], file)
    except ChampionFailedError as error:
        why = error.why if len(wanted) == 1 else str(error)
    except ModelError:
        raise
    except Exception as error:  # noqa: BLE001  the user's code, on what the candidate's answered
        why = f"the model failed: {told(error)}"
    tallies = {
        target: {"replaced": each.replaced, "copied": each.copied, "left": dict(each.left)}
        for target, each in champions.tallies.items()
    }
    return {"targets": wanted, "why": why, "tallies": tallies}


def _under(champions: Champions, loaded: Loaded, seed: int) -> Any:
    with Answering(champions) as below, AnsweringCalls(below):
        return forward(loaded, seed)


def _times(loaded: Loaded, seed: int, kernels: Mapping[str, Kernel]) -> dict[str, list[float]]:
    """Milliseconds of one call, interleaved. Both sides run under the modes, which cost the CPU something by themselves."""
    sides = {"as_it_is": Champions({}, loaded.model, interpreted=False)}
    sides["replaced"] = Champions(kernels, loaded.model, interpreted=False)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        for _ in range(3):
            _under(side, loaded, seed)
    for _ in range(ROUNDS):
        for name in ("as_it_is", "replaced", "replaced", "as_it_is"):
            begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()
            begun.record()
            _under(sides[name], loaded, seed)
            ended.record()
            torch.cuda.synchronize()
            times[name].append(begun.elapsed_time(ended))
    return times


if __name__ == "__main__":
    main(*sys.argv[1:])
