"""Virtual GPUs and a virtual proposer on virtual time: what the campaign's pool and proposers are to a real night.

A trial holds its worker for `overhead_s` and `trial_s`; a crash ends it early. A proposal takes `proposal_s`, so many at once
as the landscape says. A node's failure takes one worker: its trial fails, and a replacement joins after `REPLACED_AFTER_S`.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from orchestrator.simulator.landscape import Landscape
from orchestrator.simulator.nature import Nature

REPLACED_AFTER_S = 300.0


@dataclass(frozen=True, slots=True)
class Measured:
    worker: int
    trial: str
    began_s: float
    value: float | None  # None: it crashed


@dataclass(frozen=True, slots=True)
class Lost:
    worker: int
    trial: str | None  # that it ran
    began_s: float


@dataclass(frozen=True, slots=True)
class Back:
    worker: int


@dataclass(frozen=True, slots=True)
class Written:
    """A proposal has arrived."""

    number: int  # of those asked for


@dataclass(frozen=True, slots=True)
class _Fails:
    """A node is about to fail."""


Happening = Measured | Lost | Back | Written


class Site:
    """Ask for trials and proposals; `next` moves the clock to what happens then."""

    def __init__(self, landscape: Landscape, nature: Nature, workers: int, gpus_a_trial: float, failures: np.random.Generator):
        self.now_s = 0.0
        self.busy_s = 0.0  # of all workers, in trials that have ended
        self.workers = workers
        self._gpus_a_trial = gpus_a_trial
        self._nature = nature
        self._durations = landscape.durations
        self._failures_per_s = landscape.rates.node_failures_per_h / 3600
        self._failures = failures
        self._due: list[tuple[float, int, Happening | _Fails]] = []
        self._asked = 0
        self._running: dict[int, Measured] = {}
        self._away: set[int] = set()
        self._wanted = 0  # proposals asked for
        self._written = 0
        self._expect_a_failure()

    def run(self, worker: int, trial: str, value: float, crashes_after: float | None, part: float = 1.0) -> None:
        """Begin a trial of a tree that is worth `value`, or that crashes after a part of the trial's time. It lasts `part` of
        a trial's usual time, beside the overhead."""
        assert worker not in self._running
        assert worker not in self._away
        lasts_s = self._durations.overhead_s + self._durations.trial_s * part * (
            1.0 if crashes_after is None else crashes_after
        )
        reads = None
        if crashes_after is None:
            reads = self._nature.reads(value, int(worker * self._gpus_a_trial), self.now_s / 3600)
        self._running[worker] = happening = Measured(worker, trial, self.now_s, reads)
        self._expect(lasts_s, happening)

    @property
    def in_flight(self) -> int:
        """Proposals that are being written."""
        return self._wanted - self._written

    def propose(self) -> bool:
        """Have one more proposal written; False where no more are written at once."""
        if self.in_flight >= self._durations.proposals_in_flight:
            return False
        self._expect(self._durations.proposal_s, Written(self._wanted))
        self._wanted += 1
        return True

    def next(self) -> Happening | None:
        """The next thing that happens; None when nothing is under way."""
        while self._running or self.in_flight or self._away:
            self.now_s, _, happening = heapq.heappop(self._due)
            told = self._happened(happening)
            if told is not None:
                return told
        return None

    def _happened(self, happening: Happening | _Fails) -> Happening | None:
        """What of it is news: neither a trial whose worker was lost meanwhile, nor a failure of what is already down."""
        match happening:
            case _Fails():
                self._expect_a_failure()
                return self._fail(int(self._failures.integers(self.workers)))
            case Measured(worker):
                if self._running.get(worker) is not happening:
                    return None
                self._leave(worker)
            case Back(worker):
                self._away.discard(worker)
            case Written():
                self._written += 1
        return happening

    def _fail(self, worker: int) -> Lost | None:
        if worker in self._away:
            return None
        trial = self._leave(worker)
        self._away.add(worker)
        self._expect(REPLACED_AFTER_S, Back(worker))
        return Lost(worker, trial.trial if trial else None, trial.began_s if trial else self.now_s)

    def _leave(self, worker: int) -> Measured | None:
        trial = self._running.pop(worker, None)
        if trial is not None:
            self.busy_s += self.now_s - trial.began_s
        return trial

    def _expect_a_failure(self) -> None:
        if self._failures_per_s:
            self._expect(float(self._failures.exponential(1 / self._failures_per_s)), _Fails())

    def _expect(self, in_s: float, happening: Happening | _Fails) -> None:
        self._asked += 1
        heapq.heappush(self._due, (self.now_s + in_s, self._asked, happening))
