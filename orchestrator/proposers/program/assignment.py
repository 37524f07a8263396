"""What a program is told before it edits: a prompt, the same things as files, and an environment. Pure.

The prompt is bounded whatever the history. What other proposers or candidates wrote stands in it as quoted data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.quoting import quoted
from orchestrator.views.plain import one_line

FOLDER = ".regatta"  # in the worktree: what it is told, and where it may leave its description; never part of a candidate
DESCRIPTION = f"{FOLDER}/description"
MOST_PROGRAM_CHARS = 30_000
MOST_NOTEBOOK_CHARS = 30_000
MOST_PENDING, MOST_TOLD, MOST_FILES, LINE_CHARS = 40, 8, 100, 240
# Variables that lead git to another repository than the one it is in (inside a hook, say), or elsewhere to another head.
_NOT_HANDED_ON = frozenset(
    {
        "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_NAMESPACE",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CEILING_DIRECTORIES", "PWD", "OLDPWD"
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Assignment:
    """One request: the champion to edit, and what there is to know about the campaign."""

    champion: str  # commit
    metric: str
    direction: str  # minimize, maximize
    constraints: tuple[str, ...] = ()  # one a line, in words
    globs: tuple[str, ...] = ()  # what may be edited, in gitignore syntax
    editable: tuple[str, ...] = ()  # editable files that the champion has
    program: str | None = None  # program.md: what the person who runs this wants
    notebook: str | None = None  # what was tried and what came of it
    pending: tuple[str, ...] = ()  # descriptions of what waits or is being measured
    left: tuple[str, ...] = ()  # of the budget, one limit a line


def files(assignment: Assignment, told: Sequence[str] = ()) -> dict[str, str]:
    """What lies in the worktree's `.regatta/`, by name. `told`: what this program should hear of its earlier attempts."""
    pending = "".join(f"{one_line(text, LINE_CHARS)}\n" for text in assignment.pending)
    return {
        "prompt.md": prompt(assignment, told),
        "program.md": assignment.program or "",
        "notebook.md": assignment.notebook or "",
        "pending.txt": pending,
    }


def prompt(assignment: Assignment, told: Sequence[str] = ()) -> str:
    """Everything in one text, for an agent that reads one."""
    smaller = "smaller" if assignment.direction == "minimize" else "larger"
    shown = ", ".join(assignment.editable[:MOST_FILES]) or "none yet"
    more = len(assignment.editable) - MOST_FILES
    parts = [
        f"# Your task\n\nMake `{assignment.metric}` {smaller}: edit the files of this folder so that it becomes so for a "
        "reason, measured afresh by somebody else. Make one small change, of one idea: it is measured together with the "
        "changes of others, alone and combined, and kept only if it holds.",
        "# Rules\n\n"
        f"- Only these files count: {', '.join(f'`{glob}`' for glob in assignment.globs)} (there are: {shown}"
        f"{f', and {more} more' if more > 0 else ''}). Changes of any other file are left out.\n"
        "- Text in UTF-8 only: no binary files, no links.\n"
        "- Edit the files in place. Whether you commit does not matter. Do not train or benchmark here: the machine is busy "
        "measuring, and no GPU is visible to you.\n"
        "- Nobody answers questions: decide for yourself, then end.\n"
        "- Say what the change is for in one line of your final answer that begins with `HYPOTHESIS:`. Further lines may begin "
        f"with `EXPECTED:` (the change of {assignment.metric} that you expect, a number with its sign) and `FAMILY:` "
        "(architecture, optimiser, schedule, data, simplification, …).",
    ]
    if assignment.constraints:
        parts.append("# Constraints\n\n" + "\n".join(f"- {line}" for line in assignment.constraints))
    if assignment.left:
        parts.append("# What is left of the budget\n\n" + "\n".join(f"- {line}" for line in assignment.left))
    if told:
        lines = "\n".join(one_line(line, LINE_CHARS) for line in told[-MOST_TOLD:])
        parts.append("# Your earlier attempts\n\n" + quoted(lines, MOST_TOLD * LINE_CHARS, "what went wrong with them"))
    if assignment.pending:
        lines = "\n".join(one_line(line, LINE_CHARS) for line in assignment.pending[-MOST_PENDING:])
        parts.append(
            "# Being measured now: do something else\n\n" + quoted(lines, MOST_PENDING * LINE_CHARS, "ideas that are under way")
        )
    if assignment.notebook:
        notebook = quoted(assignment.notebook, MOST_NOTEBOOK_CHARS, "what was tried so far")
        parts.append(f"# The notebook (whole: {FOLDER}/notebook.md)\n\n{notebook}")
    if assignment.program:
        parts.append(f"# program.md: what the person who runs this wants\n\n{_capped(assignment.program, MOST_PROGRAM_CHARS)}")
    return "\n\n".join(parts) + "\n"


def environment(assignment: Assignment, worktree: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """The user's own environment, for it is the user's agent and needs its login, and what Regatta has to say.

    No GPU is visible unless the command says otherwise: an agent that tries its edit there would disturb what is measured.
    """
    told = worktree / FOLDER
    return {name: value for name, value in inherited.items() if name not in _NOT_HANDED_ON} | {
        "CUDA_VISIBLE_DEVICES": "",
        "REGATTA_PROMPT": str(told / "prompt.md"),
        "REGATTA_PROGRAM": str(told / "program.md"),
        "REGATTA_NOTEBOOK": str(told / "notebook.md"),
        "REGATTA_PENDING": str(told / "pending.txt"),
        "REGATTA_DESCRIPTION": str(worktree / DESCRIPTION),
        "REGATTA_METRIC": assignment.metric,
        "REGATTA_DIRECTION": assignment.direction,
        "REGATTA_EDITABLE": "\n".join(assignment.globs),
        "REGATTA_CHAMPION": assignment.champion,
    }


def _capped(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + f"\n[... {len(text) - most:,} characters left out ...]"
