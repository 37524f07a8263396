"""A machine without bubblewrap: what is refused, what may run all the same, and that every status says so."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from place import REGATTA, Place, swap


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has what a campaign needs, but no bubblewrap."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("git", "sh", "env", "ls", "ps"):
        found = shutil.which(name)
        if found is not None:
            (tools / name).symlink_to(found)
    return {**os.environ, "PATH": os.pathsep.join([str(tools), str(Path(REGATTA).parent)])}


def test_written_edits_are_refused_with_what_to_install_and_nothing_is_made(place: Place, bare: dict[str, str]) -> None:
    place.summing_target(sd=0.1)
    place.config("night", [swap("a=1.0", "a=0.5", "good a")])
    done = place.regatta("run", "night.yaml", env=bare)
    assert done.returncode == 2
    for word in ("apt-get install bubblewrap", "replay", "sandbox: none"):
        assert word in done.stderr
    assert not (place.path / "runs").exists()


def test_a_person_may_choose_none_and_every_status_shows_it(place: Place, bare: dict[str, str]) -> None:
    place.summing_target(sd=0.0)
    place.config("night", [swap("a=1.0", "a=0.5", "good a")], sandbox="none")
    done = place.regatta("run", "night.yaml", env=bare)
    assert done.returncode == 0, done.stderr
    assert place.status("runs/night")["sandbox"] == "none"
    assert "sandbox     none" in place.regatta("status", "runs/night").stdout
    assert [row["status"] for row in place.rows("runs/night", "candidates")] == ["keep"]


def test_knobs_may_run_and_an_idea_of_a_person_is_turned_down_with_the_reason(place: Place, bare: dict[str, str]) -> None:
    place.target({"measure.py": "from values import SIZE\nprint(f'METRIC loss={SIZE}')\n", "values.py": "SIZE = 8  # 1..64\n"})
    place.config("night", [], proposers=[{"kind": "knobs"}], limits={"candidates": 2})
    (place.path / "idea.json").write_text(json.dumps([{"path": "values.py", "content": "SIZE = 0\n"}]))
    assert place.regatta("run", "night.yaml", env=bare).returncode == 0
    assert place.regatta("propose", "runs/night", "--edits", "idea.json", "--description", "mine").returncode == 0
    assert place.regatta("resume", "runs/night", "--set", "limits.candidates=3", env=bare).returncode == 0
    idea = next(row for row in place.rows("runs/night", "candidates") if row["proposer"] == "person")
    assert idea["status"] == "rejected"
    assert "sandbox: without bubblewrap only knobs may run" in idea["reason"]
