"""A program that fails is tried again after a pause, and not for ever."""

from __future__ import annotations

from orchestrator.proposers.program.patience import MOST_IN_A_ROW, MOST_THROTTLED_S, Patience, throttled


def test_each_failure_in_a_row_doubles_the_pause() -> None:
    patience = Patience()
    for pause_s in (1.0, 2.0, 4.0):
        patience.failed(100.0, "exit status 1", began=100.0)
        assert not patience.ready(100.0 + pause_s - 0.1)
        assert patience.ready(100.0 + pause_s)


def test_after_some_failures_in_a_row_it_is_given_up_with_the_last_reason() -> None:
    patience = Patience()
    for _ in range(MOST_IN_A_ROW):
        assert patience.given_up is None
        patience.failed(0.0, "no such model", began=0.0)
    assert "no such model" in str(patience.given_up)
    assert not patience.ready(1e9)


def test_a_success_between_failures_is_a_new_beginning() -> None:
    patience = Patience()
    for _ in range(3 * MOST_IN_A_ROW):
        patience.failed(0.0, "flaky", began=0.0)
        patience.worked()
    assert patience.given_up is None


def test_of_runs_that_were_under_way_together_one_failure_counts() -> None:
    patience = Patience()
    for _ in range(3 * MOST_IN_A_ROW):
        patience.failed(20.0, "the network", began=10.0)
    assert (patience.given_up, patience.in_a_row) == (None, 1)
    patience.failed(31.0, "the network", began=30.0)
    assert patience.in_a_row == 2


def test_while_something_is_measured_it_pauses_and_is_not_given_up() -> None:
    patience = Patience()
    for _ in range(3 * MOST_IN_A_ROW):
        patience.failed(0.0, "the same edit again", began=0.0, hope=True)
    assert patience.given_up is None
    assert not patience.ready(59.0)
    patience.take_heart()
    assert patience.ready(0.0)


def test_who_is_told_to_wait_is_waited_for_over_hours() -> None:
    patience, now = Patience(), 0.0
    while patience.given_up is None:
        patience.told_to_wait(now, "usage limit reached")
        now += 900.0
    assert now > MOST_THROTTLED_S
    assert "usage limit reached" in patience.given_up


def test_the_words_of_a_limit_are_recognised_at_the_end_of_the_output() -> None:
    assert throttled(b"Claude usage limit reached. Your limit will reset at 3am")
    assert throttled(b"HTTP 429 Too Many Requests")
    assert not throttled(b"429 " + b"x" * 10_000)
    assert not throttled(b"invalid API key")
    assert not throttled(b"the learning rate limits it")
