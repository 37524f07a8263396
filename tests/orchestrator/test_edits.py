"""Edits carried out on text: found once, or a reason."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.edits import Edit, EditError, apply_edit, apply_edits

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
