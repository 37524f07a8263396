"""Dollars: what calls cost, and what those in flight may cost yet."""

from __future__ import annotations

from orchestrator.proposers.llm.money import Price, Purse, estimate


def test_tokens_have_a_price() -> None:
    assert Price(3.0, 15.0).usd(1_000_000, 100_000) == 4.5


def test_an_estimate_is_the_dearest_model_and_the_longest_answer() -> None:
    assert estimate([Price(1.0, 1.0), Price(3.0, 15.0)], prompt_chars=0, most_tokens=1_000_000) > 15.0
    assert estimate([], 1000, 1000) == 0.0


def test_calls_in_flight_count_and_what_is_in_the_ledger_counts_once() -> None:
    spent = [0.0]
    purse = Purse(1.0, lambda: spent[0])
    purse.look()
    assert purse.has_room()
    purse.hold("one", 0.6)
    purse.hold("two", 0.5)
    assert not purse.has_room()
    assert not purse.has_room_beside("one", 0.6)
    assert purse.has_room_beside("one", 0.4)
    purse.hold("one", 0.1)  # it was cheaper
    assert purse.has_room()
    spent[0] = 0.1
    purse.look()
    purse.release("one")
    assert purse.left_usd() == 0.4
    assert purse.held_usd() == 0.5


def test_without_a_limit_there_is_always_room() -> None:
    purse = Purse(None, lambda: 1e9)
    purse.look()
    purse.hold("one", 1e9)
    assert purse.has_room()
    assert purse.left_usd() is None
