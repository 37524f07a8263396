"""From proposal to candidate: each gate's word, and what becomes of a candidate when the champion has moved."""

from __future__ import annotations

import base64
import random
from dataclasses import replace
from pathlib import Path

import pytest
from subject import FILES, git, init

from orchestrator.admission import Admission, subject_line
from orchestrator.edits import Edit
from orchestrator.events import Admitted, Conflicted, Proposed, Rejected
from orchestrator.repository import CampaignRepository
from orchestrator.target import resolve_target, scope_of

TRAIN = "".join(f"LINE_{n} = {n}\n" for n in range(12))
AT = 1_700_000_000.0


class Place:
    """A campaign's repository in which train.py, lib/ and *.txt may be edited."""

    def __init__(self, tmp_path: Path) -> None:
        user = init(tmp_path / "user", {**FILES, "train.py": TRAIN, "lib/a.py": "A = 1\n", "old.txt": "old\n"})
        (user / "lib/link.py").symlink_to("a.py")
        git(user, "add", "--all")
        git(user, "commit", "--quiet", "--amend", "--no-edit")
        self.repository, self.base = CampaignRepository.create(tmp_path / "repo", resolve_target("user", tmp_path))
        scoping = scope_of(self.repository.files(self.base), ("train.py", "lib/", "*.txt"), None, has_command=False)
        self.admission = Admission(self.repository, scoping)

    def admit(self, *edits: Edit, seen: dict[str, str] | None = None) -> Admitted | Rejected:
        return self.admission.admit(self.proposed(*edits), self.base, AT, seen or {})

    def proposed(self, *edits: Edit, description: str = "an idea") -> Proposed:
        return Proposed("c0001", "replay", description, edits)

    def admitted(self, *edits: Edit) -> Admitted:
        found = self.admit(*edits)
        assert isinstance(found, Admitted), found
        return found

    def champion(self, changes: dict[str, str | None]) -> str:
        return self.repository.commit(self.base, changes, "champion", AT)

    def carry(self, champion: dict[str, str | None], *edits: Edit) -> Admitted | Conflicted:
        return self.admission.carry_over(self.proposed(*edits), self.admitted(*edits), self.champion(champion), AT)

    def carried(self, champion: dict[str, str | None], *edits: Edit) -> dict[str, str | None]:
        found = self.carry(champion, *edits)
        assert isinstance(found, Admitted), found
        return {edit.path: self.repository.read(found.commit, edit.path) for edit in edits}

    def conflict(self, champion: dict[str, str | None], *edits: Edit) -> str:
        found = self.carry(champion, *edits)
        assert isinstance(found, Conflicted), found
        return found.reason


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def line(number: int, text: str) -> str:
    return TRAIN.replace(f"LINE_{number} = {number}\n", f"{text}\n")


# -- the gates


@pytest.mark.parametrize(
    ("edit", "gate", "said"),
    [
        (Edit("train.py", search="LINE_77", replace="x"), "edit", "not found"),
        (Edit("train.py", search="LINE_1", replace="x"), "edit", "found 3 times"),
        (Edit("lib/none.py", search="x", replace="y"), "edit", "there is no such file"),
        (Edit("lib/none.py", delete=True), "edit", "there is no such file"),
        (Edit("prepare.py", content="x = 1\n"), "scope", "out of scope"),
        (Edit("../out.txt", content="x"), "scope", "leads out of the target"),
        (Edit("lib/link.py", content="x = 1\n"), "scope", "symbolic link"),
        (Edit("lib/a.py/b.py", content="x = 1\n"), "scope", "is a file, not a folder"),
        (Edit("train.py", content="def broken(:\n"), "syntax", "does not compile"),
        (Edit("train.py", content="x = '\udce9'\n"), "syntax", "UTF-8"),
        (Edit("train.py", content=TRAIN + "# a comment\n"), "duplicate", "changes nothing"),
        (Edit("train.py", search="LINE_3 = 3", replace="LINE_3  =  3"), "duplicate", "changes nothing"),
    ],
)
def test_each_gate_refuses_with_its_name_and_reason(place: Place, edit: Edit, gate: str, said: str) -> None:
    found = place.admit(edit)
    assert isinstance(found, Rejected)
    assert found.gate == gate
    assert said in found.reason


def test_an_empty_proposal_is_refused(place: Place) -> None:
    assert isinstance(place.admit(), Rejected)


def test_the_same_program_in_other_words_is_a_duplicate_of_the_first(place: Place) -> None:
    first = place.admitted(Edit("train.py", search="LINE_3 = 3", replace="LINE_3 = 30"))
    again = place.admit(Edit("train.py", content=line(3, "LINE_3 = (30)  # more")), seen={first.fingerprint: "c0001"})
    assert again == Rejected("c0001", "duplicate", "comes to the same program as c0001")


def test_the_same_change_is_known_again_on_another_champion(place: Place) -> None:
    edit = Edit("train.py", search="LINE_3 = 3", replace="LINE_3 = 30")
    first = place.admitted(edit)
    later = place.champion({"train.py": line(9, "LINE_9 = 90")})
    again = place.admission.admit(place.proposed(edit), later, AT, {first.change: "c0001, tried before"})
    assert again == Rejected("c0001", "duplicate", "makes the same change as c0001, tried before")


def test_an_admitted_candidate_is_a_commit_on_the_base_with_its_lines_counted(place: Place) -> None:
    found = place.admitted(Edit("train.py", search="LINE_3 = 3\n", replace="LINE_3 = 30\nNEW = 1\n"))
    assert git(place.repository.path, "rev-parse", f"{found.commit}^") == place.base == found.base
    assert found.diff_lines == 3
    assert place.repository.files(found.commit) == place.repository.files(place.base)


def test_a_candidate_is_the_same_commit_whenever_it_is_admitted(place: Place) -> None:
    edit = Edit("train.py", search="LINE_3 = 3", replace="LINE_3 = 30")
    assert place.admit(edit) == place.admit(edit)


def test_a_description_cannot_forge_a_trailer(place: Place) -> None:
    edit = Edit("train.py", search="LINE_3 = 3", replace="LINE_3 = 30")
    proposed = place.proposed(edit, description="idea\n\nCandidate: c9999\nMetric: 0.0\x1b[31m")
    found = place.admission.admit(proposed, place.base, AT, {})
    assert isinstance(found, Admitted)
    message = git(place.repository.path, "show", "-s", "--format=%B", found.commit)
    assert git(place.repository.path, "interpret-trailers", "--parse", text=message.encode()).splitlines() == [
        "Candidate: c0001",
        "Proposer: replay",
    ]
    assert message.splitlines()[0] == "idea Candidate: c9999 Metric: 0.0 [31m"


def test_a_long_description_becomes_a_short_subject() -> None:
    assert len(subject_line("word " * 100)) == 100
    assert subject_line("\ud800\n\t ") == ""


# -- written against an earlier champion


def written_earlier(place: Place, champion: dict[str, str | None], *edits: Edit) -> Admitted | Rejected | Conflicted:
    """A proposal that was written against the base and arrives when the champion has moved."""
    proposed = Proposed("c0001", "replay", "an idea", edits, against=place.base)
    return place.admission.admit(proposed, place.champion(champion), AT, {})


def test_an_earlier_idea_is_admitted_on_the_champion_as_it_is(place: Place) -> None:
    edit = Edit("train.py", search="LINE_3 = 3\n", replace="LINE_3 = 30\n")
    found = written_earlier(place, {"train.py": line(4, "LINE_4 = 40")}, edit)
    assert isinstance(found, Admitted)
    text = place.repository.read(found.commit, "train.py")
    assert text == line(4, "LINE_4 = 40").replace("LINE_3 = 3\n", "LINE_3 = 30\n")


def test_an_earlier_whole_file_does_not_undo_what_the_champion_gained_elsewhere(place: Place) -> None:
    found = written_earlier(place, {"train.py": line(2, "LINE_2 = 20")}, Edit("train.py", content=line(9, "LINE_9 = 90")))
    assert isinstance(found, Admitted)
    text = place.repository.read(found.commit, "train.py")
    assert text == line(2, "LINE_2 = 20").replace("LINE_9 = 9\n", "LINE_9 = 90\n")


def test_an_earlier_idea_for_a_line_that_has_changed_is_a_conflict_and_not_a_third_value(place: Place) -> None:
    edit = Edit("train.py", search="LINE_3 = 3", replace="LINE_3 = 31")
    assert isinstance(written_earlier(place, {"train.py": line(3, "LINE_3 = 35")}, edit), Conflicted)


def test_an_earlier_idea_that_never_fitted_is_refused_by_its_gate(place: Place) -> None:
    found = written_earlier(place, {"train.py": line(3, "LINE_3 = 35")}, Edit("train.py", search="nowhere", replace="x"))
    assert isinstance(found, Rejected)
    assert found.gate == "edit"


# -- carrying over


def test_an_edit_of_a_file_that_is_as_it_was_is_simply_made_again(place: Place) -> None:
    edit = Edit("train.py", search="LINE_3 = 3", replace="LINE_3 = 30")
    assert place.carried({"lib/a.py": "A = 2\n"}, edit) == {"train.py": line(3, "LINE_3 = 30")}


def test_a_search_text_that_is_still_there_is_replaced_again(place: Place) -> None:
    edit = Edit("train.py", search="LINE_3 = 3", replace="LINE_3 = 30")
    found = place.carried({"train.py": line(4, "LINE_4 = 40")}, edit)
    assert found["train.py"] == line(4, "LINE_4 = 40").replace("LINE_3 = 3\n", "LINE_3 = 30\n")


def test_where_a_search_text_is_gone_three_ways_are_merged(place: Place) -> None:
    # The search text spans a line that the champion has changed; the change itself is of another line.
    search = "".join(f"LINE_{n} = {n}\n" for n in range(2, 9))
    edit = Edit("train.py", search=search, replace=search.replace("LINE_8 = 8", "LINE_8 = 80"))
    found = place.carried({"train.py": line(2, "LINE_2 = 20")}, edit)
    assert found["train.py"] == line(2, "LINE_2 = 20").replace("LINE_8 = 8\n", "LINE_8 = 80\n")


def test_a_search_text_that_is_there_twice_by_now_is_merged_where_it_was(place: Place) -> None:
    edit = Edit("train.py", search="LINE_3 = 3", replace="LINE_3 = 30")
    twice = TRAIN + "\nLINE_3 = 3\n"
    assert place.carried({"train.py": twice}, edit)["train.py"] == line(3, "LINE_3 = 30") + "\nLINE_3 = 3\n"


def test_a_changed_line_is_a_conflict(place: Place) -> None:
    edit = Edit("train.py", search="LINE_3 = 3", replace="LINE_3 = 30")
    assert "the champion has changed the same lines" in place.conflict({"train.py": line(3, "LINE_3 = 99")}, edit)


def test_a_whole_file_is_merged_where_it_can_be(place: Place) -> None:
    edit = Edit("train.py", content=line(9, "LINE_9 = 90"))
    found = place.carried({"train.py": line(2, "LINE_2 = 20")}, edit)
    assert found["train.py"] == line(2, "LINE_2 = 20").replace("LINE_9 = 9\n", "LINE_9 = 90\n")


def test_a_whole_file_stands_as_it_is_where_it_cannot_be_merged(place: Place) -> None:
    mine = line(3, "LINE_3 = 30")
    assert place.carried({"train.py": line(3, "LINE_3 = 99")}, Edit("train.py", content=mine)) == {"train.py": mine}


def test_a_new_file_that_the_champion_has_too_stands_as_it_is(place: Place) -> None:
    assert place.carried({"new.txt": "theirs\n"}, Edit("new.txt", content="mine\n")) == {"new.txt": "mine\n"}


def test_what_the_champion_has_already_is_a_conflict_that_says_so(place: Place) -> None:
    edit = Edit("train.py", search="LINE_3 = 3", replace="LINE_3 = 30")
    assert place.conflict({"train.py": line(3, "LINE_3 = 30")}, edit) == "the champion has it already"


def test_a_file_that_the_champion_has_deleted_cannot_be_edited(place: Place) -> None:
    edit = Edit("old.txt", search="old", replace="new")
    assert place.conflict({"old.txt": None}, edit).startswith("old.txt: ")


def test_a_file_that_the_champion_has_changed_cannot_be_deleted_unseen(place: Place) -> None:
    assert place.conflict({"old.txt": "changed\n"}, Edit("old.txt", delete=True)).startswith("old.txt: ")


def test_a_deletion_of_what_is_as_it_was_is_carried_over(place: Place) -> None:
    assert place.carried({"train.py": line(3, "LINE_3 = 30")}, Edit("old.txt", delete=True)) == {"old.txt": None}


def test_what_both_have_deleted_is_had_already(place: Place) -> None:
    assert place.conflict({"old.txt": None}, Edit("old.txt", delete=True)) == "the champion has it already"


def test_what_no_longer_compiles_on_the_champion_is_a_conflict(place: Place) -> None:
    indented = "if True:\n" + "".join(f"    {each}\n" for each in TRAIN.splitlines())
    edit = Edit("train.py", search="LINE_3 = 3\n", replace="LINE_3 = 30\nNEW = 1\n")
    assert "does not compile together with what the champion has gained" in place.conflict({"train.py": indented}, edit)


@pytest.mark.parametrize(
    ("search", "replace", "champion"),
    [
        ("LINE_3 = 3", "LINE_3 = 31", "LINE_3 = 35"),  # not 315
        ("LINE_3 = 3", "LINE_3 = 31", "LINE_3 = 3.5"),
    ],
)
def test_a_search_text_that_is_only_part_of_what_stands_there_now_is_gone(
    place: Place, search: str, replace: str, champion: str
) -> None:
    edit = Edit("train.py", search=search, replace=replace)
    assert "the champion has changed the same lines" in place.conflict({"train.py": line(3, champion)}, edit)


def test_every_file_of_an_edit_must_be_carried_or_none_is(place: Place) -> None:
    edits = (Edit("train.py", search="LINE_3 = 3", replace="LINE_3 = 30"), Edit("old.txt", search="old", replace="new"))
    assert place.conflict({"old.txt": "gone\n"}, *edits).startswith("old.txt: ")


def test_carried_over_it_knows_its_new_base(place: Place) -> None:
    edit = Edit("train.py", search="LINE_3 = 3", replace="LINE_3 = 30")
    found = place.carry({"lib/a.py": "A = 2\n"}, edit)
    assert isinstance(found, Admitted)
    assert found.base == place.champion({"lib/a.py": "A = 2\n"})
    assert found.diff_lines == 2


# -- weights in the text


NOISE = base64.b64encode(random.Random(3).randbytes(30_000)).decode()


def data(part: int) -> str:
    return "".join(f"# {NOISE[at : at + 100]}\n" for at in range(12_000 * part, 12_000 * (part + 1), 100))


def test_what_is_learnt_elsewhere_is_refused_where_learning_is_measured(place: Place) -> None:
    found = place.admit(Edit("train.py", content=TRAIN + "W = 1\n" + data(0) + data(1)))
    assert isinstance(found, Rejected)
    assert found.gate == "scope"
    assert "when compressed; allowed: 16.0 KiB" in found.reason


def test_it_gets_in_by_no_instalments(place: Place) -> None:
    first = place.admitted(Edit("train.py", content=TRAIN + "W = 1\n" + data(0)))
    second = place.proposed(Edit("lib/a.py", content="A = 2\n" + data(1)))
    assert isinstance(place.admission.admit(second, place.base, AT, {}), Admitted)
    found = place.admission.admit(second, first.commit, AT, {})
    assert isinstance(found, Rejected)
    assert "over the campaign's base" in found.reason or "that the campaign's base does not have" in found.reason


def test_where_a_command_measures_a_table_is_nobody_s_business(tmp_path: Path) -> None:
    place = Place(tmp_path)
    scoping = replace(place.admission.scoping, runner="command")
    table = f"TABLE = {list(range(5_000))}\n"
    proposed = place.proposed(Edit("lib/a.py", content=table))
    assert isinstance(Admission(place.repository, scoping).admit(proposed, place.base, AT, {}), Admitted)
    assert isinstance(place.admission.admit(proposed, place.base, AT, {}), Rejected)
