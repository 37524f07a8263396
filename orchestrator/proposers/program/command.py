"""The command of a program, as a person writes it and as it is run: where its files are, whether it is there at all.

It begins in a worktree of the target, so a file beside the config would not be found by the name it has there; like every path
of a config, it is looked for from the working directory.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

_WORD = re.compile(r"[^\s;&|<>()'\"`$=]+")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def anchored(command: str, working_dir: Path, in_target: Collection[str]) -> str:
    """`command` with the files that it names in `working_dir`, and that the target does not have, by their whole paths."""

    def whole(found: re.Match[str]) -> str:
        word = found[0]
        is_path = "/" in word or "." in word.strip(".")
        if not is_path or word.startswith(("/", "~", "-", "{")) or word.removeprefix("./") in in_target:
            return word
        path = working_dir / word
        return shlex.quote(str(path.resolve())) if path.is_file() else word

    return _WORD.sub(whole, command)


def missing(command: str, environment: Mapping[str, str]) -> str | None:
    """The program that `command` begins with, if the shell does not know it; None where it does, or nobody can tell."""
    first = command.split(maxsplit=1)[0]
    if first.startswith("/"):
        return None if Path(first).exists() else first
    if not _PLAIN_NAME.fullmatch(first):
        return None  # an assignment, a quotation, a path in the target
    asked = subprocess.run(
        ["/bin/sh", "-c", 'command -v "$1"', "sh", first],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return None if asked.returncode == 0 else first


def line(command: str, prompt: Path) -> str:
    """What the shell is given: `{prompt}` is the prompt's file; other braces are the shell's."""
    return command.replace("{prompt}", shlex.quote(str(prompt)))
