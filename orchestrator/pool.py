"""The pool: trials to Ray actors, and their answers into the campaign's queue.

One actor a GPU (or a CPU slot where there is no GPU), owned by this process: they die with it, and their candidates with
them. An actor is one worker of the campaign's; where kernels are timed it is two, one of which passes the gates while the
other is timed. What arrives is put into a queue from Ray's threads; nothing here decides or journals.
"""

from __future__ import annotations

import os
import queue
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.cluster import Cluster, PoolError
from workers.trial import Measurement, Progress, TrialSpec
from workers.workspace import MissingBaseError

_ABREAST = ("a", "b")  # kernels on one GPU: to pass the gates takes about as long as to be timed


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


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"
