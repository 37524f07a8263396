"""The first subject through the whole path: an edit that a model wrote, real training on real text, scored by the worker."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from place import Place
from scripted_model import Say, ScriptedModel, candidate

from orchestrator.target import shipped_subjects

SLOW = "CPU_HEAD_LR = 0.00001"  # the head hardly learns: any sane value is better by far
SANE = "CPU_HEAD_LR = 0.004"
SMALLER = {"CPU_HEAD_LR = 0.001": SLOW, "CPU_DEPTH = 2": "CPU_DEPTH = 1", "CPU_ASPECT = 48": "CPU_ASPECT = 32"}  # scored sooner
PROMPT = "prompt.txt"  # in the place: what the model was asked


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Place:
    place = Place(tmp_path_factory.mktemp("nanotrain"))
    subject = shipped_subjects()["nanotrain"]
    files = {path.name: path.read_text() for path in subject.iterdir() if path.suffix in (".py", ".md")}
    for shipped, here in SMALLER.items():
        assert shipped in files["train.py"]
        files["train.py"] = files["train.py"].replace(shipped, here)
    place.target(files)
    with ScriptedModel(lambda prompt, nth: Say(candidate("train.py", SLOW, SANE, "the head learns too slowly"))) as model:
        price = {"input_per_mtok": 10.0, "output_per_mtok": 20.0}
        place.config(
            "night",
            [],
            proposers=[{"kind": "llm", "model": "openai/scripted", "api_base": model.url, "price": price}],
            target={"repo": "target", "editable": ["train.py"], "corpus": "embedded"},
            objective={"metric": "val_bpb"},
            trial={"budget_s": 2.0, "timeout_s": 120.0, "gpus": 0},
            tournament={"baseline_repeats": 2, "max_repeats": 6},
            limits={"candidates": 1},
        )
        environment = {**os.environ, "REGATTA_DATA": str(data_root), "OPENAI_API_KEY": "none"}
        done = place.regatta("run", "night.yaml", env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
    (place.path / PROMPT).write_text(model.prompts()[0])
    return place


def test_the_champion_improves_by_an_edit_that_a_model_wrote(night: Place) -> None:
    status = night.status("runs/night")
    assert status["candidates"]["kept"] == 1
    assert status["champion"]["mean"] < status["baseline"]["mean"]
    assert SANE in night.git("show", "champion:train.py", at="runs/night/repo")
    asked = (night.path / PROMPT).read_text()
    assert "You improve a small language model's training" in asked, "the subject's program.md"
    assert "val_bpb, lower is better" in asked


def test_the_score_is_measured_by_the_worker_and_plausible(night: Place) -> None:
    status = night.status("runs/night")
    assert status["objective"]["provenance"] == "measured"
    assert 1.0 < status["champion"]["mean"] < 3.5  # 3.5: all tokens equally likely


def test_baselines_are_scored_on_the_split_that_decides_nothing_and_races_are_not(night: Place) -> None:
    rows = night.rows("runs/night", "trials")
    assert all("test_bpb" in row["metrics"] for row in rows if not row["candidates"])
    first_of_race = next(row for row in rows if row["candidates"])
    assert "test_bpb" not in first_of_race["metrics"]
    assert night.status("runs/night")["held_out"]["baseline"] > 1.0


def test_training_took_the_workers_budget(night: Place) -> None:
    for row in night.rows("runs/night", "trials"):
        assert row["outcome"] == "ok", row
        assert 1.0 < row["metrics"]["training_seconds"] <= 2.0 + 1.0 + 0.02


def test_all_trials_have_one_fingerprint(night: Place) -> None:
    assert len({row["fingerprint"] for row in night.rows("runs/night", "trials")}) == 1
