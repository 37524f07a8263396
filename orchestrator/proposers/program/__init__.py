"""The `program` proposer: any agent or script that edits a worktree. What it changed, where that is in scope, is a candidate.

proposer.py     the proposer itself: the only part with threads
building.py     from the config to a proposer, and from a run to what it is told
attempt.py      one run, from a fresh worktree to a proposal or the reason why there is none
command.py      the command as a person writes it and as it is run
assignment.py   what a program is told, as files and environment: pure
workplace.py    a worktree of its own with a git repository of its own; what became of it
difference.py   from changed files to edits: pure
outcome.py      description, cost and model, as its output tells them: pure
patience.py     failures in a row: how long to wait, when to give up: pure
"""
