"""Runs one candidate's process tree, contained: its time, its output and its end are the worker's.

A `ContainedProcess` is started through a guardian (guardian/), which ends every descendant when the first process ends,
when it uses more than it may, when the worker says so, and when the worker dies. Where an unconfined candidate kills its
guardian, the worker itself ends the candidate's process group and whatever still bears its private folder in its
environment. What the tree may see and write is the sandbox's business (sandbox.py), for a command that has a `Confinement`.
This module knows nothing of trials, runners or metrics.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from workers.guardian.limits import Limits
from workers.guardian.tree import GRACE_S, signal_all
from workers.output import CappedLog, OutputReader
from workers.sandbox import Confinement, Launch, started
from workers.waiting import Cancellation, DeadlinePassedError, wait_until_ready

_GUARDED = (sys.executable, "-I", "-S", str(Path(__file__).with_name("guardian")))
_PATIENCE_S = 30.0  # how long a guardian may take to end its tree before the worker takes over


class SurvivorsError(Exception):
    """Processes of a candidate could not be ended: this machine is not fit for another trial."""


class SandboxError(Exception):
    """The sandbox could not be put up, so that nothing of the candidate has run."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is started. `env` is all that it gets; `private` is a folder of this trial alone."""

    argv: tuple[str, ...]
    cwd: Path  # where it begins, if it is not confined
    env: Mapping[str, str]
    private: Path
    handed: tuple[int, ...] = ()  # descriptors that the candidate inherits
    confinement: Confinement | None = None
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How the first process of the tree ended. Neither code nor signal: the guardian did not live to see it."""

    code: int | None
    signal: int | None
    wall_s: float
    peak_rss_mb: float | None  # of the largest process; never below the 8 MB of the guardian that it was forked from
    left_behind: int  # processes that outlived the first one and were ended
    # Why the guardian ended the tree: a limit of its own (`memory: …`, `processes: …`, `disk: …`), or that the whole machine
    # ran out of memory, by whatever fault (`machine: …`). None: it did not.
    exceeded: str | None = None
    unconfined: bool = False  # the sandbox could not be put up: nothing was run

    @property
    def succeeded(self) -> bool:
        return self.code == 0

    def __str__(self) -> str:
        if self.code is not None:
            return f"exit status {self.code}"
        if self.signal is not None:
            name = signal.Signals(self.signal).name if self.signal in set(signal.Signals) else str(self.signal)
            return f"killed by {name}"
        return "ended together with its guardian, which it may have killed"


class ContainedProcess:
    """A running process tree. Use as a context manager: leaving it ends the tree."""

    def __init__(self, command: Command, log: CappedLog, on_stdout: Callable[[bytes], None] | None = None) -> None:
        control_read, self._control = os.pipe()
        self._status, status_write = os.pipe()
        self._private = command.private
        self._sandbox_status: int | None = None
        self._started = time.monotonic()
        try:
            self._guardian = self._start(command, control_read, status_write)
        except OSError:
            os.close(self._control)
            os.close(self._status)
            raise
        finally:
            os.close(control_read)
            os.close(status_write)
        assert self._guardian.stdout is not None
        assert self._guardian.stderr is not None
        self._reader = OutputReader(self._guardian.stdout.fileno(), self._guardian.stderr.fileno(), log, on_stdout)
        self._reader.start()
        self._said = b""
        self._exit: Exit | None = None

    def _start(self, command: Command, control: int, status: int) -> subprocess.Popen[bytes]:
        with contextlib.ExitStack() as stack:
            argv, handed = list(command.argv), command.handed
            if command.confinement is not None:
                launch = stack.enter_context(Launch(command.confinement, command.argv))
                argv, handed = launch.argv, (*command.handed, *launch.descriptors)
                self._sandbox_status = launch.status
            limits = "-" if command.limits is None else str(command.limits)
            return subprocess.Popen(
                [*_GUARDED, str(control), str(status), ",".join(map(str, handed)), limits, "--", *argv],
                cwd=command.cwd,
                env=dict(command.env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(control, status, *handed),
                start_new_session=True,  # a Ctrl-C on the worker's terminal is the worker's business
            )

    def __enter__(self) -> ContainedProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end(at_once=kind is None)

    def fileno(self) -> int:
        """Readable when the tree's guardian has said something: call `poll` then."""
        return self._status

    def wait(self, deadline: float | None, cancel: Cancellation | None) -> Exit:
        """Until the first process has ended and nothing of the tree is left. Raises as `wait_until_ready` does."""
        while self._exit is None:
            wait_until_ready([self._status], deadline=deadline, cancel=cancel)
            self.poll()
        return self._exit

    def poll(self) -> Exit | None:
        """Take in what the guardian said, if anything; the exit when all is over, else None. Does not block."""
        if self._exit is None and self._heard():
            chunk = os.read(self._status, 4096)
            self._said += chunk
            if not chunk or self._said.count(b"\n") == 2:
                self._exit = self._conclude()
        return self._exit

    def end(self, *, at_once: bool = False) -> Exit:
        """End the tree (TERM and a short grace, or KILL `at_once`) and wait until nothing of it is left."""
        if self._exit is None:
            with contextlib.suppress(BrokenPipeError):  # the guardian is gone; `wait` will see it
                os.write(self._control, b"k" if at_once else b"t")
            try:
                return self.wait(time.monotonic() + GRACE_S + _PATIENCE_S, None)
            except DeadlinePassedError:
                self._guardian.kill()  # stopped by its candidate, perhaps
                return self.wait(None, None)
        return self._exit

    def _heard(self) -> bool:
        try:
            return bool(wait_until_ready([self._status], deadline=0.0, cancel=None))
        except DeadlinePassedError:
            return False

    def _conclude(self) -> Exit:
        lines = [json.loads(line) for line in self._said.split(b"\n")[:-1]]  # whole ones
        end = lines[1] if len(lines) == 2 else None
        if end is None:
            self._guardian.kill()
            _end_leaderless(lines[0]["pid"] if lines else None, self._private)
        self._guardian.wait()
        self._reader.finish(patience_s=1.0)
        for pipe in (self._guardian.stdout, self._guardian.stderr):
            if pipe is not None:
                pipe.close()
        os.close(self._control)
        os.close(self._status)
        began = self._began_inside()
        if end is None:
            return Exit(None, None, time.monotonic() - self._started, None, 0)
        code, number = end["exit_code"], end["signal"]
        if self._sandbox_status is not None and code in range(129, 129 + signal.SIGRTMAX):
            code, number = None, end["exit_code"] - 128  # as bubblewrap tells of signals
        return Exit(
            code,
            number,
            end["wall_s"],
            end["max_rss_kb"] / 1024 or None,
            end["left_behind"],
            end["exceeded"],
            unconfined=end["exit_code"] == 1 and not began,
        )

    def _began_inside(self) -> bool:
        """Whether the candidate itself was started, not only the sandbox around it."""
        if self._sandbox_status is None:
            return True
        with os.fdopen(self._sandbox_status, "rb") as status:  # all who could write to it are gone
            return started(status.read())


def _end_leaderless(group: int | None, private: Path) -> None:
    """The second line, when the guardian is gone: kill the process group, and whoever bears `private` in its environment."""
    if group is not None:
        signal_all([-group], signal.SIGKILL)
    deadline = time.monotonic() + 2.0
    while bearers := _bearers(os.fsencode(private)):
        if time.monotonic() > deadline:
            raise SurvivorsError(f"processes {bearers} of a candidate could not be ended")
        signal_all(bearers, signal.SIGKILL)


def _bearers(mark: bytes) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:  # it ended meanwhile, or is not ours
                continue
    return found
