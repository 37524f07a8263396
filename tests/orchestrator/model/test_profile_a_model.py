"""`regatta profile`: from a model to a fleet with its shapes and shares, on a CPU."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from small_model import BLOCK, OF_NOTHING, WITHOUT_INPUTS

from orchestrator.bench import bench
from orchestrator.cli import main
from orchestrator.fleet.config import load_fleet
from orchestrator.fleet.opening import open_fleet
from orchestrator.model.shares import Profile
from orchestrator.views.model import profile_text
from workers.kernel.cases import Role, decode


def real_cases(folder: Path) -> dict[str, Any]:
    space: dict[str, Any] = {}
    exec(compile((folder / "cases.py").read_text(), "cases.py", "exec"), space)
    return {each.name: each for each in decode(space["cases"](1)) if each.role is Role.REAL}


def test_the_operations_of_a_transformer_are_ranked_and_mapped(profiled: Profile) -> None:
    assert {"matmul", "layernorm", "softmax"} <= set(profiled.targets)
    assert next(iter(profiled.targets)) == "matmul"
    by_name = {each.name: each for each in profiled.operations}
    assert by_name["addmm"].calls == 4
    assert by_name["bmm"].calls == 2 * 4
    assert by_name["gelu"].target is None
    assert sum(each.share for each in profiled.operations) == pytest.approx(1)
    text = profile_text(profiled, "block.py", "own")
    assert "not those of a GPU" in text
    assert text.endswith("regatta run own/kernels.yaml")


def test_the_written_config_opens_as_a_fleet_with_the_shares_of_the_profile(
    place: Path, profiled: Profile, tmp_path: Path
) -> None:
    fleet = load_fleet(place / "own/kernels.yaml")
    assert {each.name: each.share for each in fleet.members} == pytest.approx(profiled.targets, rel=1e-3)
    assert fleet.common.objective.metric == "static_cost"
    opened = open_fleet(str(place / "own/kernels.yaml"), (), tmp_path / "run", place)
    assert len(opened.members()) == len(profiled.targets)


def test_the_targets_have_the_models_shapes_and_are_committed_once(place: Path, profiled: Profile) -> None:
    matmuls = real_cases(place / "own/matmul")
    assert {"model_m64_n192_k64_fp32", "model_m64_n256_k64_fp32", "model_m32_n32_k32_fp32"} <= set(matmuls)
    assert all(name.startswith("model_") for name in matmuls)
    assert set(real_cases(place / "own/layernorm")) == {"model_r64_c64_fp32"}
    log = subprocess.run(["git", "log", "--oneline"], cwd=place / "own", capture_output=True, text=True, check=True)
    assert len(log.stdout.splitlines()) == 1
    status = subprocess.run(["git", "status", "--short"], cwd=place / "own", capture_output=True, text=True, check=True)
    assert status.stdout == ""


def test_a_target_that_was_written_passes_the_gates(place: Path, profiled: Profile) -> None:
    found = bench("own/softmax", place, arch="sm_90", seed=1)
    assert found.succeeded, found.found.reason
    assert "model_r128_c32_fp32" in found.text()


def test_with_backward_the_gradients_are_operations_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Path("block.py").write_text(BLOCK)
    assert main(["profile", "block.py", "--backward", "--device", "cpu", "--steps", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == "block-kernels"
    targets = {each["target"] for each in told["operations"]}
    assert {"matmul", "layernorm_backward", "softmax_backward"} <= targets


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WITHOUT_INPUTS, "defines no inputs(); it must define model() -> torch.nn.Module and inputs() -> a tuple of tensors"),
        (OF_NOTHING, "no target does 0.5 % of its time or more"),
        (None, "is no Python file; give one that defines model()"),
    ],
    ids=["without inputs", "of nothing", "missing"],
)
def test_a_model_that_cannot_be_profiled_says_why_and_nothing_is_written(
    text: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("m.py").write_text(text)
    assert main(["profile", "m.py", "--device", "cpu", "--steps", "1"]) == 2
    assert said in capsys.readouterr().err
    assert not Path("m-kernels").exists()


def test_a_folder_that_is_there_is_refused_before_the_model_runs(
    place: Path, profiled: Profile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main(["profile", "block.py", "--name", "own"]) == 2
    assert "--name own: is there already; give another name" in capsys.readouterr().err
