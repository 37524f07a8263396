"""Last of the suite: docs/trust.md says what happened, and nothing that a candidate made is left on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trust_table
from arena import Arena
from trust_table import Notes


def test_the_page_shows_what_happened(notes: Notes) -> None:
    text = trust_table.PAGE.read_text()
    if os.environ.get(trust_table.WRITE):
        text = trust_table.written(notes, text)
        trust_table.PAGE.write_text(text)
    drifted = trust_table.drifted(notes, text)
    assert drifted == [], f"type: {trust_table.COMMAND}"


def test_nothing_of_a_candidate_is_left(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No process, mount or file, of any attack that was faced before this test."""
    base = str(tmp_path_factory.getbasetemp())
    assert base not in Path("/proc/self/mounts").read_text()
    assert [found for process in Path("/proc").glob("[0-9]*") if (found := _of_a_candidate(process, base))] == []
    assert Arena.folders
    for node in (folder / "node" for folder in Arena.folders):
        assert list(node.glob("workers/*/trial-*")) == []
        assert list(node.glob("repository.git/worktrees/*")) == []


def _of_a_candidate(process: Path, base: str) -> str:
    """The command line of a process that is at home below `base`, in a sandbox or without one; empty for any other."""
    try:
        parent = int(process.joinpath("stat").read_text().rpartition(")")[2].split()[1])
        if os.getpid() in (int(process.name), parent):  # this one, or a git of ours that waits for questions
            return ""
        at_home = base in process.joinpath("mountinfo").read_text() or str(process.joinpath("cwd").readlink()).startswith(base)
        return process.joinpath("cmdline").read_text() if at_home else ""
    except OSError:  # it ended meanwhile
        return ""
