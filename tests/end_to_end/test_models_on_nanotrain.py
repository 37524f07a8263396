"""A model's edit of the first subject: measured by the worker, and kept."""

from __future__ import annotations

import os
from pathlib import Path

from place import Place
from scripted_model import Say, ScriptedModel, candidate

from orchestrator.target import shipped_subjects

SLOW = "CPU_HEAD_LR = 0.00001"  # the head hardly learns: any sane value is better by far
SANE = "CPU_HEAD_LR = 0.004"


def test_the_champion_improves_by_an_edit_that_a_model_wrote(place: Place, data_root: Path) -> None:
    subject = shipped_subjects()["nanotrain"]
    files = {path.name: path.read_text() for path in subject.iterdir() if path.suffix in (".py", ".md")}
    assert "CPU_HEAD_LR = 0.001" in files["train.py"]
    files["train.py"] = files["train.py"].replace("CPU_HEAD_LR = 0.001", SLOW)
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
        environment = {**os.environ, "REGATTA_DATA": str(data_root), "OPENAI_API_KEY": "none-is-needed"}
        done = place.regatta("run", "night.yaml", env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
    status = place.status("runs/night")
    assert status["objective"]["provenance"] == "measured"
    assert status["candidates"]["kept"] == 1
    assert status["champion"]["mean"] < status["baseline"]["mean"]
    assert SANE in place.git("show", "champion:train.py", at="runs/night/repo")
    assert "You improve a small language model's training" in model.prompts()[0], "the subject's program.md"
    assert "val_bpb, lower is better" in model.prompts()[0]
