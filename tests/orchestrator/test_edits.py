"""Edits carried out on text: found once, or a reason."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.edits import Edit, EditError, apply_edit, apply_edits, merge_touching

FILES = {"train.py": "a = 1\nb = 2\nb = 2\n", "old.py": "x\n"}


def test_edits_of_one_file_build_on_each_other() -> None:
    edits = [Edit("train.py", search="a = 1", replace="a = 3"), Edit("train.py", search="a = 3\n", replace="")]
    assert apply_edits(edits, FILES.get) == {"train.py": "b = 2\nb = 2\n"}


def test_a_whole_file_edit_adds_or_replaces_and_a_delete_removes() -> None:
    edits = [Edit("new.py", content="y\n"), Edit("train.py", content=""), Edit("old.py", delete=True)]
    assert apply_edits(edits, FILES.get) == {"new.py": "y\n", "train.py": "", "old.py": None}


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (Edit("train.py", search="c = 3", replace=""), "train.py: search text not found"),
        (Edit("train.py", search="b = 2", replace=""), "train.py: search text found 2 times"),
        (Edit("none.py", search="x", replace="y"), "none.py: there is no such file"),
        (Edit("none.py", delete=True), "none.py: there is no such file"),
    ],
)
def test_an_edit_that_cannot_be_carried_out_says_why(edit: Edit, reason: str) -> None:
    with pytest.raises(EditError, match=f"^{reason}"):
        apply_edits([edit], FILES.get)


def test_a_search_text_that_overlaps_itself_is_found_twice() -> None:
    with pytest.raises(EditError, match="found 2 times"):
        apply_edit(Edit("a.py", search="x\nx", replace="y"), "x\nx\nx\n")


def test_a_file_that_an_earlier_edit_deleted_is_gone() -> None:
    with pytest.raises(EditError, match="there is no such file"):
        apply_edits([Edit("old.py", delete=True), Edit("old.py", search="x", replace="y")], FILES.get)


@pytest.mark.parametrize(
    "forms",
    [{}, {"search": "a"}, {"replace": "a"}, {"search": "a", "replace": "b", "delete": True}, {"content": "", "delete": True}],
)
def test_an_edit_has_exactly_one_form(forms: dict[str, str | bool]) -> None:
    with pytest.raises(EditError, match="exactly one of"):
        Edit("a.py", **forms)  # type: ignore[arg-type]


def test_an_empty_search_is_refused_with_the_form_to_use() -> None:
    with pytest.raises(EditError, match="give 'content' to write the whole file"):
        Edit("a.py", search="", replace="x")


@settings(deadline=None)
@given(st.text(max_size=30), st.text(min_size=1, max_size=5), st.text(max_size=5))
def test_an_edit_either_changes_the_one_place_or_refuses(text: str, search: str, replace: str) -> None:
    places = [start for start in range(len(text)) if text.startswith(search, start)]
    edit = Edit("a.txt", search=search, replace=replace)
    if len(places) == 1:
        assert apply_edit(edit, text) == text[: places[0]] + replace + text[places[0] + len(search) :]
    else:
        with pytest.raises(EditError):
            apply_edit(edit, text)


BASE = "a=1\nb=2\nc=3\nd=4\n"


def test_changes_of_neighbouring_lines_merge() -> None:
    assert merge_touching(BASE, "a=1\nb=2\nc=3\nd=9\n", "a=1\nb=2\nc=8\nd=4\n") == "a=1\nb=2\nc=8\nd=9\n"


def test_changes_of_the_same_line_do_not_merge() -> None:
    assert merge_touching(BASE, "a=1\nb=7\nc=3\nd=4\n", "a=1\nb=8\nc=3\nd=4\n") is None


def test_the_same_change_on_both_sides_is_one_change() -> None:
    assert merge_touching(BASE, "a=1\nb=7\nc=3\nd=4\n", "a=1\nb=7\nc=3\nd=5\n") == "a=1\nb=7\nc=3\nd=5\n"


def test_two_insertions_at_one_place_do_not_merge() -> None:
    assert merge_touching(BASE, "a=1\nx\nb=2\nc=3\nd=4\n", "a=1\ny\nb=2\nc=3\nd=4\n") is None


def test_a_change_inside_what_the_other_side_deleted_does_not_merge() -> None:
    assert merge_touching(BASE, "a=1\nd=4\n", "a=1\nb=2\nc=8\nd=4\n") is None


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_a_merge_with_an_unchanged_side_is_the_other_side(old: list[str], new: list[str]) -> None:
    base, mine = ("".join(f"{x}\n" for x in lines) for lines in (old, new))
    assert merge_touching(base, mine, base) == mine
    assert merge_touching(base, base, mine) == mine
    assert merge_touching(base, mine, mine) == mine
