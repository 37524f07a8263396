"""One head, from lock to report: takes a run directory, assembles the parts, and runs the campaign in the foreground.

Owns what a terminal sees while it works and what the signals do. The campaign itself knows neither.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from orchestrator.campaign import Campaign, End
from orchestrator.cluster import Cluster, reap
from orchestrator.config import Config
from orchestrator.events import EndState, Event, Note
from orchestrator.metrics import Metrics
from orchestrator.notebook.keeping import NotebookFile, knob_names
from orchestrator.opening import Parts, open_parts
from orchestrator.owned_directory import OwnedDirectory
from orchestrator.pool import Pool
from orchestrator.run_directory import RunDirectory, RunDirectoryError
from orchestrator.views.log import line_for

if TYPE_CHECKING:
    from workers.trial import Progress

Say = Callable[[str], None]
OnTick = Callable[[float, "Mapping[str, Progress]"], None]
STOP_PATIENCE_S = 60.0


class Interruption:
    """What Ctrl-C or SIGTERM has asked for. Once: stop in order. Twice: at once; the journal has everything that happened, and
    `resume` goes on from there."""

    def __init__(self) -> None:
        self.asked = False
        self._stop: Callable[[], None] | None = None

    @contextlib.contextmanager
    def noticed(self) -> Iterator[None]:
        """Take the signals for the time of the block."""
        before: dict[int, Any] = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def stopping(self, campaign: Campaign) -> Iterator[None]:
        """Have `campaign` stop in order when that is asked for, or was asked for before it began."""
        self._stop = campaign.interrupt
        if self.asked:
            campaign.interrupt()
        try:
            yield
        finally:
            self._stop = None

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self._stop is not None:
            self._stop()


@dataclass(frozen=True, slots=True)
class Shared:
    """What heads that follow each other in one process have in common; none of them ends it."""

    cluster: Cluster
    interruption: Interruption


def work(run: RunDirectory, overrides: Sequence[str], say: Say, shared: Shared | None = None) -> End:
    """Run a campaign to its end. Raises `RunDirectoryError` when another process holds the run, `PoolError` without Ray.

    With `shared`, on the Ray and under the signals of whoever calls, and in plain lines wherever they go.
    """
    with run.locked(time.time()):
        end_what_was_left(run, say)
        parts = open_parts(run, overrides)
        try:
            if shared is not None:
                return _work(parts, say, shared)
            cluster = cluster_of(parts.config)
            run.note_ray(cluster.temp_dir)
            try:
                return _work(parts, say, Shared(cluster, Interruption()), alone=True)
            finally:
                cluster.close()
                run.head_file.unlink(missing_ok=True)
        finally:
            parts.close()


def end_what_was_left(directory: OwnedDirectory, say: Say) -> None:
    """End the Ray of a process that held `directory` and was killed. The caller holds it now."""
    left = directory.ray_left_behind()
    if left is not None:
        ended = reap(left)
        directory.head_file.unlink(missing_ok=True)
        say(f"the former head was killed; ended {ended} processes that its Ray had left")


def cluster_of(config: Config) -> Cluster:
    """The Ray that a config asks for, not started yet."""
    return Cluster(config.cluster.address, config.cluster.cpu_slots, config.trial.cpus)


def _work(parts: Parts, say: Say, shared: Shared, *, alone: bool = False) -> End:
    metrics = Metrics(parts.settings.prices)
    metrics.catch_up(parts.ledger)
    metrics_port, taken = _serve(metrics, parts.config.metrics.port)
    pool = Pool(
        cluster=shared.cluster,
        gpus=parts.config.trial.gpus,
        base_bundle=parts.repository.base_bundle(),
        arrivals=queue.SimpleQueue(),
        gates_ahead=parts.config.target.runner == "kernel" and parts.config.target.gates_ahead is not False,
    )
    campaign = Campaign(parts, pool, [lambda event, at: metrics.observe(event, parts.ledger, at)])
    interruption = shared.interruption
    try:
        with contextlib.ExitStack() as around:
            on_tick = around.enter_context(_watching(parts, campaign, say, live=alone and sys.stdout.isatty()))
            if alone:
                around.enter_context(interruption.noticed())
            around.enter_context(interruption.stopping(campaign))
            ticked = around.enter_context(_taking_notes(parts, on_tick))
            return campaign.run(metrics_port, ticked, [] if taken is None else [taken])
    finally:
        pool.close()
        metrics.close()


def _serve(metrics: Metrics, port: int) -> tuple[int, Note | None]:
    """The port of /metrics. A taken one must not end a night before it begins: a free one serves as well."""
    try:
        return metrics.serve(port), None
    except OSError as error:
        other = metrics.serve(0)
        return other, Note(f"metrics.port {port} is taken ({error.strerror}); metrics are on {other}", "warning")


@contextlib.contextmanager
def _watching(parts: Parts, campaign: Campaign, say: Say, *, live: bool) -> Iterator[OnTick]:
    """Show the work: a live view, or one plain line for each thing worth knowing."""
    if live:
        from orchestrator.views.live import LiveView

        with LiveView(parts.ledger, parts.config, parts.run) as view:
            campaign.watch(view.observe)
            yield view.update
        return
    ledger = parts.ledger

    def tell(event: Event, at: float) -> None:
        line = line_for(event, at, ledger, quiet=True)
        if line is not None:
            say(line)

    campaign.watch(tell)
    yield lambda _now, _progress: None


@contextlib.contextmanager
def _taking_notes(parts: Parts, on_tick: OnTick) -> Iterator[OnTick]:
    """Keep RUN/notebook.md as the campaign goes, and as it ended."""
    scope = parts.admission.scoping.scope
    notes = NotebookFile(
        parts.run,
        parts.ledger,
        minimize=parts.settings.minimize,
        knobs=lambda commit: knob_names(parts.repository, commit, scope.matches),
    )

    def tick(now: float, progress: Mapping[str, Progress]) -> None:
        on_tick(now, progress)
        notes.update(time.monotonic())

    try:
        yield tick
    finally:
        notes.write()


def stop(run: OwnedDirectory) -> str:
    """Ask whoever runs a run, or a fleet, to stop, as Ctrl-C does, and wait until it has. Raises `RunDirectoryError`."""
    holder = run.holder()
    if holder is None:
        return f"{run.path} is not running"
    if not holder.is_here:
        raise RunDirectoryError(f"{run.path}: runs on {holder.host} (process {holder.pid}); type `regatta stop` there")
    os.kill(holder.pid, signal.SIGINT)
    deadline = time.monotonic() + STOP_PATIENCE_S
    while run.holder() is not None:
        if time.monotonic() > deadline:
            raise RunDirectoryError(f"{run.path}: process {holder.pid} was asked to stop and still works; try once more")
        time.sleep(0.1)
    return f"{run.path} is stopped; go on with `regatta resume {run.path}`"


EXIT_CODES = {EndState.FINISHED: 0, EndState.FAILED: 1, EndState.INTERRUPTED: 130}
