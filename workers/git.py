"""Runs git so that its answer depends on its arguments and the repository alone.

No configuration, hook, filter, attribute or replacement object of the machine or the user has a say. What git refuses is
a `GitError` with git's own words.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.autocrlf": "false",
    "core.symlinks": "true",
    "core.fsmonitor": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "protocol.file.allow": "always",
    "checkout.workers": "1",
    "advice.detachedHead": "false",
    "safe.directory": "*",
}


class GitError(Exception):
    """git could not do what it was asked: this machine's fault, or the caller's."""


def git(git_dir: Path, *arguments: str, extra: Mapping[str, str] | None = None, given: bytes = b"") -> bytes:
    """What one git command on the repository at `git_dir` prints. `extra`: more environment; `given`: standard input."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_DIR": str(git_dir),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_CONFIG_COUNT": str(len(_CONFIG)),
    }
    for index, (key, value) in enumerate(_CONFIG.items()):
        environment |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    environment |= extra or {}
    done = subprocess.run(["git", *arguments], env=environment, cwd=git_dir.parent, input=given, capture_output=True)
    if done.returncode != 0:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise GitError(f"git {arguments[0]} failed with status {done.returncode}: {said}")
    return done.stdout
