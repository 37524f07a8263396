"""Whole trials of a tiny target whose kernels are timed under Triton's interpreter: what is measured, and who is caught.

The check of a source refuses most of these tricks before anything runs. It is left out here, so that what stands behind it
is tried. The same messages, clocks, pokes and verdicts serve a GPU; only the graphs are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from timed_target import PLAN, Target

from workers.kernel import static_check
from workers.run import run_trial, this_machine
from workers.runners.kernel_processes import WITH_GPU
from workers.session import Machine
from workers.trial import Measurement, Outcome


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One that keeps processes ready, as in a campaign."""
    made = this_machine(tmp_path_factory.mktemp("node"))
    made.standby.keeps = 1
    yield made
    made.standby.close()
    made.lender.close()
    made.repository.close()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return Target(tmp_path_factory.mktemp("targets") / "target")


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_check, "check", lambda source: ())


def measured(worker: Machine, target: Target, *replacements: tuple[str, str], **changes: object) -> Measurement:
    return run_trial(target.spec(worker, target.kernel(*replacements), **changes), worker)


def test_a_kernel_is_timed_in_turns_with_the_champion_and_the_baseline(worker: Machine, target: Target) -> None:
    slower = target.kernel(
        ("(x + 1.0) * w", "x * w + w"),
        ("    row_kernel[(R,)](x, w, y, C, BLOCK=32)\n", 3 * "    row_kernel[(R,)](x, w, y, C, BLOCK=32)\n"),
    )
    found = measured(worker, target, beside=slower)
    assert (found.outcome, found.reason) == (Outcome.OK, None)
    assert {"latency_us", "speedup_vs_best", "speedup_vs_champion", "floor_fraction"} <= found.measured.keys()
    assert found.measured["speedup_vs_champion"] > 1.5
    rows = {row.case: row for row in found.cases}
    assert set(rows) == {"real_a_fp32", "real_b_fp32"}
    timed = rows["real_a_fp32"]
    assert timed.latency_us is not None
    assert timed.champion_us is not None
    assert timed.latency_us < timed.champion_us
    assert len(timed.windows_us) == 4
    assert set(timed.baselines_us) == {"eager"}
    assert "energy_mj" not in found.measured
    # The champion's process is ready for a later trial: on a GPU it is no stranger to one that has no champion beside it.
    assert worker.standby.count(WITH_GPU) == len(WITH_GPU) == 4


# Under the gates torch is deterministic, while a kernel is timed it is not: tricks that wait for the clock.
WHEN_TIMED = "not torch.are_deterministic_algorithms_enabled() and type(x) is torch.Tensor"


def test_an_answer_that_is_wrong_in_timed_runs_alone_is_caught(worker: Machine, target: Target, unchecked: None) -> None:
    lazy = ("row_kernel[(R,)](x, w, y, C, BLOCK=32)", f"row_kernel[(R,)](x, w, y, C - ({WHEN_TIMED}), BLOCK=32)")
    found = measured(worker, target, lazy)
    assert found.outcome is Outcome.CRASH
    assert str(found.reason).startswith("wrong: ")
    assert "timed runs" in str(found.reason)


def test_torch_in_a_kernels_place_is_seen(worker: Machine, target: Target, unchecked: None) -> None:
    found = measured(worker, target, ("    return y\n", f"    if {WHEN_TIMED}:\n        y[0] = x[0] + w\n    return y\n"))
    assert found.outcome is Outcome.VIOLATION
    assert str(found.reason).endswith("kernel_fn has torch do add, copy_")


def test_an_answer_of_an_earlier_call_is_caught(worker: Machine, target: Target, unchecked: None) -> None:
    stale = (
        "    y = torch.empty_like(x)\n",
        "    key = (x.data_ptr(), x.shape)\n    seen = MEMO.setdefault(key, [])\n    if len(seen) > 4:\n"
        "        return seen[0].view(seen[0].shape)\n    y = torch.empty_like(x)\n    seen.append(y)\n",
    )
    found = measured(worker, target, ("\n\n@triton.jit", "\n\nMEMO = {}\n\n\n@triton.jit"), stale)
    assert found.outcome is Outcome.CRASH
    assert str(found.reason).startswith("wrong: ")
    assert "timed runs" in str(found.reason)


def test_a_kernel_that_is_another_one_when_it_is_timed_is_caught(worker: Machine, target: Target, unchecked: None) -> None:
    launch = "    row_kernel[(R,)](x, w, y, C, BLOCK=32)\n"
    found = measured(worker, target, (launch, launch + f"    if {WHEN_TIMED}:\n    {launch}"))
    assert found.outcome is Outcome.VIOLATION
    assert str(found.reason).startswith("two faces: ")


def test_a_clock_that_was_set_forward_inside_is_a_violation(worker: Machine, target: Target, unchecked: None) -> None:
    fast = "import time\n_true = time.perf_counter\ntime.perf_counter = lambda: 10 * _true()\n\nimport torch\n"
    found = measured(worker, target, ("import torch\n", fast))
    assert found.outcome is Outcome.VIOLATION
    assert str(found.reason).startswith("clock: ")


def test_faster_than_light_is_no_record(worker: Machine, tmp_path: Path) -> None:
    heavy = Target(tmp_path / "heavy", flops=10**15)
    found = measured(worker, heavy, ("BLOCK=32", "BLOCK=64"), plan=replace(PLAN, baselines=()))
    assert found.outcome is Outcome.VIOLATION
    assert str(found.reason).startswith("impossible: ")
    assert "latency_us" not in found.measured
