"""Near misses: left open on their numbers, promoted when keeps have lowered the bar, once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from resumable import settings
from story import Story

from orchestrator.events import CandidateDecided, Evidence, Verdict
from orchestrator.ledger import CandidateState
from orchestrator.tournament.near_misses import promoted
from workers.trial import Outcome

TOLD = settings(planned_candidates=100)


def evidence(p_null: float, e_value: float = 50.0) -> Evidence:
    return Evidence(0.99, 8, 1.0, 8, -0.01, 3e-3, 6e-3, 50, e_value, None, p_null, 0.0, "calibrated")


def story_with(**near_misses: float) -> Story:
    """`wins` are to come; each near miss by its p(no help)."""
    story = Story()
    for name, p_null in near_misses.items():
        commit = story.candidate(name)
        story.measure(commit, 0.99, names=(name,))
        story.tell(CandidateDecided(name, Verdict.INCONCLUSIVE, "near miss", evidence(p_null)))
    return story


def wins(story: Story, name: str, p_null: float = 1e-6) -> None:
    story.measure(story.candidate(name), 0.9, names=(name,))
    story.tell(CandidateDecided(name, Verdict.WON, "better", evidence(p_null, 1e9)))


def test_it_waits_until_keeps_have_added_to_the_budget_for_error() -> None:
    story = story_with(c0001=0.06)
    assert promoted(story.ledger, TOLD, guard_is_open=False) is None
    wins(story, "c0002")
    assert promoted(story.ledger, TOLD, guard_is_open=False) is None  # .5 * .05 * 2 = .05
    wins(story, "c0003")
    found = promoted(story.ledger, TOLD, guard_is_open=False)
    assert found is not None
    assert (found.candidate, found.verdict) == ("c0001", Verdict.WON)
    assert found.evidence is not None
    assert found.evidence.p_null == 0.06
    assert found.evidence.p_null_allowed is not None
    assert found.evidence.p_null_allowed >= 0.06


def test_the_strongest_goes_first_and_spends_what_the_next_would_need() -> None:
    story = story_with(c0001=0.06, c0002=0.03)
    for name in ("c0003", "c0004"):
        wins(story, name)
    first = promoted(story.ledger, TOLD, guard_is_open=False)
    assert first is not None
    assert first.candidate == "c0002"
    story.tell(first)
    second = promoted(story.ledger, TOLD, guard_is_open=False)  # .5 * .05 * 4 - .03 = .07
    assert second is not None
    assert second.candidate == "c0001"


def test_who_is_promoted_is_pending_again_and_counts_as_one_race() -> None:
    story = story_with(c0001=0.03)
    for name in ("c0002", "c0003"):
        wins(story, name)
    found = promoted(story.ledger, TOLD, guard_is_open=False)
    assert found is not None
    races = len(story.ledger.decided_races)
    story.tell(found)
    ledger = story.ledger
    assert ledger.candidates["c0001"].state is CandidateState.WON
    assert "c0001" in ledger.pending
    assert ledger.won[-1] == "c0001"
    assert len(ledger.decided_races) == races
    assert ledger.race_wins[-1] is found.evidence


def test_who_lost_its_final_is_no_near_miss() -> None:
    story = story_with(c0001=0.03)
    for name in ("c0002", "c0003"):
        wins(story, name)
    found = promoted(story.ledger, TOLD, guard_is_open=False)
    assert found is not None
    story.tell(found)
    story.tell(CandidateDecided("c0001", Verdict.INCONCLUSIVE, "not its final", evidence(0.001)))
    assert promoted(story.ledger, TOLD, guard_is_open=False) is None


def test_who_was_left_open_without_numbers_is_no_near_miss() -> None:
    story = Story()
    story.end(story.start(story.candidate("c0001"), "c0001"), outcome=Outcome.INFRA)
    story.tell(CandidateDecided("c0001", Verdict.INCONCLUSIVE, "the machines failed"))
    for name in ("c0002", "c0003"):
        wins(story, name)
    assert promoted(story.ledger, TOLD, guard_is_open=False) is None


@pytest.mark.parametrize("is_open", [True, False])
def test_what_blocks_have_measured_is_promoted_only_once_their_guard_is_open(is_open: bool) -> None:
    story = story_with(c0001=0.03)
    story.ledger.near_misses["c0001"].evidence = replace(evidence(0.03), blocks=("b0001",))
    for name in ("c0002", "c0003"):
        wins(story, name)
    found = promoted(story.ledger, TOLD, guard_is_open=is_open)
    assert (found is not None) is is_open


def test_before_anything_has_won_the_bar_has_not_fallen() -> None:
    story = story_with(c0001=1e-9)
    story.ledger.near_misses["c0001"].evidence = replace(evidence(1e-9, 1e9), blocks=("b0001",))
    assert promoted(story.ledger, TOLD, guard_is_open=True) is None


def test_under_the_provable_rule_it_is_the_e_value_that_suffices_later() -> None:
    told = settings(planned_candidates=100, rule="provable")  # 100 / (.05 * (keeps + 1))
    story = story_with(c0001=0.4)
    story.ledger.near_misses["c0001"].evidence = evidence(0.4, e_value=700.0)
    wins(story, "c0002")
    assert promoted(story.ledger, told, guard_is_open=False) is None
    wins(story, "c0003")
    found = promoted(story.ledger, told, guard_is_open=False)
    assert found is not None
    assert found.candidate == "c0001"
