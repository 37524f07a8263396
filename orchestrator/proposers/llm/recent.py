"""What the last candidates came to, in a few lines: a memory for a campaign without a notebook. Pure."""

from __future__ import annotations

from orchestrator.ledger import PENDING, Ledger
from orchestrator.views.plain import one_line

SHOWN = 40


def recent(ledger: Ledger) -> str:
    """The kept ones, then the latest decided ones, in markdown."""
    kept = ledger.champion.kept[-SHOWN:] if ledger.champion else ()
    decided = [c for c in list(ledger.candidates.values())[-4 * SHOWN :] if c.state not in PENDING][-SHOWN:]
    lines = []
    for candidate in (*(ledger.candidates[name] for name in kept), *(c for c in decided if c.id not in kept)):
        effect = "" if candidate.evidence is None else f" {candidate.evidence.effect:+.4g} ± {candidate.evidence.stderr:.2g}"
        told = one_line(candidate.proposed.description, 140)
        lines.append(f"- {candidate.id} {candidate.state}{effect}: {told} ({one_line(candidate.reason or '', 140)})")
    return "\n".join(lines)
