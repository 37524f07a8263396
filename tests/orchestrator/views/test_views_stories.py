"""The numbers behind a decision, in sentences."""

from __future__ import annotations

from dataclasses import replace

from views_support import evidence

from orchestrator.ledger import CandidateState
from orchestrator.views.stories import evidence_lines


def test_of_a_deletion_it_is_told_how_much_worse_it_may_be() -> None:
    told = "\n".join(evidence_lines(replace(evidence(0.002), margin=0.05), CandidateState.KEPT, minimize=True))
    assert "higher than the champion's" in told
    assert "within the margin" in told
    assert "It makes the program smaller, so it may be worse by up to 0.05" in told
    assert "The probability that it is worse by that much or more" in told


def test_of_any_other_edit_it_is_told_how_likely_it_does_not_help() -> None:
    told = "\n".join(evidence_lines(evidence(0.002), CandidateState.DISCARDED, minimize=True))
    assert "worse" in told
    assert "The probability that it does not help" in told
    assert "margin" not in told
