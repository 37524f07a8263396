"""One race: its verdict by whose fault, by constraint, by the numbers."""

from __future__ import annotations

import pytest
from resumable import settings
from story import BASE, Story

from orchestrator.events import CandidateDecided, Evidence, Verdict
from orchestrator.tournament.evidence import EffectPrior
from orchestrator.tournament.race import LearntPrior, judge_race
from orchestrator.tournament.settings import Constraint, Settings
from workers.trial import Outcome

BASELINE = (1.0, 1.001, 0.999, 1.0)


def begun() -> tuple[Story, str]:
    story = Story(workers=4)
    story.baseline(*BASELINE)
    return story, story.candidate("c0001")


def verdict(story: Story, told: Settings | None = None) -> CandidateDecided | None:
    return judge_race(story.ledger, story.ledger.candidates["c0001"], EffectPrior.start(), told or settings())


def decided(story: Story, told: Settings | None = None) -> CandidateDecided:
    found = verdict(story, told)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.CRASH, Verdict.CRASH),
        (Outcome.TIMEOUT, Verdict.CRASH),
        (Outcome.VIOLATION, Verdict.VIOLATION),
    ],
)
def test_a_candidate_answers_for_what_its_trial_did(outcome: Outcome, expected: Verdict) -> None:
    story, commit = begun()
    story.end(story.start(commit, "c0001"), outcome=outcome)
    assert decided(story).verdict is expected
    assert decided(story).reason == f"because {outcome}"


def test_a_crash_ends_a_race_while_another_trial_still_runs() -> None:
    story, commit = begun()
    story.start(commit, "c0001", worker="w1")
    story.end(story.start(commit, "c0001"), outcome=Outcome.CRASH)
    assert decided(story).verdict is Verdict.CRASH


def test_nothing_is_decided_by_numbers_while_a_trial_of_the_race_runs() -> None:
    story, commit = begun()
    story.measure(commit, 0.5, 0.5, names=("c0001",))
    assert decided(story).verdict is Verdict.WON
    story.start(commit, "c0001")
    assert verdict(story) is None


@pytest.mark.parametrize(("failures", "ends"), [(2, False), (3, True)])
def test_the_machines_failures_have_a_budget_of_their_own(failures: int, ends: bool) -> None:
    story, commit = begun()
    for _ in range(failures):
        story.end(story.start(commit, "c0001"), outcome=Outcome.INFRA)
    found = verdict(story)
    assert (found is not None) is ends
    if found is not None:
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "nothing is held against it" in found.reason


def test_wasted_trials_do_not_use_up_the_repeats() -> None:
    story, commit = begun()
    for outcome in (Outcome.INFRA, Outcome.CANCELLED):
        story.end(story.start(commit, "c0001"), outcome=outcome)
    story.measure(commit, 1.0, names=("c0001",))
    assert story.ledger.candidates["c0001"].raced == 1


def test_a_clear_gain_wins_and_says_by_how_much() -> None:
    story, commit = begun()
    story.measure(commit, 0.9, 0.9, names=("c0001",))
    found = decided(story)
    assert found.verdict is Verdict.WON
    assert found.reason.startswith("better: -0.1 ±")
    assert found.evidence is not None
    assert found.evidence.effect == pytest.approx(-0.1)
    assert (found.evidence.samples, found.evidence.reference_samples) == (2, 4)


def test_one_sample_wins_no_race_however_good_it_is() -> None:
    story, commit = begun()
    story.measure(commit, 0.1, names=("c0001",))
    assert verdict(story) is None


def test_a_clear_loss_is_discarded_after_one_sample() -> None:
    story, commit = begun()
    story.measure(commit, 1.1, names=("c0001",))
    assert decided(story).verdict is Verdict.DISCARD


def test_what_is_large_is_a_gain_where_the_metric_is_maximised() -> None:
    story, commit = begun()
    story.measure(commit, 1.1, 1.1, names=("c0001",))
    assert decided(story, settings(minimize=False)).verdict is Verdict.WON


def test_a_race_that_stays_open_to_the_last_repeat_is_inconclusive() -> None:
    story, commit = begun()
    told = settings(max_repeats=3, planned_candidates=10**9)
    story.measure(commit, 0.9975, names=("c0001",))
    for _ in range(2):
        assert verdict(story, told) is None
        story.measure(commit, 0.9975, names=("c0001",))
    assert decided(story, told).verdict is Verdict.INCONCLUSIVE
    assert decided(story, told).reason.startswith("near miss after 3 trials")


def test_nothing_is_decided_before_the_noise_is_known() -> None:
    story = Story(workers=2)
    story.baseline(1.0)
    story.measure(story.candidate("c0001"), 0.1, names=("c0001",))
    assert verdict(story) is None


def test_the_first_keep_needs_the_e_value_of_the_whole_campaign() -> None:
    story, commit = begun()
    story.measure(commit, 0.9, 0.9, names=("c0001",))
    evidence = decided(story, settings(planned_candidates=100, false_keep_rate=0.05)).evidence
    assert evidence is not None
    assert evidence.e_value_needed == pytest.approx(100 / 0.05)


def test_every_keep_of_the_provable_rule_makes_the_next_one_cheaper() -> None:
    story, commit = begun()
    told = settings(rule="provable", planned_candidates=100)
    story.measure(commit, 0.5, 0.5, names=("c0001",))
    first = decided(story, told)
    story.tell(first)
    second = story.candidate("c0002")
    story.measure(second, 0.5, 0.5, names=("c0002",))
    found = judge_race(story.ledger, story.ledger.candidates["c0002"], EffectPrior.start(), told)
    assert found is not None
    assert found.evidence is not None
    assert first.evidence is not None
    assert first.evidence.e_value_needed == 2 * (found.evidence.e_value_needed or 0)


# -- constraints


def bounded(**bound: float) -> Settings:
    return settings(constraints=(Constraint("energy_mj", **bound),))


def with_energy(beside: float | None, own: float | None) -> Story:
    story = Story()
    for value in BASELINE:
        metrics = {} if beside is None else {"energy_mj": beside}
        story.end(story.start(BASE), value, **metrics)
    commit = story.candidate("c0001")
    for _ in range(2):
        story.end(story.start(commit, "c0001"), 0.5, **({} if own is None else {"energy_mj": own}))
    return story


@pytest.mark.parametrize(
    ("bound", "own", "said"),
    [
        ({"max": 9.0}, 9.5, "energy_mj is 9.5, at most 9 is allowed"),
        ({"min": 9.0}, 8.5, "energy_mj is 8.5, at least 9 is asked for"),
        ({"max_ratio": 1.5}, 16.0, "at most 1.5 times the champion's 10"),
        ({"min_ratio": 0.5}, 4.0, "at least 0.5 times the champion's 10"),
        ({"max": 9.0}, None, "gave no such number"),
    ],
)
def test_a_broken_constraint_is_a_discard_that_names_it(bound: dict[str, float], own: float | None, said: str) -> None:
    found = decided(with_energy(10.0, own), bounded(**bound))
    assert found.verdict is Verdict.DISCARD
    assert said in found.reason


@pytest.mark.parametrize("bound", [{"max": 9.5}, {"min": 9.5}, {"max_ratio": 0.95}, {"min_ratio": 0.95}])
def test_a_bound_that_is_just_met_is_kept_to(bound: dict[str, float]) -> None:
    assert decided(with_energy(10.0, 9.5), bounded(**bound)).verdict is Verdict.WON


# -- the prior


def past(effect: float) -> Evidence:
    return Evidence(1.0, 2, 1.0, 4, effect, 0.1, 1.0, 30, 1.0, None, 0.5, None, "calibrated")


def test_the_prior_is_a_function_of_the_past_and_not_of_when_it_was_asked() -> None:
    races = [past(effect) for effect in (3.0, -2.0, 4.0, 1.0, 0.0, 2.0, 5.0, 3.0, -6.0, 2.0, 1.0, 7.0, 0.5)]
    asked_always, asked_once = LearntPrior(), LearntPrior()
    for n in range(len(races) + 1):
        found = asked_always.of(races[:n], minimize=True)
    assert found.helpful.tolist() == asked_once.of(races, minimize=True).helpful.tolist()


def test_the_prior_is_not_learnt_from_fewer_than_five_races() -> None:
    start = EffectPrior.start()
    assert LearntPrior().of([past(9.0)] * 4, minimize=True).null == start.null
    assert LearntPrior().of([past(9.0)] * 5, minimize=True).null != start.null


def test_what_was_learnt_from_a_race_that_is_taken_back_is_forgotten() -> None:
    start, prior = LearntPrior().of([], minimize=True), LearntPrior()
    lucky, other = past(-9.0), past(9.0)
    assert prior.of([lucky] * 5, minimize=True).null != start.null
    assert prior.of([lucky] * 4, minimize=True).null == start.null
    afresh = LearntPrior().of([other] * 5, minimize=True)
    assert prior.of([other] * 5, minimize=True).null == afresh.null
