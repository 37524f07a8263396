"""Amdahl's law over the targets of a fleet, with standard errors."""

from __future__ import annotations

import math

import pytest

from orchestrator.fleet.speed_up import UNCHANGED, Number, ratio, speed_up


def test_a_ratio_below_one_is_a_gain_in_either_direction() -> None:
    low, high = Number(5.0, None), Number(10.0, None)
    assert ratio(high, low, minimize=True) == Number(0.5, None)
    assert ratio(low, high, minimize=False) == Number(0.5, None)


def test_beside_a_number_that_is_not_above_zero_a_ratio_says_nothing() -> None:
    assert ratio(Number(0.0, None), Number(1.0, None), minimize=True) is None
    assert ratio(Number(1.0, None), Number(-1.0, None), minimize=True) is None


def test_the_relative_errors_of_both_add_up_in_a_ratio() -> None:
    found = ratio(Number(10.0, 0.3), Number(5.0, 0.2), minimize=True)
    assert found is not None
    assert found.stderr == pytest.approx(0.5 * math.hypot(0.03, 0.04))


def test_the_whole_is_as_fast_as_its_parts_allow() -> None:
    shares = {"a": 0.2, "b": 0.6}
    found = speed_up(shares, {"a": UNCHANGED, "b": Number(0.5, 0.01)})
    assert found.value == pytest.approx(1 / (0.25 + 0.75 * 0.5))
    assert found.stderr == pytest.approx(found.value**2 * 0.75 * 0.01)


def test_nothing_changed_is_exactly_nothing_gained() -> None:
    assert speed_up({"a": 1.0, "b": 2.0}, {"a": UNCHANGED, "b": UNCHANGED}) == Number(1.0, 0.0)


def test_what_is_not_known_of_one_is_not_known_of_all() -> None:
    assert speed_up({"a": 1.0, "b": 1.0}, {"a": UNCHANGED, "b": Number(0.5, None)}).stderr is None
