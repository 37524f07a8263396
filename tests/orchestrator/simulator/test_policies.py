"""The rules that the tournament is compared with do what the reference simulation says they do."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import config, landscape, played


@pytest.mark.parametrize(
    ("policy", "sd", "gain", "false"),
    [
        ("greedy", 3e-4, 0.185, 0.30),
        ("greedy", 1e-3, 0.130, 0.39),
        ("greedy", 2e-3, 0.054, 0.43),
        ("two-sigma", 1e-3, 0.072, 0.09),
    ],
)
def test_a_rule_of_one_sample_gains_what_the_reference_says(policy: str, sd: float, gain: float, false: float) -> None:
    wanted, told = landscape(1, noise={"sd": sd}), config("{trials: 900}")
    nights = [played(wanted, told, policy=policy, repeat=repeat)[0] for repeat in range(4)]
    assert np.mean([night.gain for night in nights]) == pytest.approx(gain, rel=0.3)
    assert np.mean([night.false_keeps() / max(1, len(night.kept)) for night in nights]) == pytest.approx(false, abs=0.12)


def test_three_seeds_measure_each_candidate_three_times() -> None:
    night, _ = played(policy="three-seeds")
    decided = [c for c in night.ledger.candidates.values() if c.decided_at is not None]
    assert decided
    assert all(len(candidate.trials) == 3 for candidate in decided)


def test_the_best_of_a_wave_is_kept_and_no_other_of_it() -> None:
    night, _ = played(landscape(8), policy="best-of-wave")
    waves: dict[str, list[str]] = {}
    for candidate in night.ledger.candidates.values():
        if candidate.trials:
            waves.setdefault(str(candidate.base), []).append(candidate.id)
    kept = {f"c{edit + 1:04d}" for edit in night.kept}
    assert all(len(kept.intersection(wave)) <= 1 for wave in waves.values())
    assert all(len(wave) % 8 == 0 for wave in list(waves.values())[:-1])
    assert len(kept) > 1


def test_sixteen_null_edits_against_one_run_win_their_first_wave_nearly_always() -> None:
    null = [{"share": 1.0, "kind": "constant", "scale": 0.0, "sign": "worse"}]
    nights = [
        played(landscape(16, effects=null), config("{trials: 17}"), policy="best-of-wave", repeat=repeat)[0]
        for repeat in range(40)
    ]
    assert np.mean([len(night.kept) == 1 for night in nights]) == pytest.approx(16 / 17, abs=0.12)
