"""The `program` proposer: any agent or script that edits a worktree. What it changed, where that is in scope, is a candidate.

proposer.py     begun, under way, collected, stopped: the only part with threads
attempt.py      one run, from a fresh worktree to a proposal or the reason why there is none
command.py      the command as a person writes it and as it is run
assignment.py   what a program is told, as files and environment: pure
workplace.py    a worktree of its own with a git repository of its own; what became of it
difference.py   from changed files to edits: pure
outcome.py      description, cost and model, as its output tells them: pure
patience.py     failures in a row: how long to wait, when to give up: pure
redaction.py    no key of the user's environment leaves through a log, a journal or a commit: pure
"""

from orchestrator.proposers.program.assignment import Assignment
from orchestrator.proposers.program.proposer import Grounds, ProgramProposer

__all__ = ["Assignment", "Grounds", "ProgramProposer"]
