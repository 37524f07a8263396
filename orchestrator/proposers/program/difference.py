"""From the text of a file before and after to the edits that lead there. Pure.

A change becomes search texts as short as they can be, so that it composes with the changes of others and can be carried over
to a champion that has moved; where most of a file is new, or nothing shorter is found once, the whole file is given.
"""

from __future__ import annotations

from difflib import SequenceMatcher

from orchestrator.edits import Edit, EditError, apply_edits

_MOST_LINES = 4_000  # between the first and the last difference; beyond that, comparing lines takes too long
_MOST_HUNKS = 60
_Hunk = tuple[int, int, int, int]  # lines [a:b] of the old text become lines [c:d] of the new one


def edits_between(path: str, old: str | None, new: str | None) -> tuple[Edit, ...]:
    """The edits of one file; None: there is none. Applied to `old` in their order they give `new`."""
    if new is None:
        return () if old is None else (Edit(path, delete=True),)
    if old == new:
        return ()
    by_search = _by_search(path, old, new) if old and _is_text(old) else None
    return by_search or (Edit(path, content=new),)


def _is_text(old: str) -> bool:
    """Whether it can be quoted: what was not UTF-8 was read with surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in old)


def _by_search(path: str, old: str, new: str) -> tuple[Edit, ...] | None:
    was, now = old.splitlines(keepends=True), new.splitlines(keepends=True)
    hunks = _hunks(was, now)
    if hunks is None or sum(b - a for a, b, _, _ in hunks) > max(8, len(was) // 2):
        return None
    edits: list[Edit] = []
    behind = 0  # the first old line that no edit has touched yet
    while hunks:
        hunk = hunks.pop(0)
        limit = hunks[0][0] if hunks else len(was)
        grown = _grown(hunk, was, now, behind, limit)
        if grown is not None:
            a, b, c, d = grown
            edits.append(Edit(path, "".join(was[a:b]), "".join(now[c:d])))
            behind = b
        elif hunks:
            following = hunks.pop(0)
            hunks.insert(0, (hunk[0], following[1], hunk[2], following[3]))
        else:
            return None
    try:
        return tuple(edits) if apply_edits(edits, lambda _: old) == {path: new} else None
    except EditError:
        return None


def _hunks(was: list[str], now: list[str]) -> list[_Hunk] | None:
    head = 0
    while head < min(len(was), len(now)) and was[head] == now[head]:
        head += 1
    tail = 0
    while tail < min(len(was), len(now)) - head and was[-1 - tail] == now[-1 - tail]:
        tail += 1
    old, new = was[head : len(was) - tail], now[head : len(now) - tail]
    if max(len(old), len(new)) > _MOST_LINES:
        return None
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    found = [(head + a, head + b, head + c, head + d) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"]
    return found if len(found) <= _MOST_HUNKS else None


def _grown(hunk: _Hunk, was: list[str], now: list[str], least: int, most: int) -> _Hunk | None:
    """The hunk with so many equal lines around it, within `least` and `most`, that its old text is found once."""
    a, b, c, d = hunk
    before_turn = True
    while True:
        search = "".join(was[a:b])
        if search and _found_once(search, "".join(now[:c]) + "".join(was[a:])):
            return a, b, c, d
        can_before, can_after = a > least, b < most
        if not (can_before or can_after):
            return None
        if can_before and (before_turn or not can_after):
            a, c = a - 1, c - 1
        else:
            b, d = b + 1, d + 1
        before_turn = not before_turn


def _found_once(search: str, text: str) -> bool:
    first = text.find(search)
    return first >= 0 and text.find(search, first + 1) < 0
