"""Whose turn is next, and how far it may go: a pure function of the standings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.fleet.choice import Because, FleetStop, NextTurn, Rules, Spent, Standing, limit_reached, next_turn, worth
from orchestrator.tournament.settings import Limits

RULES = Rules(candidates=6, patience=3, limits=Limits())


def had(name: str, **known: object) -> Standing:
    """A target that has had a turn."""
    return Standing(**{"name": name, "share": 0.5, "cost_s": 1.0, "turns": 1, "spent": Spent(candidates=6), **known})


def chosen(*standings: Standing, rules: Rules = RULES) -> NextTurn:
    found = next_turn(standings, rules)
    assert isinstance(found, NextTurn), found
    return found


def rules(**limits: object) -> Rules:
    return Rules(6, 3, Limits(**limits))


# -- whose turn


def test_every_target_has_a_first_turn_in_order_before_any_has_a_second() -> None:
    second = Standing("b", share=0.01)
    assert chosen(had("a", share=0.9), second, Standing("c", share=0.9)) == NextTurn("b", Because.FIRST, Limits(candidates=6))


def test_then_the_turn_goes_to_what_has_most_to_gain() -> None:
    assert chosen(had("a", share=0.2), had("b", share=0.5), had("c", share=0.3)).target == "b"
    assert chosen(had("a", headroom=0.9), had("b", headroom=0.1)).target == "a"
    assert chosen(had("a", cost_s=3.0), had("b", cost_s=2.0)).target == "b"


def test_ties_go_to_the_first() -> None:
    assert chosen(had("a"), had("b")).target == "a"
    assert chosen(had("a", headroom=0.0), had("b", headroom=0.0)).target == "a"


def test_each_turn_without_a_keep_halves_what_can_be_hoped_for() -> None:
    assert worth(had("a", turns_since_keep=2)) == worth(had("a")) / 4
    stale = had("a", share=0.6, turns_since_keep=1)
    assert chosen(stale, had("b", share=0.4)).target == "b", "0.6 / 2 is less than 0.4"


def test_one_of_unknown_cost_counts_as_costing_what_the_others_do() -> None:
    others = [had("b", cost_s=2.0), had("c", cost_s=4.0)]
    assert worth(had("a", cost_s=None), others) == worth(had("a", cost_s=3.0))
    assert worth(had("a", cost_s=None)) == worth(had("a", cost_s=1.0))


def test_an_interrupted_turn_goes_on_before_anything_else_and_no_further_than_it_would_have() -> None:
    interrupted = Standing("b", share=0.1, spent=Spent(candidates=10), pending=2, open_turn=8, turns=1)
    found = chosen(Standing("a", share=0.9), interrupted)
    assert (found.target, found.because, found.limits.candidates) == ("b", Because.GOES_ON, 14)


def test_a_target_that_cannot_go_on_or_has_used_up_its_patience_gets_no_turn() -> None:
    assert chosen(had("a", share=0.9, is_done=True), had("b")).target == "b"
    assert chosen(had("a", share=0.9, turns_since_keep=3), had("b")).target == "b"


def test_what_was_begun_is_decided_when_nothing_more_may_be_proposed() -> None:
    found = chosen(had("a"), had("b", pending=2), rules=rules(candidates=12))
    assert found == NextTurn("b", Because.DECIDES, Limits(candidates=6))
    assert chosen(had("a", pending=1, turns_since_keep=3)).because is Because.DECIDES


# -- the end


@pytest.mark.parametrize(
    ("standings", "limits", "ends"),
    [
        ([had("a"), had("b")], {"candidates": 12}, FleetStop.CANDIDATES),
        ([had("a", spent=Spent(hours=0.5), pending=1), had("b", spent=Spent(hours=0.5))], {"hours": 1.0}, FleetStop.HOURS),
        ([had("a", spent=Spent(trials=5))], {"trials": 5}, FleetStop.TRIALS),
        ([had("a", turns_since_keep=3), had("b", turns_since_keep=4)], {}, FleetStop.PATIENCE),
        ([had("a", turns_since_keep=3), had("b", is_done=True)], {}, FleetStop.PATIENCE),
        ([had("a", is_done=True), had("b", is_done=True)], {}, FleetStop.PROPOSALS),
    ],
)
def test_a_fleet_ends_for_a_reason(standings: list[Standing], limits: dict[str, object], ends: FleetStop) -> None:
    assert next_turn(standings, rules(**limits)) is ends


def test_a_limit_that_ends_more_is_named_before_that_of_candidates() -> None:
    assert limit_reached(Spent(candidates=5, usd=3.0), Limits(candidates=5, usd=3.0)) is FleetStop.USD


# -- how far


def test_a_turn_proposes_so_many_candidates_on_top_of_those_before() -> None:
    assert chosen(had("a", spent=Spent(candidates=9))).limits.candidates == 15


def test_a_turn_may_use_what_is_left_to_the_fleet_on_top_of_what_its_target_has_spent() -> None:
    standings = [had("a", share=0.9, spent=Spent(10, 6, hours=0.25, usd=1.0)), had("b", spent=Spent(20, 6, hours=0.5, usd=2.0))]
    found = chosen(*standings, rules=rules(candidates=16, trials=100, hours=1.0, usd=5.0)).limits
    assert (found.candidates, found.trials, found.hours, found.usd) == (10, 80, 0.5, 3.0)


def test_first_turns_share_what_is_left_so_that_a_slow_target_does_not_take_those_of_the_others() -> None:
    fresh = [Standing(name, share=1 / 3) for name in "abc"]
    found = chosen(*fresh, rules=rules(candidates=7, trials=31, hours=3.0)).limits
    assert (found.candidates, found.trials, found.hours) == (5, 10, 1.0)
    last = [had("a", spent=Spent(candidates=5)), had("b", spent=Spent(candidates=1)), fresh[2]]
    assert chosen(*last, rules=rules(candidates=7)).limits.candidates == 1


def test_limits_that_are_each_targets_own_are_handed_on() -> None:
    found = chosen(had("a"), rules=rules(plateau=9, worth_per_gpu_hour=0.5)).limits
    assert (found.plateau, found.worth_per_gpu_hour) == (9, 0.5)


STANDINGS = st.lists(
    st.builds(
        Standing,
        name=st.uuids().map(str),
        share=st.floats(0.01, 1),
        headroom=st.floats(0, 1),
        cost_s=st.none() | st.floats(0.1, 100),
        spent=st.builds(Spent, candidates=st.integers(0, 20)),
        pending=st.integers(0, 3),
        turns=st.integers(0, 3),
        turns_since_keep=st.integers(0, 4),
        is_done=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@given(STANDINGS, st.integers(6, 60))
def test_no_turn_proposes_more_than_the_fleet_has_left_nor_goes_to_one_that_cannot_go_on(
    standings: list[Standing], limit: int
) -> None:
    found = next_turn(standings, rules(candidates=limit))
    if isinstance(found, FleetStop):
        return
    own = next(each for each in standings if each.name == found.target)
    assert not own.is_done
    assert found.limits.candidates is not None
    more = found.limits.candidates - own.spent.candidates
    proposed = sum(each.spent.candidates for each in standings)
    assert more <= RULES.candidates
    assert more <= max(0, limit - proposed) or found.limits.candidates == 1
