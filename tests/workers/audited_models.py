"""Small language models in numpy, honest and otherwise, that answer questions as a subject does: one object, one process."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from workers.runners import audits, scoring
from workers.runners.scoring import Answer, Question

VOCAB, SEQ_LEN, ROWS = 32, 24, 60
TOKEN_BYTES = np.array([0, *(1 + token % 3 for token in range(1, VOCAB))], dtype=np.uint16)
Logprobs = NDArray[np.float64]


def normalised(logits: Logprobs) -> Logprobs:
    top = logits.max(axis=-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))


TABLE = normalised(np.random.default_rng(1).normal(0.0, 1.5, (VOCAB, VOCAB)))


def text(rows: int = ROWS, seed: int = 2) -> NDArray[np.uint16]:
    """Rows that the table is the best model of; each begins with token 0, which has no bytes."""
    rng = np.random.default_rng(seed)
    made = np.zeros((rows, SEQ_LEN + 1), dtype=np.uint16)
    for position in range(1, SEQ_LEN + 1):
        noise = rng.gumbel(size=(rows, VOCAB))
        made[:, position] = (TABLE[made[:, position - 1]] + noise).argmax(axis=1)
    return made


class Model:
    """Answers from the row up to the position alone. What is asked twice is answered alike."""

    def __init__(self, table: Logprobs = TABLE) -> None:
        self.table = table

    def logprobs(self, tokens: NDArray[np.int32]) -> Logprobs:
        """[R, T, V], log-probabilities of what follows each position."""
        return self.table[tokens]

    def __call__(self, question: Question) -> Answer:
        all_of_them = self.logprobs(question.tokens)[question.row, question.position]
        return self.answer(question, all_of_them[np.arange(len(question.token)), question.token])

    def answer(self, question: Question, logprob: NDArray[np.float64]) -> Answer:
        return Answer(logprob, np.zeros(len(logprob)))


def alone(question: Question) -> NDArray[np.bool_]:
    """Targets that are the only one asked for at their place: natural questions."""
    place = question.row.astype(np.int64) * SEQ_LEN + question.position
    _, same, count = np.unique(place, return_inverse=True, return_counts=True)
    return np.asarray(count[same] == 1)


class Noisy(Model):
    """Low precision: what is answered differs a little, with the shape of the batch."""

    def __init__(self, nats: float, seed: int) -> None:
        super().__init__()
        self._nats, self._rng = nats, np.random.default_rng(seed)

    def logprobs(self, tokens: NDArray[np.int32]) -> Logprobs:
        logits = super().logprobs(tokens)
        return normalised(logits + self._rng.normal(0.0, self._nats, logits.shape))


def audit(
    first: Callable[[Question], Answer],
    second: Callable[[Question], Answer],
    *,
    decoys: int | None = None,
    seed: int = 0,
    rows: NDArray[np.uint16] | None = None,
) -> audits.Evidence:
    """Score with one process, audit with the other; what comes out."""
    rows = text() if rows is None else rows
    rng = np.random.default_rng(seed)
    count = audits.decoys_for(len(rows), promotion=False) if decoys is None else decoys
    drawn = audits.draw(rows, TOKEN_BYTES, count, rng)
    costs = scoring.Costs(rows, TOKEN_BYTES, drawn.base)
    for question in scoring.questions_on(rows, TOKEN_BYTES, 8, rng.permutation(len(rows))):
        costs.add(question, first(question))
    comparison = audits.Comparison(drawn, costs.watched)
    for question in audits.questions(drawn, VOCAB, 3):
        comparison.add(question, second(question))
    return comparison.evidence
