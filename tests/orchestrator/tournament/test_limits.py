"""Each limit stops the campaign when it is reached, and says which one it was."""

from __future__ import annotations

import pytest
from resumable import ResumableCampaign, normal, settings, silent
from story import BASE, Story

from orchestrator import events as ev
from orchestrator.events import Purpose, StopReason
from orchestrator.tournament import decisions as do
from orchestrator.tournament import limits
from orchestrator.tournament.settings import Limits, Prices
from workers.trial import Outcome


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("trials", [1, 7, 20])
def test_exactly_as_many_trials_are_started_as_allowed(trials: int, workers: int) -> None:
    told = settings(limits=Limits(trials=trials))
    campaign = ResumableCampaign(told, [0.0] * 40, normal(1e-3), workers=workers).run()
    assert len(campaign.ledger.trials) == trials
    assert campaign.finished == do.Finish(StopReason.TRIALS)


def test_a_trial_handed_out_again_does_not_count_twice() -> None:
    told = settings(limits=Limits(trials=6))
    whole = ResumableCampaign(told, [0.0] * 9, silent).run()
    running = [i for i, event in enumerate(whole.log) if isinstance(event, ev.TrialStarted)][-1]
    resumed = ResumableCampaign(told, [0.0] * 9, silent).resume(whole.log[: running + 1]).run()
    assert len(resumed.ledger.trials) == 6
    assert not resumed.ledger.open_trials


def test_as_many_candidates_are_proposed_as_allowed_and_all_are_decided() -> None:
    told = settings(limits=Limits(candidates=5))
    campaign = ResumableCampaign(told, [0.0] * 40, normal(1e-3), workers=3).run()
    assert campaign.finished == do.Finish(StopReason.CANDIDATES)
    assert len(campaign.ledger.candidates) == 5
    assert not campaign.ledger.pending


def test_a_plateau_is_counted_from_the_last_keep() -> None:
    told = settings(limits=Limits(plateau=3))
    campaign = ResumableCampaign(told, [0.1, 0.1, -0.5, 0.1, 0.1, 0.1, 0.1, 0.1], silent).run()
    assert campaign.kept == ("c0003",)
    assert campaign.finished == do.Finish(StopReason.PLATEAU)
    assert campaign.ledger.decided_since_keep == 3


@pytest.mark.parametrize(("minimize", "effect", "target"), [(True, -0.5, 0.6), (False, 0.5, 1.4)])
def test_the_campaign_stops_when_the_champion_is_at_the_target(minimize: bool, effect: float, target: float) -> None:
    told = settings(minimize=minimize, target=target)
    campaign = ResumableCampaign(told, [effect] + [0.0] * 30, silent).run()
    assert campaign.finished == do.Finish(StopReason.TARGET)


def test_a_base_that_is_at_the_target_already_starts_no_race() -> None:
    campaign = ResumableCampaign(settings(target=2.0), [0.0] * 5, silent).run()
    assert campaign.finished == do.Finish(StopReason.TARGET)
    assert {trial.started.purpose for trial in campaign.ledger.trials.values()} == {Purpose.BASELINE}


def test_hours_are_of_the_clock_that_is_passed_in() -> None:
    story, told = Story(), settings(limits=Limits(hours=2.0))
    assert limits.reached(story.ledger, told, 7199.0) is None
    assert limits.reached(story.ledger, told, 7200.0) is StopReason.HOURS


def test_hours_are_running_time_of_all_heads_and_not_the_pause_between_them() -> None:
    story, told = Story(), settings(limits=Limits(hours=2.0))
    story.now = 3600.0
    story.tell(ev.HeadStopped(ev.EndState.INTERRUPTED, None))
    story.now = 100_000.0
    story.tell(ev.HeadStarted(2, "here", 0, "none"))
    assert limits.reached(story.ledger, told, 103_599.0) is None
    assert limits.reached(story.ledger, told, 103_600.0) is StopReason.HOURS


def test_a_killed_head_ran_until_its_last_event() -> None:
    story, told = Story(), settings(limits=Limits(hours=2.0))
    story.now = 3600.0
    story.tell(ev.Note("alive"))
    story.now = 100_000.0
    story.tell(ev.HeadStarted(2, "here", 0, "none"))
    assert story.ledger.running_s(100_000.0) == 3600.0
    assert limits.reached(story.ledger, told, 103_600.0) is StopReason.HOURS


def test_gpu_hours_are_wall_time_times_gpus() -> None:
    story, told = Story(), settings(limits=Limits(gpu_hours=1.0))
    story.end(story.start(BASE, purpose=Purpose.BASELINE, gpus=2.0), 1.0, wall_s=1799.0)
    assert limits.reached(story.ledger, told, 0.0) is None
    story.end(story.start(BASE, purpose=Purpose.BASELINE, gpus=2.0), outcome=Outcome.CANCELLED, wall_s=1.0)
    assert limits.reached(story.ledger, told, 0.0) is StopReason.GPU_HOURS


def test_dollars_are_of_proposers_gpus_and_energy() -> None:
    prices = Prices(usd_per_gpu_hour=3.0, usd_per_kwh=0.5)
    story, told = Story(), settings(limits=Limits(usd=6.0), prices=prices)
    story.candidate("c0001", usd=2.0)
    assert limits.reached(story.ledger, told, 0.0) is None
    story.end(story.start(BASE, purpose=Purpose.BASELINE, gpus=1.0), 1.0, wall_s=3600.0, energy_j=7.2e6)
    assert limits.usd(story.ledger, prices) == pytest.approx(2.0 + 3.0 + 1.0)
    assert limits.reached(story.ledger, told, 0.0) is StopReason.USD


def test_what_dollars_have_bought_is_measured_where_trials_cost_none() -> None:
    told = settings(limits=Limits(usd=3.0))
    campaign = ResumableCampaign(told, [0.0, -6e-3, 0.0, 0.0, 0.0], normal(1e-3), usd=1.0).run()
    assert campaign.finished == do.Finish(StopReason.USD)
    assert len(campaign.ledger.candidates) == 3
    assert not campaign.ledger.pending
    assert campaign.kept == ("c0002",)


def test_where_trials_cost_dollars_the_limit_ends_them_too() -> None:
    told = settings(limits=Limits(usd=3.0), prices=Prices(usd_per_gpu_hour=1e-6))
    campaign = ResumableCampaign(told, [0.0, -6e-3, 0.0, 0.0, 0.0], normal(1e-3), usd=1.0).run()
    assert campaign.finished == do.Finish(StopReason.USD)
    reached = next(i for i, event in enumerate(campaign.log) if isinstance(event, ev.LimitReached))
    assert not any(isinstance(event, ev.TrialStarted) for event in campaign.log[reached:])


def test_after_a_limit_that_ends_the_proposing_a_harder_one_still_counts() -> None:
    told = settings(limits=Limits(usd=3.0, trials=7))
    campaign = ResumableCampaign(told, [-6e-3] * 5, normal(1e-3), usd=1.0).run()
    assert campaign.finished == do.Finish(StopReason.TRIALS)
    assert len(campaign.ledger.trials) == 7


def test_energy_that_nobody_measured_reaches_no_limit() -> None:
    story, told = Story(), settings(limits=Limits(energy_wh=1.0))
    story.baseline(1.0, 1.0)
    assert limits.energy_wh(story.ledger) is None
    assert limits.reached(story.ledger, told, 0.0) is None


def test_energy_is_added_up_over_trials() -> None:
    story, told = Story(), settings(limits=Limits(energy_wh=1.0))
    for _ in range(2):
        story.end(story.start(BASE, purpose=Purpose.BASELINE), 1.0, energy_j=1800.0)
    assert limits.reached(story.ledger, told, 0.0) is StopReason.ENERGY


def test_at_a_limit_what_runs_is_finished_but_nothing_new_is_started() -> None:
    told = settings(limits=Limits(trials=6))
    campaign = ResumableCampaign(told, [0.0] * 40, normal(1e-3), workers=4).run()
    reached = next(i for i, event in enumerate(campaign.log) if isinstance(event, ev.LimitReached))
    assert not any(isinstance(event, ev.TrialStarted | ev.Proposed) for event in campaign.log[reached:])
    assert not campaign.ledger.open_trials


def test_a_limit_raised_on_resume_lets_the_campaign_go_on() -> None:
    first = ResumableCampaign(settings(limits=Limits(trials=6)), [0.0, -1.0], silent).run()
    resumed = ResumableCampaign(settings(), [0.0, -1.0], silent).resume(first.log).run()
    assert resumed.finished == do.Finish(StopReason.PROPOSALS)
    assert resumed.kept == ("c0002",)


def test_a_hard_limit_counts_also_after_the_proposals_have_ended() -> None:
    told = settings(limits=Limits(trials=9))
    campaign = ResumableCampaign(told, [-3e-3] * 3, normal(1e-3)).run()
    assert campaign.finished == do.Finish(StopReason.TRIALS)
    assert len(campaign.ledger.trials) == 9
