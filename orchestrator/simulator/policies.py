"""Keep rules to compare the tournament with, on the same ledger, the same virtual GPUs and the same proposals.

They are what search loops do today, and nothing that a campaign can be run with. None repeats a champion, none has finals: a
winner is carried over to the champion as it is by then, and its samples become the champion's record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orchestrator.events import CandidateDecided, LimitReached, Purpose, StackDecided, Verdict
from orchestrator.ledger import Candidate, CandidateState, Ledger
from orchestrator.simulator.landscape import Landscape
from orchestrator.simulator.night import MakePolicy
from orchestrator.tournament import limits
from orchestrator.tournament.decisions import BuildStack, Decision, Finish, GiveUp, MoveChampion, Propose, Reapply, StartTrial
from orchestrator.tournament.machine import Tournament
from orchestrator.tournament.race import own_fault
from orchestrator.tournament.settings import Settings

MACHINES_FAIL_IN_A_ROW = 1000  # then the landscape is no place to measure in


class KeepIfLower:
    """Each candidate is measured `samples` times, and kept if their mean is lower than the champion's by `margin`."""

    def __init__(self, ledger: Ledger, settings: Settings, *, samples: int, margin: float) -> None:
        self.ledger, self.settings = ledger, settings
        self.samples, self.margin = samples, margin

    def next(self, now: float) -> Decision | None:
        """The next decision at virtual time `now`."""
        return self._give_up() or self._stack() or self._verdict() or self._limit(now) or self._trial() or self._end()

    # -- deciding

    def _give_up(self) -> GiveUp | None:
        hopeless = self.ledger.roster.infra_in_a_row >= MACHINES_FAIL_IN_A_ROW
        return GiveUp("every trial fails by the machines' fault") if hopeless else None

    def _stack(self) -> Decision | None:
        stack = self.ledger.open_stack
        if stack is None:
            return BuildStack((self.ledger.won[0],)) if self.ledger.won else None
        if stack.decided is not None:
            return MoveChampion(stack.built.stack)
        return StackDecided(stack.built.stack, kept=True, reason="its samples are taken at their word")

    def _verdict(self) -> CandidateDecided | None:
        record = self._record()
        for candidate in self._racing():
            fault = own_fault(self.ledger.trials[name] for name in candidate.race_trials)
            if fault is not None:
                return CandidateDecided(candidate.id, *fault)
            if record is not None and self._measured(candidate):
                lower = self._mean(candidate) < record - self.margin
                return CandidateDecided(candidate.id, Verdict.WON if lower else Verdict.DISCARD, f"the record is {record:g}")
        return None

    def _record(self) -> float | None:
        """What the champion's own samples said when it was crowned; None while the base is being measured."""
        champion = self.ledger.champion
        assert champion is not None
        if champion.kept:
            return self._mean(self.ledger.candidates[champion.kept[-1]])
        base = self.ledger.samples(champion.commit)
        return self.settings.signed(base.mean) if base.n >= self.samples else None

    def _mean(self, candidate: Candidate) -> float:
        return self.settings.signed(self.ledger.samples(candidate.commit or "").mean)

    def _measured(self, candidate: Candidate) -> bool:
        return self.ledger.samples(candidate.commit or "").n >= self.samples

    def _racing(self) -> list[Candidate]:
        return [c for c in self.ledger.pending.values() if c.state is CandidateState.RACING]

    # -- measuring

    def _limit(self, now: float) -> LimitReached | None:
        if self._over():
            return None
        reason = limits.reached(self.ledger, self.settings, now)
        return None if reason is None else LimitReached(reason)

    def _over(self) -> bool:
        limit = self.ledger.limit
        return limit is not None and not limits.only_ends_proposing(limit, self.settings)

    def _trial(self) -> Decision | None:
        ledger = self.ledger
        if self._over():
            return None
        free = ledger.free_workers()
        if not free:
            return self._propose()
        if self._wants_more(ledger.base):
            return StartTrial(free[0], Purpose.BASELINE, ledger.base, (), seed=0)
        if self._record() is None:
            return self._propose()
        unfinished = next((c for c in self._racing() if self._wants_more(c.commit or "")), None)
        if unfinished is not None:
            return StartTrial(free[0], Purpose.RACE, unfinished.commit or "", (unfinished.id,), seed=0)
        return self._first_trial(free[0]) or self._propose()

    def _first_trial(self, worker: str) -> Decision | None:
        ledger = self.ledger
        assert ledger.champion is not None
        waiting = next((c for c in ledger.pending.values() if c.state is CandidateState.WAITING), None)
        if waiting is None:
            return None
        if waiting.base != ledger.champion.commit:
            return Reapply(waiting.id)
        return StartTrial(worker, Purpose.RACE, waiting.commit or "", (waiting.id,), seed=0)

    def _wants_more(self, commit: str) -> bool:
        trials = self.ledger.trials_of.get(commit, [])
        return sum(trial.ended is None or not trial.ended.outcome.is_wasted for trial in trials) < self.samples

    def _propose(self) -> Propose | None:
        ahead = self.ledger.states[CandidateState.WAITING]
        return Propose() if self.ledger.limit is None and ahead < len(self.ledger.workers) + 1 else None

    def _end(self) -> Finish | None:
        limit = self.ledger.limit
        if limit is None or self.ledger.open_trials:
            return None
        return None if limits.only_ends_proposing(limit, self.settings) and self.ledger.pending else Finish(limit)


class BestOfWave(KeepIfLower):
    """As many candidates as there are GPUs race at once; the best of them is kept if it is lower than the champion's run."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        super().__init__(ledger, settings, samples=1, margin=0.0)
        self._verdicts: list[CandidateDecided] = []  # on the wave that has just come in, the losers first

    def _verdict(self) -> CandidateDecided | None:
        if not self._verdicts:
            self._verdicts = self._judge()
        return self._verdicts.pop(0) if self._verdicts else None

    def _judge(self) -> list[CandidateDecided]:
        record, wave = self._record(), self._racing()
        trials = self.ledger.trials
        faults = {c.id: own_fault(trials[name] for name in c.race_trials) for c in wave}
        if record is None or not wave or any(not self._measured(c) and faults[c.id] is None for c in wave):
            return []
        if self._room(wave) and self.ledger.limit is None:
            return []
        crashed = [CandidateDecided(name, *fault) for name, fault in faults.items() if fault is not None]
        sound = sorted((c for c in wave if faults[c.id] is None), key=self._mean)
        if not sound:
            return crashed
        best, *others = sound
        lost = [CandidateDecided(c.id, Verdict.DISCARD, "not the best of its wave") for c in others]
        verdict = Verdict.WON if self._mean(best) < record else Verdict.DISCARD
        return [*crashed, *lost, CandidateDecided(best.id, verdict, f"the best of its wave; the record is {record:g}")]

    def _room(self, wave: list[Candidate]) -> bool:
        return len(wave) < len(self.ledger.workers)

    def _first_trial(self, worker: str) -> Decision | None:
        return super()._first_trial(worker) if self._room(self._racing()) else None


POLICIES: dict[str, Callable[[Landscape], MakePolicy]] = {
    "auto": lambda _: _in_lanes("auto"),
    "greedy": lambda _: _keep_if_lower(samples=1),
    "two-sigma": lambda landscape: _keep_if_lower(samples=1, margin=2 * landscape.noise.sd),
    "three-seeds": lambda _: _keep_if_lower(samples=3),
    "best-of-wave": lambda _: BestOfWave,
    "solo": lambda _: _in_lanes("solo"),
    "blocks": lambda _: _in_lanes("blocks"),
}


def _in_lanes(lanes: str) -> MakePolicy:
    return lambda ledger, settings: Tournament(ledger, replace(settings, lanes=lanes))


def _keep_if_lower(samples: int, margin: float = 0.0) -> MakePolicy:
    return lambda ledger, settings: KeepIfLower(ledger, settings, samples=samples, margin=margin)
