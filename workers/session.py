"""One trial under way, as its runner sees it: workspaces, processes, the deadline, the way to stop, the log, progress.

Runners (runners/) use a `Session` and raise `Stopped`; `run.run_trial` makes the session and turns what comes out of it
into a measurement. What a candidate's processes find in their environment is decided here.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from workers import sandbox
from workers.guardian.limits import Limits
from workers.lending import Lender
from workers.output import CappedLog
from workers.process import Command, ContainedProcess, Exit, SandboxError
from workers.standby import Standby
from workers.telemetry import Gpu, NoGpu, Recorder
from workers.trial import CaseRow, CommandPlan, KernelPlan, Outcome, Progress, TrialSpec
from workers.turn import Turn
from workers.veil import Veil
from workers.waiting import Cancellation
from workers.workspace import NodeRepository, Workspace

_PROGRESS_EVERY_S = 0.2
_KERNEL_PROCESSES = 512  # threads included
# Too much memory is a slip, most likely; a machine that runs out of it may be anybody's fault. The limits that are not here,
# of processes and disk, nobody meets by accident: a violation.
_WHOSE_EXCESS = {"memory": Outcome.CRASH, "machine": Outcome.INFRA}


@dataclass(frozen=True, slots=True)
class Room:
    """How much of this machine one trial may fill."""

    memory_mb: int
    processes: int  # at a time, threads included
    disk_mb: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What one worker has to run trials with."""

    repository: NodeRepository
    gpu: Gpu
    visible_devices: str  # CUDA_VISIBLE_DEVICES for candidates; empty: none
    device: str  # the name by which measurements know it
    data_root: Path  # where prepare.py keeps data
    room: Room
    lender: Lender
    standby: Standby = field(default_factory=Standby)
    turn: Turn = field(default_factory=Turn)


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
    cases: tuple[CaseRow, ...] = ()  # of a kernel target
    phase: str = "workspace"
    recorder: Recorder = field(default_factory=lambda: Recorder(NoGpu("nobody looks at one")))
    veil: Veil = field(default_factory=Veil)  # over copies of held-out text on this machine
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

    @contextlib.contextmanager
    def on_gpu(self) -> Iterator[None]:
        """The worker's GPU for this trial alone, and metered. To wait for it is on nobody's time."""
        began = time.monotonic()
        with self.machine.turn.taken(self.cancel):
            self.deadline += time.monotonic() - began
            with self.recorder:
                yield

    def process(
        self,
        argv: tuple[str, ...],
        workspace: Workspace,
        *,
        extra: Mapping[str, str] | None = None,
        handed: tuple[int, ...] = (),
        on_stdout: Callable[[bytes], None] | None = None,
        log: CappedLog | None = None,
        sees_gpu: bool = True,
    ) -> ContainedProcess:
        """Start one process tree in a workspace. What it prints goes into the trial's log, or into one of its own. `sees_gpu`:
        the trial's GPUs, where it has any."""
        spec, room = self.spec if sees_gpu else replace(self.spec, gpus=0.0), self.machine.room
        environment = {**candidate_environment(spec, self.machine, workspace), **(extra or {})}
        workspace.mend()
        self.log_offset = self.log.total_bytes
        command = Command(
            argv,
            workspace.path,
            environment,
            workspace.folder,
            handed,
            self._confinement(spec, workspace) if spec.confined else None,
            Limits(room.memory_mb, self._most_processes(), room.disk_mb, str(workspace.folder)),
        )
        return ContainedProcess(command, self.log if log is None else log, on_stdout)

    def _most_processes(self) -> int:
        """A kernel has no data loaders; a compiler's pool has some dozens. Fewer let a fork bomb do less to the machine."""
        most = self.machine.room.processes
        return min(most, _KERNEL_PROCESSES) if isinstance(self.spec.plan, KernelPlan) else most

    def lend(self, path: Path) -> int:
        """A descriptor of a file for a candidate to read; who is confined can do nothing else with it. The caller closes it."""
        return self.machine.lender.lend(path) if self.spec.confined else os.open(path, os.O_RDONLY)

    def _confinement(self, spec: TrialSpec, workspace: Workspace) -> sandbox.Confinement:
        """What a process of the trial sees. Raises SandboxError where nothing can be confined."""
        lacks = sandbox.lacks()
        if lacks is not None:
            raise SandboxError(str(lacks))
        return sandbox.Confinement(
            workspace.path,
            workspace.home,
            workspace.tmp,
            sealed=workspace.sealed,
            readable=_readable(spec),
            hidden=self.veil.hidden,
            replaced=self.veil.replaced,
            devices=self.machine.gpu.nodes() if spec.gpus else (),
            shared_memory_mb=max(64, self.machine.room.memory_mb // 4),
        )

    def run(self, argv: tuple[str, ...], workspace: Workspace, on_stdout: Callable[[bytes], None] | None = None) -> Exit:
        """Run one process tree to its end."""
        with self.process(argv, workspace, on_stdout=on_stdout) as process:
            exited = process.wait(self.deadline, self.cancel)
        self.note_memory(exited)
        return exited

    def note_memory(self, exited: Exit) -> None:
        """The trial's `peak_rss_mb` is that of its largest process. Raises Stopped for a tree that used more than it may."""
        if exited.unconfined:
            raise SandboxError(f"the sandbox was not put up{self.last_words()}")
        if exited.exceeded is not None:
            limit = exited.exceeded.partition(":")[0]
            raise Stopped(_WHOSE_EXCESS.get(limit, Outcome.VIOLATION), f"{exited.exceeded} (during {self.phase})")
        if exited.peak_rss_mb is not None:
            self.measured["peak_rss_mb"] = max(exited.peak_rss_mb, self.measured.get("peak_rss_mb", 0.0))

    def last_words(self) -> str:
        """The last line that the latest process printed, to end a reason with."""
        line = self.log.last_line(self.log_offset)
        return f": {line}" if line else ""


def candidate_environment(spec: TrialSpec, machine: Machine, workspace: Workspace) -> dict[str, str]:
    """All that a candidate's processes find in their environment. Nothing is inherited, so no key can be."""
    home, tmp, devices = str(workspace.home), str(workspace.tmp), machine.visible_devices
    folders = [str(Path(sys.executable).parent), *os.environ.get("PATH", os.defpath).split(os.pathsep)]
    if spec.confined:
        home, tmp, devices = str(sandbox.HOME), str(sandbox.TMP), machine.gpu.uuids() or devices
        roots = (*sandbox.visible_roots(), *_readable(spec))
        folders = [folder for folder in folders if any(Path(folder).resolve().is_relative_to(root) for root in roots)]
    environment = {
        "PATH": os.pathsep.join(dict.fromkeys(folders)),  # the worker's `python` first
        "HOME": home,
        "TMPDIR": tmp,
        "USER": sandbox.USER,
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": str(spec.cpus),
        "CUDA_VISIBLE_DEVICES": devices if spec.gpus else "",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # NVML's order: what is metered is what is used
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",  # what was printed before the end is in the log, however it ended
        "REGATTA_SEED": str(spec.seed),
        "REGATTA_TRIAL_ID": spec.trial_id,
    }
    if spec.gpus and "LD_LIBRARY_PATH" in os.environ:  # where container platforms put the driver's libraries
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return environment


def _readable(spec: TrialSpec) -> tuple[Path, ...]:
    """Folders outside the workspace that the trial's processes read, where they are."""
    mounts = spec.plan.mounts if isinstance(spec.plan, CommandPlan) else ()
    if isinstance(spec.plan, KernelPlan):
        mounts = (str(Path(__file__).parent / "kernel"),)
    drivers = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if spec.gpus else []
    return tuple(path for path in map(Path, (*mounts, *drivers)) if path.is_absolute() and path.is_dir())
