"""The pool: trials to Ray actors, and their answers into the campaign's queue. The head's only file that knows Ray.

One actor a GPU (or a CPU slot where there is no GPU), owned by this process: they die with it, and their candidates with
them. An actor is one worker of the campaign's; where kernels are timed it is two, one of which passes the gates while the
other is timed. Local mode is Ray on this machine, not another executor. What arrives is put into a queue from Ray's threads;
nothing here decides or journals. The `Cluster` is Ray itself: pools of heads that follow each other live on one, and the
actors of one pool are gone before the next has any.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.trial import Measurement, Progress, TrialSpec
from workers.workspace import MissingBaseError

# Ray's own defaults would have workers run at nice 15, kill bystanders when memory is short, and phone home.
_RAY_ENVIRONMENT = {
    "RAY_worker_niceness": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # A node that hangs is noticed after about 5 s, not after a minute.
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1500",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}
_OBJECT_STORE_BYTES = 256 << 20  # measurements and bundles are small
_LEAVING_PATIENCE_S = 30.0  # how long the actors of a former pool may take to end
_LOOK_AGAIN_S = 0.05
_ABREAST = ("a", "b")  # kernels on one GPU: to pass the gates takes about as long as to be timed


class PoolError(Exception):
    """The cluster cannot be reached, or has no place for a trial."""


@dataclass(frozen=True, slots=True)
class Joined:
    worker: str
    node: str
    device: str
    cannot_confine: str | None = None  # why its node cannot put candidates into the sandbox


@dataclass(frozen=True, slots=True)
class Lost:
    worker: str
    detail: str


@dataclass(frozen=True, slots=True)
class Measured:
    worker: str
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker itself failed; nothing is known of the trial."""

    worker: str
    trial: str
    attempt: int
    detail: str


@dataclass(frozen=True, slots=True)
class Peeked:
    """How far a running trial is, and what it has printed since the last look."""

    trial: str
    progress: Progress | None
    log: bytes


Incoming = Joined | Lost | Measured | Failed | Peeked


@dataclass(slots=True)
class _Hand:
    """One worker of the campaign's."""

    actor: Any  # may be another worker's too
    spec: TrialSpec | None = None
    log_offset: int = 0
    peeking: bool = False
    pid: int | None = None  # of its process, where that is known and on this machine


@dataclass(frozen=True, slots=True)
class _Leaving:
    """An actor that was told to end."""

    actor: Any
    pid: int | None  # of its process, where that is on this machine


@dataclass(slots=True)
class Cluster:
    """Ray: `start` it, have pools live on it one after another, `close` it."""

    address: str  # local, auto, or a Ray address
    cpu_slots: int
    cpus: int  # a trial takes
    temp_dir: Path = field(default_factory=lambda: _short_temp_dir() / f"regatta-{uuid.uuid4().hex[:8]}")
    ray: Any = None  # the module, while connected
    _leaving: list[_Leaving] = field(default_factory=list)

    def start(self) -> None:
        """Connect to, or start, Ray; nothing happens where that is done already. Raises `PoolError`."""
        if self.ray is not None:
            return
        os.environ.update(_RAY_ENVIRONMENT)
        import ray  # late: it takes a second, and most verbs have no use for it

        self.ray = ray
        for is_last in (False, True) if self.address == "local" else (True,):
            try:
                with _environment_without_ray_address(self.address), _own_signal_handlers():
                    self._connect()
                return
            except Exception as error:  # Ray raises bare ones too, as where its node is not up within 30 s
                if self.address == "local":  # a port that was free has been taken, most likely: seen once in hundreds of starts
                    reap(self.temp_dir)
                if is_last:
                    self.close()
                    raise PoolError(self._connect_advice(error)) from error

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
        if self.address == "local":
            self.temp_dir.mkdir(parents=True, exist_ok=True)
            cores = max(os.cpu_count() or 1, self.cpu_slots * self.cpus)
            with _without_attendants(self.ray):
                self.ray.init(
                    address="local",
                    num_cpus=cores,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    _temp_dir=str(self.temp_dir),
                    **quiet,
                )
        else:
            quiet.pop("include_dashboard")
            self.ray.init(address=self.address, **quiet)

    def _connect_advice(self, error: Exception) -> str:
        if self.address == "local":
            return f"Ray did not start on this machine: {error}; look at {self.temp_dir}, or type: regatta doctor"
        return (
            f"cluster.address: {self.address}: no Ray cluster answers ({error}); start one with `ray start --head`, "
            "or use cluster.address: local"
        )

    def end(self, actor: Any, pid: int | None) -> None:
        """Have an actor of a pool end, whatever it does; `await_vacant` waits until it has."""
        with contextlib.suppress(self.ray.exceptions.RayError):  # of a Ray that is no more: it has taken the actor along
            self.ray.kill(actor, no_restart=True)
        self._leaving.append(_Leaving(actor, pid))

    def await_vacant(self) -> None:
        """Return when no actor of a former pool is left, as two trials on one place would disturb each other's clocks.

        An actor on another node counts as gone when Ray says so. Raises `PoolError` for one that does not end.
        """
        deadline = time.monotonic() + _LEAVING_PATIENCE_S
        while self._leaving:
            if self._is_gone(self._leaving[-1]):
                self._leaving.pop()
            elif time.monotonic() > deadline:
                raise PoolError(
                    f"{len(self._leaving)} workers of the former turn do not end; look for them with `ps`, then resume"
                )
            else:
                time.sleep(_LOOK_AGAIN_S)

    def _is_gone(self, leaving: _Leaving) -> bool:
        try:
            self.ray.get(leaving.actor.describe.remote(), timeout=_LOOK_AGAIN_S)
        except self.ray.exceptions.RayActorError:
            return leaving.pid is None or not Path(f"/proc/{leaving.pid}").exists()
        except self.ray.exceptions.GetTimeoutError:
            return False
        return False

    def close(self) -> None:
        """Let go of Ray, and of every actor with it; end it where it was ours."""
        self._leaving.clear()
        if self.ray is not None:
            self.ray.shutdown()
            self.ray = None
        if self.address == "local":
            shutil.rmtree(self.temp_dir, ignore_errors=True)


@dataclass(slots=True)
class Pool:
    """`start` it, `submit` trials to joined workers, read `arrivals`, `close` it."""

    cluster: Cluster
    gpus: float | None  # a trial takes; None: one where there are GPUs
    base_bundle: bytes
    arrivals: queue.SimpleQueue[Any]
    gates_ahead: bool = False  # trials begin with what needs no GPU, and ask their worker for it later
    gpus_a_trial: float = 0.0
    abreast: int = 1  # trials that share them, one at a time
    _hands: dict[str, _Hand] = field(default_factory=dict)
    _ray: Any = None
    _bundle: Any = None
    _closed: bool = False

    def start(self) -> None:
        """Ask for the actors, where need be of a Ray that this starts; each puts a `Joined` when it is there.

        Raises `PoolError`.
        """
        self.cluster.start()
        self._ray = self.cluster.ray
        self.cluster.await_vacant()
        places = self._places()
        from workers.actor import remote_worker

        letters = _ABREAST if self.gates_ahead and self.gpus_a_trial >= 1 else ("",)
        self.abreast = len(letters)
        worker_class = remote_worker(self.cluster.cpus, self.gpus_a_trial, self.abreast)
        self._bundle = self._ray.put(self.base_bundle)  # once, not once an actor
        root = str(Path(tempfile.gettempdir()) / f"regatta-{os.getuid()}")  # on each node's own disk
        # Places are spread evenly, or nearly; a node that has more than its share of them lives with less memory a trial.
        share = len([node for node in self._ray.nodes() if node["Alive"]]) / (places * self.abreast)
        for number in range(places):
            actor = worker_class.remote(f"w{number}", root, share=share, abreast=self.abreast)
            for letter in letters:
                name = f"w{number}{letter}"
                self._hands[name] = _Hand(actor)
                self._greet(name, self._hands[name])

    def _places(self) -> int:
        """How many trials can run at once; settles how many GPUs each takes. Raises `PoolError`."""
        resources = self._ray.cluster_resources()
        gpus = resources.get("GPU", 0.0)
        self.gpus_a_trial = self.gpus if self.gpus is not None else (1.0 if gpus else 0.0)
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        places = int(gpus / self.gpus_a_trial) if self.gpus_a_trial else self.cluster.cpu_slots * len(nodes)
        if not places:
            raise PoolError(
                f"trial.gpus: {self.gpus_a_trial:g} a trial, but the cluster has {gpus:g} GPUs; "
                "set trial.gpus to 0 to measure on CPUs"
            )
        return places

    def _greet(self, name: str, hand: _Hand) -> None:
        """Give a new, or restarted, actor the base commit; `Joined` when it has it."""
        here = self._ray.get_runtime_context().get_node_id()

        def greeted(future: Any) -> None:
            error = future.exception()
            if error is None:
                info = future.result()
                hand.pid = info.pid if info.node == here else None
                self.arrivals.put(Joined(name, info.address, info.device, info.cannot_confine))
            else:
                self.arrivals.put(Lost(name, _first_line(error)))

        def received(future: Any) -> None:
            error = future.exception()
            if self._closed:
                return
            if error is None:
                hand.actor.describe.remote().future().add_done_callback(greeted)
            else:
                self.arrivals.put(Lost(name, _first_line(error)))

        hand.actor.receive.remote(self._bundle).future().add_done_callback(received)

    def submit(self, worker: str, spec: TrialSpec) -> None:
        """Hand a trial to an idle worker; `Measured` or `Failed` follows."""
        hand = self._hands[worker]
        hand.spec, hand.log_offset = spec, 0

        def done(future: Any) -> None:
            error = future.exception()
            hand.spec = None
            if self._closed:
                return
            if error is None:
                self.arrivals.put(Measured(worker, future.result()))
                return
            self.arrivals.put(Failed(worker, spec.trial_id, spec.attempt, _first_line(error)))
            if isinstance(error, MissingBaseError):  # its node's cache was cleared under it
                hand.actor.receive.remote(self._bundle)
            if isinstance(error, self._ray.exceptions.RayActorError):
                self.arrivals.put(Lost(worker, _first_line(error)))
                self._greet(worker, hand)  # Ray restarts the actor; it answers when it is back

        hand.actor.run.remote(spec).future().add_done_callback(done)

    def cancel(self, trial: str) -> None:
        for hand in self._hands.values():
            if hand.spec is not None and hand.spec.trial_id == trial:
                hand.actor.cancel.remote(trial)

    def peek(self) -> None:
        """Ask every busy worker how far it is; answers arrive as `Peeked`."""
        for hand in self._hands.values():
            if hand.spec is not None and not hand.peeking:
                self._peek_at(hand, hand.spec)

    def _peek_at(self, hand: _Hand, spec: TrialSpec) -> None:
        hand.peeking = True

        def peeked(future: Any) -> None:
            hand.peeking = False
            if future.exception() is None and hand.spec is spec:
                progress, log, hand.log_offset = future.result()
                self.arrivals.put(Peeked(spec.trial_id, progress, log))

        hand.actor.peek.remote(spec.trial_id, hand.log_offset).future().add_done_callback(peeked)

    def close(self) -> None:
        """Let the actors end, and their candidates with them."""
        self._closed = True
        for actor, pid in {id(hand.actor): (hand.actor, hand.pid) for hand in self._hands.values()}.values():
            self.cluster.end(actor, pid)
        self._hands.clear()
        self._bundle = None


def reap(temp_dir: Path) -> int:
    """End what a killed head left of its Ray, which bears `temp_dir` in its command lines. Returns how many processes."""
    import psutil

    marked = str(temp_dir)
    ended = []
    for process in psutil.process_iter(["cmdline"]):
        if process.pid != os.getpid() and any(marked in part for part in process.info["cmdline"] or ()):
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
                ended.append(process)
    psutil.wait_procs(ended, timeout=5)
    shutil.rmtree(temp_dir, ignore_errors=True)
    return len(ended)


def _short_temp_dir() -> Path:
    """Where Ray's sockets fit: a path of theirs must stay under 108 bytes, and Ray adds about 70."""
    folder = Path(tempfile.gettempdir())
    return folder if len(os.fsencode(folder)) <= 20 else Path("/tmp")


@contextlib.contextmanager
def _environment_without_ray_address(address: str) -> Iterator[None]:
    """`RAY_ADDRESS` would override the address `local`."""
    saved = os.environ.pop("RAY_ADDRESS", None) if address == "local" else None
    try:
        yield
    finally:
        if saved is not None:
            os.environ["RAY_ADDRESS"] = saved


@contextlib.contextmanager
def _without_attendants(ray: Any) -> Iterator[None]:
    """Beside a head of its own Ray starts three Python processes that are of no use here: the server of a dashboard, which
    `init` waits for, the autoscaler and a reader of logs. They are more than half of a start, and no argument turns them off.
    A Ray that calls their starts otherwise goes on starting them."""
    node = ray._private.node.Node

    def no_server(self: Any, **_: Any) -> None:
        self._webui_url = None

    def none(self: Any) -> None:
        pass

    instead = {"start_api_server": no_server, "start_monitor": none, "start_log_monitor": none}
    originals = {name: getattr(node, name) for name in instead if hasattr(node, name)}
    for name in originals:
        setattr(node, name, instead[name])
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(node, name, original)


@contextlib.contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Ray takes SIGTERM for itself and would exit on the spot: give it back to whoever had it."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if threading.current_thread() is threading.main_thread() and handler is not None:
                signal.signal(number, handler)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"
