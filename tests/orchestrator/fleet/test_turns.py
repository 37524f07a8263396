"""The turns of a campaign, from its journal's events."""

from __future__ import annotations

from orchestrator import events as ev
from orchestrator.events import EndState, StopReason
from orchestrator.fleet.turns import Turns

STARTED = ev.HeadStarted(1, "here", 9464, "bubblewrap")
FINISHED = ev.HeadStopped(EndState.FINISHED, StopReason.CANDIDATES)
INTERRUPTED = ev.HeadStopped(EndState.INTERRUPTED, None)
KEPT = ev.ChampionMoved("b" * 40, "a" * 40, ("c0001",), ("c" * 40,), 1.0, 0.1, 2, "s0001")


def proposed(number: int, proposer: str = "replay") -> ev.Proposed:
    return ev.Proposed(f"c{number:04d}", proposer, "an idea", ())


def test_a_turn_lasts_from_the_start_of_a_head_to_its_end() -> None:
    turns = Turns.of([STARTED, proposed(1)])
    assert (turns.had, turns.began_with) == (0, 0)
    turns.apply(FINISHED)
    assert (turns.had, turns.since_keep, turns.began_with) == (1, 1, None)


def test_turns_without_a_keep_are_counted_from_the_last_one_with_one() -> None:
    turns = Turns.of([STARTED, proposed(1), KEPT, FINISHED, STARTED, proposed(2), FINISHED, STARTED, proposed(3), FINISHED])
    assert (turns.had, turns.since_keep) == (3, 2)
    assert Turns.of([STARTED, proposed(1), FINISHED, STARTED, proposed(2), KEPT, FINISHED]).since_keep == 0


def test_the_head_after_an_interruption_or_a_kill_goes_on_with_the_same_turn() -> None:
    first = [STARTED, proposed(1), FINISHED, STARTED, proposed(2)]
    for cut in ([INTERRUPTED], []):
        turns = Turns.of([*first, *cut])
        assert (turns.had, turns.began_with) == (1, 1)
        for event in (STARTED, proposed(3), FINISHED):
            turns.apply(event)
        assert (turns.had, turns.began_with) == (2, None)


def test_a_head_that_proposed_and_measured_nothing_is_no_turn() -> None:
    assert Turns.of([STARTED, FINISHED, STARTED, FINISHED]).had == 0


def test_candidates_of_the_tournaments_own_are_not_proposed() -> None:
    assert Turns.of([STARTED, proposed(1), proposed(2, "retest"), FINISHED, STARTED]).began_with == 1
