"""The whole tournament on virtual time: bases, machines, candidates and stacks that fail, each by its own fault."""

from __future__ import annotations

import pytest
from resumable import SD, ResumableCampaign, decided_once, normal, settings, silent

from orchestrator import events as ev
from orchestrator.events import StopReason
from orchestrator.ledger import CandidateState
from orchestrator.tournament import decisions as do
from workers.trial import Outcome

# -- what ends a campaign before its time


@pytest.mark.parametrize("outcome", [Outcome.CRASH, Outcome.TIMEOUT, Outcome.VIOLATION])
def test_a_base_that_cannot_be_measured_is_the_end(outcome: Outcome) -> None:
    campaign = ResumableCampaign(settings(), [0.0], silent, answer=lambda content, started: outcome).run()
    assert isinstance(campaign.finished, do.GiveUp)
    assert campaign.finished.trial == "t000001"
    assert f"ended as {outcome}: virtual {outcome}" in campaign.finished.detail


def test_ten_failures_of_the_machines_in_a_row_are_the_end() -> None:
    campaign = ResumableCampaign(settings(), [0.0] * 5, silent, answer=lambda content, started: Outcome.INFRA).run()
    assert isinstance(campaign.finished, do.GiveUp)
    assert "10 trials in a row" in campaign.finished.detail
    assert len(campaign.ledger.trials) == 10


@pytest.mark.parametrize("broken", [1, 2])
def test_workers_that_fail_at_once_take_no_trials_from_those_that_work(broken: int) -> None:
    # A broken node fails in an instant and is free again long before a sound one has measured anything.
    def answer(content: tuple[str, ...], started: ev.TrialStarted) -> Outcome | dict[str, float]:
        return Outcome.INFRA if int(started.worker[1:]) < broken else {}

    effects = [-1.0] * 4
    campaign = ResumableCampaign(settings(), effects, silent, workers=4, answer=answer)
    campaign.trial_s_of = lambda worker: 1e-3 if int(worker[1:]) < broken else 300.0
    campaign.run()
    assert campaign.finished == do.Finish(StopReason.PROPOSALS)
    assert set(campaign.kept) == {"c0001", "c0002", "c0003", "c0004"}
    outcomes = campaign.ledger.outcomes
    assert outcomes[Outcome.INFRA] <= 3 * broken + broken * outcomes[Outcome.OK]


def test_a_worker_that_was_failing_is_tried_again_when_others_work() -> None:
    def answer(content: tuple[str, ...], started: ev.TrialStarted) -> Outcome | dict[str, float]:
        mended["failures"] -= started.worker == "w0"
        return Outcome.INFRA if started.worker == "w0" and mended["failures"] >= 0 else {}

    mended = {"failures": 4}
    campaign = ResumableCampaign(settings(), [0.0] * 12, normal(SD), workers=2, answer=answer).run()
    ended_well = [t for t in campaign.ledger.trials.values() if t.ended and t.ended.outcome is Outcome.OK]
    assert sum(trial.worker == "w0" for trial in ended_well) > 5


def test_one_success_starts_the_count_of_the_machines_failures_anew() -> None:
    def answer(content: tuple[str, ...], started: ev.TrialStarted) -> Outcome | dict[str, float]:
        calls.append(started.seed)
        return {} if len(calls) % 10 == 0 else Outcome.INFRA

    calls: list[int] = []
    campaign = ResumableCampaign(settings(baseline_repeats=2), [0.0], silent, answer=answer).run()
    assert campaign.finished == do.Finish(StopReason.PROPOSALS)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.CRASH, CandidateState.CRASHED),
        (Outcome.TIMEOUT, CandidateState.CRASHED),
        (Outcome.VIOLATION, CandidateState.VIOLATION),
        (Outcome.INFRA, CandidateState.INCONCLUSIVE),
    ],
)
def test_a_candidate_whose_trials_fail_ends_by_whose_fault_it_was(outcome: Outcome, state: CandidateState) -> None:
    def answer(content: tuple[str, ...], started: ev.TrialStarted) -> Outcome | dict[str, float]:
        return outcome if content else {}

    campaign = ResumableCampaign(settings(), [-1.0], silent, answer=answer).run()
    assert campaign.ledger.candidates["c0001"].state is state


def test_what_the_machines_fail_is_never_held_against_a_candidate() -> None:
    failures = {"left": 2}

    def answer(content: tuple[str, ...], started: ev.TrialStarted) -> Outcome | dict[str, float]:
        if content and failures["left"]:
            failures["left"] -= 1
            return Outcome.INFRA
        return {}

    campaign = ResumableCampaign(settings(), [-1.0], silent, answer=answer).run()
    assert campaign.kept == ("c0001",)


# -- stacks and finals


def test_a_winner_that_fails_on_the_moved_champion_is_found_by_halving_and_the_others_are_kept() -> None:
    # c0002 gains alone and spoils everything once another winner is there.
    def clash(content: tuple[str, ...]) -> float:
        return 100 * SD if "c0002" in content and len(content) > 1 else 0.0

    effects = [-20 * SD] * 5
    kept: list[set[str]] = []
    for seed in range(6):
        campaign = ResumableCampaign(settings(seed=seed), effects, normal(SD), workers=5, interaction=clash).run()
        assert decided_once(campaign)
        kept.append(set(campaign.kept))
    together = {"c0001", "c0003", "c0004", "c0005"}
    assert all(found in (together, {"c0002"}) for found in kept)
    assert together in kept


def test_winners_that_undo_each_other_are_never_kept_together() -> None:
    def undo(content: tuple[str, ...]) -> float:
        return 25 * SD if {"c0001", "c0002"} <= set(content) else 0.0

    for seed in range(5):
        campaign = ResumableCampaign(
            settings(seed=seed), [-20 * SD, -22 * SD, 0.0], normal(SD), workers=3, interaction=undo
        ).run()
        assert len({"c0001", "c0002"} & set(campaign.kept)) == 1


def test_a_stack_that_crashes_is_split_until_the_clash_is_out() -> None:
    def answer(content: tuple[str, ...], started: ev.TrialStarted) -> Outcome | dict[str, float]:
        return Outcome.CRASH if {"c0001", "c0003"} <= set(content) else {}

    campaign = ResumableCampaign(settings(), [-1.0, -1.0, -1.0, -1.0], silent, workers=4, answer=answer).run()
    kept = set(campaign.kept)
    assert kept >= {"c0002", "c0004"}
    assert len(kept & {"c0001", "c0003"}) == 1
    lost = ({"c0001", "c0003"} - kept).pop()
    assert campaign.ledger.candidates[lost].state is CandidateState.CRASHED
    assert decided_once(campaign)


def test_what_no_stack_can_measure_for_the_machines_fault_is_left_open_rather_than_lost() -> None:
    def answer(content: tuple[str, ...], started: ev.TrialStarted) -> Outcome | dict[str, float]:
        return Outcome.INFRA if started.purpose is ev.Purpose.FINAL else {}

    campaign = ResumableCampaign(settings(), [-1.0], silent, answer=answer).run()
    assert campaign.kept == ()
    assert campaign.ledger.candidates["c0001"].state is CandidateState.INCONCLUSIVE
