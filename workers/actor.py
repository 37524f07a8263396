"""A worker's process as the head sees it: a Ray actor that measures trials. The only file here that knows Ray.

It has a GPU, or a CPU slot, and one trial at a time; or `abreast` of them, of which one has the GPU while the others pass the
gates that need none (turn.py). `run` has threads of its own; all else is answered while it works (concurrency group `control`).
An actor that is killed leaves nothing of its candidates behind (guardian.py), and whoever starts next on its node removes its
workspaces.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

from workers import sandbox
from workers.output import CappedLog
from workers.run import run_trial, this_machine
from workers.trial import Measurement, Progress, TrialSpec
from workers.waiting import Cancellation

_ray: Any = ray  # for what Ray's annotations lack


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """Who a worker is."""

    worker_id: str
    node: str  # Ray's id of the node
    address: str  # of the node
    device: str
    gpu: str | None  # which of the node's GPUs, as CUDA_VISIBLE_DEVICES names them; None: none
    no_telemetry_because: str | None
    cannot_confine: str | None  # why candidates cannot be confined here
    pid: int


@dataclass(slots=True)
class _UnderWay:
    """One trial, as those see it who look on."""

    cancel: Cancellation = field(default_factory=Cancellation)
    log: CappedLog = field(default_factory=CappedLog)
    progress: Progress | None = None


class WorkerActor:
    """Methods are called remotely, `run` by as many callers at a time as trials go `abreast`."""

    def __init__(
        self,
        worker_id: str,
        root: str,
        bundle: bytes | None = None,
        data_root: str | None = None,
        share: float = 1.0,
        abreast: int = 1,
    ) -> None:
        """`root`: a folder on the node's own disk. `bundle`: what the node should have before the first trial. `share`: the
        part of the node's memory and disk that one trial may have."""
        devices = ",".join(str(device) for device in ray.get_gpu_ids())
        self._worker_id = worker_id
        self._machine = this_machine(Path(root), devices, Path(data_root) if data_root is not None else None, share=share)
        self._machine.standby.keeps = abreast
        self._lock = threading.Lock()
        self._under_way: dict[str, _UnderWay] = {}
        self._ended: deque[str] = deque(maxlen=64)
        self._cancelled_early: deque[str] = deque(maxlen=64)
        if bundle is not None:
            self._machine.repository.receive(bundle)

    @ray.method(concurrency_group="control", max_task_retries=-1)  # asked while it restarts, it answers when it is back
    def describe(self) -> WorkerInfo:
        context = ray.get_runtime_context()
        lacks = sandbox.lacks()
        return WorkerInfo(
            worker_id=self._worker_id,
            node=context.get_node_id(),
            address=str(_ray.util.get_node_ip_address()),
            device=self._machine.device,
            gpu=self._machine.visible_devices or None,
            no_telemetry_because=self._machine.gpu.absent_because,
            cannot_confine=None if lacks is None else str(lacks),
            pid=os.getpid(),
        )

    @ray.method(concurrency_group="control", max_task_retries=-1)
    def receive(self, bundle: bytes) -> tuple[str, ...]:
        """Take in a git bundle; the commits that it names. Raises MissingBaseError."""
        return tuple(sorted(self._machine.repository.receive(bundle)))

    def run(self, spec: TrialSpec) -> Measurement:
        """Measure. Raises MissingBaseError where `spec` builds on commits that this node does not have."""
        trial = _UnderWay()

        def note(progress: Progress) -> None:
            trial.progress = progress

        with self._lock:
            self._under_way[spec.trial_id] = trial
            if spec.trial_id in self._cancelled_early:
                self._cancelled_early.remove(spec.trial_id)
                trial.cancel.cancel()
        try:
            return run_trial(spec, self._machine, cancel=trial.cancel, on_progress=note, log=trial.log)
        finally:
            with self._lock:
                del self._under_way[spec.trial_id]
                self._ended.append(spec.trial_id)

    @ray.method(concurrency_group="control")
    def peek(self, trial_id: str, log_offset: int) -> tuple[Progress | None, bytes, int]:
        """Where a trial stands, what it printed beyond `log_offset` bytes, and the offset to ask from next. Nothing new of a
        trial that is not under way."""
        trial = self._under_way.get(trial_id)
        if trial is None:
            return None, b"", log_offset
        chunk, offset = trial.log.since(log_offset)
        return trial.progress, chunk, offset

    @ray.method(concurrency_group="control")
    def cancel(self, trial_id: str) -> bool:
        """End a trial, or see to it that it ends as soon as it begins; False where it is over already."""
        with self._lock:
            if trial_id in self._under_way:
                self._under_way[trial_id].cancel.cancel()
                return True
            if trial_id in self._ended:
                return False
            self._cancelled_early.append(trial_id)  # it has overtaken its trial's start
            return True


def remote_worker(cpus: float, gpus: float, abreast: int = 1) -> Any:
    """The Ray actor class. `remote_worker(1, 0).options(...).remote(worker_id, root, bundle)` starts one."""
    return _ray.remote(
        num_cpus=cpus,
        num_gpus=gpus,
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=abreast,
        concurrency_groups={"control": 2},
    )(WorkerActor)
