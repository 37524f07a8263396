"""The workers of a campaign: who is there, who is free, whom the machine fails, and whose numbers or pace are in doubt. A fold.

Only the ledger changes it, in the journal's order; a new head begins with nobody.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from orchestrator import events as ev
from workers.trial import Outcome

RESTS_AFTER = 3  # trials in a row that the machine failed on one worker
STEPS = "num_steps"  # what a training script reports of how many steps it took in its budget
PACES_KEPT = 8  # trials of a worker, the last ones


@dataclass(frozen=True, slots=True)
class Suspicion:
    event: ev.MachineSuspected
    since: int  # trials started before it


class Roster:
    def __init__(self) -> None:
        self.workers: dict[str, ev.WorkerChanged] = {}
        self.infra_in_a_row = 0
        self.infra_by_worker: dict[str, int] = {}  # in a row
        self.suspicion: Suspicion | None = None
        self.cleared: set[tuple[str, str]] = set()  # workers that were suspected for the rows of a block, and are sound
        self.doubted: set[str] = set()  # set aside: their numbers or their pace disagree with the others'
        self.paces: dict[str, deque[float]] = {}  # steps in a trial's budget, of each worker's last trials
        # Until something happens that may change them: who is there and idle or in a trial, and who of them is free.
        self._usable: list[str] | None = None
        self._free: list[str] | None = None
        self._rank: dict[str, int] = {}  # of those that are usable

    def free(self, busy: Iterable[str]) -> list[str]:
        """Workers that can take a trial; `busy`: who is in one. One that its machine keeps failing rests while others work: it
        would take trial after trial for the fastest of them all."""
        if self._usable is None:
            self._usable = [w for w, seen in self.workers.items() if seen.state is ev.WorkerState.IDLE]
            self._rank = {worker: nth for nth, worker in enumerate(self._usable)}
        if self._free is None:
            taken, usable = set(busy), self._usable
            resting = {w for w, failures in self.infra_by_worker.items() if failures >= RESTS_AFTER}
            sound = [w for w in usable if w not in resting] if resting else usable
            self._free = [w for w in sound or usable if w not in taken]
        return self._free

    # -- folding

    def begin(self) -> None:
        """A head has started: its workers are yet to join."""
        self.workers.clear()
        self.doubted.clear()
        self.paces.clear()
        self.suspicion = None
        self.infra_in_a_row = 0
        self.infra_by_worker.clear()
        self._usable = self._free = None

    def change(self, event: ev.WorkerChanged) -> None:
        self.workers[event.worker] = event
        self._usable = self._free = None

    def occupy(self, worker: str) -> None:
        if self._free is not None and worker in self._free:
            self._free.remove(worker)

    def look_again(self) -> None:
        """Who is free has changed in a way that is not followed one by one."""
        self._free = None

    def release(self, worker: str, ended: ev.TrialEnded, *, adrift: bool) -> None:
        """The worker is free again; who rests, and whether it is there at all, is looked up where that may have changed."""
        may_rest = ended.outcome is Outcome.INFRA or self.infra_by_worker
        if self._free is None or may_rest or adrift or worker not in self._rank:
            self._free = None
        else:
            insort(self._free, worker, key=self._rank.__getitem__)

    def count(self, worker: str, outcome: Outcome) -> None:
        """Whether the machines do their part."""
        if outcome is Outcome.INFRA:
            self.infra_in_a_row += 1
            self.infra_by_worker[worker] = self.infra_by_worker.get(worker, 0) + 1
        elif outcome is not Outcome.CANCELLED:
            self.infra_in_a_row = 0
            others = {w: n for w, n in self.infra_by_worker.items() if w != worker}
            self.infra_by_worker = {w: min(n, RESTS_AFTER - 1) for w, n in others.items()}  # who rests may try once more

    def clock(self, worker: str, ended: ev.TrialEnded) -> None:
        """How many steps it took in the budget, where the script says so."""
        steps = ended.metric(STEPS)
        if steps is not None and steps > 0:
            self.paces.setdefault(worker, deque(maxlen=PACES_KEPT)).append(steps)

    def suspect(self, event: ev.MachineSuspected, trials: int) -> None:
        self.suspicion = Suspicion(event, since=trials)

    def clear(self, event: ev.MachineCleared) -> None:
        self.cleared.add((event.worker, event.block))
        if self.suspicion is not None and self.suspicion.event.pace is not None:
            self.paces.pop(event.worker, None)  # it is asked again when it has run as many trials again
        self.suspicion = None

    def set_aside(self, event: ev.MachineDoubted) -> None:
        self.suspicion = None
        self.doubted.add(event.worker)
        self.paces.pop(event.worker, None)
        self.change(replace(self.workers[event.worker], state=ev.WorkerState.SET_ASIDE, detail=event.reason))
