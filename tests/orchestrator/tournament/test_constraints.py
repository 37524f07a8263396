"""An absolute bound holds for every trial; a ratio only where it is broken beyond the noise of the means."""

from __future__ import annotations

import random

import pytest
from resumable import settings
from story import BASE, Story

from orchestrator.tournament.constraints import broken_constraint, lacking
from orchestrator.tournament.settings import Constraint

AT_MOST_2_PERCENT_MORE = (Constraint("energy_mj", max_ratio=1.02),)


def story_of(champion: list[float], candidate: list[float]) -> tuple[Story, str]:
    story = Story()
    for energy in champion:
        story.end(story.start(BASE), 1.0, energy_mj=energy)
    commit = story.candidate("c0001")
    for energy in candidate:
        story.end(story.start(commit, "c0001"), 0.5, energy_mj=energy)
    return story, commit


def broken(champion: list[float], candidate: list[float], bounds: tuple[Constraint, ...]) -> str | None:
    story, commit = story_of(champion, candidate)
    return broken_constraint(story.ledger, story.ledger.trials_of[commit], BASE, bounds)


def test_honest_edits_survive_a_ratio_as_tight_as_the_noise() -> None:
    rng = random.Random(0)
    draw = lambda n: [rng.gauss(100, 2) for _ in range(n)]  # noqa: E731
    failed = sum(broken(draw(4), draw(3), AT_MOST_2_PERCENT_MORE) is not None for _ in range(200))
    assert failed <= 10


def test_a_clear_excess_breaks_a_ratio() -> None:
    said = broken([100.0, 101.0, 99.0, 100.0], [110.0, 111.0], AT_MOST_2_PERCENT_MORE)
    assert said is not None
    assert "1.02 times the champion's 100" in said


def test_without_noise_any_excess_breaks_a_ratio() -> None:
    assert broken([100.0] * 4, [102.5], AT_MOST_2_PERCENT_MORE) is not None
    assert broken([100.0] * 4, [101.5], AT_MOST_2_PERCENT_MORE) is None


def test_a_metric_that_the_base_commit_has_no_value_of_is_found_with_its_first_trial() -> None:
    bounded = settings(constraints=(Constraint("energi_mj", max=1.0),))
    in_front = settings(front=("m", "energi_mj"))
    story = Story()
    assert lacking(story.ledger, bounded) is None
    story.end(story.start(BASE), 1.0, energy_mj=2.0)
    for told, key in ((bounded, "objective.constraints"), (in_front, "objective.front")):
        found = lacking(story.ledger, told)
        assert found is not None
        assert found.trial == "t000001"
        assert found.detail.startswith(f"{key} names energi_mj, and the base commit's own trial gave no such number; it gave e")
    assert lacking(story.ledger, settings(constraints=(Constraint("energy_mj", max=1.0),), front=("m",))) is None


def test_a_metric_of_a_gpu_says_that_there_is_none() -> None:
    story = Story().baseline(1.0)
    found = lacking(story.ledger, settings(constraints=(Constraint("peak_vram_mb", max_ratio=1.1),)))
    assert found is not None
    assert "its trials have no GPU to measure it on" in found.detail


@pytest.mark.parametrize(("bound", "values"), [(Constraint("energy_mj", max=105.0), [100.0, 106.0])])
def test_one_trial_beyond_an_absolute_bound_breaks_it(bound: Constraint, values: list[float]) -> None:
    assert broken([100.0] * 4, values, (bound,)) is not None
