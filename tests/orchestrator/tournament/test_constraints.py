"""An absolute bound holds for every trial; a ratio only where it is broken beyond the noise of the means."""

from __future__ import annotations

import random

import pytest
from story import BASE, Story

from orchestrator.tournament.constraints import broken_constraint
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


@pytest.mark.parametrize(("bound", "values"), [(Constraint("energy_mj", max=105.0), [100.0, 106.0])])
def test_one_trial_beyond_an_absolute_bound_breaks_it(bound: Constraint, values: list[float]) -> None:
    assert broken([100.0] * 4, values, (bound,)) is not None
