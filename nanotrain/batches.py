"""Training rows out of train.bin, by file descriptor: random, aligned to documents, cheap to begin. Sealed.

Whatever happens here happens while the worker's clock runs, so nothing may read the whole file first: document starts are
found block by block.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

BLOCK_TOKENS = 1 << 22  # searched for documents at once: some milliseconds


def open_tokens(fd: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """uint16 [tokens], mapped, not read. The descriptor is left open."""
    with os.fdopen(os.dup(fd), "rb") as file:
        return np.memmap(file, dtype="<u2", mode="r")


def row_starts(
    tokens: np.ndarray[Any, np.dtype[np.uint16]], bos_id: int, row_tokens: int, rng: np.random.Generator
) -> Iterator[int]:
    """Where rows of `row_tokens` begin, for ever: each at a document's BOS, in random order. In one pass over a block rows
    do not overlap: the next begins at the first document after the last one's end. Raises ValueError for too short a file."""
    blocks = range(0, len(tokens), BLOCK_TOKENS)
    while True:
        found_any = False
        for block in rng.permutation(len(blocks)):
            first = blocks[block]
            starts = first + np.flatnonzero(tokens[first : first + BLOCK_TOKENS] == bos_id)
            starts = starts[starts <= len(tokens) - row_tokens]
            if len(starts) == 0:
                continue
            following = np.searchsorted(starts, starts + row_tokens).tolist()
            chosen, index = [], int(rng.integers(min(len(starts), 64)))  # elsewhere each time, so that cuts differ
            while index < len(starts):
                chosen.append(index)
                index = following[index]
            found_any = True
            yield from starts[rng.permutation(chosen)].tolist()
        if not found_any:
            raise ValueError(f"no document of {len(tokens)} training tokens has {row_tokens} tokens after its start")


def rows(
    tokens: np.ndarray[Any, np.dtype[np.uint16]], bos_id: int, batch_rows: int, seq_len: int, seed: int
) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    """int64 [batch_rows, seq_len + 1], for ever; the same seed gives the same rows."""
    starts = row_starts(tokens, bos_id, seq_len + 1, np.random.default_rng(seed))
    while True:
        batch = [tokens[start : start + seq_len + 1] for start in islice(starts, batch_rows)]
        yield np.stack(batch).astype(np.int64)
