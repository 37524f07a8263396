"""The margin: by how much a candidate may be worse and still be kept. Pure.

Nothing, except for one that makes the program smaller, where the campaign allows it. What such keeps have cost by their own
evidence is taken off the margin of the next, so that many small losses never add up to more than one margin.
"""

from __future__ import annotations

import math

from orchestrator.candidate import Candidate
from orchestrator.ledger import Ledger
from orchestrator.tournament.settings import Settings


def margin_for(ledger: Ledger, settings: Settings, candidate: Candidate) -> float:
    """In the objective's own units, >= 0."""
    if not settings.noninferiority_margin or not _is_smaller(candidate):
        return 0.0
    assert ledger.champion is not None
    kept = (ledger.candidates[name] for name in ledger.champion.kept)
    lost = math.fsum(
        max(0.0, each.evidence.effect if settings.minimize else -each.evidence.effect)
        for each in kept
        if _is_smaller(each) and each.evidence is not None
    )
    return max(0.0, settings.noninferiority_margin - lost)


def margin_for_stack(ledger: Ledger, settings: Settings, names: tuple[str, ...]) -> float:
    """That of the least of them: where one is to improve the champion, the stack as a whole has to."""
    return min(margin_for(ledger, settings, ledger.candidates[name]) for name in names)


def _is_smaller(candidate: Candidate) -> bool:
    return candidate.admitted is not None and candidate.admitted.smaller
