"""Does a model look ahead at all? One process is asked the same question twice, and once with another text behind. Pure.

Between two processes honest answers differ by rounding, because their batches differ (audits.py), and a small leak could
hide in that. Here nothing differs but the tokens after a position p: same process, same shape, same place in the batch. On
most hardware the answers up to p are then equal to the last bit; where they are not, asking the very same twice shows by how
much. So a leak that is always on shows however little it was learnt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.runners.audits import Decoys
from workers.runners.scoring import Question

_ROWS = 2  # a leak that is always on is seen in one
_FLOOR_NATS, _TIMES_REPEAT = 1e-5, 10.0


@dataclass(frozen=True, slots=True)
class Twins:
    """Rows with two texts behind position p."""

    splice: NDArray[np.int64]  # [r]: p
    tokens: NDArray[np.int32]  # [r, seq_len]
    others: NDArray[np.int32]  # [r, seq_len]: the same up to p, something else at p and after it


def draw(decoys: Decoys) -> Twins | None:
    """The decoys whose splices lie nearest to the middle, each with the end of the next; None where none has two sides."""
    seq_len = decoys.tokens.shape[1]
    two_sided = np.flatnonzero((decoys.splice > 1) & (decoys.splice < seq_len))
    if not len(two_sided):
        return None
    chosen = two_sided[np.argsort(np.abs(decoys.splice[two_sided] - seq_len // 2), kind="stable")][:_ROWS]
    others = decoys.tokens[chosen].copy()
    for row, decoy in enumerate(chosen):
        p = decoys.splice[decoy]
        others[row, p:] = decoys.tokens[(decoy + 1) % len(decoys), p:]
        if others[row, p] == decoys.tokens[decoy, p]:
            others[row, p] = decoys.truth[decoy, p - 1]  # which differs, or it would be no splice
    return Twins(decoys.splice[chosen], decoys.tokens[chosen], others)


def questions(twins: Twins, first_number: int) -> Iterator[Question]:
    """Three, with the same targets: the tokens up to p, and at p the one that the first two show there."""
    row, position = np.nonzero(np.arange(twins.tokens.shape[1]) < twins.splice[:, None])
    token = twins.tokens[row, position + 1]
    for nth, tokens in enumerate((twins.tokens, twins.tokens, twins.others)):
        yield Question(
            first_number + nth, tokens, row.astype(np.int32), position.astype(np.int32), token, np.arange(len(tokens))
        )


def finding(first: NDArray[np.float64], again: NDArray[np.float64], other: NDArray[np.float64]) -> str | None:
    """From the nats of the three answers: the rule that is broken and how; None where nothing looks ahead."""
    off, noise = float(np.abs(first - other).max()), float(np.abs(first - again).max())
    allowed = _FLOOR_NATS + _TIMES_REPEAT * noise
    if off <= allowed:
        return None
    return (
        f"splice: what the model says up to a position changes by {off:.2g} nats with the tokens behind it "
        f"(allowed are {allowed:.2g}): it looks ahead"
    )
