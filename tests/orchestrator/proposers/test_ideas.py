"""The person's program.md and ideas.md, read while the night runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.proposers.ideas import Steering, open_ideas, ticked

IDEAS = """# Ideas for tonight

- [ ] a cosine schedule
  with a floor of a tenth
- [x] deeper
* wider
1. tie the head

<!-- - not this
one -->
A line of its own.
"""


def test_items_and_lines_are_ideas_and_headings_comments_and_ticked_ones_are_not() -> None:
    found = open_ideas(IDEAS)
    assert found == ["a cosine schedule with a floor of a tenth", "wider", "tie the head", "A line of its own."]


@pytest.mark.parametrize("idea", open_ideas(IDEAS))
def test_a_tried_idea_is_ticked_off_and_nothing_else_changes(idea: str) -> None:
    changed = ticked(IDEAS, idea, "c0012")
    assert idea not in open_ideas(changed)
    assert len(open_ideas(changed)) == 3
    assert "(c0012)" in changed
    different = [(a, b) for a, b in zip(IDEAS.split("\n"), changed.split("\n"), strict=True) if a != b]
    assert len(different) == 1


def test_program_and_ideas_are_read_anew_each_time_the_run_directory_first(tmp_path: Path) -> None:
    run, target = tmp_path / "run", tmp_path / "target"
    run.mkdir()
    target.mkdir()
    steering = Steering([run, target], "as committed")
    assert (steering.program(), steering.ideas()) == ("as committed", [])
    (target / "program.md").write_text("the target's")
    assert steering.program() == "the target's"
    (run / "program.md").write_text("the run's")
    assert steering.program() == "the run's"
    (target / "ideas.md").write_text("- two")
    (run / "ideas.md").write_text("- one")
    assert steering.ideas() == ["one", "two"]
    steering.tick("two", "c0001")
    assert steering.ideas() == ["one"]
    assert (target / "ideas.md").read_text() == "- [x] two (c0001)"
    assert sorted(path.name for path in target.iterdir()) == ["ideas.md", "program.md"]


def test_a_file_that_is_no_text_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "ideas.md").write_bytes(b"- caf\xe9\n")
    (tmp_path / "program.md").mkdir()
    steering = Steering([tmp_path], None)
    assert steering.ideas() == ["caf\ufffd"]
    assert steering.program() == ""
