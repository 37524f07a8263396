"""Edits: what a proposal changes in the files of its target, and the pure functions that carry it out on text.

Knows nothing of git, scope or proposers. Scope is a gate (gates.py), three-way merges are the repository's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise


class EditError(ValueError):
    """An edit that cannot be carried out; the message is the reason a person reads."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of one file. Exactly one of three forms: `search` with `replace`, `content`, or `delete`."""

    path: str
    search: str | None = None
    replace: str | None = None
    content: str | None = None
    delete: bool = False

    def __post_init__(self) -> None:
        forms = (self.search is not None, self.content is not None, self.delete)
        if sum(forms) != 1 or (self.search is not None) != (self.replace is not None):
            raise EditError(f"edit of {self.path!r}: give exactly one of 'search' with 'replace', 'content', or 'delete': true")
        if self.search == "":
            raise EditError(f"edit of {self.path!r}: 'search' is empty; give 'content' to write the whole file")

    @property
    def whole_file(self) -> bool:
        return self.content is not None


def apply_edits(edits: Sequence[Edit], read: Callable[[str], str | None]) -> dict[str, str | None]:
    """The new text of every file that `edits` touch, in their order; None where the file is deleted.

    `read(path)` returns the file's present text, or None where there is none. Raises `EditError` when a search text is
    missing or found twice, or a file to be changed or deleted is not there.
    """
    result: dict[str, str | None] = {}
    for edit in edits:
        text = result[edit.path] if edit.path in result else read(edit.path)
        result[edit.path] = apply_edit(edit, text)
    return result


def apply_edit(edit: Edit, text: str | None) -> str | None:
    """The text after one edit; None when it deletes the file. Raises `EditError`."""
    if edit.content is not None:
        return edit.content
    if text is None:
        raise EditError(f"{edit.path}: there is no such file")
    if edit.delete:
        return None
    assert edit.search is not None
    assert edit.replace is not None
    found = text.count(edit.search)
    if found == 1 and text.find(edit.search, text.find(edit.search) + 1) >= 0:
        found = 2  # it overlaps itself, which `count` does not see
    if found != 1:
        where = "not found" if found == 0 else f"found {found} times"
        raise EditError(f"{edit.path}: search text {where}, must be found exactly once: {_quote(edit.search)}")
    return text.replace(edit.search, edit.replace)


def merge_touching(base: str, mine: str, theirs: str) -> str | None:
    """Three-way merge by lines in which changes may touch; None where they overlap.

    Git calls changes of two neighbouring lines a conflict. In a file of parameters, one a line, that is the usual case, and
    whether both changes together are any good is measured anyway.
    """
    lines = base.splitlines(keepends=True)
    hunks = sorted({*_hunks(lines, mine), *_hunks(lines, theirs)})
    merged: list[str] = []
    at = 0
    for start, stop, new in hunks:
        if start < at:
            return None
        merged += lines[at:start]
        merged += new
        at = stop
    if any(a[:2] == b[:2] or (b[0] == b[1] == a[1]) for a, b in pairwise(hunks)):
        return None  # two changes of one place, or an insertion where the other side has just changed something
    return "".join(merged + lines[at:])


def _hunks(lines: list[str], text: str) -> set[tuple[int, int, tuple[str, ...]]]:
    """(first line, behind the last line, new lines) of each change from `lines` to `text`."""
    new = text.splitlines(keepends=True)
    matcher = SequenceMatcher(None, lines, new, autojunk=False)
    return {(i, j, tuple(new[k:m])) for tag, i, j, k, m in matcher.get_opcodes() if tag != "equal"}


def _quote(text: str, limit: int = 120) -> str:
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
