"""Slots of inputs and their pokes on a device (a CPU here), and graphs over them with CUDA's own calls played by a stand-in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from workers.kernel.cases import Case, decode
from workers.kernel.inputs import build
from workers.kernel.inside.answers import flaw_of, poison
from workers.kernel.inside.rotation import Direct, Graphs, Rotation
from workers.kernel.inside.watched import CaptureError
from workers.kernel.pokes import pokes, replay_pokes
from workers.kernel.schedule import slot_call

INPUTS = [{"shape": [3, 50]}, {"shape": [50], "varies": False}, {"value": 2.0}, {"shape": [9], "fill": "index", "below": 5}]
CASE: Case = decode([{"name": "a", "role": "real", "dtype": "fp16", "inputs": INPUTS, "flops": 1, "bytes": 1, "small": True}])[
    0
]
SEED, SLOTS, HOSTILE = 3, 4, [1]


def rotation() -> Rotation:
    return Rotation(CASE, SEED, SLOTS, HOSTILE, "cpu")


def same(one: Any, other: Any) -> bool:
    return torch.equal(one, other) or bool(torch.allclose(one.double(), other.double(), rtol=0, atol=0, equal_nan=True))


@pytest.mark.parametrize("times", [0, 1, 5])
def test_a_slot_holds_what_another_process_works_out(times: int) -> None:
    here = rotation()
    for _ in range(times):
        here.poke()
    for slot in range(SLOTS):
        due = build(CASE, SEED, "cpu", call=slot_call(slot), adversarial=slot in HOSTILE)
        for nth in (0, 3):
            one = due[nth]
            assert isinstance(one, torch.Tensor)
            replay_pokes(one, pokes(CASE, nth, SEED, SLOTS), slot, times)
        assert all(same(mine, one) for mine, one in zip(here.slots[slot], due, strict=True) if torch.is_tensor(one))
        assert here.slots[slot][2] == 2.0


def test_slots_share_no_memory_and_are_aligned_as_tensors_of_their_own() -> None:
    for nth in (0, 1, 3):
        tensors = [slot[nth] for slot in rotation().slots]
        assert all(one.is_contiguous() for one in tensors)  # type: ignore[union-attr]
        places = [one.data_ptr() for one in tensors]  # type: ignore[union-attr]
        assert all((place - places[0]) % 512 == 0 for place in places)
        assert len(set(places)) == SLOTS


def test_a_replay_answers_for_what_the_slots_hold_by_then() -> None:
    here = rotation()
    direct = Direct(here, lambda x, w, factor, index: x * factor)
    took_s, singles = direct.replay(3)
    assert (len(singles), took_s >= sum(singles) * 0.99) == (3, True)
    assert all(same(out, slot[0] * 2.0) for out, slot in zip(direct.outputs, here.slots, strict=True))
    before = [out.clone() for out in direct.outputs]
    direct.control(2)  # pokes alone
    assert all(same(out, was) for out, was in zip(direct.outputs, before, strict=True))
    assert not same(direct.outputs[0], here.slots[0][0] * 2.0)


def test_poisoned_outputs_hold_nothing_of_before() -> None:
    floats, whole = torch.ones(3, dtype=torch.bfloat16), torch.ones(3, dtype=torch.int64)
    poison((floats, whole))
    assert bool(floats.isnan().all())
    assert whole.tolist() == [torch.iinfo(torch.int64).min] * 3


def test_an_answer_in_the_memory_of_an_input_is_flawed() -> None:
    x = torch.ones(4, 4)
    assert flaw_of(x.view(16), (x,)) == "an output lies in the memory of an input"
    assert flaw_of((), (x,)) == "kernel_fn returned an empty tuple"
    assert flaw_of(torch.ones(4, 4).t(), (x,)) == "an output is not contiguous"
    assert flaw_of((torch.ones(2), torch.ones(2)), (x,)) is None


# ---------------------------------------------------------------------------------------------------- graphs


class _Cuda:
    """CUDA's calls as far as `Graphs` makes them: a graph runs its calls when it is replayed; events are 1 ms apart."""

    def __init__(self) -> None:
        self.capturing, self.now_ms, self.replayed = False, 0.0, 0

    def graph(self, _: Any) -> Any:
        @contextlib.contextmanager
        def captured() -> Iterator[None]:
            self.capturing = True
            yield
            self.capturing = False

        return captured()

    def event(self, enable_timing: bool) -> Any:
        assert enable_timing
        made = SimpleNamespace(at_ms=0.0)

        def record() -> None:
            self.now_ms += 1.0
            made.at_ms = self.now_ms

        return SimpleNamespace(record=record, elapsed_time=lambda other: other.made.at_ms - made.at_ms, made=made)

    def replay(self) -> None:
        self.replayed += 1


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> _Cuda:
    made = _Cuda()
    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, value in {
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda _: contextlib.nullcontext(),
        "synchronize": lambda: None,
        "CUDAGraph": lambda: SimpleNamespace(replay=made.replay),
        "graph": made.graph,
        "Event": made.event,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return made


def test_a_graph_calls_once_a_slot_and_its_window_is_that_between_two_events(cuda: _Cuda) -> None:
    calls = []

    def call(x: torch.Tensor, *_: Any) -> torch.Tensor:
        calls.append(cuda.capturing)
        return x * 2

    graphs = Graphs(rotation(), call)
    assert calls.count(True) == SLOTS == len(graphs.outputs)
    assert calls[0] is False  # to compile and to load, before anything is captured
    device_s, singles = graphs.replay(300)
    assert cuda.replayed == 300
    assert (len(singles), singles[0]) == (256, pytest.approx(1e-3))
    assert device_s == pytest.approx(0.257)


def test_what_cannot_be_captured_breaks_a_rule_and_what_does_not_fit_is_a_failure(cuda: _Cuda) -> None:
    def failing(error: Exception) -> Any:
        def call(x: torch.Tensor, *_: Any) -> torch.Tensor:
            if cuda.capturing:
                raise error
            return x

        return call

    with pytest.raises(CaptureError, match="operation not permitted"):
        Graphs(rotation(), failing(RuntimeError("operation not permitted when stream is capturing")))
    with pytest.raises(torch.OutOfMemoryError):
        Graphs(rotation(), failing(torch.OutOfMemoryError("CUDA out of memory")))
