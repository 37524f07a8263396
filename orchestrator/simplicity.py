"""Simplicity: whether a change makes the program smaller. Pure.

Such a change need not improve the objective where the campaign allows a margin (`objective.noninferiority_margin`): less code
is worth something by itself. Counted are statements and lines, so that lines that were merely joined, or an expression that
was shortened, are no deletion.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.syntax import Changes, statements

Counter = Callable[[str, str], int]


def makes_smaller(changes: Changes) -> bool:
    """Whether the files that change have fewer statements and fewer lines in all than before."""
    return _grows(changes, _statement_count) < 0 and _grows(changes, _line_count) < 0


def _grows(changes: Changes, count: Counter) -> int:
    return sum(count(path, new or "") - count(path, old or "") for path, (old, new) in changes.items())


def _statement_count(path: str, text: str) -> int:
    return len(statements(path, text)) if text else 0


def _line_count(_: str, text: str) -> int:
    return sum(bool(line.strip()) for line in text.split("\n"))
