"""What is asked covers every target with bytes once, answers are checked, and the sum is that of the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workers.runners.scoring import AnswerError, BitsPerByte, NotFiniteError, Question, questions_on, read_answer

TOKEN_BYTES = np.array([0, 1, 2, 3], dtype=np.uint16)
ROWS = np.array([[0, 1, 2, 3, 0], [0, 3, 0, 1, 1], [0, 2, 2, 2, 2]], dtype=np.uint16)


def payload(logprob: list[float], lse: list[float]) -> bytes:
    return np.array(logprob + lse, dtype="<f4").tobytes()


@pytest.mark.parametrize("tokens_an_ask", [1, 4, 8, 9, 1000])
def test_every_target_with_bytes_is_asked_once_however_it_is_cut(tokens_an_ask: int) -> None:
    asked = []
    for question in questions_on(ROWS, TOKEN_BYTES, tokens_an_ask):
        assert question.tokens.shape[1] == 4
        assert question.tokens.size <= max(4, tokens_an_ask)
        for row, position, token in zip(question.row, question.position, question.token, strict=True):
            asked.append((tuple(question.tokens[row]), int(position), int(token)))
    expected = [
        (tuple(row[:-1]), position, token)
        for row in ROWS.tolist()
        for position, token in enumerate(row[1:])
        if TOKEN_BYTES[token] > 0
    ]
    assert asked == expected


def test_numbers_of_questions_are_different_and_their_payload_is_as_the_protocol_says() -> None:
    questions = list(questions_on(ROWS, TOKEN_BYTES, 4))
    assert [question.number for question in questions] == [0, 1, 2]
    header = questions[0].header()
    assert header == {"type": "ask", "id": 0, "rows": 1, "cols": 4, "count": 3}
    parts = np.frombuffer(b"".join(questions[0].payload()), dtype="<i4").tolist()
    assert parts == [0, 1, 2, 3, 0, 0, 0, 0, 1, 2, 1, 2, 3]  # tokens, rows, positions, targets


def test_bits_per_byte_are_those_of_the_definition() -> None:
    total = BitsPerByte(TOKEN_BYTES)
    nats = size = 0.0
    for question in questions_on(ROWS, TOKEN_BYTES, 4):
        costs = [0.25 * (1 + i) for i in range(len(question.token))]
        total.add(question, read_answer(question, question.number, payload([2 - cost for cost in costs], [2.0] * len(costs))))
        nats += sum(costs)
        size += sum(int(TOKEN_BYTES[token]) for token in question.token)
    assert total.value == pytest.approx(nats / (math.log(2) * size), rel=1e-12)


def test_nothing_asked_is_no_number() -> None:
    assert BitsPerByte(TOKEN_BYTES).value is None


@pytest.fixture
def question() -> Question:
    return next(questions_on(ROWS, TOKEN_BYTES, 4))


def test_rounding_is_no_violation_and_more_than_rounding_is(question: Question) -> None:
    read_answer(question, 0, payload([1e-6, -1.0, -1.0], [0.0, -1e-6, 0.0]))
    read_answer(question, 0, payload([20.00001, -1.0, -1.0], [20.0, 0.0, 0.0]))
    with pytest.raises(AnswerError, match="probability above 1"):
        read_answer(question, 0, payload([-1.0, 0.001, -1.0], [0.0, 0.0, 0.0]))


def test_an_answer_to_another_question_or_of_another_size_is_none(question: Question) -> None:
    for number in (1, None, "0"):
        with pytest.raises(AnswerError, match="to question 0"):
            read_answer(question, number, payload([-1.0] * 3, [0.0] * 3))
    with pytest.raises(AnswerError, match="20 bytes of answers, 24 were due for 3 targets"):
        read_answer(question, 0, payload([-1.0] * 3, [0.0] * 2))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_answers_that_are_not_finite_are_said_to_be_so(question: Question, value: float) -> None:
    with pytest.raises(NotFiniteError):
        read_answer(question, 0, payload([-1.0, value, -1.0], [0.0] * 3))
