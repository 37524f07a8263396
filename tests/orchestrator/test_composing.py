"""Candidates on one commit: who fits, in which order, and what any part of those who fit comes to."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import pytest
from subject import FILES, init

from orchestrator import events as ev
from orchestrator.admission import Admission
from orchestrator.candidate import Candidate
from orchestrator.composing import ClashError, Composer
from orchestrator.edits import Edit
from orchestrator.repository import CampaignRepository
from orchestrator.target import resolve_target, scope_of

TRAIN = "".join(f"LINE_{n} = {n}\n" for n in range(12)) + "PAIR = dict(x=1, y=2)\nif PAIR:\n    print(1)\n"
AT = 1_700_000_000.0


class Place:
    """A campaign's repository in which train.py and lib/ may be edited."""

    def __init__(self, tmp_path: Path) -> None:
        init(tmp_path / "user", {**FILES, "train.py": TRAIN, "lib/a.py": "A = 1\n"})
        self.repository, self.base = CampaignRepository.create(tmp_path / "repo", resolve_target("user", tmp_path))
        self.admission = Admission(
            self.repository, scope_of(self.repository.files(self.base), ("train.py", "lib/"), None, has_command=False)
        )
        self.composer = Composer(self.admission)
        self.candidates: list[Candidate] = []

    def candidate(self, *edits: Edit) -> Candidate:
        proposed = ev.Proposed(f"c{len(self.candidates) + 1:04d}", "replay", "an idea", edits)
        admitted = self.admission.admit(proposed, self.base, AT, {})
        assert isinstance(admitted, ev.Admitted), admitted
        self.candidates.append(Candidate(proposed, AT, admitted=admitted))
        return self.candidates[-1]

    def swap(self, old: str, new: str) -> Candidate:
        return self.candidate(Edit("train.py", search=old, replace=new))

    def whole(self, old: str, new: str) -> Candidate:
        assert TRAIN.count(old) == 1
        return self.candidate(Edit("train.py", content=TRAIN.replace(old, new)))

    def moved(self, *swaps: tuple[str, str]) -> str:
        text = TRAIN
        for old, new in swaps:
            text = text.replace(old, new)
        return self.repository.commit(self.base, {"train.py": text}, "champion", AT)

    def fits(self, base: str | None = None, room: int = 99) -> tuple[str, ...]:
        return self.composer.fits(base or self.base, self.candidates, room).together

    def text(self, *candidates: Candidate, base: str | None = None) -> str:
        return self.composer.texts(base or self.base, candidates)["train.py"] or ""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_candidates_of_one_file_are_put_together(place: Place) -> None:
    one, two = place.swap("LINE_1 = 1\n", "LINE_1 = 10\n"), place.whole("LINE_2 = 2\n", "LINE_2 = x\n")
    assert place.fits() == (one.id, two.id)
    expected = TRAIN.replace("LINE_1 = 1\n", "LINE_1 = 10\n").replace("LINE_2 = 2\n", "LINE_2 = x\n")
    assert place.text(one, two) == place.text(two, one) == expected


def test_knobs_of_one_line_are_put_together_by_literal(place: Place) -> None:
    line = "PAIR = dict(x=1, y=2)"
    one, two = place.swap(line, "PAIR = dict(x=7, y=2)"), place.swap(line, "PAIR = dict(x=1, y=8)")
    other = place.swap(line, "PAIR = dict(x=1, y=9)")
    assert place.fits() == (one.id, two.id)
    assert "PAIR = dict(x=7, y=8)" in place.text(one, two)
    with pytest.raises(ClashError, match=two.id) as caught:
        place.text(one, two, other)
    assert (caught.value.candidate, caught.value.on_base) == (other.id, False)


def test_the_first_of_those_that_clash_is_taken_and_room_is_kept_to(place: Place) -> None:
    names = [place.swap("LINE_3 = 3\n", f"LINE_3 = {n}\n").id for n in (30, 31)]
    names += [place.swap(f"LINE_{n} = {n}\n", f"LINE_{n} = 0\n").id for n in (6, 8, 10)]
    assert place.fits() == (names[0], *names[2:])
    assert place.fits(room=2) == (names[0], names[2])


def test_the_same_change_twice_is_not_measured_together(place: Place) -> None:
    one, _same = place.swap("LINE_3 = 3\n", "LINE_3 = 30\n"), place.whole("LINE_3 = 3\n", "LINE_3 = 30\n")
    more = place.candidate(
        Edit("train.py", search="LINE_3 = 3\n", replace="LINE_3 = 30\n"),
        Edit("train.py", search="LINE_9 = 9\n", replace="LINE_9 = 90\n"),
    )
    assert place.fits() == (one.id,)
    shared = place.candidate(
        Edit("train.py", search="LINE_9 = 9\n", replace="LINE_9 = 90\n"),
        Edit("train.py", search="LINE_6 = 6\n", replace="LINE_6 = 60\n"),
    )
    assert place.composer.fits(place.base, [more, shared], 9).together == (more.id, shared.id)


def test_files_that_are_made_and_deleted(place: Place) -> None:
    made = place.candidate(Edit("lib/new.py", content="x = 1\n"))
    place.candidate(Edit("lib/new.py", content="x = 2\n"))  # another file of that name
    place.candidate(Edit("lib/new.py/below.py", content="x = 2\n"))  # and a folder
    gone = place.candidate(Edit("lib/a.py", delete=True))
    place.candidate(Edit("lib/a.py", search="A = 1", replace="A = 2"))
    assert place.fits() == (made.id, gone.id)
    assert place.composer.texts(place.base, [made, gone]) == {"lib/new.py": "x = 1\n", "lib/a.py": None}


def test_on_a_champion_that_has_moved_one_fits_or_the_reason_is_told(place: Place) -> None:
    onto = place.moved(("LINE_3 = 3\n", "LINE_3 = 33\n"), ("LINE_9 = 9\n", "LINE_9 = 90\n"))
    fine, gone = place.swap("LINE_5 = 5\n", "LINE_5 = 50\n"), place.swap("LINE_3 = 3\n", "LINE_3 = 30\n")
    there = place.swap("LINE_9 = 9\n", "LINE_9 = 90\n")
    whole = place.whole("LINE_3 = 3\n", "LINE_3 = 31\n")
    found = place.composer.fits(onto, place.candidates, 9)
    assert found.together == (fine.id,)
    assert "changed the same lines" in found.not_on_base[gone.id]
    assert "has it already" in found.not_on_base[there.id]
    assert whole.id in found.not_on_base
    assert "LINE_3 = 33\n" in place.text(fine, base=onto)
    with pytest.raises(ClashError) as caught:
        place.text(fine, gone, base=onto)
    assert (caught.value.candidate, caught.value.on_base) == (gone.id, True)


def test_a_knob_is_carried_over_to_a_champion_that_has_turned_another_of_its_line(place: Place) -> None:
    onto = place.moved(("x=1", "x=7"))
    one = place.swap("PAIR = dict(x=1, y=2)", "PAIR = dict(x=1, y=8)")
    assert "PAIR = dict(x=7, y=8)" in place.text(one, base=onto)


def test_who_breaks_what_the_others_make_is_left_out(place: Place) -> None:
    first = place.swap("LINE_1 = 1\n", "LINE_1 = 10\n")
    opens = place.swap("if PAIR:\n", "if PAIR:\n    if LINE_1:\n        LINE_2 = 5\n")
    between = place.swap("    print(1)\n", "      pass\n")  # by itself it compiles, behind the other one not
    last = place.swap("LINE_7 = 7\n", "LINE_7 = 70\n")
    assert place.fits() == (first.id, opens.id, last.id)
    with pytest.raises(ClashError, match="does not compile") as caught:
        place.text(first, opens, last, between)
    assert (caught.value.candidate, caught.value.on_base) == (between.id, False)


def test_any_part_of_what_fits_can_be_put_together(place: Place) -> None:
    rng = random.Random(3)
    for n in range(12):
        place.swap(
            f"LINE_{n} = {n}\n", rng.choice([f"LINE_{n} = {n + 50}\n", f"LINE_{n} = {n}\nNEW_{n} = {n}\n", f"X{n} = {n}\n"])
        )
    fits = [each for each in place.candidates if each.id in place.fits()]
    assert len(fits) == 12
    for _ in range(30):
        row = rng.sample(fits, rng.randrange(1, 12))
        alone = Composer(place.admission).texts(place.base, sorted(row, key=lambda each: each.id))
        assert place.composer.texts(place.base, row) == alone


def test_weights_do_not_come_in_by_instalments(place: Place) -> None:
    def text(n: int) -> str:
        data = base64.b85encode(random.Random(n).randbytes(1500)).decode()
        return f"W_{n} = {data!r}\nLINE_{n} = {n}\n"

    for n in range(12):
        place.swap(f"LINE_{n} = {n}\n", text(n))
    together = place.fits()
    assert 5 <= len(together) < 12  # each by itself is allowed, and no twelve of them
    with pytest.raises(ClashError, match="KiB"):
        place.composer.texts(place.base, place.candidates)
    onto = place.repository.commit(place.base, place.composer.texts(place.base, place.candidates[: len(together)]), "c", AT)
    last = place.candidates[-1]
    assert last.admitted is not None
    carried = place.admission.carry_over(last.proposed, last.admitted, onto, AT)
    assert isinstance(carried, ev.Conflicted)
    assert "KiB" in carried.reason


def test_fifty_honest_edits_of_a_page_carry_no_more_than_one_may(place: Place) -> None:
    """A champion that has kept them all, and a row that holds as many: neither is refused."""
    lines = "".join(f"LINE_{n} = {n}\n" for n in range(60))
    base = place.repository.commit(place.base, {"train.py": lines}, "longer", AT)
    for n in range(50):
        code = "".join(f"def helper_{n}_{k}(x, scale):\n    return x * scale + LINE_{n} / {k + 2}\n\n\n" for k in range(5))
        proposed = ev.Proposed(
            f"c{n:04d}", "replay", "", (Edit("train.py", search=f"LINE_{n} = ", replace=f"{code}LINE_{n} = "),)
        )
        admitted = place.admission.admit(proposed, base, AT, {})
        assert isinstance(admitted, ev.Admitted), admitted
        place.candidates.append(Candidate(proposed, AT, admitted=admitted))
    assert len(place.fits(base)) == 50
