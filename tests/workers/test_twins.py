"""A model that looks ahead is told by two rows that differ behind a position, however little it has learnt from it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.runners import audits, twins
from workers.runners.scoring import Question

VOCAB, SEQ_LEN = 11, 16


@pytest.fixture
def pairs() -> twins.Twins:
    rng = np.random.default_rng(0)
    rows = rng.integers(1, VOCAB, (24, SEQ_LEN + 1)).astype(np.uint16)
    drawn = twins.draw(audits.draw(rows, np.ones(VOCAB, dtype=np.uint16), 8, rng))
    assert drawn is not None
    return drawn


def answered(question: Question, ahead: float, noise: float = 0.0, seed: int = 0) -> NDArray[np.float64]:
    """Nats of a model that gives a little to what comes next and to what comes last."""
    shown = np.pad(question.tokens, ((0, 0), (0, 1)))
    knows = shown[question.row, question.position + 1] == question.token
    far = question.tokens[question.row, -1] / VOCAB
    rng = np.random.default_rng(seed)
    return 2.0 - ahead * (knows + far) + noise * rng.standard_normal(len(question.row))


def found(pairs: twins.Twins, ahead: float, noise: float = 0.0) -> str | None:
    answers = [answered(question, ahead, noise, nth) for nth, question in enumerate(twins.questions(pairs, 100))]
    return twins.finding(*answers)


def test_rows_differ_at_the_splice_and_not_before_it(pairs: twins.Twins) -> None:
    for p, one, other in zip(pairs.splice, pairs.tokens, pairs.others, strict=True):
        assert (one[:p] == other[:p]).all()
        assert one[p] != other[p]


def test_the_three_questions_ask_for_the_same_targets(pairs: twins.Twins) -> None:
    first, again, other = twins.questions(pairs, 100)
    assert [first.number, again.number, other.number] == [100, 101, 102]
    assert first.payload() == again.payload()
    assert first.payload()[1:] == other.payload()[1:]
    assert first.payload()[0] != other.payload()[0]


def test_a_model_that_looks_back_only_passes_however_noisy(pairs: twins.Twins) -> None:
    assert found(pairs, ahead=0.0) is None
    assert found(pairs, ahead=0.0, noise=0.02) is None


@pytest.mark.parametrize("ahead", [1e-4, 3.0])
def test_a_small_look_ahead_is_told_as_surely_as_a_large_one(pairs: twins.Twins, ahead: float) -> None:
    assert (found(pairs, ahead) or "").startswith("splice: what the model says up to a position changes by ")


def test_where_no_row_has_two_sides_nothing_is_asked() -> None:
    rows = np.array([[1, 2], [3, 4], [5, 6], [7, 8]], dtype=np.uint16)
    drawn = audits.draw(rows, np.ones(VOCAB, dtype=np.uint16), 2, np.random.default_rng(0))
    assert twins.draw(drawn) is None
