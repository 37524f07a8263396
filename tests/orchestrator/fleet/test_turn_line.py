"""Before each turn one line says whose it is, and why."""

from __future__ import annotations

from orchestrator.fleet.choice import Because, NextTurn, Standing
from orchestrator.fleet.running import turn_line
from orchestrator.tournament.settings import Limits

STANDING = Standing("b", share=0.5, headroom=0.6, cost_s=2.0, pending=2, turns=3, turns_since_keep=2)


def line(because: Because) -> str:
    return turn_line(4, NextTurn("b", because, Limits()), [Standing("a", share=0.5), STANDING])


def test_what_has_most_to_gain_is_told_with_its_numbers() -> None:
    said = "most to gain: share 0.5 × headroom 0.60 ÷ 2.0 s a candidate × 0.25 for 2 turns since its last keep = 0.037"
    assert line(Because.WORTH) == f"turn 4: b: {said}"


def test_every_other_reason_is_told_in_words() -> None:
    assert line(Because.FIRST) == "turn 4: b: its first turn, baseline included; share 0.5"
    assert line(Because.GOES_ON) == "turn 4: b: goes on with the turn that was interrupted; share 0.5"
    assert line(Because.DECIDES) == "turn 4: b: decides the 2 candidates that it began with; share 0.5"
