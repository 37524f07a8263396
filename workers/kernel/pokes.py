"""Small changes to a case's inputs before each replay of a CUDA graph, so that no call sees what an earlier one saw.

A graph replays the same launches on the same memory, so fresh content must be made by the graph itself. Before each replay
a few elements of every input that varies are overwritten, in each slot of inputs its own, from a table that goes round: row
n of it holds positions and values for the n-th replay. What a slot holds after n replays follows from (seed, case, slots,
slot, n) alone, and a process that never saw the replays can tell (`replay_pokes`).

The values are large enough that an answer which was not computed anew is off by more than any tolerance (`MAGNITUDE`, and an
index moves anywhere), and few enough that poking costs next to nothing and leaves nothing of the inputs in the L2 cache.
Content returns after `ROWS` replays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.kernel.cases import Case, Fill, TensorInput
from workers.kernel.inputs import generator, torch_dtype

if TYPE_CHECKING:
    import torch

ROWS = 512  # replays until the table begins anew
ELEMENTS = 8  # of an input, in a slot, before a replay
# Of a poke, in units of the input's scale; never beyond twice what adversarial rows hold. A sum over 2^16 entries of N(0, 1)
# still moves by a sixteenth of its spread.
MAGNITUDE = 16.0


@dataclass(frozen=True, slots=True)
class Pokes:
    """What happens to one input in all slots. Both [ROWS, slots, elements], on the CPU."""

    positions: torch.Tensor  # int64, in the flattened tensor of a slot; no two of one slot and row are equal
    values: torch.Tensor  # in the input's own type


def pokes(case: Case, nth: int, seed: int, slots: int) -> Pokes:
    """The table for the `nth` input of a case. Drawn on the CPU, so that it is the same for every device."""
    import torch

    one = case.inputs[nth]
    assert isinstance(one, TensorInput)
    drawn = generator(f"{seed}/{case.name}/{nth}/pokes", "cpu")
    count = min(ELEMENTS, one.elements)
    shape = (ROWS, slots, count)
    part = one.elements // count  # each poke has a part of the tensor to itself: no two meet
    parts = torch.full((count,), part, dtype=torch.float64)
    parts[-1] = one.elements - (count - 1) * part
    within = (torch.rand(shape, generator=drawn, dtype=torch.float64) * parts).long().minimum(parts.long() - 1)
    return Pokes(within + torch.arange(count) * part, _values(one, shape, drawn).to(torch_dtype(one.dtype)))


def replay_pokes(content: torch.Tensor, table: Pokes, slot: int, replays: int) -> None:
    """Change the content of a slot's input, as it was drawn, into what it is after so many replays."""
    import torch

    rows = torch.arange(max(0, replays - ROWS), replays) % ROWS  # each row is among the last ones, once it was there at all
    if not len(rows):
        return
    positions = table.positions[rows, slot].reshape(-1).flip(0)
    values = table.values[rows, slot].reshape(-1).flip(0)
    last, first = torch.unique(positions, return_inverse=True)
    order = torch.full((len(last),), len(positions)).scatter_reduce_(0, first, torch.arange(len(positions)), "amin")
    content.view(-1).index_copy_(0, last.to(content.device), values[order].to(content.device))


def _values(one: TensorInput, shape: tuple[int, ...], drawn: torch.Generator) -> torch.Tensor:
    import torch

    if one.fill is Fill.INDEX:
        assert one.below is not None
        return torch.randint(one.below, shape, generator=drawn)
    share = torch.rand(shape, generator=drawn)
    if one.fill is Fill.SOFTMAX:
        return 0.25 + 0.5 * share
    sign = 1.0 - 2.0 * (torch.arange(shape[-1]) % 2)
    return sign * min(MAGNITUDE, 2 * one.large) * one.scale * (0.75 + 0.5 * share)
