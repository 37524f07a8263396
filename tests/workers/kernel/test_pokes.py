"""Pokes: what a slot's inputs are after n replays can be told without having replayed."""

from __future__ import annotations

import pytest
import torch

from workers.kernel.cases import Case, decode
from workers.kernel.inputs import build
from workers.kernel.pokes import ELEMENTS, ROWS, pokes, replay_pokes


def case(**one: object) -> Case:
    row = {"name": "a", "role": "real", "dtype": "fp32", "inputs": [one], "flops": 1, "bytes": 1, "small": True}
    return decode([row])[0]


SHAPES = [[3, 5], [2], [64, 33], [1]]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("replays", [0, 1, 7, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 5])
def test_so_many_replays_at_once_are_as_one_after_another(shape: list[int], replays: int) -> None:
    asked = case(shape=shape)
    table = pokes(asked, 0, seed=5, slots=3)
    (replayed,) = build(asked, 5, "cpu")
    assert isinstance(replayed, torch.Tensor)
    told = replayed.clone()
    for replay in range(replays):
        replayed.view(-1).scatter_(0, table.positions[replay % ROWS, 1], table.values[replay % ROWS, 1])
    replay_pokes(told, table, 1, replays)
    assert torch.equal(told, replayed)


@pytest.mark.parametrize("shape", SHAPES)
def test_pokes_of_one_replay_never_meet_and_stay_inside(shape: list[int]) -> None:
    table = pokes(case(shape=shape), 0, seed=1, slots=4)
    size = torch.Size(shape).numel()
    assert table.positions.shape == (ROWS, 4, min(ELEMENTS, size))
    assert int(table.positions.min()) >= 0
    assert int(table.positions.max()) < size
    ordered = table.positions.sort(dim=-1).values
    assert bool((ordered.diff(dim=-1) > 0).all())


def test_slots_seeds_and_inputs_have_pokes_of_their_own() -> None:
    asked = case(shape=[100, 100])
    table, other = pokes(asked, 0, seed=1, slots=2), pokes(asked, 0, seed=2, slots=2)
    assert not torch.equal(table.positions[:, 0], table.positions[:, 1])
    assert not torch.equal(table.positions, other.positions)
    assert not torch.equal(table.positions[0], table.positions[1])


def test_pokes_are_larger_than_what_is_drawn_and_no_larger_than_what_adversarial_calls_hold() -> None:
    plain = pokes(case(shape=[100, 100], scale=0.01), 0, seed=1, slots=2).values
    assert 0.1 < float(plain.abs().min()) < float(plain.abs().max()) <= 0.2
    gentle = pokes(case(shape=[100, 100], large=2.0), 0, seed=1, slots=2).values
    assert float(gentle.abs().max()) <= 5.0
    assert bool((plain[..., 0] > 0).all())  # of both signs in each replay: an exp forgets what is very small
    assert bool((plain[..., 1] < 0).all())


def test_an_index_stays_below_its_end_and_keeps_its_type() -> None:
    table = pokes(case(shape=[50], fill="index", below=7), 0, seed=1, slots=2)
    assert table.values.dtype == torch.int64
    assert (int(table.values.min()), int(table.values.max())) == (0, 6)
    assert pokes(case(shape=[8], dtype="bf16"), 0, seed=1, slots=2).values.dtype == torch.bfloat16
