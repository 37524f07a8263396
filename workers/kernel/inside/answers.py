"""What a kernel returned, looked at where it runs: whether it can be compared at all, and its bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch


def flaw_of(answer: Any, inputs: Sequence[Any]) -> str | None:
    """Why an answer is no output, or outputs, that could be compared."""
    outputs = answer if isinstance(answer, tuple) else (answer,)
    if not outputs:
        return "kernel_fn returned an empty tuple"
    return next((flaw for output in outputs if (flaw := _flaw(output, inputs)) is not None), None)


def described(answer: Any) -> dict[str, Any]:
    """The form of an answer without a flaw, as messages have it."""
    outputs = answer if isinstance(answer, tuple) else (answer,)
    forms = [{"dtype": str(each.dtype).removeprefix("torch."), "shape": list(each.shape)} for each in outputs]
    return {"outputs": forms, "is_tuple": isinstance(answer, tuple)}


def same(one: Any, was: Any) -> bool:
    """To the last bit."""
    if not isinstance(one, torch.Tensor):
        return bool(one == was)
    return torch.equal(one.reshape(-1).view(torch.uint8), was.reshape(-1).view(torch.uint8))


def write(answer: Any, descriptor: int) -> None:
    """The bytes of an answer, one output after another, into a file."""
    at = 0
    for output in answer if isinstance(answer, tuple) else (answer,):
        data = memoryview(output.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        while data:
            written = os.pwrite(descriptor, data, at)
            data, at = data[written:], at + written


def poison(answer: Any) -> None:
    """Let nothing of an answer stay: what is read later was written later."""
    for output in answer if isinstance(answer, tuple) else (answer,):
        output.fill_(float("nan") if output.is_floating_point() else torch.iinfo(output.dtype).min)


def _flaw(output: Any, inputs: Sequence[Any]) -> str | None:
    if type(output) is not torch.Tensor:
        return f"kernel_fn returned {type(output).__qualname__}; due are plain tensors"
    if output.layout != torch.strided or not output.is_contiguous():
        return "an output is not contiguous"
    devices = {str(one.device) for one in inputs if isinstance(one, torch.Tensor)}
    if str(output.device) not in devices:
        return f"an output is on {output.device}; due is {', '.join(sorted(devices))}"
    theirs = {one.untyped_storage().data_ptr() for one in inputs if isinstance(one, torch.Tensor) and one.numel()}
    if output.numel() and output.untyped_storage().data_ptr() in theirs:
        return "an output lies in the memory of an input"
    return None
