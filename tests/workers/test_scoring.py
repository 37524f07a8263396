"""What is asked covers every target with bytes once, answers are checked, and the sum is that of the definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from workers.runners.scoring import AnswerError, Costs, NotFiniteError, Question, questions_on, read_answer

TOKEN_BYTES = np.array([0, 1, 2, 3], dtype=np.uint16)
ROWS = np.array([[0, 1, 2, 3, 0], [0, 3, 0, 1, 1], [0, 2, 2, 2, 2]], dtype=np.uint16)


def payload(logprob: list[float], lse: list[float]) -> bytes:
    return np.array(logprob + lse, dtype="<f4").tobytes()


@pytest.mark.parametrize("rows_an_ask", [1, 2, 3, 1000])
@pytest.mark.parametrize("order", [None, [0, 1, 2], [2, 0, 1]])
def test_every_target_with_bytes_is_asked_once_however_it_is_cut(rows_an_ask: int, order: list[int] | None) -> None:
    asked = []
    for question in questions_on(ROWS, TOKEN_BYTES, rows_an_ask, None if order is None else np.array(order)):
        assert question.tokens.shape[1] == 4
        assert len(question.tokens) <= rows_an_ask
        for row, position, token in zip(question.row, question.position, question.token, strict=True):
            assert tuple(question.tokens[row]) == tuple(ROWS[question.origin[row], :-1])
            asked.append((tuple(question.tokens[row]), int(position), int(token)))
    expected = [
        (tuple(row[:-1]), position, token)
        for row in ROWS[order or [0, 1, 2]].tolist()
        for position, token in enumerate(row[1:])
        if TOKEN_BYTES[token] > 0
    ]
    assert asked == expected


def test_numbers_of_questions_are_different_and_their_payload_is_as_the_protocol_says() -> None:
    questions = list(questions_on(ROWS, TOKEN_BYTES, 1))
    assert [question.number for question in questions] == [0, 1, 2]
    header = questions[0].header()
    assert header == {"type": "ask", "id": 0, "rows": 1, "cols": 4, "count": 3}
    parts = np.frombuffer(b"".join(questions[0].payload()), dtype="<i4").tolist()
    assert parts == [0, 1, 2, 3, 0, 0, 0, 0, 1, 2, 1, 2, 3]  # tokens, rows, positions, targets


def cost_of(before: int, token: int) -> float:
    return 0.25 * (1 + before) + 0.1 * token


def summed_up(order: list[int], rows_an_ask: int = 1, watched: tuple[int, ...] = ()) -> Costs:
    """Of a model whose costs depend on a token and the one before it."""
    costs = Costs(ROWS, TOKEN_BYTES, np.array(watched, dtype=np.int64))
    for question in questions_on(ROWS, TOKEN_BYTES, rows_an_ask, np.array(order)):
        before = question.tokens[question.row, question.position]
        nats = [cost_of(*pair) for pair in zip(before.tolist(), question.token.tolist(), strict=True)]
        costs.add(question, read_answer(question, question.number, payload([2 - n for n in nats], [2.0] * len(nats))))
    return costs


def test_bits_per_byte_are_those_of_the_definition() -> None:
    def expected(rows: list[list[int]]) -> float:
        pairs = [pair for row in rows for pair in itertools.pairwise(row) if TOKEN_BYTES[pair[1]]]
        size = sum(int(TOKEN_BYTES[after]) for _, after in pairs)
        return sum(cost_of(*pair) for pair in pairs) / (math.log(2) * size)

    costs = summed_up([0, 1, 2])
    assert costs.bits_per_byte(0, 3) == pytest.approx(expected(ROWS.tolist()), rel=1e-6)
    assert costs.bits_per_byte(1, 2) == pytest.approx(expected(ROWS[1:2].tolist()), rel=1e-6)


def test_the_sum_is_the_same_to_the_last_bit_in_whatever_order_rows_are_asked() -> None:
    values = {
        summed_up(list(order), rows_an_ask).bits_per_byte(0, 3)
        for order in itertools.permutations(range(3))
        for rows_an_ask in (1, 2, 3)
    }
    assert len(values) == 1


def test_a_row_that_is_asked_twice_counts_once() -> None:
    assert summed_up([0, 1, 2, 1, 1]).bits_per_byte(0, 3) == summed_up([0, 1, 2]).bits_per_byte(0, 3)


def test_of_watched_rows_each_cost_is_kept_at_its_place() -> None:
    watched = summed_up([2, 0, 1], rows_an_ask=2, watched=(1, 0)).watched
    assert watched[1, :3] == pytest.approx([cost_of(0, 1), cost_of(1, 2), cost_of(2, 3)], rel=1e-6)
    assert np.isnan(watched[1, 3])  # the token has no bytes: it is not asked for
    assert watched[0, 2] == pytest.approx(cost_of(0, 1), rel=1e-6)


def test_nothing_asked_is_no_number() -> None:
    assert Costs(ROWS, TOKEN_BYTES, np.array([], dtype=np.int64)).bits_per_byte(0, 3) is None


@pytest.fixture
def question() -> Question:
    return next(questions_on(ROWS, TOKEN_BYTES, 1))


def test_rounding_is_no_violation_and_more_than_rounding_is(question: Question) -> None:
    read_answer(question, 0, payload([1e-6, -1.0, -1.0], [0.0, -1e-6, 0.0]))
    read_answer(question, 0, payload([20.00001, -1.0, -1.0], [20.0, 0.0, 0.0]))
    with pytest.raises(AnswerError, match="probability above 1"):
        read_answer(question, 0, payload([-1.0, 0.001, -1.0], [0.0, 0.0, 0.0]))


def test_a_large_log_sum_exp_does_not_hide_a_probability_above_1(question: Question) -> None:
    with pytest.raises(AnswerError, match="a log-sum-exp of -1e\\+06: it is 0 when normalised, and may be 100 at most"):
        read_answer(question, 0, payload([-1e6 + 50.0] * 3, [-1e6] * 3))
    with pytest.raises(AnswerError, match="probability above 1"):
        read_answer(question, 0, payload([-99.99] * 3, [-100.0] * 3))


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
