"""Texts that several edits change at once: pieces, down to single literals, and whether they get into each other's way."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.edits import Edit, apply_edits
from orchestrator.pieces import Piece, joined, meet, merge_pieces, pieces_between, pieces_of

BASE = "a = 1\nb = 2.5\nc = dict(x=1, y=-2e-3, on=True)\n\nd = 4\n"


def swapped(*swaps: tuple[str, str]) -> str:
    text = BASE
    for old, new in swaps:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("new", "pieces"),
    [
        (BASE, []),
        (swapped(("a = 1", "a = 17")), [("1", "17")]),
        (swapped(("x=1", "x=2")), [("1", "2")]),
        (swapped(("-2e-3", "0.5")), [("-2e-3", "0.5")]),
        (swapped(("True", "False")), [("True", "False")]),
        (swapped(("x=1, y=-2e-3", "x=3, y=-1e-3")), [("1", "3"), ("-2e-3", "-1e-3")]),
        (swapped(("a = 1", "a = b")), [("a = 1\n", "a = b\n")]),
        (swapped(("a = 1", "a1 = 1")), [("a = 1\n", "a1 = 1\n")]),
        (swapped(("b = 2.5\n", "")), [("b = 2.5\n", "")]),
        (swapped(("d = 4\n", "d = 4\ne = 5\n")), [("", "e = 5\n")]),
        (swapped(("d = 4\n", "d = 4")), [("d = 4\n", "d = 4")]),
    ],
)
def test_a_change_is_taken_apart_into_the_smallest_pieces_that_are_sound(new: str, pieces: list[tuple[str, str]]) -> None:
    found = pieces_between(BASE, new)
    assert [(BASE[start:stop], text) for start, stop, text in found] == pieces
    assert joined(BASE, found) == new


@pytest.mark.parametrize(
    ("mine", "theirs", "together"),
    [
        (("a = 1", "a = 7"), ("b = 2.5", "b = 3"), (("a = 1", "a = 7"), ("b = 2.5", "b = 3"))),
        (("x=1", "x=7"), ("y=-2e-3", "y=5"), (("x=1, y=-2e-3", "x=7, y=5"),)),
        (("a = 1", "z = 0\na = 1"), ("a = 1", "a = 7"), (("a = 1", "z = 0\na = 7"),)),
        (("a = 1", "a = 7"), ("a = 1", "a = 7"), (("a = 1", "a = 7"),)),
        (("a = 1", "a = 7"), ("a = 1", "a = 8"), None),
        (("a = 1", "a = 7"), ("a = 1\n", ""), None),
        (("x=1", "x=7"), ("dict(x=1", "dict(w=0, x=1"), None),
        (("a = 1\n", "a = 1\np = 0\n"), ("a = 1\n", "a = 1\nq = 0\n"), None),
        (("a = 1\n", "a = 1 + 0\n"), ("a = 1\n", "a = 1\nq = 0\n"), None),
    ],
)
def test_what_keeps_clear_of_each_other_merges_and_what_meets_does_not(
    mine: tuple[str, str], theirs: tuple[str, str], together: tuple[tuple[str, str], ...] | None
) -> None:
    expected = None if together is None else swapped(*together)
    assert merge_pieces(BASE, swapped(mine), swapped(theirs)) == expected
    assert merge_pieces(BASE, swapped(theirs), swapped(mine)) == expected


def test_search_texts_that_do_not_meet_get_along_within_a_line() -> None:
    first, second = Edit("f", search="dict(x", replace="dict(w=0, x"), Edit("f", search="True)", replace="on)")
    pieces = [pieces_of([edit], BASE, apply_edits([edit], lambda _: BASE)["f"] or "") for edit in (first, second)]
    assert not any(meet(a, b, BASE) for a, b in itertools.product(*pieces))
    both = apply_edits([first, second], lambda _: BASE)["f"]
    assert joined(BASE, sorted([*pieces[0], *pieces[1]])) == both


def test_an_edit_of_what_an_earlier_edit_wrote_is_still_taken_apart() -> None:
    edits = [Edit("f", search="a = 1", replace="a = 9"), Edit("f", search="a = 9", replace="a = 10")]
    new = apply_edits(edits, lambda _: BASE)["f"] or ""
    assert joined(BASE, pieces_of(edits, BASE, new)) == new


def test_search_texts_that_meet_at_a_word_get_into_each_others_way() -> None:
    a, b = BASE.index("x=1"), BASE.index("1, y")
    assert meet(Piece(a, b, "z="), Piece(b, b + 1, "5"), BASE)


LINES = st.lists(st.sampled_from(["a = 1\n", "b = 2, 3\n", "c = x\n", "\n", "d(4)\n"]), max_size=8).map("".join)


@given(LINES, LINES)
def test_pieces_bring_one_text_to_the_other(old: str, new: str) -> None:
    assert joined(old, pieces_between(old, new)) == new


@given(LINES, LINES, LINES)
def test_a_merge_is_the_same_from_both_sides_and_holds_both_changes(base: str, mine: str, theirs: str) -> None:
    merged = merge_pieces(base, mine, theirs)
    assert merged == merge_pieces(base, theirs, mine)
    assert merge_pieces(base, mine, base) == mine
    assert merge_pieces(base, mine, mine) == mine
