"""Opening a run to read: its journal folded into a ledger, its config, and who holds it. Writes nothing, takes no lock.

Works on a running campaign (another process writes), on a finished one, and on one whose head was killed. Raises
`RunDirectoryError`, `JournalError` or `ConfigError`, whose messages say what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from orchestrator import events as ev
from orchestrator.config import Config, load_config
from orchestrator.journal import Entry, Journal
from orchestrator.ledger import Ledger
from orchestrator.run_directory import Holder, RunDirectory
from orchestrator.tournament.settings import Prices


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known of a run at one instant."""

    run: RunDirectory
    config: Config
    ledger: Ledger
    holder: Holder | None  # the process that runs it now
    notes: list[tuple[float, ev.Note]] = field(default_factory=list)

    @property
    def minimize(self) -> bool:
        return self.config.objective.direction == "minimize"

    @property
    def state(self) -> str:
        """running, finished, interrupted or failed. A head that was killed left no last word: interrupted."""
        if self.holder is not None:
            return "running"
        stopped = self.ledger.stopped
        return stopped.state.value if stopped is not None else ev.EndState.INTERRUPTED.value

    def now(self, clock: float) -> float | None:
        """`clock` for a running campaign; None for one that stands still, whose time is that of its last event."""
        return clock if self.holder is not None else None


def load(run: RunDirectory) -> Record:
    """Read a run as it stands."""
    holder = run.holder()  # first: who lets go while we read has written its last word
    config = load_config(run.config)
    ledger = Ledger(config.objective.name)
    notes: list[tuple[float, ev.Note]] = []
    for entry in entries(run):
        ledger.apply(entry.event, entry.at)
        if isinstance(entry.event, ev.Note):
            notes.append((entry.at, entry.event))
    if holder is None and ledger.stopped is None:
        holder = run.holder()  # a head may have started since the first look
    return Record(run, config, ledger, holder, notes)


def entries(run: RunDirectory, after: int = 0) -> Iterator[Entry]:
    """The journal's entries behind number `after`."""
    with closing(Journal.read_only(run.journal)) as journal:
        yield from journal.entries(after)


def prices_of(config: Config) -> Prices:
    return Prices(config.prices.usd_per_gpu_hour or 0.0, config.prices.usd_per_kwh or 0.0)
