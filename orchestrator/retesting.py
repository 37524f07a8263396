"""Taking a kept edit out of the champion again, as an edit of its own. Reads the repository; writes nothing.

The commit that brought it is undone by a three-way merge, so that what later keeps have gained stays. Where they have changed
the same lines it cannot be told apart any more, and is left in.
"""

from __future__ import annotations

from orchestrator.admission import subject_line
from orchestrator.edits import Edit
from orchestrator.ledger import Ledger
from orchestrator.proposers.base import Proposal
from orchestrator.repository import CampaignRepository


def without(repository: CampaignRepository, ledger: Ledger, kept: str) -> Proposal | None:
    """The champion without this kept candidate, as a proposal; None where later keeps build on it."""
    assert ledger.champion is not None
    champion, (before, commit) = ledger.champion.commit, _brought_by(ledger, kept)
    edits = []
    for path in sorted(repository.changed(before, commit)):
        was, came, now = (repository.read(each, path) for each in (before, commit, champion))
        text = was if now == came else None
        if now != came and was is not None and came is not None and now is not None:
            text = repository.merge_texts(now, came, was)
        if text is None and not (was is None and now == came):
            return None
        edits.append(Edit(path, delete=True) if text is None else Edit(path, content=text))
    said = subject_line(ledger.candidates[kept].proposed.description)
    return Proposal(f"without {kept} again: {said}", tuple(edits), parents=(kept,), against=champion)


def _brought_by(ledger: Ledger, kept: str) -> tuple[str, str]:
    """The commit of the champion branch that brought a kept candidate, and the one before it."""
    for _, move in ledger.moves:
        if kept in move.kept:
            nth = move.kept.index(kept)
            return (move.commits[nth - 1] if nth else move.previous), move.commits[nth]
    raise KeyError(kept)
