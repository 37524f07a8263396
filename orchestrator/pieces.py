"""Texts that several edits change at once: which of them get along, and the text with all of them. Pure.

An edit is taken apart into pieces: spans of the one text that all were written for, each with what replaces it. Edits whose
pieces keep clear of each other can be put together in any order, and so can any part of them: that is what a block needs, whose
rows hold random halves. A piece is as small as its edit allows: lines that change, or, where nothing but numbers and switches
differs, those literals alone, so that two of one line get along.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import NamedTuple

from orchestrator.edits import Edit

_LITERAL = re.compile(
    r"(?:(?<=[=(,:\[{\s])[-+])?(?<![\w.])"
    r"(?:True\b|False\b|0[xX][\da-fA-F_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?)(?![\w.])"
)


class Piece(NamedTuple):
    """`text[start:stop]` becomes `new`; in characters."""

    start: int
    stop: int
    new: str


def pieces_between(old: str, new: str, offset: int = 0) -> tuple[Piece, ...]:
    """What changes from one text to another, line by line; `offset`: where `old` begins in the text that is meant."""
    was, now = old.splitlines(keepends=True), new.splitlines(keepends=True)
    starts = [offset]
    for line in was:
        starts.append(starts[-1] + len(line))
    pieces: list[Piece] = []
    for tag, i, j, k, m in SequenceMatcher(None, was, now, autojunk=False).get_opcodes():
        if tag != "equal":
            before, after = "".join(was[i:j]), "".join(now[k:m])
            pieces += _literals(before, after, starts[i]) or (Piece(starts[i], starts[j], after),)
    return tuple(pieces)


def pieces_of(edits: Sequence[Edit], old: str, new: str) -> tuple[Piece, ...]:
    """What edits of one file change, whose outcome on `old` is `new`. A search text says which words its edit is about; so two
    edits of one line get along where their search texts do not meet."""
    pieces: list[Piece] = []
    for edit in edits:
        at = -1 if edit.search is None else old.find(edit.search)
        if at < 0 or edit.search is None or edit.replace is None:
            return pieces_between(old, new)
        pieces += pieces_between(edit.search, edit.replace, at)
    pieces.sort()
    return tuple(pieces) if joined(old, pieces) == new else pieces_between(old, new)


def joined(text: str, pieces: Sequence[Piece]) -> str | None:
    """The text with all these pieces, which are sorted; None where two of them meet."""
    parts: list[str] = []
    at = 0
    for start, stop, new in pieces:
        if start < at:
            return None
        parts += (text[at:start], new)
        at = stop
    return "".join(parts) + text[at:]


def meet(a: Piece, b: Piece, text: str) -> bool:
    """Whether two pieces of different edits get into each other's way. The same piece in both is made once.

    Changes of neighbouring lines do not: whether both are any good together is measured anyway.
    """
    if a == b:
        return False
    first, second = (a, b) if a[:2] <= b[:2] else (b, a)
    if first.stop != second.start:
        return first.stop > second.start
    if second.stop == second.start:
        return True  # two insertions in one place, or one where the other edit has just changed something
    return not (first.stop == 0 or text[first.stop - 1] == "\n")


def merge_pieces(base: str, mine: str, theirs: str) -> str | None:
    """Three-way merge, down to single literals; None where the changes meet."""
    ours, others = pieces_between(base, mine), pieces_between(base, theirs)
    if any(meet(a, b, base) for a in ours for b in others):
        return None
    return joined(base, sorted({*ours, *others}))


def _literals(before: str, after: str, offset: int) -> tuple[Piece, ...]:
    """The literals that differ, where nothing else does; else nothing."""
    was, now = list(_LITERAL.finditer(before)), list(_LITERAL.finditer(after))
    if len(was) != len(now) or _LITERAL.split(before) != _LITERAL.split(after):
        return ()
    found = tuple(
        Piece(offset + a.start(), offset + a.end(), b.group()) for a, b in zip(was, now, strict=True) if a.group() != b.group()
    )
    return found if not any(x.stop == y.start for x, y in pairwise(found)) else ()
