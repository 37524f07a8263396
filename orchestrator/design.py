"""The designs of blocks: which candidates each row holds. Pure.

A design is a Hadamard matrix: any two of its columns agree in half of the rows, so that every candidate's effect is a
contrast of all rows, and no other candidate's effect is in it (Plackett and Burman 1946, "The design of optimum
multifactorial experiments"). Sylvester's doubling gives the powers of two; Paley's construction from the squares modulo a
prime q ≡ 3 (mod 4) gives q + 1. The sizes in between matter for short campaigns: no row is left over.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SYLVESTER = (8, 16, 32, 64, 128)
_PALEY = (12, 20, 24, 44, 48, 60)
SIZES: tuple[int, ...] = tuple(sorted(_SYLVESTER + _PALEY))


@lru_cache(maxsize=len(SIZES))
def hadamard(size: int) -> NDArray[np.int8]:
    """A Hadamard matrix `[size, size]` of ±1 whose first column is all 1. Raises `KeyError` where none is known here."""
    import numpy as np  # late: who only reads a journal needs no matrix

    if size in _SYLVESTER:
        matrix = np.ones((1, 1), dtype=np.int8)
        while len(matrix) < size:
            matrix = np.block([[matrix, matrix], [matrix, -matrix]])
        return matrix
    if size not in _PALEY:
        raise KeyError(f"no Hadamard matrix of order {size}; there are {SIZES}")
    q = size - 1
    squares = {i * i % q for i in range(1, q)}
    character = [0 if i == 0 else 1 if i in squares else -1 for i in range(q)]
    matrix = np.ones((size, size), dtype=np.int8)
    for i in range(q):
        for j in range(q):
            matrix[i + 1, j + 1] = character[(j - i) % q] - (i == j)
    matrix[0, 1:] = -1
    matrix[1:, 1:] *= -1
    return matrix


@lru_cache(maxsize=256)
def inclusion(size: int, columns: tuple[int, ...]) -> NDArray[np.bool_]:
    """Who is in which row: `[size, len(columns)]`. Row 0 holds nobody: it is the base itself."""
    import numpy as np

    chosen = hadamard(size)[:, list(columns)]
    return np.asarray(chosen != chosen[:1])


def smallest_size(candidates: int, spare: int = 1) -> int:
    """The smallest design with `spare` columns more than candidates; the largest there is where none has."""
    return next((size for size in SIZES if size > candidates + spare), SIZES[-1])


def columns_for(size: int, candidates: int, seed: str, *, in_time: bool) -> tuple[int, ...]:
    """Which columns `candidates` take: shuffled by `seed`. `in_time`: the rows will be run in their natural order, one after
    the other; then the two columns that change slowest, on which 94 % of a steady drift would lie, are the last to be taken.
    """
    slowest = [size // 2, size // 4] if in_time and size in _SYLVESTER else []
    others = [column for column in range(1, size) if column not in slowest]
    return tuple([*_shuffled(others, seed), *reversed(slowest)][:candidates])


def order_of(size: int, seed: str, *, in_time: bool) -> tuple[int, ...]:
    """In which order the rows are run: the base first, the others shuffled, or in their natural order where `in_time`."""
    rows = list(range(1, size))
    return (0, *(rows if in_time and size in _SYLVESTER else _shuffled(rows, seed + "/rows")))


def _shuffled(numbers: list[int], seed: str) -> list[int]:
    return sorted(numbers, key=lambda number: blake2b(f"{seed}/{number}".encode(), digest_size=8).digest())
