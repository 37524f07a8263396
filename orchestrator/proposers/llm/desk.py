"""What the proposer may look at: the campaign as it stands, the person's words, and where its exchanges are kept.

Everything here is read in the campaign's loop alone: the ledger and the repository belong to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config import Config
from orchestrator.ledger import Ledger
from orchestrator.proposers.ideas import Steering
from orchestrator.proposers.llm.money import Purse
from orchestrator.scope import Scope


@dataclass(frozen=True, slots=True)
class Desk:
    config: Config
    ledger: Ledger
    scope: Scope
    files: Callable[[str], tuple[str, ...]]  # every path of a commit
    read: Callable[[str, str], str | None]  # commit and path to text
    exchanges: Path  # RUN/exchanges
    steering: Steering
    purse: Purse
    notebook: Callable[[], str]  # what the campaign has learnt, in markdown
    log_tail: Callable[[str], str]  # candidate to the end of what its crashed trial printed, where a model may see it

    def editable(self, commit: str) -> dict[str, str]:
        """The texts of the files that can be edited, as they stand in `commit`."""
        texts = ((path, self.read(commit, path)) for path in self.files(commit) if self.scope.matches(path))
        return {path: text for path, text in texts if text is not None}
