"""What a campaign leaves to its next reader, and what it tells a proposer that repeats itself."""

from __future__ import annotations

import json
import re

import pytest
from place import Place, swap


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A night with a keep, a loss and a crash; then another head, which is offered the same loss again."""
    place = Place(tmp_path_factory.mktemp("notes"))
    place.summing_target(sd=0.01)
    proposals = [
        swap("a=1.0", "a=0.0", "good a"),
        swap("b=2.0", "b=3.0", "bad b"),
        swap("SD = ", "raise SystemExit('no `way`')\nSD = ", "crashes"),
    ]
    done = place.regatta("run", str(place.config("notes", proposals)))
    assert done.returncode == 0, done.stderr
    return place


def test_the_run_keeps_a_notebook_of_what_it_has_learnt(night: Place) -> None:
    text = (night.path / "runs/notes/notebook.md").read_text()
    assert "`good a`" in text.partition("## Kept")[2].partition("\n## ")[0]
    assert "`bad b`" in text.partition("## No better")[2].partition("\n## ")[0]
    assert "`crashes`, `the command failed: exit status 1: no 'way'`" in text
    assert "| no `way`\n" in text


def test_status_says_where_it_lies(night: Place) -> None:
    path = night.path / "runs/notes/notebook.md"
    assert night.status("runs/notes")["notebook"] == str(path)
    assert str(path) in night.regatta("status", "runs/notes").stdout
    assert str(path) in (night.path / "runs/notes/report.html").read_text()


def test_the_next_head_goes_on_from_it_and_refuses_what_was_clearly_worse(night: Place) -> None:
    with (night.path / "notes.jsonl").open("a") as file:
        file.write(json.dumps(swap("b=2.0", "b=3.00", "bad b in other words")) + "\n")
    before = len(night.rows("runs/notes", "trials"))
    assert night.regatta("resume", "runs/notes").returncode == 0
    again = night.rows("runs/notes", "candidates")[-1]
    assert (again["status"], again["trial_ids"]) == ("rejected", [])
    said = r"duplicate: makes the same change as c0002, tried on an earlier champion: \+\S+ ± \S+, discarded \(clearly worse\)"
    assert re.fullmatch(said, again["reason"])
    assert len(night.rows("runs/notes", "trials")) == before
    text = (night.path / "runs/notes/notebook.md").read_text()
    assert "`bad b in other words`" in text
    assert "`bad b`" in text
