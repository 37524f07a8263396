"""Events to Prometheus: `http://127.0.0.1:<port>/metrics` while a campaign runs, all named `regatta_*`, units included.

Totals are those of the whole campaign: they begin as the ledger has them (`catch_up`), and `observe` adds what happens. The
histograms are this head's own. What is not known has no sample. Nothing here decides; the registry is this object's own, and
so is its server, which listens on the loopback interface alone.
"""

from __future__ import annotations

from collections import Counter as Count
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from orchestrator import events as ev
from orchestrator.events import WorkerState
from orchestrator.ledger import Ledger
from orchestrator.tournament import limits
from orchestrator.tournament.settings import Prices
from workers.trial import Outcome

DURATIONS_S = (1, 2, 5, 10, 30, 60, 120, 180, 240, 300, 330, 360, 420, 600, 900, 1800, 3600)
GAPS_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)


class Metrics:
    """The campaign's numbers, kept up by `observe`; `serve` them, and `close` at the end."""

    def __init__(self, prices: Prices | None = None) -> None:
        self.registry = CollectorRegistry()
        self._prices = prices or Prices()
        self._server: tuple[WSGIServer, Thread] | None = None
        self._free_since: dict[str, float] = {}
        self._make_champion()
        self._make_counts()

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"regatta_{name}", what, labels, registry=self.registry)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"regatta_{name}", what, labels, registry=self.registry)

    def _make_champion(self) -> None:
        which = "objective"
        self._champion_mean = self._gauge("champion_mean", "Mean of the objective on the champion, in its own unit", which)
        self._champion_stderr = self._gauge("champion_stderr", "Standard error of that mean", which)
        self._champion_trials = self._gauge("champion_trials", "Samples of the objective on the champion", which)
        self._baseline_mean = self._gauge("baseline_mean", "Mean of the objective on the base commit, in its own unit", which)
        self._baseline_stderr = self._gauge("baseline_stderr", "Standard error of that mean", which)
        self._noise = self._gauge("noise_stddev", "Standard deviation between repeats of one commit, pooled", which)
        self._kept = self._gauge("kept_candidates", "Candidates on the champion branch")

    def _make_counts(self) -> None:
        self._trials = self._counter("trials", "Trials that have ended", "outcome")
        for outcome in Outcome:
            self._trials.labels(outcome.value)  # every outcome is there from the start, at 0
        self._running = self._gauge("trials_running", "Trials that run now")
        self._durations = Histogram(
            "regatta_trial_duration_seconds",
            "Wall-clock of ended trials",
            ("outcome",),
            registry=self.registry,
            buckets=DURATIONS_S,
        )
        self._gaps = Histogram(
            "regatta_trial_gap_seconds",
            "From the end of a trial to the start of the next on the same worker",
            registry=self.registry,
            buckets=GAPS_S,
        )
        self._proposals = self._counter("proposals", "Proposals that have arrived", "proposer")
        self._candidates = self._gauge("candidates", "Candidates by state", "status")
        self._blocks = self._gauge("blocks", "Blocks of candidates that are measured together", "state")
        self._workers = self._gauge("workers", "Workers by state", "state")
        self._usd = self._gauge("spend_usd", "What the campaign has cost, at its own prices")
        self._gpu_seconds = self._counter("gpu_seconds", "GPU time of ended trials")
        self._energy = self._counter("energy_joules", "Energy of ended trials, where it could be measured")
        self._running_s = self._gauge("running_seconds", "How long heads of this campaign have run")

    # -- keeping up

    def catch_up(self, ledger: Ledger) -> None:
        """Begin with what a journal has already added up to. Once, before the first `observe`.

        Gaps between trials are those of this head alone.
        """
        for trial in ledger.trials.values():
            if trial.ended is not None:
                self._count_ended(trial.ended, trial.started.gpus)
        for proposer, count in ledger.proposals_by.items():
            self._proposals.labels(proposer).inc(count)
        self._set_champion(ledger)
        self._set_workers(ledger)
        self._set_candidates(ledger)
        self._set_spent(ledger)

    def observe(self, event: ev.Event, ledger: Ledger, at: float | None = None) -> None:
        """Take in an event that `ledger` already holds; `at` is its time (the ledger's last, by default)."""
        self._count(event, ledger, at if at is not None else ledger.last_at)
        if isinstance(event, ev.TrialEnded | ev.ChampionMoved):
            self._set_champion(ledger)
        self._set_workers(ledger)
        self._set_candidates(ledger)
        self._set_spent(ledger)

    def _count(self, event: ev.Event, ledger: Ledger, at: float | None) -> None:
        match event:
            case ev.HeadStarted():
                self._free_since.clear()
            case ev.TrialStarted() | ev.TrialRestarted():
                self._started(event, at)
            case ev.TrialEnded():
                self._ended(event, ledger, at)
            case ev.Proposed():
                self._proposals.labels(event.proposer).inc()
            case _:
                pass

    def _started(self, event: ev.TrialStarted | ev.TrialRestarted, at: float | None) -> None:
        since = self._free_since.pop(event.worker, None)
        if since is not None and at is not None:
            self._gaps.observe(max(0.0, at - since))

    def _ended(self, event: ev.TrialEnded, ledger: Ledger, at: float | None) -> None:
        self._count_ended(event, ledger.trials[event.trial].started.gpus)
        if at is not None:
            self._free_since[event.worker] = at

    def _count_ended(self, event: ev.TrialEnded, gpus: float) -> None:
        self._trials.labels(event.outcome.value).inc()
        self._durations.labels(event.outcome.value).observe(event.wall_s)
        self._gpu_seconds.inc(event.wall_s * gpus)
        if event.energy_j is not None:
            self._energy.inc(max(0.0, event.energy_j))

    def _set_candidates(self, ledger: Ledger) -> None:
        for state, count in ledger.states.items():
            self._candidates.labels(state.value).set(count)
        self._blocks.labels("open").set(len(ledger.blocks.open))
        self._blocks.labels("closed").set(len(ledger.blocks.closed))

    def _set_champion(self, ledger: Ledger) -> None:
        objective, noise = ledger.objective, ledger.book.noise().sd
        if ledger.opened is None or ledger.champion is None:
            return
        for commit, mean, stderr in (
            (ledger.champion.commit, self._champion_mean, self._champion_stderr),
            (ledger.base, self._baseline_mean, self._baseline_stderr),
        ):
            samples, error = ledger.samples(commit), ledger.book.stderr(commit)
            if samples.n:
                mean.labels(objective).set(samples.mean)
            if error is not None:
                stderr.labels(objective).set(error)
        self._champion_trials.labels(objective).set(ledger.samples(ledger.champion.commit).n)
        self._kept.set(len(ledger.champion.kept))
        if noise is not None:
            self._noise.labels(objective).set(noise)

    def _set_workers(self, ledger: Ledger) -> None:
        busy = ledger.busy()
        states = Count(
            WorkerState.BUSY if name in busy and seen.state is WorkerState.IDLE else seen.state
            for name, seen in ledger.workers.items()
        )
        for state in WorkerState:
            self._workers.labels(state.value).set(states[state])
        self._running.set(len(busy))

    def _set_spent(self, ledger: Ledger) -> None:
        self._usd.set(limits.usd(ledger, self._prices))
        self._running_s.set(ledger.running_s())

    # -- serving

    def serve(self, port: int) -> int:
        """Serve on 127.0.0.1; the port, a free one where 0 was asked for. Raises OSError when it is taken."""
        server, thread = start_http_server(port, addr="127.0.0.1", registry=self.registry)
        self._server = server, thread
        return int(server.server_port)

    def close(self) -> None:
        """Stop serving. May be called twice."""
        if self._server is not None:
            server, thread = self._server
            self._server = None
            server.shutdown()
            server.server_close()
            thread.join()
