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
from types import FrameType
from typing import TYPE_CHECKING, Any

from orchestrator.campaign import Campaign, End
from orchestrator.events import EndState, Event, Note
from orchestrator.metrics import Metrics
from orchestrator.notebook.keeping import NotebookFile, knob_names
from orchestrator.opening import Parts, open_parts
from orchestrator.pool import Pool, reap
from orchestrator.run_directory import RunDirectory, RunDirectoryError
from orchestrator.views.log import line_for

if TYPE_CHECKING:
    from workers.trial import Progress

Say = Callable[[str], None]
OnTick = Callable[[float, "Mapping[str, Progress]"], None]
STOP_PATIENCE_S = 60.0


def work(run: RunDirectory, overrides: Sequence[str], say: Say) -> End:
    """Run a campaign to its end. Raises `RunDirectoryError` when another process holds the run, `PoolError` without Ray."""
    with run.locked(time.time()):
        left = run.ray_left_behind()
        if left is not None:
            ended = reap(left)
            say(f"the former head was killed; ended {ended} processes that its Ray had left")
        parts = open_parts(run, overrides)
        try:
            return _work(parts, say)
        finally:
            parts.close()


def _work(parts: Parts, say: Say) -> End:
    config, run = parts.config, parts.run
    metrics = Metrics(parts.settings.prices)
    metrics.catch_up(parts.ledger)
    metrics_port, taken = _serve(metrics, config.metrics.port)
    pool = Pool(
        address=config.cluster.address,
        cpu_slots=config.cluster.cpu_slots,
        gpus=config.trial.gpus,
        cpus=config.trial.cpus,
        base_bundle=parts.repository.base_bundle(),
        arrivals=queue.SimpleQueue(),
    )
    run.note_ray(pool.temp_dir)
    campaign = Campaign(parts, pool, [lambda event, at: metrics.observe(event, parts.ledger, at)])
    try:
        with _watching(parts, campaign, say) as on_tick, _signals(campaign), _taking_notes(parts, on_tick) as ticked:
            return campaign.run(metrics_port, ticked, [] if taken is None else [taken])
    finally:
        pool.close()
        metrics.close()
        run.head_file.unlink(missing_ok=True)


def _serve(metrics: Metrics, port: int) -> tuple[int, Note | None]:
    """The port of /metrics. A taken one must not end a night before it begins: a free one serves as well."""
    try:
        return metrics.serve(port), None
    except OSError as error:
        other = metrics.serve(0)
        return other, Note(f"metrics.port {port} is taken ({error.strerror}); metrics are on {other}", "warning")


@contextlib.contextmanager
def _watching(parts: Parts, campaign: Campaign, say: Say) -> Iterator[OnTick]:
    """Show the work: a live view on a terminal, else one plain line for each thing worth knowing."""
    if sys.stdout.isatty():
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


@contextlib.contextmanager
def _signals(campaign: Campaign) -> Iterator[None]:
    """Once: stop in order. Twice: at once; the journal has everything that happened, and `resume` goes on from there."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        if campaign.interrupted:
            raise KeyboardInterrupt
        campaign.interrupt()

    before: dict[int, Any] = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop(run: RunDirectory) -> str:
    """Ask the head of a run to stop, as Ctrl-C does, and wait until it has. Raises `RunDirectoryError`."""
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
