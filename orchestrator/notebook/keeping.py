"""RUN/notebook.md: written by the head as the campaign goes, by rename, and never read back.

It can be lost and written anew from the journal, so that it cannot be written (a full disk) ends no campaign.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from orchestrator.ledger import Ledger
from orchestrator.notebook.digest import Notebook
from orchestrator.proposers.literals import find_knobs
from orchestrator.repository import CampaignRepository
from orchestrator.run_directory import RunDirectory
from orchestrator.trial_files import end_of_log

FILE_TOKENS = 6_000  # a few pages
EVERY_S = 5.0
LOG_BYTES = 8 << 10


class NotebookFile:
    """The file and when it was last written. `knobs`: names of the knobs at a commit."""

    def __init__(
        self, run: RunDirectory, ledger: Ledger, *, minimize: bool, knobs: Callable[[str], Sequence[str]] = lambda _commit: ()
    ) -> None:
        self._run = run
        self._ledger = ledger
        self._notebook = Notebook(ledger, minimize=minimize)
        self._knobs_at = knobs
        self._knobs: Sequence[str] = ()
        self._champion: str | None = None
        self._written_at: float | None = None
        self._told_until: float | None = None  # the ledger's last event that the file knows of

    def update(self, now: float) -> None:
        """Write it where something happened since, every `EVERY_S` at most. `now` is monotonic."""
        if self._ledger.last_at != self._told_until and (self._written_at is None or now - self._written_at >= EVERY_S):
            self._written_at = now
            self.write()

    def write(self) -> None:
        """Write it as the ledger stands."""
        champion = self._ledger.champion
        if champion is not None and champion.commit != self._champion:
            self._champion, self._knobs = champion.commit, self._knobs_at(champion.commit)
        text = self._notebook.digest(most_tokens=FILE_TOKENS, log_tail=self._end_of_log, knobs=self._knobs)
        self._told_until = self._ledger.last_at
        draft = self._run.notebook.with_name(f".{self._run.notebook.name}.tmp")
        with contextlib.suppress(OSError):
            draft.write_text(text, encoding="utf-8")
            draft.replace(self._run.notebook)

    def _end_of_log(self, trial: str) -> str:
        with contextlib.suppress(OSError):
            return end_of_log(self._run, trial, LOG_BYTES).decode("utf-8", "replace")
        return ""


def knob_names(repository: CampaignRepository, commit: str, editable: Callable[[str], bool]) -> list[str]:
    """The knobs of a commit's editable Python files, in alphabetical order."""
    texts = (
        (path, repository.read(commit, path)) for path in repository.files(commit) if path.endswith(".py") and editable(path)
    )
    return sorted({knob.name for path, text in texts if text is not None for knob in find_knobs(path, text)})
