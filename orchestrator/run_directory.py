"""The run directory: the one owner of its paths and of its inbox; owned_directory.py has the lock that gives it to one process.

journal.sqlite  config.yaml  repo/  trials/<id>/{log.txt, measurement.json, telemetry.jsonl}  report.html  progress.png
notebook.md     what the campaign has learnt, as its head last wrote it
lock            holder of the run, as JSON; held by flock, so a killed holder holds nothing
proposers/<name>/<number>/  what a program was told and what it printed, and, while it works, its worktree
inbox/          one JSON file a message from another process (a proposal by a person), renamed into place
head.json       what the running head left on the machine (Ray's processes), for `resume` to reap
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.owned_directory import Holder, OwnedDirectory, RunDirectoryError, appearing, refuse_existing

FLEET_CONFIG = "fleet.yaml"  # in the directory of a fleet, which holds run directories

__all__ = ["FLEET_CONFIG", "Holder", "RunDirectory", "RunDirectoryError", "refuse_existing"]


class RunDirectory(OwnedDirectory):
    """Paths of one run. Makes nothing unless a method says so."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.journal = path / "journal.sqlite"
        self.config = path / "config.yaml"
        self.repo = path / "repo"
        self.trials = path / "trials"
        self.inbox = path / "inbox"
        self.proposers = path / "proposers"
        self.report = path / "report.html"
        self.progress_png = path / "progress.png"
        self.notebook = path / "notebook.md"

    @classmethod
    def existing(cls, path: Path) -> RunDirectory:
        """The run at `path`. Raises `RunDirectoryError` where there is none."""
        run = cls(path)
        if (path / FLEET_CONFIG).is_file():
            runs = ", ".join(str(each.parent) for each in sorted(path.glob("*/journal.sqlite")))
            raise RunDirectoryError(f"{path}: is a fleet, not a run; give the run directory of one of its targets: {runs}")
        if not run.journal.is_file() or not run.config.is_file():
            raise RunDirectoryError(
                f"{path}: is not a run directory (no journal.sqlite); runs are made by `regatta run CONFIG`"
            )
        return run

    @classmethod
    @contextmanager
    def creating(cls, path: Path) -> Iterator[RunDirectory]:
        """A directory beside `path` to fill; it becomes `path` by one rename when the block ends well, else it is removed.

        Raises `RunDirectoryError` when `path` exists and is not an empty folder.
        """
        with appearing(path) as draft:
            run = cls(draft)
            run.trials.mkdir()
            run.inbox.mkdir()
            yield run

    def trial(self, trial: str) -> Path:
        return self.trials / trial

    def trial_log(self, trial: str) -> Path:
        return self.trials / trial / "log.txt"

    # -- the inbox

    def messages(self) -> list[Path]:
        """Messages that wait, oldest first."""
        if not self.inbox.is_dir():
            return []
        waiting = [path for path in self.inbox.iterdir() if path.is_file() and not path.name.startswith(".")]
        return sorted(waiting, key=lambda path: (path.stat().st_mtime_ns, path.name))
