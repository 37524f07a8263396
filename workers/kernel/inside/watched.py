"""What a candidate does beside its kernels, seen while one call is made: launches by name, and operations of torch's.

The static check knows names in a text; this sees what runs. It is the candidate's own process, so what is told is evidence
against honest mistakes and common tricks, and no proof.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import triton
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from triton.runtime.autotuner import Autotuner
from triton.runtime.interpreter import InterpretedFunction
from triton.runtime.jit import JITFunction


class CaptureError(Exception):
    """What a call did cannot be part of a CUDA graph: it waited for the device, or used a stream of its own."""


@dataclass(slots=True)
class Seen:
    """In one call."""

    launches: list[str] = field(default_factory=list)
    operations: set[str] = field(default_factory=set)


_seen: list[Seen] = []


def install(device: str) -> None:
    """Once a process, before anything of the candidate's is imported."""
    if device == "cpu":
        Autotuner.run = _run_first
        InterpretedFunction.run = _noting(InterpretedFunction.run, interprets=True)
    else:
        JITFunction.run = _noting(JITFunction.run, interprets=False)
        triton.set_allocator(_scratch)  # what tensor descriptors that a kernel makes need


@contextlib.contextmanager
def seen() -> Iterator[Seen]:
    """All that happens in the block."""
    noted = Seen()
    _seen.append(noted)
    try:
        with _Operations(noted):
            yield noted
    finally:
        _seen.pop()


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """What is done by us in between."""
    with _disable_current_modes():
        yield


@contextlib.contextmanager
def empty_is_poisoned() -> Iterator[None]:
    """torch.empty gives NaN, so that what a kernel leaves out is seen. It costs time: not for what is timed."""
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which imports torch's compiler as well
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode("default")


def rule(error: Exception) -> str:
    """Under which name an error is told: `capture` breaks a rule, the others are failures."""
    if isinstance(error, CaptureError):
        return "capture"
    return "memory" if isinstance(error, torch.OutOfMemoryError) else "error"


def _scratch(size: int, _alignment: int, _stream: int | None) -> torch.Tensor:
    return torch.empty(size, dtype=torch.int8, device="cuda")


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the names of torch's operations, and changes nothing."""

    def __init__(self, noted: Seen) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._noted = noted

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._noted.operations.add(str(func.overloadpacket.__name__))
        return func(*args, **(kwargs or {}))


def _noting(run: Callable[..., Any], *, interprets: bool) -> Callable[..., Any]:
    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _seen and not kwargs.get("warmup"):
            _seen[-1].launches.append(self.fn.__name__)
        with _disable_current_modes() if interprets else contextlib.nullcontext():  # the interpreter itself uses torch
            return run(self, *args, **kwargs)

    return noted


def _run_first(self: Any, *args: Any, **kwargs: Any) -> Any:
    """An autotuned kernel has nothing to choose by here."""
    return self.fn.run(*args, **kwargs, **self.configs[0].all_kwargs())
