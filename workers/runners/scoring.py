"""What a model is asked, whether its answers can be, and what they add up to. Pure: arrays in, arrays and numbers out.

`Question` is the one shape of everything that a subject is asked in the phase `score` (docs/train-protocol.md).
`questions_on` builds those that make up a score in bits per byte; `Costs` adds the answers up, in float64, row by row, so
that the sum does not depend on the order in which rows were asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A probability above 1 by more than rounding. Whoever used it all up would gain 0.0001 nats a token.
_EXCESS_NATS = 1e-4
# Answers may be logits with their log-sum-exp, but small ones: float32 holds what is this large to 0.00001 nats.
_MOST_LSE = 100.0


class AnswerError(Exception):
    """An answer that no honest subject gives: the wrong question, size, or a probability above 1."""


class NotFiniteError(Exception):
    """An answer with NaN or infinity in it: the model has diverged."""


@dataclass(frozen=True, slots=True)
class Question:
    """Rows of tokens, and the targets whose log-probabilities are wanted: `token[i]` after `position[i]` of `row[i]`."""

    number: int
    tokens: NDArray[np.int32]  # [rows, cols]
    row: NDArray[np.int32]
    position: NDArray[np.int32]
    token: NDArray[np.int32]
    origin: NDArray[np.int64]  # [rows]: which row of the text each is; never sent

    def header(self) -> dict[str, Any]:
        rows, cols = self.tokens.shape
        return {"type": "ask", "id": self.number, "rows": rows, "cols": cols, "count": len(self.token)}

    def payload(self) -> list[bytes]:
        return [part.astype("<i4").tobytes() for part in (self.tokens, self.row, self.position, self.token)]


@dataclass(frozen=True, slots=True)
class Answer:
    """To one question, target by target."""

    logprob: NDArray[np.float64]
    lse: NDArray[np.float64]

    @property
    def nats(self) -> NDArray[np.float64]:
        """The cost of each target, under probabilities that add up to 1 if the subject's log-sum-exp is true."""
        return self.lse - self.logprob


def expected_bytes(question: Question) -> int:
    """The payload of an answer."""
    return 8 * len(question.token)


def read_answer(question: Question, number: object, payload: bytes) -> Answer:
    """Check and take apart. Raises AnswerError and NotFiniteError."""
    count = len(question.token)
    if number != question.number:
        raise AnswerError(f"answer {number!r:.32} to question {question.number}")
    if len(payload) != expected_bytes(question):
        raise AnswerError(f"{len(payload)} bytes of answers, {expected_bytes(question)} were due for {count} targets")
    values = np.frombuffer(payload, dtype="<f4").astype(np.float64)
    answer = Answer(values[:count], values[count:])
    if not np.isfinite(values).all():
        raise NotFiniteError
    if count and np.abs(answer.lse).max() > _MOST_LSE:
        worst = int(np.abs(answer.lse).argmax())
        raise AnswerError(f"a log-sum-exp of {answer.lse[worst]:g}: it is 0 when normalised, and may be {_MOST_LSE:g} at most")
    if count and answer.nats.min() < -_EXCESS_NATS:
        worst = int(answer.nats.argmin())
        raise AnswerError(
            f"a probability above 1: log-probability {answer.logprob[worst]:g}, log-sum-exp {answer.lse[worst]:g}"
        )
    return answer


def questions_on(
    rows: NDArray[np.uint16], token_bytes: NDArray[np.uint16], rows_an_ask: int, order: NDArray[np.int64] | None = None
) -> Iterator[Question]:
    """Every target of some rows of text that has bytes, once, a few rows at a time. `rows`: [n, seq_len + 1]."""
    order = np.arange(len(rows)) if order is None else order
    for number, first in enumerate(range(0, len(order), rows_an_ask)):
        origin = order[first : first + rows_an_ask]
        some = np.asarray(rows[origin], dtype=np.int32)
        targets = some[:, 1:]
        row, position = np.nonzero(token_bytes[targets] > 0)
        yield Question(
            number,
            np.ascontiguousarray(some[:, :-1]),
            row.astype(np.int32),
            position.astype(np.int32),
            targets[row, position],
            origin,
        )


class Costs:
    """What each row of a text costs, in nats, and its true UTF-8 length, which no answer can change.

    A row that were asked twice would still count once. Of the rows in `watched` every single target's cost is kept.
    """

    def __init__(self, rows: NDArray[np.uint16], token_bytes: NDArray[np.uint16], watched: NDArray[np.int64]) -> None:
        self._token_bytes = token_bytes
        self._nats = np.zeros(len(rows))
        self._bytes = np.zeros(len(rows), dtype=np.int64)
        self._slot = np.full(len(rows), -1)
        self._slot[watched] = np.arange(len(watched))
        self.watched = np.full((len(watched), rows.shape[1] - 1), np.nan)  # [watched, seq_len], nats; NaN: never asked

    def add(self, question: Question, answer: Answer) -> None:
        count, nats = len(question.origin), answer.nats
        self._nats[question.origin] = np.bincount(question.row, weights=nats, minlength=count)
        sizes = self._token_bytes[question.token]
        self._bytes[question.origin] = np.bincount(question.row, weights=sizes, minlength=count).astype(np.int64)
        slot = self._slot[question.origin][question.row]
        kept = slot >= 0
        self.watched[slot[kept], question.position[kept]] = nats[kept]

    def bits_per_byte(self, first: int, last: int) -> float | None:
        """Of the rows from `first` up to `last`; None where nothing was asked."""
        size = int(self._bytes[first:last].sum())
        return math.fsum(self._nats[first:last].tolist()) / (math.log(2) * size) if size else None
