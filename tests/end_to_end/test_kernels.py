"""A kernel campaign without a GPU: what is kept is right, better by the model, called modelled, and shown case by case."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from place import Place

from orchestrator.bench import new_target


def idea(search: str, replace: str, description: str) -> dict[str, Any]:
    return {"description": description, "edits": [{"path": "kernel.py", "search": search, "replace": replace}]}


IDEAS = [
    idea("BLOCK = 1024  #", "BLOCK = 512  #", "fewer entries a program"),
    idea("0.7071067811865476", "0.70", "a rounder constant"),
    idea("    return y\n", "    return torch.nn.functional.gelu(x + bias)\n", "let torch do it"),
    idea("BLOCK = 1024  #", "BLOCK = 1000  #", "no power of two"),
]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("kernels"))
    folder = new_target("target", place.path)
    place.git("init", "--quiet")
    place.git("add", "--all")
    place.git("commit", "--quiet", "-m", "base")
    assert (folder / "kernel.py").is_file()
    place.config(
        "night",
        IDEAS,
        target={"repo": "target", "editable": ["kernel.py"], "arch": "sm_90"},
        objective={"metric": "static_cost"},
        trial={"timeout_s": 120.0, "gpus": 0},
        tournament={"lanes": "solo", "baseline_repeats": 2, "max_repeats": 2},
    )
    done = place.regatta("run", "night.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_each_idea_ends_as_it_deserves(night: Place) -> None:
    found = {row["description"]: (row["status"], row["reason"] or "") for row in night.rows("runs/night", "candidates")}
    assert found["fewer entries a program"][0] == "keep"
    assert found["a rounder constant"][0] == "crash"
    assert "wrong: small_model_fp32: the output: its worst error is" in found["a rounder constant"][1]
    status, reason = found["let torch do it"]
    assert status == "rejected"
    assert "torch computes: kernel.py, line" in reason
    assert found["no power of two"][0] == "crash"
    assert "does not compile for sm_90" in found["no power of two"][1]
    assert "power of 2" in found["no power of two"][1]


def test_a_stand_in_is_called_modelled_wherever_it_stands(night: Place) -> None:
    status = night.status("runs/night")
    assert status["objective"]["provenance"] == "modelled"
    assert status["champion"]["mean"] < status["baseline"]["mean"]
    for verb in ("status", "show"):
        assert "modelled" in night.regatta(verb, "runs/night").stdout
    assert "modelled" in (night.path / "runs/night/report.html").read_text()
    message = night.git("log", "-1", "--format=%B", "champion", at="runs/night/repo")
    assert ", modelled)" in message


def test_why_a_kernel_is_better_is_told_case_by_case(night: Place) -> None:
    (kept,) = (row["id"] for row in night.rows("runs/night", "candidates") if row["status"] == "keep")
    told = night.regatta("show", "runs/night", kept).stdout
    assert "the cases in which it differs from the baseline:" in told
    (line,) = (line for line in told.splitlines() if line.strip().startswith("model_bf16"))
    assert "32768 -> 65536" in line  # programs
    assert "held_out" not in told


def test_what_was_compiled_is_on_record_for_every_trial(night: Place) -> None:
    rows = [row for row in night.rows("runs/night", "trials") if row["outcome"] == "ok"]
    assert rows
    for row in rows:
        assert row["metrics"]["registers"] > 0
        assert row["metrics"]["shared_bytes"] >= 0
        assert row["energy_j"] is None


def test_the_champion_is_one_importable_file_that_says_where_it_comes_from(night: Place) -> None:
    path = night.path / "runs/night/champion_kernel.py"
    tree = ast.parse(path.read_text())
    told = ast.get_docstring(tree) or ""
    assert "modelled: a stand-in" in told
    assert "c0001, replay: fewer entries a program" in told
    committed = night.git("show", "champion:kernel.py", at="runs/night/repo")
    assert ast.dump(ast.Module(tree.body[1:], [])) == ast.dump(ast.Module(ast.parse(committed).body[1:], []))


def test_autokernel_users_find_their_columns(night: Place) -> None:
    done = night.regatta("export", "runs/night", "--rows", "candidates", "--format", "autokernel")
    header, starter, *rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert header[:4] == ["experiment", "tag", "kernel_type", "throughput_tflops"]
    assert header[4:10] == ["latency_us", "pct_peak", "speedup_vs_pytorch", "correctness", "peak_vram_mb", "description"]
    assert starter[:3] == ["0", "baseline", "target"]
    assert starter[header.index("latency_us")] == ""  # there is no GPU
    assert [row[header.index("correctness")] for row in rows] == ["PASS", "FAIL", "FAIL", "FAIL"]
    refused = night.regatta("export", "runs/night", "--rows", "trials", "--format", "autokernel")
    assert refused.returncode == 2
    assert "--rows candidates" in refused.stderr
