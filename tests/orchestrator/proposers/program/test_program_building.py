"""What a program of a real run is told: from the config, the journal, and the files that a person and the head write."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from subject import init

from orchestrator import events as ev
from orchestrator.config import ConfigError
from orchestrator.edits import Edit
from orchestrator.opening import Parts, open_new, open_parts
from orchestrator.proposers.base import Brief
from orchestrator.proposers.program.assignment import Assignment
from orchestrator.proposers.program.building import grounds_of


def opened(place: Path, command: str = "true") -> Parts:
    init(place / "user", {"code.py": "x = 1\n", "bench.sh": "echo METRIC t=1\n", "program.md": "As committed."})
    config = {
        "name": "small",
        "target": {"repo": str(place / "user"), "editable": ["*.py"], "command": "sh bench.sh"},
        "objective": {"metric": "t", "constraints": {"ram_mb": {"max": 100}}},
        "proposers": [{"kind": "program", "command": command}],
        "limits": {"trials": 20, "usd": 4},
    }
    (place / "config.yaml").write_text(yaml.safe_dump(config))
    return open_parts(open_new(str(place / "config.yaml"), [], None, place))


def told(parts: Parts) -> Assignment:
    grounds = grounds_of(parts.run, parts.config, parts.settings, parts.ledger, parts.admission, "program")
    return grounds.assignment(Brief(grounds.champion(), lambda path: None, ("code.py",), (), 0))


def test_it_is_told_the_objective_the_budget_and_what_may_be_edited(tmp_path: Path) -> None:
    parts = opened(tmp_path)
    assignment = told(parts)
    assert assignment.champion == parts.ledger.base
    assert (assignment.metric, assignment.direction) == ("t", "minimize")
    assert assignment.constraints == ("ram_mb: max 100",)
    assert (assignment.globs, assignment.editable) == (("*.py",), ("code.py",))
    assert assignment.left == ("trials: 0 of 20 are spent", "dollars: 0 of 4 are spent")
    assert assignment.notebook is None
    parts.close()


def test_the_notebook_and_the_persons_words_are_read_anew_each_time(tmp_path: Path) -> None:
    parts = opened(tmp_path)
    assert told(parts).program == "As committed."
    (tmp_path / "user/program.md").write_text("As written since.")
    assert told(parts).program == "As written since."
    (parts.run.path / "program.md").write_text("For this run.")
    parts.run.notebook.write_text("c0001 was kept")
    assert (told(parts).program, told(parts).notebook) == ("For this run.", "c0001 was kept")
    parts.close()


def test_what_is_being_measured_is_told_and_what_the_journal_has_of_its_own_is_known(tmp_path: Path) -> None:
    parts = opened(tmp_path)
    edits = (Edit("code.py", content="x = 2\n"),)
    parts.ledger.apply(ev.Proposed("c0001", "program", "wider", edits, token="program/0001"), 1.0)
    parts.ledger.apply(ev.Proposed("c0002", "person", "deeper", edits, token="a message"), 1.0)
    assert told(parts).pending == ("wider", "deeper")
    grounds = grounds_of(parts.run, parts.config, parts.settings, parts.ledger, parts.admission, "program")
    assert set(grounds.known()) == {"program/0001"}
    parts.close()


def test_a_command_that_is_not_there_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the shell finds no no-such-agent"):
        opened(tmp_path, "no-such-agent < {prompt}")
    assert not (tmp_path / "runs").exists()
