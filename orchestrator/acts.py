"""What a decision means in the world: trials handed to workers, commits made, refs moved.

Who is asked for a proposal, and what becomes of it, is in proposing.py.

The other half of *decide purely, act elsewhere*. Whatever changes the campaign is recorded first; an act that was cut off by
a crash is done again, or found to be done, when the journal is taken up by the next head.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator import events as ev
from orchestrator import trial_files
from orchestrator.allowances import allowances, scores_held_out
from orchestrator.candidate import RETEST
from orchestrator.composing import ClashError
from orchestrator.confinement import Sandbox
from orchestrator.novelty import Tried
from orchestrator.opening import Parts
from orchestrator.pool import Pool
from orchestrator.proposers.base import Proposal
from orchestrator.proposing import Proposing
from orchestrator.repository import CHAMPION, candidate_ref, stack_ref
from orchestrator.retesting import without
from orchestrator.tournament import decisions as do
from workers.trial import CommandPlan, KernelPlan, Plan, TrainPlan, TrialSpec

# A smoke test trains for this share of the budget, at least so long: to see set-up, some steps, a checkpoint, and answers.
SMOKE_SHARE = 0.05
SMOKE_LEAST_S = 5.0


class Acts:
    """The hands of one head. `record` journals an event and folds it into the ledger."""

    def __init__(self, parts: Parts, pool: Pool, record: Callable[[ev.Event], None]) -> None:
        self._parts = parts
        self._ledger = parts.ledger
        self._pool = pool
        self._record = record
        self.proposing = Proposing(parts, record, self.admit, pool.arrivals.put)

    def carry_out(self, decision: do.Act) -> None:
        """Do what the tournament has decided."""
        match decision:
            case do.StartTrial():
                self._start_trial(decision)
            case do.RestartTrial():
                self._restart_trial(decision)
            case do.Propose():
                self.proposing.ask(decision.wanted)
            case do.Reapply():
                self._reapply(decision.candidate)
            case do.Compose():
                self._compose(decision)
            case do.Retest():
                self._retest(decision.candidates)
            case do.BuildStack():
                self._build_stack(decision.candidates)
            case do.MoveChampion():
                self._move_champion(decision.stack)
            case _:
                self._record(decision)

    # -- trials

    def _start_trial(self, start: do.StartTrial) -> None:
        trial = f"t{len(self._ledger.trials) + 1:06d}"
        commit = self._composed(start, trial) if start.commit is None else start.commit
        if commit is None:
            return
        self._record(
            ev.TrialStarted(
                trial,
                start.purpose,
                commit,
                start.candidates,
                start.seed,
                start.worker,
                self._pool.gpus_a_trial / self._pool.abreast,  # its part of them: what it costs
                start.stack,
                start.block,
                start.row,
            )
        )
        self._submit(trial)

    def _composed(self, start: do.StartTrial, trial: str) -> str | None:
        """A commit with all of these candidates. No ref leads to it: nobody looks for it once it is measured, and the journal
        knows it. None where they do not get along after all: whoever is at fault goes alone, and the tournament asks again."""
        assert start.base is not None
        candidates = [self._ledger.candidates[name] for name in start.candidates]
        try:
            texts = self._parts.composer.texts(start.base, candidates)
        except ClashError as error:
            self._record(ev.SentSolo(error.candidate, f"it does not fit into {_row_name(start)}: {error}"))
            return None
        message = f"{_row_name(start)}: {', '.join(start.candidates)}\n\nTrial: {trial}\n"
        return self._parts.repository.commit(start.base, texts, message, time.time())

    def _restart_trial(self, restart: do.RestartTrial) -> None:
        attempt = self._ledger.open_trials[restart.trial].attempt + 1
        self._record(ev.TrialRestarted(restart.trial, attempt, restart.worker))
        self._submit(restart.trial)

    def _submit(self, trial: str) -> None:
        out = self._ledger.open_trials[trial]
        config, base = self._parts.config, self._ledger.base
        commit = out.started.commit
        trial_files.forget_log(self._parts.run, trial)  # of an attempt that died
        spec = TrialSpec(
            trial_id=trial,
            attempt=out.attempt,
            commit=commit,
            base_commit=base,
            sealed=self._parts.admission.scoping.sealed,
            plan=self._plan(out.started.purpose),
            objective=config.objective.name,
            seed=out.started.seed,
            timeout_s=config.trial.timeout_s,
            cpus=config.trial.cpus,
            gpus=self._pool.gpus_a_trial,
            held_out=scores_held_out(out.started.purpose),
            promotion=out.started.purpose is ev.Purpose.FINAL,
            smoke=out.started.purpose is ev.Purpose.SMOKE,
            allowances=allowances(self._ledger, held_out=scores_held_out(out.started.purpose)),
            confined=self._parts.sandbox is Sandbox.BUBBLEWRAP,
            beside=self._beside(out.started),
            wanted=config.objective.beside,
            bundle=None if commit == base else self._parts.repository.bundle(commit, base),
            product=config.objective.as_product,
        )
        self._pool.submit(out.worker, spec)

    def _beside(self, started: ev.TrialStarted) -> str | None:
        """The commit that a kernel on a GPU takes turns with: the one that it was branched from, which travels with it."""
        is_raced = started.purpose in (ev.Purpose.RACE, ev.Purpose.FINAL) and bool(started.candidates)
        if self._parts.config.target.runner != "kernel" or not self._pool.gpus_a_trial or not is_raced:
            return None
        base = self._ledger.candidates[started.candidates[0]].base
        return None if base == started.commit else base

    def _plan(self, purpose: ev.Purpose) -> Plan:
        target, budget_s = self._parts.config.target, self._parts.config.trial.budget_s
        if target.runner == "train":
            if purpose is ev.Purpose.SMOKE:
                return TrainPlan(min(budget_s, max(SMOKE_LEAST_S, SMOKE_SHARE * budget_s)), target.corpus)
            return TrainPlan(budget_s, target.corpus)
        if target.runner == "kernel":
            return KernelPlan(target.arch)
        assert target.command is not None
        return CommandPlan(target.command, target.setup, target.guards, target.mounts)

    # -- candidates

    def admit(self, name: str) -> None:
        """Let the gates speak about a candidate."""
        candidate, champion = self._ledger.candidates[name], self._ledger.champion
        assert champion is not None
        tried = Tried(
            self._ledger,
            minimize=self._parts.settings.minimize,
            on_earlier_champions=candidate.proposed.proposer in self._parts.settings.proposers,  # a person may insist
        )
        result = self._parts.admission.admit(candidate.proposed, champion.commit, candidate.proposed_at, tried)
        self._record(result)
        if isinstance(result, ev.Admitted):
            self._publish(result)

    def _reapply(self, name: str) -> None:
        candidate, champion = self._ledger.candidates[name], self._ledger.champion
        assert champion is not None
        assert candidate.admitted is not None
        result = self._parts.admission.carry_over(
            candidate.proposed, candidate.admitted, champion.commit, candidate.proposed_at
        )
        self._record(result)
        if isinstance(result, ev.Admitted):
            self._publish(result)

    def _publish(self, admitted: ev.Admitted) -> None:
        self._parts.repository.set_ref(candidate_ref(admitted.candidate), admitted.commit)
        if self._parts.settings.lanes == "solo" or self._ledger.candidates[admitted.candidate].alone:
            self._parts.repository.bundle(admitted.commit, self._ledger.base)  # ahead of need: no free worker waits for it

    # -- blocks

    def _compose(self, asked: do.Compose) -> None:
        """Find out who fits together. Who does not fit on the champion itself never will; a whole file must race against what
        it undoes. Who does not fit on a stack waits: its final may yet be lost."""
        assert self._ledger.champion is not None
        candidates = [self._ledger.candidates[name] for name in asked.candidates]
        found = self._parts.composer.fits(asked.base, candidates, asked.room)
        if asked.base == self._ledger.champion.commit:
            for name, reason in found.not_on_base.items():
                candidate = self._ledger.candidates[name]
                if candidate.open_blocks:
                    continue  # what its block will say of it is worth having
                if any(edit.whole_file for edit in candidate.proposed.edits):
                    self._record(ev.SentSolo(name, f"it must race against what it undoes: {reason}"))
                else:
                    self._record(ev.Conflicted(name, asked.base, reason))
        self._record(ev.Composed(asked.base, asked.candidates, found.together, asked.room))

    def _retest(self, kept: tuple[str, ...]) -> None:
        for name in kept:
            found = without(self._parts.repository, self._ledger, name)
            proposal = Proposal(f"without {name} again", (), parents=(name,)) if found is None else found
            candidate = self.proposing.propose(RETEST, proposal, admit=found is not None)
            if found is None:
                assert self._ledger.champion is not None
                reason = "later keeps have changed the same lines: it cannot be taken out by itself"
                self._record(ev.Conflicted(candidate, self._ledger.champion.commit, reason))

    # -- winners

    def _build_stack(self, candidates: tuple[str, ...]) -> None:
        name = f"s{len(self._ledger.stacks) + 1:04d}"
        built, left_out = self._parts.stacking.build(name, candidates, time.time())
        for event in left_out:
            self._record(event)
            if isinstance(event, ev.Admitted):
                self._publish(event)
        if built is not None:
            self._record(built)
            self._parts.repository.set_ref(stack_ref(name), built.commit)

    def _move_champion(self, stack: str) -> None:
        moved = self._parts.stacking.champion_commits(self._ledger.stacks[stack], time.time())
        self._record(moved)
        self._parts.repository.set_ref(CHAMPION, moved.commit)


def _row_name(start: do.StartTrial) -> str:
    return "a smoke test" if start.block is None else f"{start.block} row {start.row}"
