"""Retests: kept edits as columns of later blocks, so that a lucky or an outdated keep is found and taken out again. Pure.

A retest is a candidate like any other, which takes a kept edit out of the champion. It is made only where a block has columns
that would stay empty, so it costs no trial; and it must win as others do, at the campaign's error rate.
"""

from __future__ import annotations

from orchestrator.candidate import RETEST, CandidateState
from orchestrator.ledger import Ledger

AGAIN_AFTER = 8  # keeps: by then what it stands among has changed


def due(ledger: Ledger, room: int) -> tuple[str, ...]:
    """Kept candidates to be measured without, `room` of them at most; those with the weakest evidence first."""
    assert ledger.champion is not None
    kept = ledger.champion.kept
    taken_out = {name for each in kept for name in ledger.candidates[each].retests}
    found = [
        candidate
        for candidate in map(ledger.candidates.__getitem__, kept)
        if candidate.proposed.proposer != RETEST
        and candidate.id not in taken_out
        and (candidate.id not in ledger.retested_at or len(kept) - ledger.retested_at[candidate.id] >= AGAIN_AFTER)
    ]
    found.sort(key=lambda candidate: (-(candidate.evidence.p_null if candidate.evidence else 1.0), candidate.nth))
    return tuple(candidate.id for candidate in found[: max(0, room)])


def is_under_way(ledger: Ledger) -> bool:
    """Whether one that was asked for has yet to be in a block."""
    return any(c.state is CandidateState.WAITING and c.proposed.proposer == RETEST for c in ledger.pending.values())
