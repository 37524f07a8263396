"""Many nights as one forecast, and the verb as a person and a program call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_up import CONFIG_TEXT, config, landscape

from orchestrator.config_text import ConfigError
from orchestrator.simulator.forecast import forecast, limited_to, night, stderr, upper95
from orchestrator.simulator.telling import forecast_text

REGATTA = str(Path(sys.executable).with_name("regatta"))


def regatta(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([REGATTA, "simulate", *words], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(CONFIG_TEXT)
    (tmp_path / "land.yaml").write_text("gpus: {count: 4}\n")
    return tmp_path


def test_the_bound_on_false_keeps_is_never_better_than_so_many_nights_can_show() -> None:
    assert upper95([0.0] * 60) == pytest.approx(0.0487, abs=1e-3)
    assert upper95([0.1, 0.0] * 100) == pytest.approx(0.05 + 1.65 * 0.05 / 200**0.5, abs=1e-3)
    assert upper95([0.0]) == pytest.approx(0.95)


def test_one_night_has_no_standard_error() -> None:
    assert stderr([1.0]) is None
    assert "± " not in forecast_text(forecast(config(), landscape(), repeats=1, seed=0), config(), landscape(), 0)


def test_limits_given_on_the_command_line_stand_in_place_of_the_configs() -> None:
    told = config("{trials: 10, candidates: 3}")
    assert limited_to(told, None, None) == told
    assert limited_to(told, 20, None).limits.model_dump(exclude_none=True) == {"trials": 20}


def test_a_campaign_without_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="give --trials or --hours"):
        forecast(config("{usd: 5}"), landscape(), repeats=1, seed=0)


def test_a_trial_of_several_gpus_takes_them_all() -> None:
    told = config().model_copy(update={"trial": config().trial.model_copy(update={"gpus": 2.0})})
    played = night(told, landscape(5), policy="auto", seed=0)
    assert len(played.ledger.workers) == 2
    assert {trial.started.gpus for trial in played.ledger.trials.values()} == {2.0}
    with pytest.raises(ConfigError, match=r"trial\.gpus: given 2; at most"):
        night(told, landscape(1), policy="auto", seed=0)


def test_dollars_are_told_where_the_config_has_a_price_and_unknown_elsewhere() -> None:
    told, wanted = config(), landscape()
    priced = told.model_copy(update={"prices": told.prices.model_copy(update={"usd_per_gpu_hour": 2.0})})
    found = forecast(told, wanted, repeats=2, seed=0)
    assert "unknown: the config has no prices.usd_per_gpu_hour" in forecast_text(found, told, wanted, 0)
    hours = sum(night.gpu_hours for night in found.nights) / 2
    assert f"dollars       {2.0 * hours:.2f} for GPUs" in forecast_text(found, priced, wanted, 0)


@pytest.mark.parametrize("policy", [None, "solo", "greedy", "two-sigma", "three-seeds", "best-of-wave"])
def test_the_verb_gives_programs_the_keys_of_the_contract(folder: Path, policy: str | None) -> None:
    words = ["small.yaml", "--landscape", "land.yaml", "--trials", "60", "--repeats", "3", "--json"]
    done = regatta(*words, *(["--policy", policy] if policy else []), cwd=folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == [
        "policy", "trials", "gain", "false_keep_share", "any_keep", "keeps", "occupancy", "gpu_hours", "hours", "wall_s"
    ]  # fmt: skip
    assert found["policy"] == policy or (policy is None and found["policy"] == "auto")
    assert found["trials"] == 60
    assert set(found["gain"]) == {"mean", "stderr"}
    assert set(found["false_keep_share"]) == {"mean", "upper95"}
    assert 0 < found["occupancy"] <= 1
    assert found["gpu_hours"] == pytest.approx(found["occupancy"] * found["hours"] * 4)


def test_the_same_seed_gives_the_same_forecast_and_another_seed_another(folder: Path) -> None:
    def told(seed: str) -> object:
        words = ["small.yaml", "--landscape", "land.yaml", "--repeats", "2", "--seed", seed, "--policy", "greedy", "--json"]
        found = json.loads(regatta(*words, cwd=folder).stdout)
        del found["wall_s"]
        return found

    assert told("1") == told("1") != told("2")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gpus", "0"], "given 0; a whole number, at least 1"),
        (["--hours", "nan"], "given nan; a number above 0"),
        (["--policy", "best"], "invalid choice: 'best'"),
        (["--landscape", "small.yaml"], "small.yaml:2: name: unknown key"),
    ],
)
def test_wrong_arguments_are_told_and_end_with_2(folder: Path, words: list[str], said: str) -> None:
    done = regatta("small.yaml", "--landscape", "land.yaml", *words, cwd=folder)
    assert done.returncode == 2
    assert said in done.stderr
