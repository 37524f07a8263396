"""What blocks teach: the worth of each candidate, the noise, how effects are distributed, and whether anything helps at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.candidate import Heat
from orchestrator.design import inclusion
from orchestrator.events import BlockClosed
from orchestrator.tournament.beliefs import GRID, HELPS, START, Beliefs, pooled
from orchestrator.tournament.evidence import noise_floor

SD = 1e-3
Array = NDArray[np.float64]
Noise = Callable[[np.random.Generator, int], Array]


def normal(rng: np.random.Generator, rows: int) -> Array:
    return rng.normal(0.0, SD, rows)


def heavy_tailed(rng: np.random.Generator, rows: int) -> Array:
    return rng.standard_t(3, rows) * SD / np.sqrt(3)


def believed(*repeats: float, minimize: bool = True) -> Beliefs:
    values = repeats or (1 - 1.1 * SD, 1 + 0.6 * SD, 1 + 1.2 * SD, 1 - 0.7 * SD)
    return Beliefs(values, noise_floor(*values), minimize=minimize, alpha=0.05)


def told(effects: dict[str, float], *, rows: int = 16, residual_squares: float | None = None, df: int = 2) -> BlockClosed:
    """A block that shows these effects, with the noise that the repeats of `believed` have."""
    k = len(effects)
    squares = df * SD**2 if residual_squares is None else residual_squares
    spreads = (2 / rows**0.5,) * k
    return BlockClosed("b", tuple(effects), tuple(effects.values()), spreads, (rows // 2,) * k, rows, 1.0, squares, df)


def measured(rng: np.random.Generator, worth: dict[str, float], rows: int, noise: Noise) -> BlockClosed:
    """A block of `rows` whose noise is drawn, as least squares tells it."""
    k = len(worth)
    held = inclusion(rows, tuple(range(1, k + 1))).astype(float)
    y = 1.0 + held @ np.array(list(worth.values())) + noise(rng, rows)
    design = np.hstack([np.ones((rows, 1)), held])
    found, *_ = np.linalg.lstsq(design, y, rcond=None)
    left = y - design @ found
    return told(
        dict(zip(worth, found[1:].tolist(), strict=True)), rows=rows, residual_squares=float(left @ left), df=rows - 1 - k
    )


def among_others(effect: float, unit: float = SD) -> dict[str, float]:
    """The effect of `it`, beside five that do little."""
    return {"it": effect, **{f"o{nth}": unit * 0.1 * (nth - 2) for nth in range(5)}}


# -- one candidate


def test_who_clearly_helps_is_surely_no_null() -> None:
    beliefs = believed()
    beliefs.learn(told(among_others(-8 * SD)))
    assert beliefs.p_null(["it"])[0] < 1e-3
    assert beliefs.e_value("it") > 1e3


def test_who_clearly_harms_surely_does_not_help() -> None:
    beliefs = believed()
    beliefs.learn(told(among_others(8 * SD)))
    assert beliefs.p_null(["it"])[0] > 0.999
    assert beliefs.e_value("it") < 1.0


def test_who_was_never_measured_is_as_likely_to_help_as_edits_are_in_general() -> None:
    beliefs = believed()
    assert beliefs.p_null(["new"])[0] == pytest.approx(START[~HELPS].sum())
    assert beliefs.e_value("new") == pytest.approx(1.0)


def test_of_nobody_nothing_is_told() -> None:
    assert believed().p_null([]).shape == (0,)


def test_each_further_block_adds_to_the_evidence() -> None:
    beliefs = believed()
    seen = []
    for _ in range(4):
        beliefs.learn(told(among_others(-0.6 * SD)))
        seen.append(beliefs.e_value("it"))
    assert seen == sorted(seen)
    assert seen[-1] > 3 * seen[0]


def test_the_expected_effect_of_a_clear_one_is_what_was_seen() -> None:
    for minimize, effect in ((True, -8 * SD), (False, 8 * SD)):
        beliefs = believed(minimize=minimize)
        beliefs.learn(told(among_others(effect)))
        assert beliefs.expected("it") == pytest.approx(-8 * SD, rel=0.1)


@pytest.mark.parametrize("size", [1e3, 1e8, 1e12, 1e18])
def test_an_effect_beyond_all_that_was_foreseen_is_decided_by_its_sign(size: float) -> None:
    helps, harms = believed(), believed()
    helps.learn(told(among_others(-size * SD)))
    harms.learn(told(among_others(size * SD)))
    assert helps.p_null(["it"])[0] < 1e-3
    assert harms.p_null(["it"])[0] > 0.999
    assert np.isfinite(helps.e_value("it"))


@pytest.mark.parametrize(("effect", "helps"), [(-1e-6, True), (-0.5, True), (1e-6, False), (0.0, False)])
def test_without_any_noise_the_smallest_difference_decides(effect: float, helps: bool) -> None:
    beliefs = believed(1.0, 1.0, 1.0, 1.0)
    beliefs.learn(told({"it": effect, "o1": 0.0, "o2": 0.25}, residual_squares=0.0, df=4))
    assert beliefs.p_null(["it"])[0] < 1e-3 if helps else beliefs.p_null(["it"])[0] > 0.8


def test_a_metric_to_be_maximized_mirrors_one_to_be_minimized() -> None:
    falls, rises = believed(), believed(minimize=False)
    effects = {f"c{nth}": SD * (nth - 4) for nth in range(9)}
    for _ in range(3):
        falls.learn(told(effects))
        rises.learn(told({name: -effect for name, effect in effects.items()}))
    assert falls.p_null(list(effects)).tobytes() == rises.p_null(list(effects)).tobytes()
    assert falls.may_keep == rises.may_keep


def test_the_unit_of_the_metric_changes_nothing() -> None:
    def p_null(unit: float) -> Array:
        rng = np.random.default_rng(1)
        repeats = [unit * value for value in (1 - SD, 1 + 0.5 * SD, 1 + 0.8 * SD, 1 - 0.2 * SD)]
        beliefs = believed(*repeats)
        effects = {f"c{nth}": float(rng.normal(0, 2 * SD)) * unit for nth in range(12)}
        for _ in range(3):
            beliefs.learn(told(effects, residual_squares=2 * (unit * SD) ** 2))
        return beliefs.p_null(list(effects))

    np.testing.assert_allclose(p_null(1e6), p_null(1.0), rtol=1e-6)
    np.testing.assert_allclose(p_null(1e-6), p_null(1.0), rtol=1e-6)


def test_a_block_that_tells_nothing_teaches_nothing() -> None:
    beliefs = believed()
    beliefs.learn(told({}, residual_squares=0.0, df=0))
    assert beliefs.closed == 1
    assert beliefs.p_null(["new"])[0] == pytest.approx(START[~HELPS].sum())
    assert beliefs.noise_sd == pytest.approx(believed().noise_sd, rel=0.02)


def test_several_blocks_are_pooled_by_their_precision() -> None:
    heats = [Heat("b1", -1.0, 0.5, 8, 16, 1.0), Heat("b2", -4.0, 1.0, 2, 4, 1.0)]
    effect, spread = pooled(heats)
    assert effect == pytest.approx((4 * -1.0 + 1 * -4.0) / 5)
    assert spread == pytest.approx(5**-0.5)


# -- the noise


def test_a_noise_four_times_that_of_the_first_repeats_is_found_in_what_the_designs_leave_unexplained() -> None:
    beliefs = believed()
    for _ in range(10):
        beliefs.learn(told(among_others(0.0), residual_squares=4 * (4 * SD) ** 2, df=4))
    assert beliefs.noise_sd == pytest.approx(4 * SD, rel=0.2)


def test_the_contrasts_themselves_say_nothing_about_the_noise() -> None:
    small, large = believed(), believed()
    small.learn(told(among_others(0.0)))
    large.learn(told(among_others(-50 * SD)))
    assert small.noise_sd == large.noise_sd


def test_repeats_that_happened_to_be_equal_do_not_make_every_later_difference_certain() -> None:
    # A metric of few digits: four equal repeats, and then rows that differ by a digit.
    rng = np.random.default_rng(0)
    beliefs = believed(1.0, 1.0, 1.0, 1.0)
    worth = {f"c{nth}": 0.0 for nth in range(10)}
    for _ in range(3):
        beliefs.learn(measured(rng, worth, 16, normal))
    assert beliefs.noise_sd == pytest.approx(SD, rel=0.5)
    assert beliefs.p_null(list(worth)).min() > 1e-3


# -- how effects are distributed


@pytest.mark.parametrize("share", [0.03, 0.15, 0.5])
def test_the_share_of_helpful_edits_is_learnt_from_300_of_them(share: float) -> None:
    rng, beliefs = np.random.default_rng(3), believed()
    helpful = set(rng.permutation(300)[: round(300 * share)].tolist())
    for block in range(10):
        worth = {f"c{nth}": -4 * SD if nth in helpful else 0.0 for nth in range(30 * block, 30 * block + 30)}
        beliefs.learn(measured(rng, worth, 48, normal))
    clearly = GRID * beliefs.unit < -2 * SD  # smaller ones cannot be told from nothing
    assert float(beliefs.prior[clearly].sum()) == pytest.approx(share, abs=0.05)
    assert beliefs.prior.sum() == pytest.approx(1.0)


def test_the_size_of_helpful_edits_is_learnt_too() -> None:
    rng, beliefs = np.random.default_rng(4), believed()
    for block in range(10):
        names = [f"c{nth}" for nth in range(30 * block, 30 * block + 30)]
        beliefs.learn(measured(rng, {name: -3 * SD if nth % 2 else 0.0 for nth, name in enumerate(names)}, 48, normal))
    assert beliefs.helpful_size() == pytest.approx(3 * SD, rel=0.35)


# -- the guard


def test_the_guard_opens_where_edits_help() -> None:
    opened = 0
    for nth in range(10):
        rng = np.random.default_rng(nth)
        beliefs = believed(*(1 + normal(rng, 4)).tolist())
        for block in range(5):
            worth = {f"c{block}-{each}": -3 * SD if each < 2 else 0.0 for each in range(10)}
            beliefs.learn(measured(rng, worth, 16, normal))
        opened += beliefs.may_keep
    assert opened == 10


def opened_in(campaigns: int, noise: Noise, repeats: int, rows: int = 12) -> int:
    """In how many of the campaigns in which nothing helps the guard opens within ten blocks."""
    opened = 0
    for nth in range(campaigns):
        rng = np.random.default_rng([nth, 7])
        beliefs = believed(*(1 + noise(rng, repeats)).tolist())
        for block in range(10):
            beliefs.learn(measured(rng, {f"c{block}-{each}": 0.0 for each in range(rows - 2)}, rows, noise))
            if beliefs.may_keep:
                break
        opened += beliefs.may_keep
    return opened


@pytest.mark.parametrize("noise", [normal, heavy_tailed])
def test_the_guard_stays_shut_in_19_of_20_campaigns_of_null_edits(noise: Noise) -> None:
    assert opened_in(200, noise, repeats=4) <= 10


def test_the_guard_stays_shut_too_where_the_config_asks_for_two_repeats_only() -> None:
    assert opened_in(200, normal, repeats=2) <= 16  # more at a true rate of 5 %: a probability of 3 %


# -- no state of its own


def test_the_same_blocks_in_the_same_order_give_the_same_numbers_to_the_byte() -> None:
    def learnt() -> Beliefs:
        rng, beliefs = np.random.default_rng(5), believed()
        for block in range(6):
            worth = {f"c{nth}": SD * (nth % 5 - 3) for nth in range(6 * block, 6 * block + 12)}
            beliefs.learn(measured(rng, worth, 16, normal))
        return beliefs

    first, second = learnt(), learnt()
    everyone = [f"c{nth}" for nth in range(42)]
    assert first.p_null(everyone).tobytes() == second.p_null(everyone).tobytes()
    assert [first.e_value(name) for name in everyone] == [second.e_value(name) for name in everyone]
    assert first.prior.tobytes() == second.prior.tobytes()
    assert first.noise_sd == second.noise_sd


def test_what_is_told_of_one_does_not_depend_on_who_else_is_asked_about() -> None:
    # Else a resumed campaign, which asks about those that are left, differs in the last digit.
    rng, beliefs = np.random.default_rng(6), believed()
    names = [f"c{nth}" for nth in range(14)]
    for _ in range(3):
        beliefs.learn(measured(rng, {name: SD * (nth - 9) / 5 for nth, name in enumerate(names)}, 16, normal))
    together = beliefs.p_null(names).tolist()
    assert [float(beliefs.p_null([name])[0]) for name in names] == together


def test_with_a_margin_no_effect_at_all_is_shown_to_be_no_loss() -> None:
    beliefs = believed()
    for _ in range(4):
        beliefs.learn(told(among_others(0.0)))
    margin = 3 * SD
    without, with_it = float(beliefs.p_null(["it"])[0]), float(beliefs.p_null(["it"], [margin])[0])
    assert with_it < 0.05 < without
    assert beliefs.e_value("it", margin) > 100 * beliefs.e_value("it")


def test_with_a_margin_a_loss_of_twice_as_much_is_no_less_of_a_loss() -> None:
    beliefs, margin = believed(), 3 * SD
    for _ in range(4):
        beliefs.learn(told(among_others(2 * margin)))
    assert beliefs.p_null(["it"], [margin])[0] > 0.9
    assert beliefs.e_value("it", margin) < 1.0


def test_asking_changes_nothing() -> None:
    asked, silent = believed(), believed()
    for _ in range(4):
        for beliefs in (asked, silent):
            beliefs.learn(told(among_others(-SD)))
        asked.p_null(["it", "new"])
        asked.e_value("it")
        asked.expected("new")
        asked.helpful_size()
    assert asked.p_null(["it"]).tobytes() == silent.p_null(["it"]).tobytes()
