"""What a user can get wrong: exit 2, one clear message, no traceback, no run directory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from place import Place, swap


def refused(place: Place, *words: str, arguments: tuple[str, ...] = ("run", "night.yaml")) -> None:
    done = place.regatta(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert not (place.path / "runs").exists() or not list((place.path / "runs").iterdir())


@pytest.fixture
def place_with_target(place: Place) -> Place:
    place.summing_target(sd=0.1)
    return place


def test_a_missing_config_is_named(place: Place) -> None:
    refused(place, "night.yaml")


def test_an_unknown_key_is_named_with_its_line_and_what_is_allowed(place_with_target: Place) -> None:
    place_with_target.config("night", [], tournement={})
    refused(place_with_target, "tournement", "did you mean tournament", "night.yaml:")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"repo": "nowhere"}, ("nowhere", "no such folder")),
        ({"editable": ["*.rs"]}, ("*.rs", "matches no file")),
        ({"command": None, "runner": "train"}, ("prepare.py",)),
        ({"editable": []}, ("editable",)),
    ],
    ids=["no such target", "a glob that matches nothing", "no prepare.py for train", "nothing editable"],
)
def test_a_target_that_cannot_be_used_is_refused(
    place_with_target: Place, change: dict[str, Any], words: tuple[str, ...]
) -> None:
    target = {"repo": "target", "editable": ["values.py"], "command": "python measure.py", **change}
    place_with_target.config("night", [], target={k: v for k, v in target.items() if v is not None})
    refused(place_with_target, *words)


def test_a_dirty_target_is_refused(place_with_target: Place) -> None:
    place_with_target.config("night", [])
    (place_with_target.path / "target/values.py").write_text("VALUES = {}\n")
    refused(place_with_target, "not committed", "values.py")


def test_a_folder_that_is_not_under_git_is_refused(place: Place) -> None:
    (place.path / "target").mkdir()
    (place.path / "target/values.py").write_text("")
    place.config("night", [])
    refused(place, "not under git", "git -C")


def test_a_glob_that_catches_what_the_runner_seals_is_refused(place: Place) -> None:
    place.target({"prepare.py": "", "train.py": ""})
    place.config("night", [], target={"repo": "target", "editable": ["*.py"]})
    refused(place, "prepare.py", "seals")


def test_a_run_directory_that_is_not_empty_is_refused_and_resume_is_named(place_with_target: Place) -> None:
    place_with_target.config("night", [])
    (place_with_target.path / "taken").mkdir()
    (place_with_target.path / "taken/file").write_text("mine")
    refused(place_with_target, "not empty", "regatta resume", arguments=("run", "night.yaml", "--run-dir", "taken"))
    assert (place_with_target.path / "taken/file").read_text() == "mine"


def test_a_missing_replay_file_is_refused(place_with_target: Place) -> None:
    path = place_with_target.config("night", [])
    config = json.loads(path.read_text())
    config["proposers"][0]["path"] = "gone.jsonl"
    path.write_text(json.dumps(config))
    refused(place_with_target, "gone.jsonl")


@pytest.mark.parametrize("verb", ["status", "resume", "show", "log", "report", "stop", "watch"])
def test_what_is_not_a_run_directory_is_named(place: Place, verb: str) -> None:
    refused(place, "not a run directory", arguments=(verb, "nowhere"))


def test_an_override_is_named_when_it_is_wrong(place_with_target: Place) -> None:
    place_with_target.config("night", [])
    refused(place_with_target, "--set limits.trials=many", arguments=("run", "night.yaml", "--set", "limits.trials=many"))


def test_a_base_commit_that_crashes_stops_the_campaign_with_the_end_of_its_log(place: Place) -> None:
    place.target({"measure.py": "print('about to fail')\nraise ValueError('no such data')\n", "values.py": ""})
    place.config("night", [swap("x", "y", "anything")])
    done = place.regatta("run", "night.yaml")
    assert done.returncode == 1
    assert "base commit" in done.stderr
    assert "about to fail" in done.stderr
    assert "no such data" in done.stderr
    assert 'Traceback (most recent call last):\n  File "/work' not in done.stderr
    assert place.status("runs/night")["state"] == "failed"


def test_help_imports_nothing_heavy() -> None:
    import subprocess
    import sys

    code = "import sys, orchestrator.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"ray", "torch", "optuna", "git", "pydantic", "rich", "matplotlib", "scipy", "numpy", "litellm"}
    loaded = set(eval(done.stdout.splitlines()[-1]))
    assert not heavy & loaded


@pytest.mark.parametrize(("mount", "words"), [("/no/such/folder", "a folder that is there"), ("/", "your home folder")])
def test_a_mount_that_is_not_there_or_lends_too_much_is_refused(place_with_target: Place, mount: str, words: str) -> None:
    target = {"repo": "target", "editable": ["values.py"], "command": "python measure.py", "mounts": [mount]}
    place_with_target.config("night", [], target=target)
    refused(place_with_target, "target.mounts", mount, words)
