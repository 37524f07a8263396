"""What the evidence promises: bounded under the null, monotone, finite, and a posterior that is a probability."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.tournament.evidence import (
    Contrast,
    EffectPrior,
    _log_tail,
    e_value,
    learn_prior,
    noise_floor,
    p_better,
    p_null,
)

effects = st.floats(-1e6, 1e6)
factors = st.floats(1e-4, 2.0)
sds = st.sampled_from([1e-300, 1e-30, 1e-9, 1e-3, 1.0, 1e6])
dfs = st.integers(1, 5000)
MODEST = st.builds(Contrast, st.floats(-50, 50), factors, st.just(1.0), dfs)


@pytest.mark.parametrize("df", [1, 3, 10, 200])
@pytest.mark.parametrize("true_effect", [0.0, 0.5])
def test_without_a_gain_the_e_value_is_at_most_one_on_average(df: int, true_effect: float) -> None:
    rng = np.random.default_rng(df)
    factor = 1 / 2 + 1 / 4
    found = []
    for _ in range(4000):
        sd = math.sqrt(rng.chisquare(df) / df)
        effect = true_effect + rng.normal(0.0, math.sqrt(factor))
        found.append(e_value(Contrast(effect, factor, sd, df)))
    # Heavy-tailed at few degrees of freedom: the mean of what is not extreme must not exceed 1 either.
    assert np.mean(np.minimum(found, 1000.0)) <= 1.0 + 3 * np.std(np.minimum(found, 1000.0)) / math.sqrt(len(found))


def test_looked_at_after_every_sample_a_null_seldom_passes_twenty() -> None:
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(1000):
        baseline, samples = rng.normal(size=4), rng.normal(size=8)
        for n in range(1, 9):
            values = samples[:n]
            squares = float(((baseline - baseline.mean()) ** 2).sum() + ((values - values.mean()) ** 2).sum())
            df = 3 + n - 1
            contrast = Contrast(float(values.mean() - baseline.mean()), 1 / n + 1 / 4, math.sqrt(squares / df), df)
            if e_value(contrast) >= 20:
                passed += 1
                break
    assert passed <= 50


@given(df=dfs, factor=factors, sd=sds)
def test_a_larger_gain_is_stronger_evidence(df: int, factor: float, sd: float) -> None:
    found = [e_value(Contrast(-sd * z, factor, sd, df)) for z in (-3.0, -1.0, 0.0, 1.0, 3.0, 10.0, 30.0)]
    assert all(later >= earlier * (1 - 1e-6) for earlier, later in pairwise(found))


@given(df=dfs, factor=factors, worse=st.floats(1.0, 1e9))
def test_a_clear_loss_is_never_evidence_of_a_gain_however_much_was_measured(df: int, factor: float, worse: float) -> None:
    assert e_value(Contrast(worse, factor, 1.0, df)) < 1


@pytest.mark.parametrize("df", [2, 30, 700, 5000])
def test_the_far_tail_agrees_with_its_integral(df: int) -> None:
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(60):
        for t in (50.0, 500.0, 1e6):
            x = mpmath.mpf(df) / (df + mpmath.mpf(t) ** 2)
            exact = mpmath.log(mpmath.betainc(mpmath.mpf(df) / 2, 0.5, 0, x, regularized=True) / 2)
            assert _log_tail(df, np.array([t]))[0] == pytest.approx(float(exact), rel=1e-6)


@given(df=dfs, factor=factors, sd=sds)
def test_a_larger_gain_makes_no_gain_less_probable(df: int, factor: float, sd: float) -> None:
    prior = EffectPrior.start()
    found = [p_null(Contrast(-sd * z, factor, sd, df), prior) for z in (0.0, 1.0, 3.0, 10.0)]
    assert all(later <= earlier * (1 + 1e-6) for earlier, later in pairwise(found))


@given(effect=effects, factor=factors, sd=sds, df=dfs)
def test_evidence_is_finite_at_any_noise(effect: float, factor: float, sd: float, df: int) -> None:
    # As in a race: noise is never believed below the resolution of the means.
    contrast = Contrast(effect, factor, max(sd, noise_floor(effect)), df)
    assert math.isfinite(e_value(contrast))
    assert e_value(contrast) >= 0
    assert 0 <= p_null(contrast, EffectPrior.start()) <= 1
    assert 0 <= p_better(contrast) <= 1


@given(sd=st.floats(1e-6, 1e6), z=st.floats(-20, 20), factor=factors, df=dfs)
def test_evidence_does_not_depend_on_the_unit_of_the_metric(sd: float, z: float, factor: float, df: int) -> None:
    here, there = Contrast(z, factor, 1.0, df), Contrast(z * sd, factor, sd, df)
    assert e_value(there) == pytest.approx(e_value(here), rel=1e-6)


@given(st.lists(MODEST, max_size=12))
def test_what_is_learnt_is_a_distribution(contrasts: list[Contrast]) -> None:
    prior = learn_prior(contrasts)
    assert prior.helpful.sum() + prior.null + prior.harmful.sum() == pytest.approx(1.0)
    assert min(prior.helpful.min(), prior.null, prior.harmful.min()) > 0


def test_many_failures_teach_to_expect_failures() -> None:
    harmful = learn_prior([Contrast(4.0, 0.5, 1.0, 50)] * 40)
    assert harmful.helpful.sum() < EffectPrior.start().helpful.sum()


def test_many_gains_teach_to_expect_gains() -> None:
    helpful = learn_prior([Contrast(-4.0, 0.5, 1.0, 50)] * 40)
    assert helpful.helpful.sum() > EffectPrior.start().helpful.sum()


@given(MODEST, st.lists(MODEST, max_size=8))
def test_p_null_is_a_probability_under_any_learnt_prior(contrast: Contrast, past: list[Contrast]) -> None:
    assert 0 <= p_null(contrast, learn_prior(past)) <= 1


def test_the_noise_floor_of_nothing_is_above_zero() -> None:
    assert noise_floor(0.0, 0.0) > 0
    assert noise_floor(math.nan) > 0


def test_even_odds_where_no_difference_is_seen() -> None:
    assert p_better(Contrast(0.0, 1.0, 1.0, 3)) == 0.5
