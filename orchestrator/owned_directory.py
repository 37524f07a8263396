"""A directory that one process at a time owns, and that appears whole: what those of a run and of a fleet have in common.

lock       holder of the directory, as JSON; held by flock, so a killed holder holds nothing
head.json  what the process that holds it left on the machine (Ray's processes), for `resume` to reap
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


class OwnedDirectory:
    """Paths of one directory, and its lock. Makes nothing unless a method says so."""

    look = "watch"  # the verb that shows what its holder does

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head_file = path / "head.json"
        self._lock_file = path / "lock"

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
                    f"{self.path}: is in use by {who}; look at it with `regatta {self.look} {self.path}` "
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


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A directory beside `path` to fill; it becomes `path` by one rename when the block ends well, else it is removed.

    Raises `RunDirectoryError` when `path` exists and is not an empty folder.
    """
    refuse_existing(path)
    absent = [folder for folder in path.parents if not folder.exists()]
    draft = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}"
    try:
        draft.mkdir(parents=True)
        yield draft
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
