"""Decisions about blocks, carried out in a real repository: who fits, what a row's trial is, what a smoke test is."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import pytest
import yaml
from subject import git, init

from orchestrator import events as ev
from orchestrator.acts import Acts
from orchestrator.campaign import Campaign
from orchestrator.edits import Edit
from orchestrator.events import Purpose
from orchestrator.opening import open_new, open_parts
from orchestrator.pool import Measured
from orchestrator.tournament import decisions as do
from workers.trial import Measurement, Outcome, TrainPlan, TrialSpec

TRAIN = "".join(f"LINE_{n} = {n}\n" for n in range(20))


class Hands:
    """In place of the pool: takes note of what is handed out."""

    gpus_a_trial = 0.0
    abreast = 1

    def __init__(self) -> None:
        self.arrivals: queue.Queue[object] = queue.Queue()
        self.out: list[tuple[str, TrialSpec]] = []

    def submit(self, worker: str, spec: TrialSpec) -> None:
        self.out.append((worker, spec))


class Place:
    def __init__(self, tmp_path: Path) -> None:
        init(tmp_path / "user", {"train.py": TRAIN, "prepare.py": "sealed = True\n"})
        config: dict[str, Any] = {
            "name": "night",
            "target": {"repo": "user", "editable": ["train.py"], "runner": "train"},
            "objective": {"metric": "val_bpb"},
            "proposers": [{"kind": "knobs"}],
            "trial": {"budget_s": 200, "gpus": 0},
        }
        (tmp_path / "night.yaml").write_text(yaml.safe_dump(config))
        self.parts = open_parts(open_new(str(tmp_path / "night.yaml"), [], None, tmp_path))
        self.ledger, self.base = self.parts.ledger, self.parts.ledger.base
        self.told: list[ev.Event] = []
        self.hands = Hands()
        self.acts = Acts(self.parts, self.hands, self.record)  # type: ignore[arg-type]

    def record(self, event: ev.Event) -> None:
        self.ledger.apply(event, float(len(self.told)))
        self.told.append(event)

    def line(self, number: int, new: str, *, whole: bool = False) -> str:
        old = f"LINE_{number} = {number}\n"
        edit = Edit("train.py", content=TRAIN.replace(old, new)) if whole else Edit("train.py", search=old, replace=new)
        name = f"c{len(self.ledger.candidates) + 1:04d}"
        self.record(ev.Proposed(name, "person", f"line {number}", (edit,)))
        self.acts.admit(name)
        return name

    def compose(self, *names: str, base: str = "", room: int = 9) -> list[ev.Event]:
        before = len(self.told)
        self.acts.carry_out(do.Compose(base or self.base, names, room))
        return self.told[before:]

    def stack(self, *names: str) -> str:
        """Winners of blocks, stacked."""
        self.open_block(*names)
        for name in names:
            self.record(ev.CandidateDecided(name, ev.Verdict.WON, "better"))
        self.acts.carry_out(do.BuildStack(names))
        assert self.ledger.open_stack is not None
        return self.ledger.open_stack.built.commit

    def open_block(self, *names: str) -> None:
        block = f"b{len(self.ledger.blocks.blocks) + 1:04d}"
        self.record(ev.BlockOpened(block, self.base, 8, names, tuple(range(1, len(names) + 1)), tuple(range(8))))

    def start(self, *names: str, purpose: Purpose = Purpose.BLOCK, row: int | None = 1) -> TrialSpec | None:
        before = len(self.hands.out)
        block = None if row is None else "b0001"
        self.acts.carry_out(do.StartTrial("w0", purpose, None, names, 7, base=self.base, block=block, row=row))
        return self.hands.out[-1][1] if len(self.hands.out) > before else None


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# -- who fits


def test_who_fits_is_recorded_in_order_and_whoever_clashes_with_others_is_left_out(place: Place) -> None:
    one, clash, two = place.line(1, "LINE_1 = 10\n"), place.line(1, "LINE_1 = 11\n"), place.line(9, "LINE_9 = 90\n")
    asked = (one, clash, two)
    assert place.compose(*asked) == [ev.Composed(place.base, asked, (one, two), 9)]
    assert place.ledger.blocks.composed(place.base, asked) == (one, two)


def test_on_the_champion_what_clashes_is_a_conflict_and_a_whole_file_goes_alone(place: Place) -> None:
    edits, whole, fine = place.line(1, "LINE_1 = 11\n"), place.line(1, "LINE_1 = 12\n", whole=True), place.line(9, "X = 1\n")
    winner = place.line(1, "LINE_1 = 10\n")
    place.stack(winner)
    place.record(ev.StackDecided("s0001", True, "better"))
    place.acts.carry_out(do.MoveChampion("s0001"))
    assert place.ledger.champion is not None
    champion = place.ledger.champion.commit
    conflict, solo, composed = place.compose(edits, whole, fine, base=champion)
    assert isinstance(conflict, ev.Conflicted)
    assert (conflict.candidate, conflict.onto) == (edits, champion)
    assert isinstance(solo, ev.SentSolo)
    assert solo.candidate == whole
    assert "race against what it undoes" in solo.reason
    assert composed == ev.Composed(champion, (edits, whole, fine), (fine,), 9)


def test_on_a_stack_that_may_yet_be_lost_nothing_is_a_conflict(place: Place) -> None:
    edits, fine = place.line(1, "LINE_1 = 11\n"), place.line(9, "X = 1\n")
    tip = place.stack(place.line(1, "LINE_1 = 10\n"))
    assert place.compose(edits, fine, base=tip) == [ev.Composed(tip, (edits, fine), (fine,), 9)]


# -- rows


def test_a_row_is_one_commit_with_all_its_edits_and_no_ref(place: Place) -> None:
    one, two = place.line(1, "LINE_1 = 10\n"), place.line(9, "LINE_9 = 90\n")
    place.open_block(one, two)
    refs = git(place.parts.repository.path, "for-each-ref")
    spec = place.start(one, two, row=3)
    assert spec is not None
    started = place.told[-1]
    assert isinstance(started, ev.TrialStarted)
    assert (started.commit, started.block, started.row, started.candidates) == (spec.commit, "b0001", 3, (one, two))
    repo = place.parts.repository
    expected = TRAIN.replace("LINE_1 = 1\n", "LINE_1 = 10\n").replace("LINE_9 = 9\n", "LINE_9 = 90\n")
    assert repo.read(spec.commit, "train.py") == expected
    assert git(repo.path, "rev-parse", f"{spec.commit}^") == place.base
    message = git(repo.path, "show", "-s", "--format=%B", spec.commit)
    assert message.startswith(f"b0001 row 3: {one}, {two}")
    assert git(repo.path, "for-each-ref") == refs
    assert spec.bundle is not None
    assert spec.commit.encode() in spec.bundle
    assert (spec.held_out, spec.promotion, spec.smoke) == (False, False, False)


def test_a_row_that_holds_nobody_is_its_base(place: Place) -> None:
    names = place.line(1, "LINE_1 = 10\n"), place.line(9, "LINE_9 = 90\n")
    place.open_block(*names)
    place.acts.carry_out(do.StartTrial("w0", Purpose.BLOCK, place.base, (), 7, base=place.base, block="b0001", row=0))
    assert place.hands.out[-1][1].commit == place.base
    assert place.ledger.blocks.blocks["b0001"].rows[0].candidates == ()


def test_a_final_that_is_row_0_is_audited_as_a_promotion(place: Place) -> None:
    winner, *others = place.line(1, "LINE_1 = 10\n"), place.line(9, "LINE_9 = 90\n"), place.line(5, "LINE_5 = 50\n")
    tip = place.stack(winner)
    place.record(ev.BlockOpened("b0002", tip, 8, tuple(others), (1, 2), tuple(range(8)), "s0001"))
    place.acts.carry_out(do.StartTrial("w0", Purpose.FINAL, tip, (winner,), 7, "s0001", block="b0002", row=0))
    spec = place.hands.out[-1][1]
    assert (spec.commit, spec.promotion, spec.held_out) == (tip, True, True)


def test_a_row_that_does_not_compose_after_all_starts_nothing_and_sends_who_is_at_fault_alone(place: Place) -> None:
    names = place.line(1, "LINE_1 = 10\n"), place.line(9, "LINE_9 = 90\n"), place.line(1, "LINE_1 = 11\n")
    place.open_block(*names)
    assert place.start(*names) is None
    solo = place.told[-1]
    assert isinstance(solo, ev.SentSolo)
    assert solo.candidate == names[2]
    assert "b0001 row 1" in solo.reason
    assert place.ledger.trials == {}
    assert names[2] not in place.ledger.blocks.open["b0001"].members(7)


# -- smoke tests


def test_a_smoke_test_is_short_and_scores_no_third_split(place: Place) -> None:
    spec = place.start(place.line(1, "LINE_1 = 10\n"), place.line(9, "LINE_9 = 90\n"), purpose=Purpose.SMOKE, row=None)
    assert spec is not None
    assert isinstance(spec.plan, TrainPlan)
    assert spec.plan.budget_s == 10.0
    assert (spec.smoke, spec.held_out, spec.promotion) == (True, False, False)


def measured(spec: TrialSpec, fingerprint: str) -> Measured:
    numbers = {"val_bpb": 1.0}
    return Measured("w0", Measurement(spec.trial_id, 1, Outcome.OK, None, numbers, {}, 1.0, None, 0.0, 1.0, fingerprint, "cpu"))


def test_a_smoke_tests_fingerprint_and_number_are_compared_with_nothing(place: Place) -> None:
    campaign = Campaign(place.parts, place.hands, [])  # type: ignore[arg-type]
    name = place.line(1, "LINE_1 = 10\n")
    place.record(ev.WorkerChanged("w0", "node", "cpu", ev.WorkerState.IDLE))
    for mark in ("short", "shorter"):
        spec = place.start(name, purpose=Purpose.SMOKE, row=None)
        assert spec is not None
        campaign._take(measured(spec, mark))
        assert place.ledger.fingerprint is None
        assert place.ledger.book.count == 0
    place.acts.carry_out(do.StartTrial("w0", Purpose.BASELINE, place.base, (), 1))
    campaign._take(measured(place.hands.out[-1][1], "full"))
    assert place.ledger.fingerprint == "full"
    spec = place.start(name, purpose=Purpose.SMOKE, row=None)
    assert spec is not None
    campaign._take(measured(spec, "short"))
    assert place.ledger.outcomes[Outcome.OK] == 4
    assert place.ledger.workers["w0"].state is ev.WorkerState.IDLE


# -- retests


def moved(place: Place, *names: str) -> str:
    place.stack(*names)
    stack = f"s{len(place.ledger.stacks):04d}"
    place.record(ev.StackDecided(stack, True, "better"))
    place.acts.carry_out(do.MoveChampion(stack))
    assert place.ledger.champion is not None
    return place.ledger.champion.commit


def test_a_kept_edit_becomes_a_candidate_that_takes_it_out_and_composes_with_others(place: Place) -> None:
    first, second = place.line(1, "LINE_1 = 10\n"), place.line(5, "LINE_5 = 50\nEXTRA = 5\n")
    champion = moved(place, first, second)
    place.acts.carry_out(do.Retest((second, first)))
    retests = list(place.ledger.candidates)[-2:]
    new = place.line(9, "LINE_9 = 90\n")
    assert [place.ledger.candidates[name].retests for name in retests] == [(second,), (first,)]
    assert [place.ledger.candidates[name].state.value for name in retests] == ["waiting", "waiting"]
    assert "line 5" in place.ledger.candidates[retests[0]].proposed.description
    composed = place.compose(*retests, new, base=champion)[-1]
    assert composed == ev.Composed(champion, (*retests, new), (*retests, new), 9)
    place.open_block(*retests)
    place.record(ev.CandidateDecided(retests[0], ev.Verdict.WON, "better without"))
    place.acts.carry_out(do.BuildStack((retests[0],)))
    place.record(ev.StackDecided("s0002", True, "better"))
    place.acts.carry_out(do.MoveChampion("s0002"))
    assert place.ledger.champion is not None
    text = place.parts.repository.read(place.ledger.champion.commit, "train.py")
    assert text == TRAIN.replace("LINE_1 = 1\n", "LINE_1 = 10\n")
    assert place.ledger.taken_out == {second: retests[0]}
    assert "without" in git(place.parts.repository.path, "log", "-1", "--format=%s", "champion")


def test_a_kept_edit_that_others_build_on_stays_and_is_not_asked_about_again(place: Place) -> None:
    first = place.line(1, "LINE_1 = 10\n")
    moved(place, first)
    name = f"c{len(place.ledger.candidates) + 1:04d}"
    place.record(ev.Proposed(name, "person", "on top", (Edit("train.py", search="LINE_1 = 10", replace="LINE_1 = 10 + 1"),)))
    place.acts.admit(name)
    moved(place, name)
    place.acts.carry_out(do.Retest((first,)))
    retest = list(place.ledger.candidates.values())[-1]
    assert retest.state.value == "conflict"
    assert first in place.ledger.retested_at
