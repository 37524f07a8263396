"""MODEL.py: a file of the user's that defines `model()` and `inputs()`. Runs in the process that runs the model."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

NEEDED = "it must define model() -> torch.nn.Module and inputs() -> a tuple of tensors"
_MODULE = "model_of_the_user"  # not the file's own name, which may be that of a library


class ModelError(Exception):
    """MODEL.py is not what it should be, or fails: one line for its author."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model on its device, with what it is called with."""

    model: torch.nn.Module
    inputs: tuple[Any, ...]
    device: torch.device


def load(path: Path, device: str, seed: int) -> Loaded:
    """What MODEL.py makes after `torch.manual_seed(seed)`. Raises `ModelError`."""
    sys.path.insert(0, str(path.parent))  # it may import its neighbours
    module = _module(path)
    torch.manual_seed(seed)
    model = _called(module, "model")
    if not isinstance(model, torch.nn.Module):
        raise ModelError(f"model() returned {_kind(model)}; {NEEDED}")
    inputs = _called(module, "inputs")
    if not isinstance(inputs, tuple) or not any(isinstance(one, torch.Tensor) for one in inputs):
        raise ModelError(f"inputs() returned {_kind(inputs)}; {NEEDED}")
    place = torch.device(device)
    try:
        moved = tuple(one.to(place) if isinstance(one, torch.Tensor) else one for one in inputs)
        return Loaded(model.to(place), moved, place)
    except Exception as error:
        raise ModelError(f"cannot be brought to {device}: {told(error)}") from error


def forward(loaded: Loaded, seed: int, inputs: Sequence[Any] | None = None) -> Any:
    """One call of the model, with the same random numbers each time."""
    torch.manual_seed(seed)
    return loaded.model(*(loaded.inputs if inputs is None else inputs))


def leaves(output: Any) -> list[torch.Tensor]:
    """The tensors in what a model returned, in a fixed order. Raises `ModelError` where there is none."""
    found = [one for one in torch.utils._pytree.tree_leaves(output) if isinstance(one, torch.Tensor)]
    if not found:
        raise ModelError(f"the model returned {_kind(output)}; allowed: tensors, or tuples, lists and dicts of them")
    return found


def told(error: BaseException, most: int = 400) -> str:
    """An exception of the user's code in one line, with the place in which it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:most] + where


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"is no Python file; {NEEDED}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ModelError(f"cannot be imported: {told(error)}") from error
    return module


def _called(module: ModuleType, name: str) -> Any:
    function = getattr(module, name, None)
    if not callable(function):
        raise ModelError(f"defines no {name}(); {NEEDED}")
    try:
        return function()
    except Exception as error:
        raise ModelError(f"{name}() failed: {told(error)}") from error


def _kind(value: object) -> str:
    return f"a {type(value).__qualname__}"
