"""A virtual campaign that can be killed after any event and gone on with, as `resume` does. Used by tests only.

A trial's number follows from its commit's content and its seed alone: handed out again, it measures the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from virtual import VirtualCampaign

from orchestrator import events as ev
from orchestrator.events import Verdict
from orchestrator.ledger import CandidateState
from orchestrator.tournament import decisions as do
from orchestrator.tournament.settings import Settings
from workers.trial import Outcome

SD = 1e-3  # of the noise, where a test names none
Answer = Callable[[tuple[str, ...], ev.TrialStarted], "Outcome | dict[str, float]"]
"""What a trial gives, by what its commit holds: an outcome that is not ok, or further metrics."""


def nothing_special(names: tuple[str, ...], started: ev.TrialStarted) -> Outcome | dict[str, float]:
    return {}


def settings(**changes: object) -> Settings:
    """Settings of a small campaign with one proposer."""
    usual: dict[str, object] = {
        "metric": "m", "minimize": True, "seed": 0, "planned_candidates": 20, "proposers": ("replay",)
    }  # fmt: skip
    return Settings(**{**usual, **changes})  # type: ignore[arg-type]


@dataclass
class ResumableCampaign(VirtualCampaign):
    answer: Answer = nothing_special
    base_value: float = 1.0
    trial_s_of: Callable[[str], float] | None = None  # by worker, instead of `trial_s`

    def __post_init__(self) -> None:
        self.decisions: list[do.Decision] = []
        super().__post_init__()

    def true_value(self, names: tuple[str, ...]) -> float:
        return self.base_value + sum(self.effects[int(name[1:]) - 1] for name in names) + self.interaction(names)

    def resume(self, log: Sequence[ev.Event]) -> ResumableCampaign:
        """Begin again where another head's journal ends."""
        self.__post_init__()
        self.ledger.__init__(self.settings.metric)  # type: ignore[misc]
        self.log.clear()
        for event in log:
            self.tell(event)
            match event:
                case ev.Admitted():
                    self.content[event.commit] = (*self.content[event.base], event.candidate)
                case ev.StackBuilt():
                    self.content[event.commit] = self.content[event.base] + event.candidates
                case ev.ChampionMoved():
                    self.content[event.commit] = self.content[self.ledger.stacks[event.stack].built.commit]
                case _:
                    pass
        self.tell(ev.HeadStarted(2, "here", 0, "none"))
        for candidate in [c for c in self.ledger.pending.values() if c.state is CandidateState.PROPOSED]:
            assert self.ledger.champion is not None
            self._admit(candidate.id, self.ledger.champion.commit)
        for i in range(self.workers):
            self.tell(ev.WorkerChanged(f"w{i}", "here", "virtual", ev.WorkerState.IDLE))
        return self

    def run(self, at_most: int = 200_000) -> ResumableCampaign:
        for _ in range(at_most):
            if self.finished is not None:
                return self
            decision = self.tournament.next(self.now)
            if decision is not None:
                self.decisions.append(decision)
                self._carry_out(decision)
            elif self.ends:
                self._end_next_trial()
            else:
                raise AssertionError("the tournament waits for nothing")
        raise AssertionError(f"not over after {at_most} steps")

    def _carry_out(self, decision: do.Decision) -> None:
        if isinstance(decision, do.RestartTrial):
            attempt = self.ledger.open_trials[decision.trial].attempt + 1
            self.tell(ev.TrialRestarted(decision.trial, attempt, decision.worker))
            heapq.heappush(self.ends, (self.now + self.trial_s, len(self.ledger.trials), decision.trial))
            return
        super()._carry_out(decision)
        if isinstance(decision, do.StartTrial) and self.trial_s_of is not None:
            name = f"t{len(self.ledger.trials):06d}"
            self.ends = [(self.now + self.trial_s_of(decision.worker) if n == name else at, i, n) for at, i, n in self.ends]
            heapq.heapify(self.ends)

    def _end_next_trial(self) -> None:
        self.now, _, name = heapq.heappop(self.ends)
        trial = self.ledger.open_trials[name]
        content = self.content[trial.started.commit]
        answer = self.answer(content, trial.started)
        measured: dict[str, float] = {}
        outcome, reason = Outcome.OK, None
        if isinstance(answer, Outcome):
            outcome, reason = answer, f"virtual {answer}"
        else:
            rng = np.random.default_rng(trial.started.seed)
            measured = {self.settings.metric: self.true_value(content) + self.noise(rng), **answer}
        self.tell(
            ev.TrialEnded(
                name, trial.attempt, outcome, reason, measured, {}, self.trial_s, None,
                trial.worker, "virtual", 0.0, self.now, "f",
            )
        )  # fmt: skip


def normal(sd: float) -> Callable[[np.random.Generator], float]:
    return lambda rng: float(rng.normal(0.0, sd))


def silent(rng: np.random.Generator) -> float:
    return 0.0


def decided_once(campaign: ResumableCampaign) -> bool:
    """Every proposal has one end in the log, and no more."""
    ends: dict[str, int] = dict.fromkeys(campaign.ledger.candidates, 0)
    for event in campaign.log:
        if isinstance(event, ev.ChampionMoved):
            for name in event.kept:
                ends[name] += 1
        elif isinstance(event, ev.Rejected | ev.Conflicted) or (
            isinstance(event, ev.CandidateDecided) and event.verdict is not Verdict.WON
        ):
            ends[event.candidate] += 1
    return set(ends.values()) == {1}
