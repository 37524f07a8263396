"""What a free worker does next, and with which seed."""

from __future__ import annotations

import math

import pytest
from resumable import ResumableCampaign, normal, settings, silent
from story import BASE, Story

from orchestrator import events as ev
from orchestrator.events import Purpose, WorkerState
from orchestrator.tournament.block_plan import Outlook
from orchestrator.tournament.decisions import Reapply, StartTrial
from orchestrator.tournament.schedule import next_trial
from orchestrator.tournament.settings import Settings
from workers.trial import Outcome

NO_BLOCKS = Outlook(None, {}, math.inf, 0.0, more_to_come=True, trial_s=None, now=0.0)


def ask(story: Story, told: Settings | None = None) -> StartTrial | Reapply | None:
    return next_trial(story.ledger, told or settings(), lambda candidate: 0.5, NO_BLOCKS)


def purpose(story: Story, told: Settings | None = None) -> Purpose:
    found = ask(story, told)
    assert isinstance(found, StartTrial)
    return found.purpose


def race(story: Story, told: Settings | None = None) -> StartTrial:
    found = ask(story, told)
    assert isinstance(found, StartTrial)
    return found


# -- the order


def test_the_baseline_comes_before_any_candidate() -> None:
    story = Story()
    story.candidate("c0001")
    assert purpose(story) is Purpose.BASELINE


def test_running_baseline_trials_count_so_that_workers_do_not_all_take_one() -> None:
    story = Story(workers=6)
    for i in range(4):
        story.start(BASE, purpose=Purpose.BASELINE, worker=f"w{i}")
    story.candidate("c0001")
    assert purpose(story) is Purpose.RACE


def test_a_final_comes_before_further_races() -> None:
    story = Story()
    story.baseline(1, 1, 1, 1)
    commit = story.candidate("c0001")
    story.candidate("c0002")
    story.measure(commit, 0.5, names=("c0001",)).wins("c0001").stack("s0001", "c0001")
    found = race(story)
    assert (found.purpose, found.commit, found.stack) == (Purpose.FINAL, "s0001", "s0001")


def test_a_candidate_of_an_older_champion_is_carried_over_before_its_first_trial() -> None:
    story = Story()
    story.baseline(1, 1, 1, 1)
    commit = story.candidate("c0001")
    story.candidate("c0002")
    story.measure(commit, 0.5, names=("c0001",)).wins("c0001").stack("s0001", "c0001")
    story.measure("s0001", 0.5, 0.5, purpose=Purpose.FINAL).keeps("s0001", "new")
    assert ask(story) == Reapply("c0002")


def test_a_candidate_that_is_being_measured_is_raced_to_its_end_on_the_older_champion() -> None:
    story = Story()
    story.baseline(1, 1, 1, 1)
    first, second = story.candidate("c0001"), story.candidate("c0002")
    story.measure(second, 0.9, names=("c0002",))
    story.measure(first, 0.5, names=("c0001",)).wins("c0001").stack("s0001", "c0001")
    story.measure("s0001", 0.5, 0.5, purpose=Purpose.FINAL).keeps("s0001", "new")
    assert race(story).commit == second


def test_the_most_promising_race_goes_first() -> None:
    story = Story()
    story.baseline(1, 1, 1, 1)
    for name in ("c0001", "c0002", "c0003"):
        story.measure(story.candidate(name), 0.9, names=(name,))
    found = next_trial(story.ledger, settings(), lambda candidate: 0.1 if candidate.id == "c0002" else 0.9, NO_BLOCKS)
    assert isinstance(found, StartTrial)
    assert found.candidates == ("c0002",)


def test_the_champion_is_repeated_when_a_race_goes_deeper_than_it() -> None:
    story = Story()
    story.baseline(1, 1, 1, 1)
    story.measure(story.candidate("c0001"), *[0.9] * 5, names=("c0001",))
    found = race(story)
    assert (found.purpose, found.commit) == (Purpose.REPEAT, BASE)


# -- the workers


@pytest.mark.parametrize("state", [WorkerState.LOST, WorkerState.SET_ASIDE])
def test_a_worker_that_is_lost_or_set_aside_gets_no_trial(state: WorkerState) -> None:
    story = Story().worker("w0", state)
    assert ask(story) is None


def test_a_worker_that_came_back_gets_trials_again() -> None:
    story = Story().worker("w0", WorkerState.LOST).worker("w0")
    assert race(story).worker == "w0"


def test_a_busy_worker_gets_no_second_trial() -> None:
    story = Story()
    story.start(BASE, purpose=Purpose.BASELINE)
    assert ask(story) is None


def test_what_the_machine_failed_is_tried_on_another_worker() -> None:
    story = Story(workers=2)
    story.end(story.start(BASE, purpose=Purpose.BASELINE, worker="w0"), outcome=Outcome.INFRA)
    assert race(story).worker == "w1"


def test_what_the_machine_failed_waits_for_another_worker_that_is_busy() -> None:
    story = Story(workers=2)
    story.start(BASE, purpose=Purpose.BASELINE, worker="w1")
    story.end(story.start(BASE, purpose=Purpose.BASELINE, worker="w0"), outcome=Outcome.INFRA)
    assert ask(story) is None


def test_on_a_single_worker_what_the_machine_failed_is_tried_there_again() -> None:
    story = Story()
    story.end(story.start(BASE, purpose=Purpose.BASELINE), outcome=Outcome.INFRA)
    assert race(story).worker == "w0"


def test_a_worker_that_failed_three_times_rests_while_another_works() -> None:
    story = Story(workers=2)
    for n in range(3):
        story.end(story.start(f"x{n}", worker="w0"), outcome=Outcome.INFRA)
    story.start(BASE, purpose=Purpose.BASELINE, worker="w1")
    assert ask(story) is None
    story.end("t000004", 1.0)
    story.start(BASE, purpose=Purpose.BASELINE, worker="w1")
    assert race(story).worker == "w0"  # may try once more: others work


def test_with_one_candidate_left_every_worker_measures_it() -> None:
    story = Story(workers=8)
    story.baseline(1, 1, 1, 1)
    commit = story.candidate("c0001")
    story.measure(commit, 0.9, names=("c0001",))
    for i in range(7):
        found = race(story)
        story.start(found.commit, *found.candidates, purpose=found.purpose, worker=found.worker, seed=found.seed)
        assert found.worker == f"w{i}"


def test_a_race_gets_no_more_samples_than_allowed() -> None:
    story, told = Story(workers=9), settings(max_repeats=3)
    story.baseline(1, 1, 1, 1)
    commit = story.candidate("c0001")
    for i in range(3):
        story.start(commit, "c0001", worker=f"w{i}")
    assert ask(story, told) is None


# -- the seeds


def seeds(campaign: ResumableCampaign) -> list[tuple[str, int]]:
    return [(trial.started.commit, trial.started.seed) for trial in campaign.ledger.trials.values()]


@pytest.mark.parametrize("workers", [1, 4])
def test_every_trial_has_a_fresh_seed(workers: int) -> None:
    campaign = ResumableCampaign(settings(), [0.0, -1e-2, 0.0, 1e-3, -1e-3], normal(1e-3), workers=workers).run()
    drawn = [seed for _, seed in seeds(campaign)]
    assert len(drawn) == len(set(drawn))
    assert all(0 <= seed < 2**31 for seed in drawn)


def test_the_same_campaign_draws_the_same_seeds_and_another_draws_others() -> None:
    def drawn(seed: int) -> list[tuple[str, int]]:
        return seeds(ResumableCampaign(settings(seed=seed), [0.0, -1.0], silent).run())

    assert drawn(1) == drawn(1)
    assert not {seed for _, seed in drawn(1)} & {seed for _, seed in drawn(2)}


def test_common_seeds_are_those_of_the_champion_in_the_same_order() -> None:
    told = settings(common_seeds=True)
    campaign = ResumableCampaign(told, [0.0, 1e-4, 5e-4], normal(1e-3)).run()
    by_commit: dict[str, list[int]] = {}
    for commit, seed in seeds(campaign):
        by_commit.setdefault(commit, []).append(seed)
    longest = max(by_commit.values(), key=len)
    assert all(drawn == longest[: len(drawn)] for drawn in by_commit.values())


@pytest.mark.parametrize("common", [True, False])
def test_no_commit_is_measured_twice_with_one_seed(common: bool) -> None:
    told = settings(common_seeds=common)
    campaign = ResumableCampaign(told, [-1.0, 1e-4, -1.0, 0.0, 1e-4], normal(1e-3), workers=3).run()
    trees = [(campaign.content[commit], seed) for commit, seed in seeds(campaign)]
    if common:  # a stack of one has the tree of its candidate, and common seeds are common to both
        trees = [(*tree, trial.started.purpose) for tree, trial in zip(trees, campaign.ledger.trials.values(), strict=True)]
    assert len(trees) == len(set(trees))


def test_a_trial_that_the_machine_failed_is_repeated_with_its_own_seed() -> None:
    story = Story(workers=3)
    first = race(story)
    story.end(story.start(BASE, purpose=Purpose.BASELINE, worker=first.worker, seed=first.seed), outcome=Outcome.INFRA)
    assert race(story).seed == first.seed


def test_a_failed_trial_beside_a_running_one_does_not_take_the_running_ones_seed() -> None:
    story = Story(workers=3)
    started = []
    for _ in range(2):
        found = race(story)
        started.append(found)
        story.start(found.commit, purpose=found.purpose, worker=found.worker, seed=found.seed)
    story.end("t000001", outcome=Outcome.INFRA)
    assert race(story).seed == started[0].seed


def test_a_trial_handed_out_again_keeps_its_seed_in_the_count() -> None:
    story = Story()
    first = race(story)
    trial = story.start(BASE, purpose=Purpose.BASELINE, seed=first.seed)
    story.tell(ev.HeadStarted(2, "here", 0, "none")).worker("w0").tell(ev.TrialRestarted(trial, 2, "w0"))
    story.end(trial, 1.0)
    assert race(story).seed != first.seed
