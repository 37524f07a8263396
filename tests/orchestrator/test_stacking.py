"""Winners on the champion: which of them a stack holds, and what the branch says about them."""

from __future__ import annotations

from pathlib import Path

import pytest
from subject import FILES, git, init

from orchestrator import events as ev
from orchestrator.admission import Admission
from orchestrator.composing import Composer
from orchestrator.edits import Edit
from orchestrator.events import Evidence, Purpose, Verdict
from orchestrator.ledger import CandidateState, Ledger
from orchestrator.repository import CampaignRepository
from orchestrator.stacking import Stacking
from orchestrator.target import resolve_target, scope_of
from workers.trial import Outcome

TRAIN = "".join(f"LINE_{n} = {n}\n" for n in range(12))
EVIDENCE = Evidence(0.9, 3, 1.0, 4, -0.1, 0.001, 0.001, 9, 1e6, 400.0, 0.001, 0.025, "calibrated")
AT = 1_700_000_000.0


class Place:
    """A campaign with a real repository and a ledger that is told what happens."""

    def __init__(self, tmp_path: Path) -> None:
        init(tmp_path / "user", {**FILES, "train.py": TRAIN})
        self.repository, base = CampaignRepository.create(tmp_path / "repo", resolve_target("user", tmp_path))
        scoping = scope_of(self.repository.files(base), ("train.py",), None, has_command=False)
        self.admission, self.ledger = Admission(self.repository, scoping), Ledger("val_bpb")
        self.stacking = Stacking(Composer(self.admission), self.ledger)
        self.tell(ev.CampaignOpened("name", base, "user", "train", 0, 10), ev.HeadStarted(1, "host", 0, "none"))
        for value in (1.0, 1.002):
            self.measure(base, value, Purpose.BASELINE)

    def tell(self, *events: ev.Event) -> None:
        for event in events:
            self.ledger.apply(event, AT)

    def measure(self, commit: str, value: float, purpose: Purpose, *names: str) -> None:
        trial = f"t{len(self.ledger.trials) + 1:06d}"
        self.tell(
            ev.TrialStarted(trial, purpose, commit, names, 1, "w0"),
            ev.TrialEnded(trial, 1, Outcome.OK, None, {"val_bpb": value}, {}, 1.0, None, "w0", "cpu", 0.0, 1.0, "f"),
        )

    def winner(self, *edits: Edit, description: str = "an idea") -> str:
        """Proposed, admitted, raced and won."""
        name = f"c{len(self.ledger.candidates) + 1:04d}"
        proposed = ev.Proposed(name, "replay", description, edits)
        assert self.ledger.champion is not None
        admitted = self.admission.admit(proposed, self.ledger.champion.commit, AT, {})
        assert isinstance(admitted, ev.Admitted), admitted
        self.tell(proposed, admitted)
        self.measure(admitted.commit, 0.9, Purpose.RACE, name)
        self.tell(ev.CandidateDecided(name, Verdict.WON, "better", EVIDENCE))
        return name

    def line(self, number: int, text: str, whole_file: bool = False) -> str:
        """A winner that changes one line."""
        was, new = f"LINE_{number} = {number}\n", f"{text}\n"
        edit = Edit("train.py", content=TRAIN.replace(was, new)) if whole_file else Edit("train.py", search=was, replace=new)
        return self.winner(edit, description=f"line {number}")

    def build(self, *names: str) -> tuple[ev.StackBuilt | None, list[ev.Admitted | ev.Conflicted]]:
        built, left_out = self.stacking.build(f"s{len(self.ledger.stacks) + 1:04d}", names, AT)
        self.tell(*left_out)
        if built is not None:
            self.tell(built)
        return built, left_out

    def keep(self, *names: str) -> ev.ChampionMoved:
        built, _ = self.build(*names)
        assert built is not None
        for value in (0.88, 0.882):
            self.measure(built.commit, value, Purpose.FINAL, *names)
        self.tell(ev.StackDecided(built.stack, True, "better", EVIDENCE))
        moved = self.stacking.champion_commits(self.ledger.stacks[built.stack], AT)
        self.tell(moved)
        return moved

    def trailers(self, commit: str) -> dict[str, str]:
        message = git(self.repository.path, "show", "-s", "--format=%B", commit)
        said = git(self.repository.path, "interpret-trailers", "--parse", text=message.encode())
        return dict(each.split(": ", 1) for each in said.splitlines())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# -- building


def test_winners_are_stacked_in_order_one_commit_each(place: Place) -> None:
    names = (place.line(1, "LINE_1 = 10"), place.line(9, "LINE_9 = 90"))
    built, left_out = place.build(*names)
    assert built is not None
    assert left_out == []
    assert built.candidates == names
    assert git(place.repository.path, "rev-list", "--reverse", f"{built.base}..{built.commit}").split() == list(built.commits)
    text = place.repository.read(built.commit, "train.py")
    assert text == TRAIN.replace("LINE_1 = 1\n", "LINE_1 = 10\n").replace("LINE_9 = 9\n", "LINE_9 = 90\n")


def test_a_stack_of_one_has_the_tree_that_won_the_race(place: Place) -> None:
    name = place.line(1, "LINE_1 = 10")
    built, _ = place.build(name)
    assert built is not None
    raced = place.ledger.candidates[name].commit
    assert git(place.repository.path, "diff", str(raced), built.commit) == ""


def test_one_that_clashes_with_another_winner_waits_for_the_next_stack(place: Place) -> None:
    first, clashing, third = place.line(1, "LINE_1 = 10"), place.line(1, "LINE_1 = 11"), place.line(9, "LINE_9 = 90")
    built, left_out = place.build(first, clashing, third)
    assert built is not None
    assert built.candidates == (first, third)
    assert left_out == []
    assert place.ledger.candidates[clashing].state is CandidateState.WON


def test_one_that_clashes_with_the_champion_is_a_conflict(place: Place) -> None:
    first, clashing = place.line(1, "LINE_1 = 10"), place.line(1, "LINE_1 = 11")
    place.keep(first)
    built, left_out = place.build(clashing)
    assert built is None
    assert [type(event) for event in left_out] == [ev.Conflicted]
    assert place.ledger.candidates[clashing].state is CandidateState.CONFLICT


def test_a_whole_file_that_clashes_with_the_champion_races_again(place: Place) -> None:
    first, whole = place.line(1, "LINE_1 = 10"), place.line(1, "LINE_1 = 11", whole_file=True)
    moved = place.keep(first)
    built, left_out = place.build(whole)
    assert built is None
    assert [type(event) for event in left_out] == [ev.Admitted]
    candidate = place.ledger.candidates[whole]
    assert (candidate.state, candidate.base) == (CandidateState.WAITING, moved.commit)
    assert place.ledger.won == []


def test_the_same_change_by_two_winners_is_kept_once(place: Place) -> None:
    first, same = place.line(1, "LINE_1 = 10"), place.line(1, "LINE_1 = 10")
    place.keep(first)
    _, left_out = place.build(same)
    assert [event.reason for event in left_out if isinstance(event, ev.Conflicted)] == ["the champion has it already"]


# -- the branch


def test_the_champion_has_the_tree_that_was_measured(place: Place) -> None:
    names = (place.line(1, "LINE_1 = 10"), place.line(9, "LINE_9 = 90"))
    moved = place.keep(*names)
    measured = place.ledger.stacks[moved.stack].built
    trees = [git(place.repository.path, "rev-parse", f"{commit}^{{tree}}") for commit in (moved.commit, measured.commit)]
    assert trees[0] == trees[1]
    assert moved.commits[-1] == moved.commit
    assert git(place.repository.path, "rev-list", "--count", f"{moved.previous}..{moved.commit}") == "2"


def test_the_champion_carries_the_mean_of_its_final_alone(place: Place) -> None:
    moved = place.keep(place.line(1, "LINE_1 = 10"))
    assert moved.mean == pytest.approx(0.881)
    assert moved.trials == 2
    assert moved.stderr is not None


def test_a_kept_commit_says_what_was_measured(place: Place) -> None:
    name = place.line(1, "LINE_1 = 10")
    trailers = place.trailers(place.keep(name).commit)
    assert trailers["Candidate"] == name
    assert trailers["Proposer"] == "replay"
    assert trailers["Metric"].startswith("val_bpb 0.9 ± ")
    assert trailers["Baseline"].startswith("val_bpb 1.001 ± ")
    assert trailers["Baseline"].endswith("(n=2)")
    assert "race -0.1 ± 0.001 (n=3 vs 4)" in trailers["Evidence"]
    assert "final -0.1" in trailers["Evidence"]


def test_below_the_tip_a_commit_does_not_claim_a_number_of_its_own(place: Place) -> None:
    moved = place.keep(place.line(1, "LINE_1 = 10"), place.line(9, "LINE_9 = 90"))
    assert place.trailers(moved.commits[0])["Metric"] == "val_bpb not measured alone, but as part of stack s0001"
    assert "final" not in place.trailers(moved.commits[0])["Evidence"]


@pytest.mark.parametrize("description", ["", "x" * 500, "line\n\nMetric: val_bpb 0.0 ± 0 (n=99)", "Candidate: c9999"])
def test_no_description_can_change_the_trailers(place: Place, description: str) -> None:
    name = place.winner(Edit("train.py", search="LINE_1 = 1\n", replace="LINE_1 = 10\n"), description=description)
    trailers = place.trailers(place.keep(name).commit)
    assert set(trailers) == {"Candidate", "Proposer", "Metric", "Baseline", "Evidence"}
    assert trailers["Candidate"] == name
    assert "n=99" not in trailers["Metric"]
