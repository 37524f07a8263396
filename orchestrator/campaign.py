"""The campaign: the one loop. It takes the next thing that happened (a worker, the clock, a person), journals it, asks the
tournament, journals each decision and carries it out.

Everything that changes the campaign goes through `_record`: first the journal, then the ledger, then whoever watches. Killed at
any instant, a new head goes on from the journal; a trial that was out is handed out again under the same id.
"""

from __future__ import annotations

import os
import queue
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator import events as ev
from orchestrator import inbox, trial_files
from orchestrator.acts import Acts
from orchestrator.confinement import Sandbox
from orchestrator.events import EndState, WorkerState
from orchestrator.ledger import CandidateState
from orchestrator.opening import Parts, candidates_ended_by, tell
from orchestrator.pool import Failed, Incoming, Joined, Lost, Measured, Peeked, Pool
from orchestrator.proposers.base import Delivery, Proposal
from orchestrator.tournament import decisions as do
from orchestrator.tournament.machine import Tournament
from workers.trial import Measurement, Outcome, Progress

TICK_S = 0.5  # how often the clock, the inbox and the running trials are looked at
CANCEL_PATIENCE_S = 20.0
NO_WORKER_PATIENCE_S = 120.0
SET_ASIDE_ADVICE = "Bring back what the campaign began with (device, data, libraries), or begin a new run"
PERSON = "person"  # the proposer of what `regatta propose` brings

Watcher = Callable[[ev.Event, float], None]


@dataclass(frozen=True, slots=True)
class End:
    """How a head stopped."""

    state: EndState
    detail: str | None = None
    trial: str | None = None  # whose log says more


class Campaign:
    """One head's work on one run. `run` once."""

    def __init__(self, parts: Parts, pool: Pool, watchers: list[Watcher]) -> None:
        self.parts = parts
        self.ledger = parts.ledger
        self.pool = pool
        self.progress: dict[str, Progress] = {}
        self._watchers = watchers
        self._proposers = {proposer.name: proposer for proposer in parts.proposers}
        self._acts = Acts(parts, pool, self._record)
        self._tournament = Tournament(parts.ledger, parts.settings, self._acts.proposing)
        self.interrupted = False
        self._end: End | None = None
        self._ticked = 0.0
        self._without_workers_since: float | None = None

    def run(
        self,
        metrics_port: int,
        on_tick: Callable[[float, Mapping[str, Progress]], None],
        notes: Sequence[ev.Note] = (),
    ) -> End:
        """Work until a limit, a failure or an interruption; what happened is in the journal when this returns or raises."""
        self._record(ev.HeadStarted(os.getpid(), socket.gethostname(), metrics_port, self.parts.sandbox.value))
        try:
            for note in notes:
                self._record(note)
            self._end = self._work(on_tick)
        except Exception as error:
            self._end = End(EndState.FAILED, str(error) or type(error).__name__)
            raise
        finally:
            self._acts.proposing.close()
            if self._end is not None:  # else: a second Ctrl-C, at once
                reason = self.ledger.limit if self._end.state is EndState.FINISHED else None
                self._record(ev.HeadStopped(self._end.state, reason, self._end.detail))
        return self._end

    def _work(self, on_tick: Callable[[float, Mapping[str, Progress]], None]) -> End:
        for candidate in list(self.ledger.pending.values()):
            if candidate.state is CandidateState.PROPOSED:  # the former head was killed before its gates had spoken
                self._acts.admit(candidate.id)
        self._read_inbox()
        self._acts.proposing.begin()
        self.pool.start()
        while self._end is None:
            self._decide()
            if self._end is None:
                self._take(self._next_arrival())
                self._tick(on_tick)
        if self.ledger.open_trials:
            self._cancel_running()
        return self._end

    def watch(self, watcher: Watcher) -> None:
        """Have every event told to `watcher`, after the ledger has it."""
        self._watchers.append(watcher)

    def interrupt(self) -> None:
        """Stop proposing, start no trial, cancel the running ones. Safe in a signal handler."""
        self.interrupted = True

    # -- what happens

    def _next_arrival(self) -> Incoming | Delivery | None:
        try:
            arrival: Incoming | Delivery = self.pool.arrivals.get(timeout=TICK_S)
        except queue.Empty:
            return None
        return arrival

    def _take(self, arrival: Incoming | Delivery | None) -> None:
        match arrival:
            case Joined():
                self._welcome(arrival)
            case Lost():
                known = self.ledger.workers.get(arrival.worker)
                node, device = (known.node, known.device) if known else ("unknown", "unknown")
                self._record(ev.WorkerChanged(arrival.worker, node, device, WorkerState.LOST, arrival.detail))
            case Measured():
                self._end_trial(arrival.worker, arrival.measurement)
            case Failed():
                self._end_failed(arrival)
            case Peeked():
                self._look(arrival)
            case Delivery():
                self._acts.proposing.take_in(arrival)
        if self.interrupted and self._end is None:
            self._end = End(EndState.INTERRUPTED)

    def _welcome(self, joined: Joined) -> None:
        lacks = joined.cannot_confine if self.parts.sandbox is Sandbox.BUBBLEWRAP else None
        state = WorkerState.IDLE if lacks is None else WorkerState.SET_ASIDE
        self._record(ev.WorkerChanged(joined.worker, joined.node, joined.device, state, lacks))

    def _end_trial(self, worker: str, found: Measurement) -> None:
        trial = self.ledger.open_trials.get(found.trial_id)
        if trial is None or trial.attempt != found.attempt:
            return  # an answer to a question that is no longer asked
        compared = trial.started.purpose is not ev.Purpose.SMOKE  # which is shorter: its fingerprint and number are its own
        found = self._comparable(found) if compared else found
        trial_files.keep(self.parts.run, found)
        self.progress.pop(found.trial_id, None)
        self._record(
            ev.TrialEnded(
                found.trial_id,
                found.attempt,
                found.outcome,
                found.reason,
                dict(found.measured),
                dict(found.reported),
                found.wall_s,
                found.energy_j,
                worker,
                found.device,
                found.started_at,
                found.ended_at,
                found.fingerprint,
            )
        )
        if compared and found.fingerprint is not None and self.ledger.fingerprint not in (None, found.fingerprint):
            known = self.ledger.workers[worker]
            self._record(ev.WorkerChanged(worker, known.node, known.device, WorkerState.SET_ASIDE, found.reason))

    def _comparable(self, found: Measurement) -> Measurement:
        """`found`, or, where its number cannot stand beside the campaign's others, the machine's failure to measure."""
        if found.outcome is not Outcome.OK:
            return found
        expected = self.ledger.fingerprint
        if found.metric(self.ledger.objective) is None:
            return replace(found, outcome=Outcome.INFRA, reason=f"the worker gave no value of {self.ledger.objective}")
        if expected is not None and found.fingerprint != expected:
            reason = (
                f"fingerprint {str(found.fingerprint)[:12]} is not the campaign's {expected[:12]}: another device, other data "
                "or other libraries; such numbers cannot be compared"
            )
            return replace(found, outcome=Outcome.INFRA, reason=reason)
        return found

    def _end_failed(self, failed: Failed) -> None:
        trial = self.ledger.open_trials.get(failed.trial)
        if trial is None or trial.attempt != failed.attempt:
            return
        now = time.time()
        known = self.ledger.workers.get(failed.worker)
        device = known.device if known else "unknown"
        self._record(
            ev.TrialEnded(
                failed.trial, failed.attempt, Outcome.INFRA, failed.detail, {}, {}, now - trial.started_at, None,
                failed.worker, device, trial.started_at, now, None,
            )
        )  # fmt: skip

    def _look(self, peeked: Peeked) -> None:
        if peeked.trial in self.ledger.open_trials:
            if peeked.progress is not None:
                self.progress[peeked.trial] = peeked.progress
            trial_files.add_to_log(self.parts.run, peeked.trial, peeked.log)

    def _tick(self, on_tick: Callable[[float, Mapping[str, Progress]], None]) -> None:
        now = time.time()
        if now - self._ticked < TICK_S:
            return
        self._ticked = now
        self._read_inbox()
        self.pool.peek()
        on_tick(now, self.progress)
        self._mind_the_workers(now)

    def _mind_the_workers(self, now: float) -> None:
        """Without a worker that can measure there is nothing to wait for."""
        states = [seen.state for seen in self.ledger.workers.values()]
        if any(state is WorkerState.IDLE for state in states):
            self._without_workers_since = None
            return
        since = self._without_workers_since = self._without_workers_since or now
        aside = next((w for w in self.ledger.workers.values() if w.state is WorkerState.SET_ASIDE), None)
        if aside is not None and all(state is WorkerState.SET_ASIDE for state in states):
            self._end = self._end or End(EndState.FAILED, f"every worker is set aside: {aside.detail}. {SET_ASIDE_ADVICE}")
        elif now - since > NO_WORKER_PATIENCE_S:
            lost = next((w.detail for w in self.ledger.workers.values() if w.detail), "none has answered")
            self._end = self._end or End(EndState.FAILED, f"no worker for {NO_WORKER_PATIENCE_S:g} s: {lost}")

    def _read_inbox(self) -> None:
        taken = {c.proposed.token for c in self.ledger.candidates.values() if c.proposed.proposer == PERSON}
        for path in self.parts.run.messages():
            message = inbox.read(path)
            if isinstance(message, str):
                self._record(ev.Note(message, "warning"))
            elif message.token not in taken:
                self._take_idea(Proposal(message.description, message.edits, token=message.token, against=message.against))
            path.unlink()

    def _take_idea(self, proposal: Proposal) -> None:
        exposed = self.parts.sandbox is Sandbox.NONE and self.parts.config.sandbox == "auto"
        candidate = self._acts.proposing.propose(PERSON, proposal, admit=not exposed)
        if exposed:  # auto, where nothing can be confined
            reason = "without bubblewrap only knobs may run: type `regatta doctor`, or begin a run with sandbox: none"
            self._record(ev.Rejected(candidate, "sandbox", reason))

    # -- what is decided

    def _decide(self) -> None:
        while not self.interrupted and self._end is None:
            decision = self._tournament.next(time.time())
            if decision is None:
                return
            self._carry_out(decision)

    def _carry_out(self, decision: do.Decision) -> None:
        match decision:
            case do.Finish():
                self._end = End(EndState.FINISHED)
            case do.GiveUp():
                self._end = End(EndState.FAILED, decision.detail, decision.trial)
            case _:
                self._acts.carry_out(decision)

    # -- the end

    def _cancel_running(self) -> None:
        for trial in list(self.ledger.open_trials):
            self.pool.cancel(trial)
        deadline = time.monotonic() + CANCEL_PATIENCE_S
        while self.ledger.open_trials and time.monotonic() < deadline:
            arrival = self._next_arrival()
            if isinstance(arrival, (Measured, Failed, Delivery)):
                self._take(arrival)

    def _record(self, event: ev.Event) -> None:
        at = time.time()
        self.parts.journal.append(event, at)
        self.ledger.apply(event, at)
        for candidate in candidates_ended_by(event, self.ledger):
            tell(self._proposers, candidate, self.parts.config)
        for watch in self._watchers:
            watch(event, at)
