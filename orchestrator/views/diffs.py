"""What a candidate changes: the diff between two commits of the campaign's repository, or its edits where there is no commit.

Git runs as a plain reader: no hooks, no external or textconv programs, no configuration but the repository's own.
"""

from __future__ import annotations

import os
import subprocess

from orchestrator.edits import Edit
from orchestrator.ledger import Candidate
from orchestrator.run_directory import RunDirectory
from orchestrator.views.loading import Record
from orchestrator.views.plain import plain

GIT_PATIENCE_S = 60


class DiffError(Exception):
    """Git could not say; the message is git's own."""


def diff_of(record: Record, candidate: Candidate) -> str:
    """The unified diff of a candidate against the commit that it was branched from, safe to print; of one that never became a
    commit, its edits as they were proposed."""
    if candidate.commit is None or candidate.base is None:
        return edits_as_diff(candidate.proposed.edits)
    try:
        return diff_between(record.run, candidate.base, candidate.commit)
    except DiffError as error:
        return f"(git has no diff: {error}; the edits as proposed:)\n{edits_as_diff(candidate.proposed.edits)}"


def diff_between(run: RunDirectory, old: str, new: str) -> str:
    """Unified diff between two commits of the run's repository. Raises `DiffError`."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"} | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
    }
    command = ["git", f"--git-dir={run.repo}", "-c", f"core.hooksPath={os.devnull}", "-c", "core.quotePath=false"]
    command += ["diff", "--no-color", "--no-ext-diff", "--no-textconv", "--end-of-options", old, new]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=GIT_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DiffError(str(error)) from error
    if done.returncode != 0:
        raise DiffError(plain(done.stderr.decode("utf-8", "replace")).strip() or f"git diff ended with {done.returncode}")
    return plain(done.stdout.decode("utf-8", "replace"))


def edits_as_diff(edits: tuple[Edit, ...]) -> str:
    """Edits as a person reads them, in the manner of a diff but without line numbers, which they do not have."""
    parts: list[str] = []
    for edit in edits:
        path = plain(edit.path).replace("\n", " ")
        if edit.delete:
            parts.append(f"--- {path}\n+++ /dev/null\n")
        elif edit.content is not None:
            parts.append(f"--- {path}\n+++ {path} (the whole file)\n{_marked('+', edit.content)}")
        else:
            removed, added = _marked("-", edit.search or ""), _marked("+", edit.replace or "")
            parts.append(f"--- {path}\n+++ {path}\n@@ search and replace @@\n{removed}{added}")
    return "".join(parts)


def _marked(sign: str, text: str) -> str:
    return "".join(f"{sign}{line}\n" for line in plain(text).split("\n")) if text else ""
