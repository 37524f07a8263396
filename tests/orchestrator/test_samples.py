"""Means by commit, and the noise pooled over all that was repeated."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.samples import Noise, SampleBook, Samples

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20)


@given(values)
def test_the_running_mean_is_the_mean(found: list[float]) -> None:
    samples = Samples()
    for value in found:
        samples.add(value)
    assert samples.n == len(found)
    assert samples.mean == pytest.approx(statistics.fmean(found), abs=1e-6)


@given(st.lists(values, min_size=1, max_size=6))
def test_the_noise_is_pooled_over_commits_whatever_their_means(groups: list[list[float]]) -> None:
    book = SampleBook()
    for number, group in enumerate(groups):
        for value in group:
            book.add(f"commit{number}", value)
    squares = sum((x - statistics.fmean(group)) ** 2 for group in groups for x in group)
    df = sum(len(group) - 1 for group in groups)
    noise = book.noise()
    assert noise.df == df
    assert noise.repeats == sum(len(group) for group in groups if len(group) > 1)
    if df == 0:
        assert noise.sd is None
    else:
        assert noise.sd == pytest.approx(math.sqrt(squares / df), rel=1e-6, abs=1e-3)


def test_equal_repeats_are_a_noise_of_zero_and_not_an_unknown_one() -> None:
    book = SampleBook()
    for _ in range(3):
        book.add("a", 0.1)
    assert book.noise() == Noise(0.0, 2, 3)


def test_a_commit_that_was_never_measured_has_no_mean() -> None:
    book = SampleBook()
    assert book.of("a").n == 0
    assert math.isnan(book.of("a").mean)
    assert book.stderr("a") is None


def test_a_single_measurement_has_no_standard_error() -> None:
    book = SampleBook()
    book.add("a", 1.0)
    assert book.stderr("a") is None


def test_the_standard_error_of_a_single_measurement_comes_from_the_others_repeats() -> None:
    book = SampleBook()
    for commit, value in (("a", 1.0), ("a", 3.0), ("b", 9.0)):
        book.add(commit, value)
    assert book.stderr("b") == pytest.approx(math.sqrt(2.0))


def test_two_commits_of_one_tree_share_their_samples_and_count_them_once() -> None:
    book = SampleBook()
    book.add("stack", 1.0)
    book.share("stack", "champion")
    book.add("champion", 3.0)
    assert book.of("stack").values == book.of("champion").values == [1.0, 3.0]
    assert book.noise() == Noise(pytest.approx(math.sqrt(2.0)), 1, 2)  # type: ignore[arg-type]
    assert book.count == 2
