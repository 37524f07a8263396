"""One trial under way, as its runner sees it: workspaces, processes, the deadline, the way to stop, the log, progress.

Runners (runners/) use a `Session` and raise `Stopped`; `run.run_trial` makes the session and turns what comes out of it
into a measurement. What a candidate's processes find in their environment is decided here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workers.output import CappedLog
from workers.process import Command, ContainedProcess, Exit
from workers.telemetry import Gpu
from workers.trial import Outcome, Progress, TrialSpec
from workers.waiting import Cancellation
from workers.workspace import NodeRepository, Workspace

_PROGRESS_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Machine:
    """What one worker has to run trials with."""

    repository: NodeRepository
    gpu: Gpu
    visible_devices: str  # CUDA_VISIBLE_DEVICES for candidates; empty: none
    device: str  # the name by which measurements know it
    data_root: Path  # where prepare.py keeps data


class Stopped(Exception):  # noqa: N818  a way out, not an error
    """The trial is over, and why. Raised by runners, and for anything but `ok`."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


@dataclass(slots=True)
class Session:
    """See the module's docstring. `measured` and `reported` fill up as the trial goes on."""

    spec: TrialSpec
    machine: Machine
    deadline: float  # of the whole trial, time.monotonic
    cancel: Cancellation
    log: CappedLog
    on_progress: Callable[[Progress], None] | None
    measured: dict[str, float] = field(default_factory=dict)
    reported: dict[str, float] = field(default_factory=dict)
    phase: str = "workspace"
    peak_vram_mb: Callable[[], float | None] = lambda: None
    log_offset: int = 0  # where in the log the latest process began
    _told_at: float = 0.0

    def workspace(self) -> Workspace:
        """A fresh one of the trial's commit."""
        return self.machine.repository.workspace(self.spec.commit, self.spec.base_commit, self.spec.sealed)

    def begin(self, phase: str) -> None:
        self.phase = phase
        self.tell(Progress(self.spec.trial_id, phase), now=True)

    def tell(self, progress: Progress, *, now: bool = False) -> None:
        """Pass progress on, a few times a second at most, unless `now`."""
        if self.on_progress is not None and (now or time.monotonic() - self._told_at >= _PROGRESS_EVERY_S):
            self._told_at = time.monotonic()
            self.on_progress(progress)

    def process(
        self,
        argv: tuple[str, ...],
        workspace: Workspace,
        *,
        extra: Mapping[str, str] | None = None,
        handed: tuple[int, ...] = (),
        on_stdout: Callable[[bytes], None] | None = None,
    ) -> ContainedProcess:
        """Start one process tree in a workspace."""
        environment = {**candidate_environment(self.spec, self.machine, workspace), **(extra or {})}
        workspace.mend()  # an earlier process may have removed it
        self.log_offset = self.log.total_bytes
        return ContainedProcess(Command(argv, workspace.path, environment, workspace.folder, handed), self.log, on_stdout)

    def run(self, argv: tuple[str, ...], workspace: Workspace, on_stdout: Callable[[bytes], None] | None = None) -> Exit:
        """Run one process tree to its end."""
        with self.process(argv, workspace, on_stdout=on_stdout) as process:
            exited = process.wait(self.deadline, self.cancel)
        self.note_memory(exited)
        return exited

    def note_memory(self, exited: Exit) -> None:
        """The trial's `peak_rss_mb` is that of its largest process."""
        if exited.peak_rss_mb is not None:
            self.measured["peak_rss_mb"] = max(exited.peak_rss_mb, self.measured.get("peak_rss_mb", 0.0))

    def last_words(self) -> str:
        """The last line that the latest process printed, to end a reason with."""
        line = self.log.last_line(self.log_offset)
        return f": {line}" if line else ""


def candidate_environment(spec: TrialSpec, machine: Machine, workspace: Workspace) -> dict[str, str]:
    """All that a candidate's processes find in their environment. Nothing is inherited, so no key can be."""
    path = os.environ.get("PATH", os.defpath)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}",  # so that `python` is the worker's
        "HOME": str(workspace.home),
        "TMPDIR": str(workspace.tmp),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": str(spec.cpus),
        "CUDA_VISIBLE_DEVICES": machine.visible_devices if spec.gpus else "",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # NVML's order: what is metered is what is used
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",  # what was printed before the end is in the log, however it ended
        "REGATTA_SEED": str(spec.seed),
        "REGATTA_TRIAL_ID": spec.trial_id,
    }
    if spec.gpus and "LD_LIBRARY_PATH" in os.environ:  # where container platforms put the driver's libraries
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return environment
