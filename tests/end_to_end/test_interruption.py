"""Ctrl-C, stop, SIGKILL, a second head: whatever ends a head, `resume` goes on and nothing is lost or counted twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from place import MEASURE, PATIENCE_S, Place, running_commands, swap, wait_for

from orchestrator.edits import Edit
from orchestrator.events import Proposed
from orchestrator.journal import Journal

QUICK = {"lanes": "solo", "baseline_repeats": 2}  # what becomes of blocks when a head dies: test_blocks_lane.py
PROPOSALS = [swap("a=1.0", f"a=1.0 + {n / 50}", f"worse by {n}") for n in range(1, 6)] + [swap("b=2.0", "b=1.0", "good b")]
MANY = [swap("a=1.0", f"a=1.0 + {n / 50}", f"worse by {n}") for n in range(1, 500)]  # many minutes' work
Running = tuple[Place, subprocess.Popen[str]]


@pytest.fixture
def running(place: Place) -> Running:
    """A campaign of slow trials, at least one of which has ended and one is under way."""
    return place, begun(place, PROPOSALS)


@pytest.fixture
def long_running(place: Place) -> Iterator[Running]:
    """Such a campaign that does not end by itself, however long what a test does beside it takes."""
    head = begun(place, MANY)
    yield place, head
    if head.poll() is None:
        head.terminate()
        head.communicate()


def begun(place: Place, proposals: list[dict[str, Any]]) -> subprocess.Popen[str]:
    place.summing_target(sd=0.02)
    measure = (place.path / "target/measure.py").read_text()
    (place.path / "target/measure.py").write_text("import time; time.sleep(0.5)\n" + measure)
    place.git("commit", "--quiet", "--all", "-m", "slower")
    command = f"python measure.py {place.path}"  # by which `candidates_of` tells them from other tests' candidates
    target = {"repo": "target", "editable": ["values.py"], "command": command}
    place.config("night", proposals, target=target, tournament=QUICK)
    head = place.start("run", "night.yaml")
    trials = place.path / "runs/night/trials"
    wait_for(lambda: trials.is_dir() and any(trials.glob("*/measurement.json")))
    return head


def all_is_decided_once(place: Place) -> None:
    status = place.status("runs/night")
    assert status["state"] == "finished"
    rows = place.rows("runs/night", "candidates")
    assert [row["description"] for row in rows] == [p["description"] for p in PROPOSALS]
    assert {row["description"] for row in rows if row["status"] == "keep"} == {"good b"}
    trials = place.rows("runs/night", "trials")
    assert len({row["id"] for row in trials}) == len(trials)
    assert sum(status["trials"].values()) == len(trials)
    subprocess.run(["git", "-C", str(place.path / "runs/night/repo"), "fsck", "--full"], check=True, capture_output=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_in_order_with_130_and_resume_finishes(running: Running, number: signal.Signals) -> None:
    place, head = running
    head.send_signal(number)
    output, errors = head.communicate(timeout=PATIENCE_S)
    assert head.returncode == 130, errors
    assert "Traceback" not in errors
    assert "regatta resume" in output
    assert place.status("runs/night")["state"] == "interrupted"
    assert place.regatta("resume", "runs/night").returncode == 0
    all_is_decided_once(place)


def test_a_killed_head_leaves_no_candidate_and_resume_finishes(running: Running) -> None:
    place, head = running
    wait_for(lambda: bool(candidates_of(place)))
    head.kill()
    head.communicate()
    wait_for(lambda: not candidates_of(place))
    assert place.status("runs/night")["state"] == "interrupted"
    assert place.regatta("resume", "runs/night").returncode == 0
    all_is_decided_once(place)


def candidates_of(place: Place) -> list[str]:
    """The candidates of this place alone: other tests' campaigns run beside this one."""
    return [command for command in running_commands() if command.endswith(f"python measure.py {place.path}")]


def test_two_heads_never_run_one_directory_and_stop_ends_the_first(long_running: Running) -> None:
    place, head = long_running
    second = place.regatta("resume", "runs/night")
    assert second.returncode == 2
    assert str(head.pid) in second.stderr
    assert place.status("runs/night")["state"] == "running"
    assert place.regatta("stop", "runs/night").returncode == 0
    head.communicate(timeout=PATIENCE_S)
    assert head.returncode == 130


def test_an_idea_joins_a_running_campaign(long_running: Running) -> None:
    place, head = long_running
    patch = place.path / "idea.diff"
    (place.path / "target/values.py").write_text((place.path / "target/values.py").read_text().replace("c=3.0", "c=2.0"))
    patch.write_text(place.git("diff"))
    assert place.regatta("propose", "runs/night", "--patch", str(patch), "--description", "mine").returncode == 0

    def mine() -> list[str]:
        return [row["status"] for row in place.rows("runs/night", "candidates") if row["proposer"] == "person"]

    wait_for(lambda: mine() not in ([], ["pending"]))
    assert mine() == ["keep"]
    head.send_signal(signal.SIGINT)
    head.communicate(timeout=PATIENCE_S)
    assert head.returncode == 130


def test_metrics_are_served_while_it_runs(long_running: Running) -> None:
    from urllib.request import urlopen

    place, head = long_running
    port = place.status("runs/night")["metrics_port"]
    text = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S).read().decode()
    assert "regatta_trials_total" in text
    head.send_signal(signal.SIGINT)
    head.communicate(timeout=PATIENCE_S)


def test_limits_end_a_run_and_resume_extends_it(place: Place) -> None:
    place.summing_target(sd=0.02)
    place.config("night", PROPOSALS, tournament=QUICK, limits={"trials": 6})
    assert place.regatta("run", "night.yaml").returncode == 0
    status = place.status("runs/night")
    assert (status["state"], status["stop_reason"]) == ("finished", "trials")
    assert sum(status["trials"].values()) == 6
    assert place.regatta("resume", "runs/night", "--set", "limits.trials=1000").returncode == 0
    all_is_decided_once(place)


def test_no_secret_of_the_head_reaches_a_candidate_or_the_run_directory(place: Place) -> None:
    place.summing_target(sd=0.02)
    spy = "import os; print(dict(os.environ)); print(open('/proc/self/environ').read())\n"
    place.config("night", [swap("SD = ", spy + "SD = ", "spies")], tournament=QUICK)
    environment = {**os.environ, "OPENAI_API_KEY": "sk-very-secret-31337"}
    assert place.regatta("run", "night.yaml", env=environment).returncode == 0
    everything = b"".join(path.read_bytes() for path in Path(place.path / "runs").rglob("*") if path.is_file())
    assert b"31337" not in everything
    assert b"REGATTA_SEED" in everything, "the spy's own output is there"


def test_the_rows_of_a_proposals_file_are_used_once_across_resumes(place: Place) -> None:
    place.summing_target(sd=0.02)
    place.config("night", PROPOSALS, tournament=QUICK, limits={"candidates": 3})
    assert place.regatta("run", "night.yaml").returncode == 0
    assert place.regatta("resume", "runs/night", "--set", "limits.candidates=100").returncode == 0
    rows = place.rows("runs/night", "candidates")
    assert [row["description"] for row in rows] == [p["description"] for p in PROPOSALS]
    assert json.loads(place.regatta("status", "runs/night", "--json").stdout)["stop_reason"] == "proposals"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run that had nothing proposed, and may be given more; all of its target can be edited."""
    place = Place(tmp_path_factory.mktemp("finished"))
    place.summing_target(sd=0.02)
    target = {"repo": "target", "editable": ["*.py"], "command": "python measure.py"}
    place.config("night", [], target=target, tournament=QUICK)
    assert place.regatta("run", "night.yaml").returncode == 0
    return place


def test_a_proposal_whose_gates_had_not_spoken_when_the_head_was_killed_is_admitted(finished: Place) -> None:
    place = finished
    journal = Journal.open(place.path / "runs/night/journal.sqlite")
    edit = Edit("values.py", search="a=1.0", replace="a=0.0")
    journal.append(Proposed("c0001", "replay", "good a", (edit,)), time.time())
    journal.close()
    assert place.regatta("resume", "runs/night").returncode == 0
    assert [row["status"] for row in place.rows("runs/night", "candidates")] == ["keep"]


def test_resume_changes_limits_alone(finished: Place) -> None:
    done = finished.regatta("resume", "runs/night", "--set", "objective.direction=maximize")
    assert done.returncode == 2
    assert "limits" in done.stderr


def test_a_patch_made_at_the_root_of_the_users_repository_is_understood(place: Place) -> None:
    place.target({"README": "a repository with the target in a folder\n"})
    folder = place.path / "target/inside"
    folder.mkdir()
    (folder / "values.py").write_text("SD = 0.01\nVALUES = dict(\n    a=1.0,\n)\n")
    (folder / "measure.py").write_text(MEASURE)
    place.git("add", "--all")
    place.git("commit", "--quiet", "-m", "inside")
    target = {"repo": "target/inside", "editable": ["values.py"], "command": "python measure.py"}
    place.config("night", [], target=target)
    assert place.regatta("run", "night.yaml").returncode == 0
    (folder / "values.py").write_text("SD = 0.01\nVALUES = dict(\n    a=0.5,\n)\n")
    (place.path / "idea.diff").write_text(place.git("diff"))
    done = place.regatta("propose", "runs/night", "--patch", "idea.diff", "--description", "mine")
    assert done.returncode == 0, done.stderr
    assert place.regatta("resume", "runs/night").returncode == 0
    assert [row["status"] for row in place.rows("runs/night", "candidates")] == ["keep"]


def test_a_person_is_warned_when_what_measures_can_be_edited(finished: Place) -> None:
    assert any("measure.py can be edited" in text for text in finished.status("runs/night")["warnings"])
