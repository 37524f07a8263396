"""Campaigns whose edits a model writes: real litellm over real HTTP, against a scripted server on loopback."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from place import Place
from scripted_model import Reply, Say, ScriptedModel, candidate

KEY = "sk-scripted-key-of-the-tests-31337"
ENVIRONMENT = {**os.environ, "OPENAI_API_KEY": KEY}
VALUE = re.compile(r"^    ([abcd])=([\d.]+),$", re.MULTILINE)


def lowers_a_value(prompt: str, nth: int) -> Reply:
    """Reads the champion's values in the prompt, and lowers one of them by half: an edit that fits it and helps."""
    values = VALUE.findall(prompt)
    name, value = values[nth % len(values)]
    text = candidate(
        "values.py", f"    {name}={value},", f"    {name}={float(value) / 2},", f"lower {name} ({nth})", "schedule"
    )
    return Say(text)


def entry(model: ScriptedModel, **more: Any) -> dict[str, Any]:
    price = {"input_per_mtok": 10.0, "output_per_mtok": 20.0}  # 1,000 and 500 tokens: 2 cents
    return {"kind": "llm", "model": "openai/scripted", "api_base": model.url, "price": price, **more}


def run(place: Place, *arguments: str) -> Any:
    return place.regatta(*arguments, env=ENVIRONMENT)


def test_a_models_edits_are_kept_and_what_they_cost_is_counted(place: Place) -> None:
    place.summing_target(sd=0.01)
    (place.path / "target/program.md").write_text("Keep SD as it is.\n")
    place.git("add", "--all")
    place.git("commit", "--quiet", "-m", "program")
    with ScriptedModel(lowers_a_value) as model:
        place.config("night", [], proposers=[entry(model)], limits={"candidates": 6})
        done = run(place, "run", "night.yaml")
        assert done.returncode == 0, done.stderr
    status = place.status("runs/night")
    assert (status["state"], status["stop_reason"]) == ("finished", "candidates")
    assert status["candidates"]["kept"] >= 1
    assert status["champion"]["mean"] < status["baseline"]["mean"] - 0.3
    assert len(place.rows("runs/night", "candidates")) == 6
    assert status["spend"]["usd"] == pytest.approx(0.02 * model.answered)
    first = model.prompts()[0]
    assert "Keep SD as it is." in first
    assert "    a=1.0," in first
    assert "loss, lower is better" in first
    everything = b"".join(path.read_bytes() for path in (place.path / "runs").rglob("*") if path.is_file())
    assert KEY.encode() not in everything
    assert all(KEY not in prompt for prompt in model.prompts())
