"""A fleet's directory appears whole or not at all, with an ordinary run for each target; and belongs to one process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from subject import init

from orchestrator.config import ConfigError
from orchestrator.events import CampaignOpened
from orchestrator.fleet.choice import Because, NextTurn, next_turn
from orchestrator.fleet.directory import FleetDirectory
from orchestrator.fleet.opening import open_fleet
from orchestrator.fleet.standing import read_members, rules_of
from orchestrator.owned_directory import RunDirectoryError
from orchestrator.run_directory import RunDirectory
from orchestrator.views.fleet import fleet_status, fleet_text, load_fleet_record
from orchestrator.views.fleet_report import write_fleet_report
from orchestrator.views.loading import entries, load


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in "ab":
        init(tmp_path / name, {"code.py": "x = 1\n", "bench.sh": "echo METRIC t=1\n"})
    ideas = [{"description": f"idea {n}", "edits": [{"path": "code.py", "content": f"x = {n}\n"}]} for n in range(2, 6)]
    (tmp_path / "ideas.jsonl").write_text("".join(json.dumps(each) + "\n" for each in ideas))
    return tmp_path


def opened(place: Path, *overrides: str, **changes: object) -> FleetDirectory:
    config = {
        "name": "two",
        "targets": [{"repo": "a", "share": 1}, {"repo": "b", "share": 3}],
        "target": {"editable": ["code.py"], "command": "sh bench.sh"},
        "objective": {"metric": "t"},
        "proposers": [{"kind": "replay", "path": "ideas.jsonl"}],
        "limits": {"candidates": 30},
        **changes,
    }
    (place / "two.yaml").write_text(yaml.safe_dump(config))
    return open_fleet(str(place / "two.yaml"), overrides, None, place)


def test_it_holds_an_ordinary_run_for_each_target_and_the_config_as_resolved(place: Path) -> None:
    fleet = opened(place)
    assert sorted(path.name for path in fleet.path.iterdir()) == ["a", "b", "fleet.yaml"]
    assert [load(fleet.member(name)).config.name for name in "ab"] == ["two-a", "two-b"]
    assert fleet.load().shares == {"a": 0.25, "b": 0.75}
    assert [path.name for path in (place / "runs").iterdir()] == ["two"]


def test_the_error_rate_of_each_is_spent_over_the_candidates_of_all(place: Path) -> None:
    fleet = opened(place)
    for name in "ab":
        first = next(entries(fleet.member(name))).event
        assert isinstance(first, CampaignOpened)
        assert first.planned_candidates == 8


def test_what_is_wrong_with_every_target_is_told_once_and_nothing_is_made(place: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(place, proposers=[{"kind": "replay", "path": "gone.jsonl"}])
    assert len(caught.value.problems) == 1
    assert not (place / "runs").exists()


def test_what_is_wrong_with_some_targets_is_told_with_which(place: Path) -> None:
    (place / "a/code.py").write_text("x = 2\n")
    with pytest.raises(ConfigError) as caught:
        opened(place, targets=[{"repo": "a"}, {"repo": "b", "editable": ["*.rs"]}])
    dirty, empty = caught.value.problems
    assert dirty.startswith("targets[0].repo: a: has changes that are not committed")
    assert empty.startswith("targets[1] (b): target.editable: '*.rs' matches no file")


def test_a_fleet_is_no_run_and_names_those_that_it_holds(place: Path) -> None:
    fleet = opened(place)
    with pytest.raises(RunDirectoryError, match=r"is a fleet, not a run; .*two/a, .*two/b"):
        RunDirectory.existing(fleet.path)


def test_a_member_knows_its_fleet_and_a_run_of_its_own_knows_none(place: Path) -> None:
    fleet = opened(place)
    around = FleetDirectory.around(fleet.path / "a")
    assert around is not None
    assert around.path == fleet.path
    assert FleetDirectory.around(fleet.path) is None
    assert FleetDirectory.around(fleet.path / "nowhere") is None


@pytest.mark.parametrize("what", ["", "/b"])
def test_while_one_process_runs_a_fleet_no_other_runs_it_or_a_member(place: Path, what: str) -> None:
    fleet = opened(place)
    with fleet.locked(1.0):
        regatta = str(Path(sys.executable).with_name("regatta"))
        done = subprocess.run([regatta, "resume", f"runs/two{what}"], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is in use by process" in done.stderr
    assert "regatta status" in done.stderr
    assert "regatta stop" in done.stderr


def test_before_the_first_turn_nothing_is_known_and_the_first_target_is_next(place: Path) -> None:
    fleet = opened(place)
    config = fleet.load()
    members = read_members(fleet, config)
    found = next_turn([each.standing for each in members], rules_of(config))
    assert isinstance(found, NextTurn)
    assert (found.target, found.because) == ("a", Because.FIRST)
    status = fleet_status(load_fleet_record(fleet), 0.0)
    assert (status.state, status.next_target, status.speed_up) == ("interrupted", "a", 1.0)
    assert [(each.baseline.mean, each.headroom, each.cost_s, each.turns) for each in status.targets] == [
        (None, None, None, 0)
    ] * 2
    assert "the whole, by share: 1 times as fast as the baseline" in fleet_text(status)


def test_a_report_tells_of_targets_that_were_not_measured_yet(place: Path) -> None:
    fleet = opened(place)
    page = write_fleet_report(load_fleet_record(fleet), 0.0).read_text()
    assert [
        name for name in "ab" if f'href="{name}/report.html"' in page and (fleet.path / name / "report.html").is_file()
    ] == ["a", "b"]


def test_an_idea_of_a_person_is_something_to_go_on_with(place: Path) -> None:
    fleet = opened(place)
    (fleet.path / "b/inbox/idea.json").write_text("{}")
    assert [each.standing.pending for each in read_members(fleet, fleet.load())] == [0, 1]
