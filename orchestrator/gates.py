"""The gates that cost no trial: scope, syntax and duplicate. Pure functions of text: no git, no files, no clock.

What may be touched is in scope.py, what a new file would stand in for in shadowing.py, how much a text may carry in payload.py.

Each gate returns a `Refusal` with a reason that a person reads, or None. The `edit` gate's refusals come from
`edits.EditError` and `proposers.base.ProposalError`; they share the type.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.edits import Edit
from orchestrator.novelty import change_fingerprint
from orchestrator.scope import Scope, new_name_problem, path_problem
from orchestrator.shadowing import clash, shadow_problem
from orchestrator.syntax import Changes, is_no_op, syntax_fingerprint, syntax_problem
from workers.kernel import static_check

__all__ = [
    "Refusal",
    "Scope",
    "check_duplicate",
    "check_scope",
    "check_source",
    "check_syntax",
    "is_no_op",
    "path_problem",
    "syntax_fingerprint",
]


KERNEL = "kernel.py"  # of the kernel runner's targets


@dataclass(frozen=True, slots=True)
class Refusal:
    """A gate said no, and why."""

    gate: Literal["edit", "scope", "syntax", "source", "duplicate"]
    reason: str


def check_scope(edits: Sequence[Edit], scope: Scope, existing: Collection[str]) -> Refusal | None:
    """Refuse edits outside of `scope` and new files that would shadow others; `existing`: every path on the base."""
    before = frozenset(existing)
    files = set(before)
    for edit in edits:
        reason = path_problem(edit.path)
        if reason is None and not scope.matches(edit.path):
            reason = f"{edit.path}: out of scope; editable: {', '.join(scope.editable_globs)}"
        if reason is None and edit.path not in before:
            reason = new_name_problem(edit.path) or shadow_problem(edit.path, scope, before)
        if reason is None and edit.content is not None and edit.path not in files:
            reason = clash(edit.path, files)
        if reason is not None:
            return Refusal("scope", reason)
        if edit.delete:
            files.discard(edit.path)
        elif edit.content is not None:
            files.add(edit.path)
    return None


def check_syntax(path: str, text: str) -> Refusal | None:
    """Refuse text that is not UTF-8, and Python that does not compile. Any other file passes."""
    problem = syntax_problem(path, text)
    return None if problem is None else Refusal("syntax", problem)


def check_source(path: str, text: str) -> Refusal | None:
    """Refuse a kernel whose source does what no honest one needs (workers/kernel/static_check.py)."""
    found = static_check.check(text) if path == KERNEL else ()
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Refusal("source", f"{found[0].rule}: {path}, line {found[0].line}: {found[0].reason}{more}") if found else None


def check_duplicate(changes: Changes, tried: Mapping[str, str]) -> Refusal | None:
    """Refuse what changes nothing, and what was `tried`: fingerprint to what a reader is told of it. A fingerprint is that of
    a program on the same base (`syntax_fingerprint`) or of a change on another one (`change_fingerprint`)."""
    if all(old == new for old, new in changes.values()):
        return Refusal("duplicate", "changes nothing: every file stays as it is on the champion")
    if is_no_op(changes):
        return Refusal("duplicate", "changes nothing but comments, docstrings or formatting: the program stays the same")
    same = tried.get(syntax_fingerprint(changes))
    if same is not None:
        return Refusal("duplicate", f"comes to the same program as {same}")
    same = tried.get(change_fingerprint(changes))
    return None if same is None else Refusal("duplicate", f"makes the same change as {same}")
