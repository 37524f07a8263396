"""`regatta bench`: a target as it lies in its folder, committed or not, and a new one that works as it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.bench import BenchError, bench, new_target
from orchestrator.cli import main
from orchestrator.target import shipped_subjects
from workers.trial import Outcome


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new target, under no git."""
    return new_target("mine", tmp_path_factory.mktemp("targets"))


def test_a_new_target_is_four_files(target: Path) -> None:
    assert sorted(path.name for path in target.iterdir()) == ["cases.py", "kernel.py", "program.md", "reference.py"]


def test_a_new_target_passes_as_it_is_and_its_table_has_every_case_that_was_compiled(target: Path) -> None:
    found = bench("mine", target.parent, arch="sm_80", seed=1)
    assert found.succeeded, found.found.reason
    text = found.text()
    assert "compiled for sm_80" in text
    for case in ("model_bf16", "model_fp16", "small_model_fp32", "primes_bf16", "held_out_bf16"):
        assert f"  {case}" in text
    assert "no measurement" in text
    told = found.as_json()
    assert told["metrics"]["latency_us"] is None
    assert told["metrics"]["energy_mj"] is None
    assert told["metrics"]["static_cost"] > 0
    assert json.loads(json.dumps(told)) == told
    rows = {row["case"]: row for row in told["cases"]}
    assert rows["model_bf16"]["stand_in_us"] >= rows["model_bf16"]["floor_us"] > 0


def test_a_kernel_too_large_for_the_gpu_says_in_which_case_and_by_how_much(tmp_path: Path) -> None:
    shutil.copytree(shipped_subjects()["kernels/matmul"], tmp_path / "matmul")
    found = bench("matmul", tmp_path, arch="gfx942", seed=0)  # 96 KiB where a program may have 64
    assert found.found.outcome is Outcome.CRASH
    assert "of shared memory; allowed on gfx942 are 65536" in str(found.found.reason)


def test_a_wrong_kernel_says_in_which_case_and_how_far_it_is_off(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = target / "kernel.py"
    right = kernel.read_text()
    try:
        kernel.write_text(right.replace("0.7071067811865476", "0.70"))
        code = subprocess.run(
            [sys.executable, "-m", "orchestrator.cli", "bench", "mine"],
            cwd=target.parent,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        kernel.write_text(right)
    assert code.returncode == 1
    assert "crash: wrong: small_model_fp32: the output: its worst error is" in code.stdout


def test_what_is_no_target_is_told_with_what_to_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        BenchError, match=r"nosuch: there is no such folder; allowed: .*kernels/rmsnorm.*regatta bench --new nosuch"
    ):
        bench("nosuch", tmp_path, arch=None, seed=0)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "kernel.py").touch()
    with pytest.raises(BenchError, match=r"half: a kernel target needs reference\.py and cases\.py"):
        bench("half", tmp_path, arch=None, seed=0)
    with pytest.raises(BenchError, match="half: is there already"):
        new_target("half", tmp_path)
    assert main(["bench", str(tmp_path / "half")]) == 2
    assert "a kernel target needs" in capsys.readouterr().err
