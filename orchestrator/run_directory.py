"""The run directory: the one owner of its paths, of the lock that gives it to one process, and of its inbox.

journal.sqlite  config.yaml  repo/  trials/<id>/{log.txt, measurement.json, telemetry.jsonl}  report.html  progress.png
notebook.md     what the campaign has learnt, as its head last wrote it
lock            holder of the run, as JSON; held by flock, so a killed holder holds nothing
proposers/<name>/<number>/  what a program was told and what it printed, and, while it works, its worktree
inbox/          one JSON file a message from another process (a proposal by a person), renamed into place
head.json       what the running head left on the machine (Ray's processes), for `resume` to reap
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

LOCK_TRIES, LOCK_WAIT_S = 50, 0.02


class RunDirectoryError(Exception):
    """The directory is not a run, is in use, or is not empty; the message says what to type next."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that runs a run directory."""

    pid: int
    host: str
    since: float  # Unix time

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def is_dead(self) -> bool:
        """True when that is certain."""
        return self.is_here and not Path(f"/proc/{self.pid}").exists()


class RunDirectory:
    """Paths of one run. Makes nothing unless a method says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path / "journal.sqlite"
        self.config = path / "config.yaml"
        self.repo = path / "repo"
        self.trials = path / "trials"
        self.inbox = path / "inbox"
        self.proposers = path / "proposers"
        self.head_file = path / "head.json"
        self.report = path / "report.html"
        self.progress_png = path / "progress.png"
        self.notebook = path / "notebook.md"
        self._lock_file = path / "lock"

    @classmethod
    def existing(cls, path: Path) -> RunDirectory:
        """The run at `path`. Raises `RunDirectoryError` where there is none."""
        run = cls(path)
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
        refuse_existing(path)
        absent = [folder for folder in path.parents if not folder.exists()]
        draft = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}"
        try:
            draft.mkdir(parents=True)
            run = cls(draft)
            run.trials.mkdir()
            run.inbox.mkdir()
            yield run
            if path.is_dir():
                path.rmdir()
            draft.rename(path)
        except BaseException as error:
            shutil.rmtree(draft, ignore_errors=True)
            with contextlib.suppress(OSError):  # not empty: someone else uses it by now
                for folder in absent:
                    folder.rmdir()
            if isinstance(error, OSError):
                raise RunDirectoryError(f"{path}: cannot be made: {error}") from error
            raise

    def trial(self, trial: str) -> Path:
        return self.trials / trial

    def trial_log(self, trial: str) -> Path:
        return self.trials / trial / "log.txt"

    # -- what a killed head leaves on the machine

    def note_ray(self, temp_dir: Path) -> None:
        """Remember where the head's Ray lives, for `resume` to end it should the head be killed."""
        self.head_file.write_text(json.dumps({"ray_temp_dir": str(temp_dir)}))

    def ray_left_behind(self) -> Path | None:
        """Ray's folder of a head that did not live to end it."""
        try:
            return Path(json.loads(self.head_file.read_text())["ray_temp_dir"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    # -- the lock

    @contextmanager
    def locked(self, now: float) -> Iterator[None]:
        """Hold this run for the time of the block. Raises `RunDirectoryError`, naming the holder, when it is held."""
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if not self._take(descriptor):
                holder = self._written_holder()
                who = f"process {holder.pid} on {holder.host}" if holder else "another process"
                raise RunDirectoryError(
                    f"{self.path}: is in use by {who}; watch it with `regatta watch {self.path}` "
                    f"or end it with `regatta stop {self.path}`"
                )
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(asdict(Holder(os.getpid(), socket.gethostname(), now))).encode())
            yield
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> bool:
        """Take the lock; False when a head has it. A reader that asks for the holder has it for an instant only."""
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                holder = self._written_holder()
                if holder is not None and not holder.is_dead:
                    return False
                time.sleep(LOCK_WAIT_S)
        return False

    def holder(self) -> Holder | None:
        """The process that holds this run now; None when nobody does."""
        try:
            descriptor = os.open(self._lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._written_holder()
        finally:
            os.close(descriptor)
        return None

    def _written_holder(self) -> Holder | None:
        try:
            return Holder(**json.loads(self._lock_file.read_text()))
        except (OSError, ValueError, TypeError):  # being written at this instant
            return None

    # -- the inbox

    def messages(self) -> list[Path]:
        """Messages that wait, oldest first."""
        if not self.inbox.is_dir():
            return []
        waiting = [path for path in self.inbox.iterdir() if path.is_file() and not path.name.startswith(".")]
        return sorted(waiting, key=lambda path: (path.stat().st_mtime_ns, path.name))


def refuse_existing(path: Path) -> None:
    """Raise `RunDirectoryError` when `path` is there and is not an empty folder."""
    if not path.exists():
        return
    if not path.is_dir():
        raise RunDirectoryError(f"{path}: is a file, not a folder for a run; choose another with --run-dir")
    if any(path.iterdir()):
        raise RunDirectoryError(
            f"{path}: exists and is not empty; go on with `regatta resume {path}` or choose another with --run-dir"
        )
