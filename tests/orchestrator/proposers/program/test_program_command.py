"""A command means the files that it names from where it was written, and is looked for before a night begins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.config import ConfigError, Program
from orchestrator.proposers import build
from orchestrator.proposers.program.command import anchored, line, missing


def test_files_of_the_working_directory_get_their_whole_path(tmp_path: Path) -> None:
    (tmp_path / "my agent").mkdir()
    for name in ("agent.sh", "my agent/x.py", "run.sh"):
        (tmp_path / name).write_text("")
    at = tmp_path.resolve()
    assert anchored("sh agent.sh < {prompt}", tmp_path, ()) == f"sh {at}/agent.sh < {{prompt}}"
    assert anchored("./agent.sh|tee log.txt; A=agent.sh", tmp_path, ()) == f"{at}/agent.sh|tee log.txt; A={at}/agent.sh"
    assert anchored("sh ./run.sh", tmp_path, ("run.sh",)) == "sh ./run.sh", "the target has one of its own"
    assert anchored("claude -p < {prompt}", tmp_path, ()) == "claude -p < {prompt}"


def test_only_the_prompt_is_replaced_in_a_command_and_quoted() -> None:
    assert line("a ${X} {prompt} {b}", Path("/tmp/my run/p.md")) == "a ${X} '/tmp/my run/p.md' {b}"


@pytest.mark.parametrize(
    "command", ["sh x", "cd /tmp && ls", "X=1 nonsense", "'quoted'", "./in_target.sh", "/bin/sh -c x", "(ls)"]
)
def test_what_the_shell_knows_or_nobody_can_tell_is_not_missing(command: str) -> None:
    assert missing(command, os.environ) is None


def test_a_program_that_is_not_installed_is_named_before_anything_starts(tmp_path: Path) -> None:
    entry = Program(kind="program", command="no-such-agent -p < {prompt}")
    with pytest.raises(ConfigError, match=r"proposers\[2\]\.command: given 'no-such-agent .*finds no no-such-agent"):
        build(entry, index=2, seed=0, working_dir=tmp_path)
