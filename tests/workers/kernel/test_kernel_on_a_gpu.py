"""The tiny target on a GPU: graphs, windows and verdicts as they are meant. Not yet run: no GPU was at hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from timed_target import CASES, PLAN, Target

from workers.kernel import static_check
from workers.run import run_trial, this_machine
from workers.session import Machine
from workers.telemetry import all_gpus
from workers.trial import Measurement, Outcome

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not all_gpus(), reason="needs a GPU")]

LARGE = CASES.replace('"real", 3, 16)', '"real", 4096, 4096)').replace('"real", 2, 24)', '"real", 8192, 1024)')
LARGE = LARGE.replace('"small": True', '"small": R * C < 4096')


@pytest.fixture(scope="module")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    made = this_machine(tmp_path_factory.mktemp("node"), all_gpus().split(",")[0])
    made.standby.keeps = 1
    yield made
    made.standby.close()
    made.lender.close()
    made.repository.close()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    made = Target(tmp_path_factory.mktemp("targets") / "target")
    source = (Path(made.path) / "kernel.py").read_text().replace("BLOCK=32", "BLOCK=triton.next_power_of_2(C)")
    made.base = made.commit({"cases.py": LARGE.replace("FLOPS", "R * C"), "kernel.py": source})
    return made


def measured(gpu: Machine, target: Target, commit: str, **changes: object) -> Measurement:
    plan = replace(PLAN, device=None, window_s=0.3, baselines=("eager", "compile"))
    given: dict[str, object] = {"plan": plan, "gpus": 1.0, "timeout_s": 600.0}
    return run_trial(target.spec(gpu, commit, **(given | changes)), gpu)


def test_a_kernel_is_as_fast_as_itself(gpu: Machine, target: Target) -> None:
    found = measured(gpu, target, target.base, beside=target.base)
    assert (found.outcome, found.reason) == (Outcome.OK, None)
    assert found.measured["speedup_vs_champion"] == pytest.approx(1.0, abs=0.02)
    assert 0.3 < found.measured["floor_fraction"] <= 1.0
    assert found.measured["speedup_vs_best"] > 0.7


def test_a_promotion_knows_the_energy_of_a_call(gpu: Machine, target: Target) -> None:
    found = measured(gpu, target, target.base, promotion=True)
    assert (found.outcome, found.reason) == (Outcome.OK, None)
    assert 0 < found.measured["energy_mj"] < found.measured["energy_gross_mj"]


def test_what_waits_for_the_device_cannot_be_timed(gpu: Machine, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_check, "check", lambda source: ())
    source = (target.path / "kernel.py").read_text()
    waiting = source.replace("    return y\n", "    if x.is_cuda:\n        torch.cuda.synchronize()\n    return y\n")
    found = measured(gpu, target, target.commit({"kernel.py": waiting}))
    assert found.outcome is Outcome.VIOLATION
    assert str(found.reason).startswith("capture: ")
