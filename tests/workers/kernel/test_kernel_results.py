"""A trial's numbers from what was measured of its cases, and what is kept of baselines."""

from __future__ import annotations

import pytest

from workers.kernel.cases import Case, DType, InputDType, Role, TensorInput
from workers.kernel.clock import Timing
from workers.kernel.energy import Energy
from workers.runners.kernel_known import Known
from workers.runners.kernel_results import CHAMPION, KERNEL, Found, metrics, row
from workers.trial import CaseRow


def case(name: str, role: Role = Role.REAL) -> Case:
    return Case(name, role, DType.BF16, (TensorInput((8,), InputDType.BF16),), 1, 1, small=False)


def timing(latency_us: float) -> Timing:
    return Timing(latency_us, latency_us - 1, latency_us + 1, (latency_us,) * 4, 0.1, latency_us, latency_us)


def energy(net_mj: float) -> Energy:
    return Energy(net_mj, 2 * net_mj, 500.0, 100.0, None, False, None, None)


REAL = Found(case("a"), 5.0, {KERNEL: timing(10.0), CHAMPION: timing(20.0)}, {"eager": 30.0, "compile": 15.0}, energy(4.0))
HELD_OUT = Found(case("b", Role.HELD_OUT), 20.0, {KERNEL: timing(40.0), CHAMPION: timing(20.0)}, {"eager": 60.0})


def test_numbers_are_geometric_means_over_real_and_held_out_cases() -> None:
    found = metrics([REAL, HELD_OUT])
    assert found["latency_us"] == pytest.approx(20.0)
    assert found["speedup_vs_best"] == pytest.approx(1.5)
    assert found["floor_fraction"] == pytest.approx(0.5)
    assert found["speedup_vs_champion"] == pytest.approx(1.0)


def test_energy_is_that_of_real_shapes() -> None:
    found = metrics([REAL, HELD_OUT])
    assert (found["energy_mj"], found["energy_gross_mj"]) == (pytest.approx(4.0), pytest.approx(8.0))
    assert found["edp_uj_s"] == pytest.approx(0.08)  # 8 mJ × 10 µs


def test_what_is_not_known_of_every_case_is_left_out() -> None:
    bare = Found(case("c"), None, {KERNEL: timing(10.0)}, {})
    assert set(metrics([REAL, bare])) == {"latency_us"}


def test_a_row_keeps_what_the_gates_knew_and_gains_what_was_measured() -> None:
    before = CaseRow("a", "real", "bf16", 1, 64, 32, 0, 1024, True, 6.0, 7.0)
    found = row(before, REAL)
    assert (found.registers, found.stand_in_us, found.floor_us) == (32, 7.0, 5.0)
    assert (found.latency_us, found.champion_us, found.energy_mj, found.energy_gross_mj) == (10.0, 20.0, 4.0, 8.0)
    assert found.baselines_us == {"eager": 30.0, "compile": 15.0}


def test_a_baseline_is_measured_at_first_then_each_case_in_turn_and_all_where_it_may_promote() -> None:
    known, names = Known(None, 0), ["a", "b", "c"]
    assert all(known.is_due(each, "eager", names, everything=False) for each in names)
    for each in names:
        known.learn(each, "eager", 10.0)
    due = []
    for turn in range(4):
        known.turn = turn
        due.append([each for each in names if known.is_due(each, "eager", names, everything=False)])
    assert due == [["a"], ["b"], ["c"], ["a"]]
    assert all(known.is_due(each, "eager", names, everything=True) for each in names)


def test_a_baseline_that_cannot_be_run_is_not_tried_again_and_is_no_number() -> None:
    known = Known(None, 0)
    known.learn("a", "compile", None)
    known.learn("a", "eager", 3.0)
    assert not known.is_due("a", "compile", ["a"], everything=True)
    assert known.of("a") == {"eager": 3.0}
    assert known.of("b") == {}
