"""One night of a campaign on virtual time: the real ledger and tournament, other sources for the same loop.

What git does in a real night is arithmetic here: commits are names, and a tree is the edits that it holds. A proposal is
written against the champion of the moment at which it was begun; whatever the champion has gained since may conflict with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from orchestrator import events as ev
from orchestrator.candidate import RETEST
from orchestrator.edits import Edit
from orchestrator.events import EndState, WorkerState
from orchestrator.ledger import Ledger
from orchestrator.simulator.landscape import Landscape
from orchestrator.simulator.nature import Nature
from orchestrator.simulator.site import Back, Happening, Lost, Measured, Site, Written
from orchestrator.tournament import decisions as do
from orchestrator.tournament.settings import Settings
from workers.trial import Outcome

BASE = "base"
BASE_VALUE = 1.0  # of the metric; only differences count
PROPOSER = "landscape"
NODE = "virtual"
FINGERPRINT = "virtual"
_RETESTS = 1_000_000  # from this number on, candidates are retests of kept ones
SMOKE_PART = 0.05  # of a trial's time that a smoke test takes, beside its overhead


class Policy(Protocol):
    """Who decides: the real tournament, or what it is compared with."""

    def next(self, now: float) -> do.Decision | None: ...


MakePolicy = Callable[[Ledger, Settings], Policy]


@dataclass(frozen=True, slots=True)
class Tree:
    """What a commit holds."""

    edits: tuple[int, ...]
    value: float  # true, lower is better, from the base on
    crashes_after: float | None = None


class Night:
    """Runs one campaign to its end. `record` sees every event and its virtual Unix time."""

    def __init__(
        self,
        landscape: Landscape,
        settings: Settings,
        policy: MakePolicy,
        *,
        workers: int,
        gpus_a_trial: float = 1.0,
        seed: int = 0,
        repeat: int = 0,
        record: Callable[[ev.Event, float], None] | None = None,
    ) -> None:
        self.settings = settings
        self.nature = Nature(landscape, seed, repeat)
        failures = np.random.default_rng([seed, repeat, 1])
        self.site = Site(landscape, self.nature, workers, gpus_a_trial, failures)
        self.ledger = Ledger(settings.metric)
        self.ended: do.Finish | do.GiveUp | None = None
        self._policy = policy(self.ledger, settings)
        self._gpus_a_trial = gpus_a_trial
        self._record = record
        self._trees: dict[str, Tree] = {BASE: Tree((), 0.0)}
        self._written_on: list[tuple[int, ...]] = []  # by proposal: the edits it was written on top of
        self._undoes: dict[int, int] = {}  # by number of a retest: the edit that it takes out again

    def run(self) -> Night:
        """Play the night; the ledger then holds all of it."""
        told = self.settings
        self._tell(ev.CampaignOpened("simulation", BASE, NODE, "command", told.seed, told.planned_candidates))
        self._tell(ev.HeadStarted(0, NODE, 0, "none"))
        for worker in range(self.site.workers):
            self._tell(ev.WorkerChanged(_name(worker), NODE, NODE, WorkerState.IDLE))
        while self.ended is None:
            waits = self._decide()
            if waits:
                happening = self.site.next()
                assert happening is not None, "the tournament waits for nothing"
                self._take(happening)
        state = EndState.FINISHED if isinstance(self.ended, do.Finish) else EndState.FAILED
        self._tell(ev.HeadStopped(state, self.ledger.limit))
        return self

    # -- what is true at the end

    @property
    def kept(self) -> tuple[int, ...]:
        """The edits in the champion."""
        return self._champion.edits

    @property
    def gain(self) -> float:
        """The champion's true improvement over the base, in the metric's units."""
        return -self._champion.value

    def false_keeps(self) -> int:
        """Kept edits without which the champion would be no worse."""
        kept = self.kept
        if not self.nature.interacts:
            return sum(self.nature.effect(edit) >= 0 for edit in kept)
        return sum(self._contribution(edit, tuple(other for other in kept if other != edit)) >= 0 for edit in kept)

    def occupancy(self) -> float:
        """The share of the night that the GPUs spent in trials."""
        return self.site.busy_s / (self.site.workers * self.site.now_s) if self.site.now_s else 0.0

    @property
    def _champion(self) -> Tree:
        assert self.ledger.champion is not None
        return self._trees[self.ledger.champion.commit]

    # -- what happens

    def _tell(self, event: ev.Event) -> None:
        self.ledger.apply(event, self.site.now_s)
        if self._record is not None:
            self._record(event, self.site.now_s)

    def _take(self, happening: Happening) -> None:
        match happening:
            case Measured(worker, trial, began_s, None):
                self._end_trial(worker, trial, began_s, Outcome.CRASH, "the edit crashes", {})
            case Measured(worker, trial, began_s, float(value)):
                shown = BASE_VALUE + (value if self.settings.minimize else -value)
                self._end_trial(worker, trial, began_s, Outcome.OK, None, {self.settings.metric: shown})
            case Lost(worker, trial, began_s):
                if trial is not None:
                    self._end_trial(worker, trial, began_s, Outcome.INFRA, "its node failed", {})
                self._tell(ev.WorkerChanged(_name(worker), NODE, NODE, WorkerState.LOST, "its node failed"))
            case Back(worker):
                self._tell(ev.WorkerChanged(_name(worker), NODE, NODE, WorkerState.IDLE))
            case Written(number):
                self._take_proposal(number)

    def _end_trial(
        self, worker: int, trial: str, began_s: float, outcome: Outcome, reason: str | None, measured: dict[str, float]
    ) -> None:
        now = self.site.now_s
        fingerprint = FINGERPRINT if outcome is Outcome.OK else None
        self._tell(
            ev.TrialEnded(
                trial, 1, outcome, reason, measured, {}, now - began_s, None, _name(worker), NODE, began_s, now, fingerprint
            )
        )

    def _take_proposal(self, number: int) -> None:
        name = f"c{number + 1:04d}"
        self._tell(ev.Proposed(name, PROPOSER, f"edit {number}", (Edit("edit", content=name),)))
        assert self.ledger.champion is not None
        base = self.ledger.champion.commit
        if self._clashes(number, self._trees[base].edits):
            self._tell(ev.Rejected(name, "edit", "the champion has changed what it edits"))
        else:
            self._admit(number, base)

    # -- what is decided

    def _decide(self) -> bool:
        """Carry out one decision; True when there is nothing to do but wait."""
        decision = self._policy.next(self.site.now_s)
        match decision:
            case None:
                return True
            case do.Propose():
                return not self._propose()
            case do.Finish() | do.GiveUp():
                self.ended = decision
            case do.StartTrial():
                self._start(decision)
            case do.Reapply(candidate):
                self._reapply(candidate)
            case do.Compose():
                self._compose(decision)
            case do.Retest(candidates):
                self._retest(candidates)
            case do.BuildStack(candidates):
                self._build_stack(candidates)
            case do.MoveChampion(stack):
                self._move_champion(stack)
            case do.RestartTrial():
                raise AssertionError("no head dies here")
            case _:
                self._tell(decision)
        return False

    def _propose(self) -> bool:
        most = self.settings.limits.candidates
        if most is not None and len(self._written_on) >= most:
            return False
        if not self.site.propose():
            return False
        self._written_on.append(self._champion.edits)
        return True

    def _start(self, start: do.StartTrial) -> None:
        name = f"t{len(self.ledger.trials) + 1:06d}"
        commit = start.commit
        if commit is None:
            commit = f"{start.base}+{name}"
            self._trees[commit] = self._with_all(start.base or BASE, start.candidates)
        self._tell(
            ev.TrialStarted(
                name,
                start.purpose,
                commit,
                start.candidates,
                start.seed,
                start.worker,
                self._gpus_a_trial,
                start.stack,
                start.block,
                start.row,
            )
        )
        tree = self._trees[commit]
        part = SMOKE_PART if start.purpose is ev.Purpose.SMOKE else 1.0
        self.site.run(int(start.worker[1:]), name, tree.value, tree.crashes_after, part)
        if start.commit is None:
            del self._trees[commit]  # a row's tree is measured once

    def _compose(self, asked: do.Compose) -> None:
        """Which of them fit, in order; one that clashes with the champion itself can never be carried over."""
        assert self.ledger.champion is not None
        on_base = self._trees[asked.base].edits
        fit: list[int] = []
        for candidate in asked.candidates:
            number = _number(candidate)
            if self._clashes(number, on_base):
                if asked.base == self.ledger.champion.commit:  # with a stack it may be tried again: its final may be lost
                    self._tell(ev.Conflicted(candidate, asked.base, "the champion has changed what it edits"))
            elif len(fit) < asked.room and (number in self._undoes or not self.nature.clash(number, self._written(fit))):
                fit.append(number)
        together = tuple(f"c{number + 1:04d}" for number in fit)
        self._tell(ev.Composed(asked.base, asked.candidates, together, asked.room))

    def _retest(self, kept: tuple[str, ...]) -> None:
        assert self.ledger.champion is not None
        for name in kept:
            number = _RETESTS + len(self._undoes)
            self._undoes[number] = _number(name)
            retest = f"c{number + 1:04d}"
            self._tell(ev.Proposed(retest, RETEST, f"without {name}", (Edit("edit", content=retest),), parents=(name,)))
            self._admit(number, self.ledger.champion.commit)

    def _with_all(self, base: str, candidates: tuple[str, ...]) -> Tree:
        tree = self._trees[base]
        if not (self.nature.interacts or self.nature.landscape.rates.crash or self._undoes):
            numbers = [_number(candidate) for candidate in candidates]
            return Tree((*tree.edits, *numbers), tree.value + sum(map(self.nature.effect, numbers)))
        for candidate in candidates:
            tree = self._grown(tree, _number(candidate))
        return tree

    def _reapply(self, candidate: str) -> None:
        assert self.ledger.champion is not None
        number, onto = _number(candidate), self.ledger.champion.commit
        if self._clashes(number, self._trees[onto].edits):
            self._tell(ev.Conflicted(candidate, onto, "the champion has changed what it edits"))
        else:
            self._admit(number, onto)

    def _admit(self, number: int, base: str) -> None:
        name = f"c{number + 1:04d}"
        commit = f"{name}@{base}"
        self._trees[commit] = self._grown(self._trees[base], number)
        self._tell(ev.Admitted(name, commit, base, 1, commit))

    def _build_stack(self, candidates: tuple[str, ...]) -> None:
        assert self.ledger.champion is not None
        base = self.ledger.champion.commit
        name = f"s{len(self.ledger.stacks) + 1:04d}"
        tip, taken = self._trees[base], []
        for candidate in candidates:
            if not self._clashes(_number(candidate), tip.edits):
                tip = self._grown(tip, _number(candidate))
                taken.append(candidate)
            elif not taken:  # with one of the stack it may be tried again; with the champion never
                self._tell(ev.Conflicted(candidate, base, "the champion has changed what it edits"))
        if taken:
            self._trees[name] = tip
            commits = (*(f"{name}/{each}" for each in taken[:-1]), name)
            self._tell(ev.StackBuilt(name, base, name, tuple(taken), commits))

    def _move_champion(self, stack: str) -> None:
        built = self.ledger.stacks[stack].built
        commit = f"champion-{stack}"
        self._trees[commit] = self._trees[built.commit]
        samples, stderr = self.ledger.samples(built.commit), self.ledger.book.stderr(built.commit)
        kept = built.candidates
        self._tell(ev.ChampionMoved(commit, built.base, kept, (commit,), samples.mean, stderr, samples.n, stack))

    # -- trees

    def _written(self, numbers: list[int]) -> list[int]:
        """Those of them that a proposer has written."""
        return [number for number in numbers if number not in self._undoes]

    def _clashes(self, number: int, onto: tuple[int, ...]) -> bool:
        if number in self._undoes:
            return self._undoes[number] not in onto
        if not self.nature.landscape.rates.conflict:
            return False
        known = set(self._written_on[number])
        return self.nature.clash(number, [other for other in onto if other not in known])

    def _grown(self, tree: Tree, edit: int) -> Tree:
        if edit in self._undoes:
            left = tuple(other for other in tree.edits if other != self._undoes[edit])
            return Tree(left, tree.value - self._contribution(self._undoes[edit], left), tree.crashes_after)
        crashes = [after for after in (tree.crashes_after, self.nature.crashes_after(edit)) if after is not None]
        return Tree((*tree.edits, edit), tree.value + self._contribution(edit, tree.edits), min(crashes, default=None))

    def _contribution(self, edit: int, others: tuple[int, ...]) -> float:
        return self.nature.effect(edit) + self.nature.interaction(edit, others)


def _name(worker: int) -> str:
    return f"w{worker}"


def _number(candidate: str) -> int:
    return int(candidate[1:]) - 1
