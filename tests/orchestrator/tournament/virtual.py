"""A campaign on virtual time: the real ledger and tournament, with arithmetic in place of git and GPUs.

Commits are names; a commit's true value is the sum of the effects of the edits in it. Used by tests only.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from orchestrator import events as ev
from orchestrator.edits import Edit
from orchestrator.ledger import Ledger
from orchestrator.tournament import decisions as do
from orchestrator.tournament.machine import Tournament
from orchestrator.tournament.settings import Settings
from workers.trial import Outcome

Measure = Callable[[float, np.random.Generator], "float | Outcome"]


@dataclass
class VirtualCampaign:
    """Runs `effects` (one candidate each, in order) through the tournament; `noise(rng)` is added to every trial."""

    settings: Settings
    effects: list[float]
    noise: Callable[[np.random.Generator], float]
    workers: int = 1
    seed: int = 0
    outcome_of: Callable[[tuple[str, ...], np.random.Generator], Outcome] = lambda names, rng: Outcome.OK
    trial_s: float = 1.0
    usd: float = 0.0  # what a proposal costs
    interaction: Callable[[tuple[str, ...]], float] = lambda names: 0.0
    ledger: Ledger = field(init=False)
    log: list[ev.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.ledger = Ledger(self.settings.metric)
        self.tournament = Tournament(self.ledger, self.settings)
        self.now = 0.0
        self.ends: list[tuple[float, int, str]] = []
        self.content: dict[str, tuple[str, ...]] = {"base": ()}
        self.finished: do.Finish | do.GiveUp | None = None
        self.tell(ev.CampaignOpened("virtual", "base", "nowhere", "command", self.settings.seed, len(self.effects)))
        self.tell(ev.HeadStarted(1, "here", 0, "none"))
        for i in range(self.workers):
            self.tell(ev.WorkerChanged(f"w{i}", "here", "virtual", ev.WorkerState.IDLE))

    def tell(self, event: ev.Event) -> None:
        self.log.append(event)
        self.ledger.apply(event, self.now)

    def true_value(self, names: tuple[str, ...]) -> float:
        return 1.0 + sum(self.effects[int(name[1:]) - 1] for name in names) + self.interaction(names)

    def run(self) -> VirtualCampaign:
        while self.finished is None:
            decision = self.tournament.next(self.now)
            if decision is not None:
                self._carry_out(decision)
            elif self.ends:
                self._end_next_trial()
            else:
                raise AssertionError("the tournament waits for nothing")
        return self

    @property
    def kept(self) -> tuple[str, ...]:
        assert self.ledger.champion is not None
        return self.ledger.champion.kept

    def _carry_out(self, decision: do.Decision) -> None:
        champion = self.ledger.champion
        assert champion is not None
        match decision:
            case do.StartTrial():
                name = f"t{len(self.ledger.trials) + 1:06d}"
                self.tell(
                    ev.TrialStarted(
                        name,
                        decision.purpose,
                        decision.commit,
                        decision.candidates,
                        decision.seed,
                        decision.worker,
                        stack=decision.stack,
                    )
                )
                duration = self.trial_s * (0.9 + 0.2 * self.rng.random())
                heapq.heappush(self.ends, (self.now + duration, len(self.ledger.trials), name))
            case do.Reapply():
                self._admit(decision.candidate, champion.commit)
            case do.BuildStack():
                name = f"s{len(self.ledger.stacks) + 1:04d}"
                self.content[name] = self.content[champion.commit] + decision.candidates
                self.tell(ev.StackBuilt(name, champion.commit, name, decision.candidates, (name,)))
            case do.MoveChampion():
                built = self.ledger.stacks[decision.stack].built
                commit = f"champion-{built.stack}"
                self.content[commit] = self.content[built.commit]
                samples = self.ledger.samples(built.commit)
                self.tell(
                    ev.ChampionMoved(
                        commit, champion.commit, built.candidates, (commit,), samples.mean, None, samples.n, built.stack
                    )
                )
            case do.Propose():
                if len(self.ledger.candidates) >= len(self.effects):
                    self.tell(ev.ProposalsEnded(self.settings.proposers[0]))
                    return
                name = f"c{len(self.ledger.candidates) + 1:04d}"
                self.tell(ev.Proposed(name, self.settings.proposers[0], name, (Edit("x", content=name),), usd=self.usd))
                self._admit(name, champion.commit)
            case do.Finish() | do.GiveUp():
                self.finished = decision
            case _:
                self.tell(decision)

    def _admit(self, name: str, base: str) -> None:
        commit = f"{name}@{base}"
        self.content[commit] = (*self.content[base], name)
        self.tell(ev.Admitted(name, commit, base, 1, commit))

    def _end_next_trial(self) -> None:
        self.now, _, name = heapq.heappop(self.ends)
        started = self.ledger.trials[name].started
        content = self.content[started.commit]
        outcome = self.outcome_of(content, self.rng)
        value = self.true_value(content) + self.noise(self.rng)
        measured = {self.settings.metric: value} if outcome is Outcome.OK else {}
        reason = None if outcome is Outcome.OK else f"virtual {outcome}"
        self.tell(
            ev.TrialEnded(
                name, 1, outcome, reason, measured, {}, self.trial_s, None, started.worker, "virtual", 0.0, self.now, "f"
            )
        )
