"""What a model is asked, whether its answers can be, and what they add up to. Pure: arrays in, arrays and numbers out.

`Question` is the one shape of everything that a subject is asked in the phase `score` (docs/train-protocol.md).
`questions_on` builds those that make up a score in bits per byte; `BitsPerByte` adds the answers up, in float64.
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
        """The cost of each target, under probabilities that add up to 1 whatever the subject's do."""
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
    excess = answer.logprob - answer.lse - _EXCESS_NATS * np.maximum(1.0, np.abs(answer.lse))
    if count and excess.max() > 0:
        worst = int(excess.argmax())
        raise AnswerError(
            f"a probability above 1: log-probability {answer.logprob[worst]:g}, log-sum-exp {answer.lse[worst]:g}"
        )
    return answer


def questions_on(
    rows: NDArray[np.uint16], token_bytes: NDArray[np.uint16], tokens_an_ask: int, first_number: int = 0
) -> Iterator[Question]:
    """Every target of some rows of text that has bytes, a few rows at a time. `rows`: [n, seq_len + 1]."""
    seq_len = rows.shape[1] - 1
    rows_an_ask = max(1, tokens_an_ask // seq_len)
    for number, first in enumerate(range(0, len(rows), rows_an_ask), start=first_number):
        some = np.asarray(rows[first : first + rows_an_ask], dtype=np.int32)
        targets = some[:, 1:]
        row, position = np.nonzero(token_bytes[targets] > 0)
        yield Question(
            number,
            np.ascontiguousarray(some[:, :-1]),
            row.astype(np.int32),
            position.astype(np.int32),
            targets[row, position],
        )


class BitsPerByte:
    """The sum of costs over the sum of true UTF-8 lengths, which no answer can change."""

    def __init__(self, token_bytes: NDArray[np.uint16]) -> None:
        self._token_bytes = token_bytes
        self._nats: list[float] = []
        self._bytes = 0

    def add(self, question: Question, answer: Answer) -> None:
        self._nats.append(float(answer.nats.sum()))
        self._bytes += int(self._token_bytes[question.token].sum(dtype=np.int64))

    @property
    def value(self) -> float | None:
        """None where nothing was asked."""
        return math.fsum(self._nats) / (math.log(2) * self._bytes) if self._bytes else None
