"""Edits made from a changed file lead to that file, and are as small as they can be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.edits import Edit, apply_edits
from orchestrator.proposers.program.difference import edits_between

LINES = st.lists(st.sampled_from(["a = 1\n", "b = 2\n", "\n", "    c = 3\n", "d = 4", "é\r\n"]), max_size=14)


@given(LINES, LINES)
def test_the_edits_of_any_change_lead_to_the_new_text(old: list[str], new: list[str]) -> None:
    was, now = "".join(old), "".join(new)
    edits = edits_between("f.py", was, now)
    assert apply_edits(edits, lambda _: was) == ({} if was == now else {"f.py": now})


def test_a_small_change_is_one_short_search_text() -> None:
    old = "".join(f"line_{n} = {n}\n" for n in range(100))
    assert edits_between("f.py", old, old.replace("= 50\n", "= 51\n")) == (Edit("f.py", "line_50 = 50\n", "line_50 = 51\n"),)


def test_a_line_that_is_there_twice_is_found_by_its_neighbour() -> None:
    old = "def f():\n    return 1\n\ndef g():\n    return 1\n" + "x = 0\n" * 20
    (edit,) = edits_between("f.py", old, old.replace("g():\n    return 1", "g():\n    return 2"))
    assert edit.search == "def g():\n    return 1\n"


def test_two_distant_changes_are_two_edits() -> None:
    old = "".join(f"line_{n} = {n}\n" for n in range(100))
    edits = edits_between("f.py", old, old.replace("= 5\n", "= 0\n").replace("line_90 = 90\n", ""))
    assert [edit.search for edit in edits] == ["line_5 = 5\n", "line_89 = 89\nline_90 = 90\n"] or len(edits) == 2


def test_a_file_that_is_mostly_new_is_given_whole() -> None:
    assert edits_between("f.py", "a\n" * 30, "b\n" * 30) == (Edit("f.py", content="b\n" * 30),)


def test_a_file_that_was_not_utf_8_is_given_whole() -> None:
    assert edits_between("f.py", "a\ncaf\udce9\n" + "b\n" * 9, "a\n" + "b\n" * 9) == (Edit("f.py", content="a\n" + "b\n" * 9),)


def test_what_is_added_or_deleted_is_said_so() -> None:
    assert edits_between("f.py", None, "x\n") == (Edit("f.py", content="x\n"),)
    assert edits_between("f.py", "x\n", None) == (Edit("f.py", delete=True),)
    assert edits_between("f.py", "", "x\n") == (Edit("f.py", content="x\n"),)
    assert edits_between("f.py", "x\n", "x\n") == ()


def test_a_huge_rewrite_does_not_take_long_to_compare() -> None:
    old = "".join(f"{n % 7}\n" for n in range(50_000))
    new = "".join(f"{n % 5}\n" for n in range(50_000))
    assert edits_between("f.py", old, new) == (Edit("f.py", content=new),)
