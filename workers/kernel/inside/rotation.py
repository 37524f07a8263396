"""Slots of inputs that take turns, on the device, and how an implementation runs over them: as a CUDA graph, or directly.

Memory of a slot's inputs is its own, weights included, so that a call finds nothing of the calls before it in the L2 cache.
On a CPU (Triton's interpreter) the same calls are made one by one.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from workers.kernel.cases import Case, ScalarInput, TensorInput
from workers.kernel.inputs import build, torch_dtype
from workers.kernel.inside.watched import CaptureError
from workers.kernel.pokes import ROWS, pokes
from workers.kernel.schedule import slot_call

Arguments = tuple[torch.Tensor | float | int, ...]
_ALIGNED = 512  # bytes, as torch's allocator gives: Triton's specialisation of a slot is that of a tensor by itself
_MOST_EVENTS = 256
_WARM_UPS = 3


class Rotation:
    """Slots with the content of `schedule.slot_call`, and the pokes that change it."""

    def __init__(self, case: Case, seed: int, slots: int, adversarial: Sequence[int], device: str) -> None:
        self._row = torch.zeros(1, dtype=torch.int64, device=device)
        self._poked: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        places = [self._memory(case, nth, seed, slots, device) for nth in range(len(case.inputs))]
        self.poke()  # what is launched for the first time while a graph is captured may not load
        self._row.zero_()
        for slot in range(slots):
            content = build(case, seed, device, call=slot_call(slot), adversarial=slot in adversarial)
            for place, one in zip(places, content, strict=True):
                if place is not None and isinstance(one, torch.Tensor):
                    place[slot].copy_(one)
        self.slots: list[Arguments] = [
            tuple(
                one.value if isinstance(one, ScalarInput) else place[slot]  # type: ignore[index]
                for one, place in zip(case.inputs, places, strict=True)
            )
            for slot in range(slots)
        ]

    def poke(self) -> None:
        """Before a replay: a few elements of every input that varies, in all slots."""
        for flat, positions, values in self._poked:
            where = positions.index_select(0, self._row).view(-1)
            flat.scatter_(0, where, values.index_select(0, self._row).view(-1))
        self._row.add_(1).remainder_(ROWS)

    def _memory(self, case: Case, nth: int, seed: int, slots: int, device: str) -> list[torch.Tensor] | None:
        one = case.inputs[nth]
        if not isinstance(one, TensorInput):
            return None
        dtype = torch_dtype(one.dtype)
        unit = _ALIGNED // dtype.itemsize
        apart = -(-one.elements // unit) * unit
        flat = torch.zeros(slots * apart, dtype=dtype, device=device)
        if one.varies:
            table = pokes(case, nth, seed, slots)
            positions = table.positions + apart * torch.arange(slots).view(1, slots, 1)
            self._poked.append((flat, positions.to(device), table.values.to(device)))
        return [flat[slot * apart :][: one.elements].view(one.shape) for slot in range(slots)]


class Running(Protocol):
    """An implementation that is ready to be timed."""

    outputs: list[Any]  # of the latest replay, a slot each

    def replay(self, times: int) -> tuple[float, list[float]]:
        """Pokes and calls; seconds by the device's own clock, all together and of single replays."""

    def control(self, times: int) -> tuple[float, list[float]]:
        """Pokes alone."""


class Graphs:
    """On a GPU: what is replayed was captured before, and no line of Python's takes part."""

    def __init__(self, rotation: Rotation, call: Callable[..., Any]) -> None:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for turn in range(_WARM_UPS):
                call(*rotation.slots[turn % len(rotation.slots)])
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        self._pokes = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._pokes):
            rotation.poke()
        self._calls = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(self._calls):
                rotation.poke()
                self.outputs = [call(*arguments) for arguments in rotation.slots]
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise CaptureError(f"a call cannot be captured in a CUDA graph: {error}") from error
        torch.cuda.synchronize()

    def replay(self, times: int) -> tuple[float, list[float]]:
        return _between_events(self._calls, times)

    def control(self, times: int) -> tuple[float, list[float]]:
        return _between_events(self._pokes, times)


def _between_events(graph: torch.cuda.CUDAGraph, times: int) -> tuple[float, list[float]]:
    noted = min(times, _MOST_EVENTS)
    events = [_event() for _ in range(noted + 1)]
    last = _event()
    events[0].record()
    for turn in range(times):
        graph.replay()
        if turn < noted:
            events[turn + 1].record()
    last.record()
    torch.cuda.synchronize()  # the whole device: work on another stream is waited for too
    singles = [1e-3 * before.elapsed_time(after) for before, after in itertools.pairwise(events)]
    return 1e-3 * events[0].elapsed_time(last), singles


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


class Direct:
    """On a CPU: the calls themselves."""

    def __init__(self, rotation: Rotation, call: Callable[..., Any]) -> None:
        self._rotation, self._call = rotation, call
        self.outputs = [call(*arguments) for arguments in rotation.slots]

    def replay(self, times: int) -> tuple[float, list[float]]:
        return self._timed(times, self._once)

    def control(self, times: int) -> tuple[float, list[float]]:
        return self._timed(times, self._rotation.poke)

    def _once(self) -> None:
        self._rotation.poke()
        self.outputs = [self._call(*arguments) for arguments in self._rotation.slots]

    def _timed(self, times: int, once: Callable[[], None]) -> tuple[float, list[float]]:
        stamps = [time.perf_counter()]
        for _ in range(times):
            once()
            stamps.append(time.perf_counter())
        singles = [after - before for before, after in itertools.pairwise(stamps)]
        return stamps[-1] - stamps[0], singles[:_MOST_EVENTS]


def running(rotation: Rotation, call: Callable[..., Any], device: str) -> Running:
    return Graphs(rotation, call) if device == "cuda" else Direct(rotation, call)
