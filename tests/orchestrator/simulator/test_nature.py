"""What is true in a night: the landscape's shares and scales, the same for every policy."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import landscape

from orchestrator.simulator.nature import Nature

MANY = 20_000


def test_effects_have_the_shares_and_scales_of_the_landscape() -> None:
    effects = np.array([Nature(landscape(), 0, 0).effect(MANY), *map(Nature(landscape(), 0, 1).effect, range(MANY))])
    assert (effects < 0).mean() == pytest.approx(0.15, abs=0.01)
    assert effects[effects < 0].mean() == pytest.approx(-1.5e-3, rel=0.1)


def test_what_is_true_of_an_edit_does_not_depend_on_when_it_is_asked_for() -> None:
    forth, back = Nature(landscape(), 5, 2), Nature(landscape(), 5, 2)
    numbers = range(3000)
    assert [forth.effect(n) for n in numbers] == [back.effect(n) for n in reversed(numbers)][::-1]


def test_repeats_and_seeds_are_nights_of_their_own() -> None:
    first = [Nature(landscape(), seed, repeat).effect(0) for seed, repeat in [(0, 0), (0, 1), (1, 0)]]
    assert len(set(first)) == 3


def test_a_pair_conflicts_at_its_rate_and_both_ways_round() -> None:
    nature = Nature(landscape(rates={"conflict": 0.3}), 0, 0)
    found = [[nature.clash(i, [j]) for j in range(100) if j != i] for i in range(100)]
    assert np.mean(found) == pytest.approx(0.3, abs=0.02)
    assert all(nature.clash(i, [j]) == nature.clash(j, [i]) for i in range(20) for j in range(i))
    assert not nature.clash(1, [])


def test_pairs_interact_at_their_share_and_strength_in_the_size_of_both() -> None:
    effects = [{"share": 1.0, "kind": "constant", "scale": 0.25, "sign": "better"}]
    nature = Nature(landscape(effects=effects, interactions={"share": 0.4, "strength": 2.0}), 0, 0)
    found = np.array([nature.interaction(i, [j]) for i in range(100) for j in range(i)])
    assert (found != 0).mean() == pytest.approx(0.4, abs=0.03)
    assert found[found != 0].std() == pytest.approx(0.5, rel=0.1)
    assert nature.interaction(3, [1, 2]) == pytest.approx(nature.interaction(1, [3]) + nature.interaction(2, [3]))


@pytest.mark.parametrize("noise", [{"sd": 0.5}, {"kind": "student_t", "df": 5, "sd": 0.5}])
def test_noise_has_the_standard_deviation_that_it_is_given(noise: dict[str, object]) -> None:
    nature = Nature(landscape(noise=noise), 0, 0)
    assert np.std([nature.reads(0.0, 0, 0.0) for _ in range(MANY)]) == pytest.approx(0.5, rel=0.1)


def test_drift_grows_with_the_hours_and_a_bad_gpu_is_bad_from_its_hour_on() -> None:
    gpus = {"count": 2, "drift_per_h": 0.5, "bad": [{"gpu": 1, "offset": 10.0, "from_h": 2.0}]}
    nature = Nature(landscape(noise={"sd": 0.0}, gpus=gpus), 0, 0)
    assert [nature.reads(1.0, gpu, hours) for gpu in (0, 1) for hours in (0, 2)] == [1.0, 2.0, 1.0, 12.0]


def test_gpus_differ_by_their_offsets() -> None:
    nature = Nature(landscape(gpus={"count": 2000, "offset_sd": 0.1}), 0, 0)
    assert np.std(nature.offsets) == pytest.approx(0.1, rel=0.1)
