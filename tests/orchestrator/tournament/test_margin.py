"""Deletions: no worse than the margin is enough, of what the margin has left, and only for them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from resumable import settings
from story import BASE, Story

from orchestrator import events as ev
from orchestrator.edits import Edit
from orchestrator.events import CandidateDecided, Evidence, Verdict
from orchestrator.tournament.evidence import EffectPrior
from orchestrator.tournament.finals import judge_final
from orchestrator.tournament.margin import margin_for, margin_for_stack
from orchestrator.tournament.race import judge_race
from orchestrator.tournament.settings import Settings

BASELINE = (1.0, 1.001, 0.999, 1.0, 1.001, 0.999)
NO_CHANGE = (1.0, 1.0005, 0.9995, 1.0, 1.0, 1.0)
MARGIN = 0.02
ALLOWED = settings(noninferiority_margin=MARGIN)


def begun(*, smaller: bool = True) -> tuple[Story, str]:
    story = Story(workers=4)
    story.baseline(*BASELINE)
    return story, admitted(story, "c0001", smaller=smaller)


def admitted(story: Story, name: str, *, smaller: bool) -> str:
    story.tell(ev.Proposed(name, "replay", name, (Edit("x", content=name),)))
    story.tell(ev.Admitted(name, f"{name}@{BASE}", BASE, 5, name, smaller=smaller))
    return f"{name}@{BASE}"


def verdict(story: Story, told: Settings = ALLOWED) -> CandidateDecided | None:
    return judge_race(story.ledger, story.ledger.candidates["c0001"], EffectPrior.start(), told)


def evidence(effect: float) -> Evidence:
    return Evidence(1.0 + effect, 4, 1.0, 4, effect, 1e-4, 1e-4, 50, 1e9, None, 1e-9, 0.02, "calibrated")


def test_a_deletion_that_changes_nothing_wins() -> None:
    story, commit = begun()
    story.measure(commit, *NO_CHANGE, names=("c0001",))
    found = verdict(story)
    assert found is not None
    assert found.verdict is Verdict.WON
    assert found.evidence is not None
    assert found.evidence.margin == MARGIN
    assert abs(found.evidence.effect) < 1e-3  # as measured, the margin not taken off


@pytest.mark.parametrize(("smaller", "margin"), [(False, MARGIN), (True, 0.0)])
def test_nothing_else_wins_by_changing_nothing(smaller: bool, margin: float) -> None:
    story, commit = begun(smaller=smaller)
    story.measure(commit, *NO_CHANGE, names=("c0001",))
    found = verdict(story, settings(noninferiority_margin=margin))
    assert found is None or found.verdict is not Verdict.WON


def test_a_deletion_that_loses_more_than_the_margin_is_discarded() -> None:
    story, commit = begun()
    story.measure(commit, *(value + 2 * MARGIN for value in NO_CHANGE), names=("c0001",))
    found = verdict(story)
    assert found is not None
    assert found.verdict is Verdict.DISCARD


@pytest.mark.parametrize("minimize", [True, False])
def test_what_deletions_have_cost_is_taken_off_the_margin(minimize: bool) -> None:
    told = settings(noninferiority_margin=MARGIN, minimize=minimize)
    story, commit = begun()
    admitted(story, "c0002", smaller=True)
    story.measure(commit, 1.0, names=("c0001",))
    loss = 0.75 * MARGIN if minimize else -0.75 * MARGIN
    story.tell(CandidateDecided("c0001", Verdict.WON, "no worse", evidence(loss)))
    story.measure(story.stack("s0001", "c0001"), 1.0, names=("c0001",))
    story.keeps("s0001", "champion")
    assert margin_for(story.ledger, told, story.ledger.candidates["c0002"]) == pytest.approx(0.25 * MARGIN)


def test_a_stack_may_be_worse_only_where_all_in_it_may() -> None:
    story, _ = begun()
    admitted(story, "c0002", smaller=False)
    assert margin_for_stack(story.ledger, ALLOWED, ("c0001",)) == MARGIN
    assert margin_for_stack(story.ledger, ALLOWED, ("c0001", "c0002")) == 0.0


@pytest.mark.parametrize(("worse_by", "kept"), [(0.0, True), (0.5 * MARGIN, True), (2 * MARGIN, False)])
def test_the_final_of_a_deletion_asks_for_no_more_than_its_race(worse_by: float, kept: bool) -> None:
    story, commit = begun()
    story.measure(commit, *NO_CHANGE, names=("c0001",))
    found = verdict(story)
    assert found is not None
    story.tell(replace(found))
    tip = story.stack("s0001", "c0001")
    story.measure(tip, *(value + worse_by for value in NO_CHANGE[:4]), names=("c0001",), purpose=ev.Purpose.FINAL)
    decided = judge_final(story.ledger, story.ledger.stacks["s0001"], ALLOWED)
    assert decided is not None
    assert decided.kept is kept
