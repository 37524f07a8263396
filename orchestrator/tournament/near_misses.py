"""Near misses: candidates left open on their numbers, which pass later, as keeps add to the budget for error. Pure.

Their samples stand as they were drawn; only the bar has moved. What the champion has gained meanwhile is the final's to tell.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.candidate import Candidate
from orchestrator.events import CandidateDecided, Evidence, Verdict
from orchestrator.ledger import Ledger
from orchestrator.tournament.bar import Bar, bar_for_block, bar_for_race
from orchestrator.tournament.settings import Settings


def promoted(ledger: Ledger, settings: Settings, *, guard_is_open: bool) -> CandidateDecided | None:
    """The near miss with the strongest evidence that passes the bar as it is now; None where there is none.

    `guard_is_open`: that nothing helps is out of the question; before, `calibrated` keeps nothing that blocks have measured.
    """
    if not ledger.race_wins:
        return None
    race, block = bar_for_race(ledger, settings), bar_for_block(ledger, settings)
    best: tuple[float, Candidate, Evidence, Bar] | None = None
    for candidate in ledger.near_misses.values():
        evidence = candidate.evidence
        if evidence is None:
            continue
        if evidence.blocks and block.p_null is not None and not guard_is_open:
            continue
        bar = block if evidence.blocks else race
        if bar.is_passed(evidence.e_value, evidence.p_null) and (best is None or evidence.p_null < best[0]):
            best = evidence.p_null, candidate, evidence, bar
    if best is None:
        return None
    null, candidate, evidence, bar = best
    told = replace(evidence, e_value_needed=bar.e_value, p_null_allowed=bar.p_null)
    keeps = len(ledger.race_wins)
    reason = f"a near miss that is better after all: with {keeps} wins since, less is asked of p(no help), here {null:.2g}"
    if bar.p_null is None:
        reason = f"a near miss that is better after all: with {keeps} wins, an e-value of {bar.e_value:.3g} suffices"
    return CandidateDecided(candidate.id, Verdict.WON, reason, told)
