"""The first subject through the whole path: real training on real text, scored by the worker."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from place import Place

from orchestrator.target import shipped_subjects


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Place:
    place = Place(tmp_path_factory.mktemp("nanotrain"))
    subject = shipped_subjects()["nanotrain"]
    files = {path.name: path.read_text() for path in subject.iterdir() if path.suffix in (".py", ".md")}
    place.target(files)
    edit = {"path": "train.py", "search": "CPU_HEAD_LR = 0.001", "replace": "CPU_HEAD_LR = 0.004"}
    place.config(
        "night",
        [{"description": "a higher learning rate for the head", "edits": [edit]}],
        target={"repo": "target", "editable": ["train.py"], "corpus": "embedded"},
        objective={"metric": "val_bpb"},
        trial={"budget_s": 2.0, "timeout_s": 120.0, "gpus": 0},
        tournament={"baseline_repeats": 2, "max_repeats": 4},
    )
    environment = {**os.environ, "REGATTA_DATA": str(data_root)}
    done = place.regatta("run", "night.yaml", env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_the_score_is_measured_by_the_worker_and_plausible(night: Place) -> None:
    status = night.status("runs/night")
    assert status["objective"]["provenance"] == "measured"
    assert 1.0 < status["baseline"]["mean"] < 3.5  # 3.5: all tokens equally likely


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
