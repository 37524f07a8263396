"""One trial, start to end, on this machine. Needs no Ray.

`run_trial` never raises for what a candidate does, nor for a machine's ordinary troubles (a full disk, a failing git,
missing data): these are the measurement's outcome. It raises MissingBaseError where the trial builds on commits that this
node does not have, for the caller to send them. All that it makes is gone when it returns, except the node's caches.
"""

from __future__ import annotations

import json
import os
import shutil
import sysconfig
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from workers import held_out, sandbox
from workers.fingerprint import fingerprint
from workers.git import GitError
from workers.lending import Lender
from workers.objective import add_telemetry, settle
from workers.output import CappedLog
from workers.process import SandboxError, SurvivorsError
from workers.runners import command, kernel, train
from workers.session import Machine, Room, Session, Stopped
from workers.subject_data import DataError, subject_data
from workers.telemetry import Recorder, cpu_name, open_gpu
from workers.trial import KernelPlan, Measurement, Outcome, Progress, TrainPlan, TrialSpec
from workers.veil import Veil, veil_over
from workers.waiting import Cancellation, CancelledError, DeadlinePassedError
from workers.workspace import MissingBaseError, NodeRepository

_MEMORY_LEFT = 0.9  # of a machine's memory for candidates, the rest for the system, Ray and the page cache
_MOST_PROCESSES = 4096  # a data loader or a parallel compiler has hundreds
_MOST_DISK_MB = 64 << 10
_TROUBLES = (GitError, DataError, held_out.HeldOutError, SandboxError, SurvivorsError, OSError)  # the machine's
_veils: dict[str, Veil] = {}  # by the data that they hide


def this_machine(
    root: Path | None = None, visible_devices: str = "", data_root: Path | None = None, *, share: float = 1.0
) -> Machine:
    """What this process can measure with. `root`: where caches and workspaces lie, on a local disk; `share`: its part of
    the machine's memory and disk, where several workers live on it."""
    gpu = open_gpu(visible_devices)
    folder = root or Path(gettempdir()) / f"regatta-{os.getuid()}"
    return Machine(
        repository=NodeRepository(folder),
        gpu=gpu,
        visible_devices=visible_devices,
        device=gpu.name or cpu_name(),
        data_root=data_root or Path(os.environ.get("REGATTA_DATA") or Path.home() / ".cache/regatta"),
        room=_room(folder, share),
        lender=Lender(),
    )


def _room(folder: Path, share: float) -> Room:
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free_bytes = shutil.disk_usage(folder).free
    return Room(
        memory_mb=int(_MEMORY_LEFT * share * memory_bytes) >> 20,
        processes=_MOST_PROCESSES,
        disk_mb=min(_MOST_DISK_MB, int(share * free_bytes / 2) >> 20),
    )


def run_trial(
    spec: TrialSpec,
    machine: Machine,
    *,
    cancel: Cancellation | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    log: CappedLog | None = None,
) -> Measurement:
    """Measure one commit once. `cancel` may be thrown, and `log` read, from other threads meanwhile."""
    started_at, began = time.time(), time.monotonic()
    log = CappedLog() if log is None else log
    recorder = Recorder(machine.gpu)
    session = Session(
        spec=spec,
        machine=machine,
        deadline=began + spec.timeout_s,
        cancel=cancel or Cancellation(),
        log=log,
        on_progress=on_progress,
        recorder=recorder,
    )
    session.begin("workspace")
    mark: str | None = None
    try:
        if spec.bundle is not None and not machine.repository.has(spec.commit):
            machine.repository.receive(spec.bundle)
        mark = fingerprint(session)
        session.veil = _veil(session)
        session.deadline = time.monotonic() + spec.timeout_s  # what the machine lacked before is not the candidate's time
        try:
            _run(session)
        finally:
            add_telemetry(session, recorder)
            if isinstance(spec.plan, TrainPlan):
                session.measured["total_seconds"] = time.monotonic() - began
        settle(session)
        outcome, reason = Outcome.OK, None
    except MissingBaseError:
        raise
    except (Stopped, CancelledError, DeadlinePassedError, *_TROUBLES) as error:
        outcome, reason = _explain(error, session)
    ok = outcome is Outcome.OK
    wall_s = time.monotonic() - began
    return Measurement(
        trial_id=spec.trial_id,
        attempt=spec.attempt,
        outcome=outcome,
        reason=reason,
        measured=session.measured,
        reported=_believed(session) if ok else {},  # what a failed candidate says of itself can never look like a record
        wall_s=wall_s,
        energy_j=recorder.energy_j,
        started_at=started_at,
        ended_at=started_at + wall_s,
        fingerprint=mark,
        device=machine.device,
        log=log.value(),
        telemetry=recorder.samples,
        cases=session.cases,
    )


def _veil(session: Session) -> Veil:
    """Over the copies of held-out text that a confined candidate could otherwise open."""
    spec, machine = session.spec, session.machine
    if not spec.confined or not isinstance(spec.plan, TrainPlan):
        return Veil()
    data = subject_data(session, spec.plan.corpus)
    if data.sha256 not in _veils:
        _veils[data.sha256] = veil_over_copies(data.meta, machine.data_root)
    return _veils[data.sha256]


def hide_held_out(answer: str, say: Callable[[str], None]) -> None:
    """Ahead of the first trial: find what must be hidden of the data that a prepare.py's `answer` (its output) names. Where
    that answer is none, nothing is done: a trial will say so."""
    try:
        folder = Path(json.loads(answer.splitlines()[-1])["data_dir"])
        meta = json.loads((folder / "meta.json").read_text())
    except (ValueError, LookupError, TypeError, OSError):
        return
    if "held_out" in meta and sandbox.lacks() is None:
        say("looking for copies of the held-out text on this machine, to hide them from candidates")
        veil_over_copies(meta, folder.parent)


def veil_over_copies(meta: Mapping[str, Any], data_root: Path) -> Veil:
    """Over every copy on this machine of the held-out text of the data that `meta` describes. The first search takes seconds;
    what it finds is kept in `data_root`. Raises HeldOutError."""
    roots = sandbox.visible_roots()
    paths = held_out.copies(meta, roots, data_root / "held-out.json")
    return veil_over(paths, (*roots, Path(sysconfig.get_path("stdlib")).resolve()), data_root / "veils")


def _run(session: Session) -> None:
    if session.cancel.cancelled:
        raise CancelledError
    plan = session.spec.plan
    if isinstance(plan, KernelPlan):
        kernel.run(session, plan)  # which asks for the GPU when it comes to that
        return
    with session.on_gpu():
        if isinstance(plan, TrainPlan):
            train.run(session, plan)
        else:
            command.run(session, plan)


def _believed(session: Session) -> dict[str, float]:
    """What the code under test reported of things that the worker does not measure itself."""
    return {name: value for name, value in session.reported.items() if name not in session.measured}


def _explain(error: Exception, session: Session) -> tuple[Outcome, str]:
    """Whose fault it was, and one line for a person."""
    match error:
        case Stopped():
            return error.outcome, error.reason
        case CancelledError():
            return Outcome.CANCELLED, f"cancelled during {session.phase}"
        case DeadlinePassedError():
            spec = session.spec
            return Outcome.TIMEOUT, f"not over after timeout_s = {spec.timeout_s:g} (during {session.phase})"
        case _:
            return Outcome.INFRA, f"{type(error).__name__} during {session.phase}: {error}"
