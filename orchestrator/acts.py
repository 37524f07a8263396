"""What a decision means in the world: trials handed to workers, proposers asked, commits made, refs moved.

The other half of *decide purely, act elsewhere*. Whatever changes the campaign is recorded first; an act that was cut off by
a crash is done again, or found to be done, when the journal is taken up by the next head.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator import events as ev
from orchestrator import trial_files
from orchestrator.allowances import allowances, scores_held_out
from orchestrator.asking import Asking
from orchestrator.confinement import Sandbox
from orchestrator.opening import Parts
from orchestrator.pool import Pool
from orchestrator.proposers import exhausted_reason
from orchestrator.proposers.base import Brief, Proposal, ProposalError
from orchestrator.proposers.program import ProgramProposer
from orchestrator.repository import CHAMPION, candidate_ref, stack_ref
from orchestrator.tournament import decisions as do
from workers.trial import CommandPlan, TrainPlan, TrialSpec


class Acts:
    """The hands of one head. `record` journals an event and folds it into the ledger."""

    def __init__(self, parts: Parts, pool: Pool, record: Callable[[ev.Event], None]) -> None:
        self._parts = parts
        self._ledger = parts.ledger
        self._pool = pool
        self._record = record
        self._proposers = {proposer.name: proposer for proposer in parts.proposers}
        self.asking = Asking(parts, record, self._take)

    def carry_out(self, decision: do.Act) -> None:
        """Do what the tournament has decided."""
        match decision:
            case do.StartTrial():
                self._start_trial(decision)
            case do.RestartTrial():
                self._restart_trial(decision)
            case do.Propose():
                self._ask_a_proposer()
            case do.Reapply():
                self._reapply(decision.candidate)
            case do.BuildStack():
                self._build_stack(decision.candidates)
            case do.MoveChampion():
                self._move_champion(decision.stack)
            case _:
                self._record(decision)

    # -- trials

    def _start_trial(self, start: do.StartTrial) -> None:
        trial = f"t{len(self._ledger.trials) + 1:06d}"
        self._record(
            ev.TrialStarted(
                trial,
                start.purpose,
                start.commit,
                start.candidates,
                start.seed,
                start.worker,
                self._pool.gpus_a_trial,
                start.stack,
            )
        )
        self._submit(trial)

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
            plan=self._plan(),
            objective=config.objective.metric,
            seed=out.started.seed,
            timeout_s=config.trial.timeout_s,
            cpus=config.trial.cpus,
            gpus=self._pool.gpus_a_trial,
            held_out=scores_held_out(out.started.purpose),
            promotion=out.started.purpose is ev.Purpose.FINAL,
            allowances=allowances(self._ledger, held_out=scores_held_out(out.started.purpose)),
            confined=self._parts.sandbox is Sandbox.BUBBLEWRAP,
            bundle=None if commit == base else self._parts.repository.bundle(commit, base),
        )
        self._pool.submit(out.worker, spec)

    def _plan(self) -> TrainPlan | CommandPlan:
        target = self._parts.config.target
        if target.runner == "train":
            return TrainPlan(self._parts.config.trial.budget_s, target.corpus)
        assert target.command is not None
        return CommandPlan(target.command, target.setup, target.guards, target.mounts)

    # -- proposals and candidates

    def _ask_a_proposer(self) -> None:
        name = self.asking.turn()
        assert name is not None  # the campaign asks only while one can be asked
        proposer = self._proposers[name]
        if isinstance(proposer, ProgramProposer):
            self.asking.begin(proposer)
            return
        try:
            proposal = proposer.propose(self._brief(name))
        except ProposalError as error:
            self._take(name, error)
            return
        except OSError as error:  # such as a replay file that was moved away meanwhile
            self._record(ev.Note(f"{name} can give no more proposals: {error}", "warning"))
            proposal = None
        if proposal is None:
            self._record(ev.ProposalsEnded(name, exhausted_reason(proposer)))
            return
        self._take(name, proposal)

    def _take(self, proposer: str, outcome: Proposal | ProposalError) -> None:
        """What a proposer gave becomes a candidate."""
        if isinstance(outcome, Proposal):
            self.propose(proposer, outcome)
        else:
            candidate = self.propose(proposer, outcome.stands_for, admit=False)
            self._record(ev.Rejected(candidate, "edit", outcome.reason))

    def _brief(self, proposer: str) -> Brief:
        champion = self._ledger.champion
        assert champion is not None
        repository, scope = self._parts.repository, self._parts.admission.scoping.scope
        return Brief(
            champion=champion.commit,
            read=lambda path: repository.read(champion.commit, path),
            editable=tuple(path for path in repository.files(champion.commit) if scope.matches(path)),
            kept=champion.kept,
            proposed=self._ledger.proposals_by.get(proposer, 0),
            outstanding=tuple(
                c.proposed.token
                for c in self._ledger.pending.values()
                if c.proposed.proposer == proposer and c.proposed.token is not None
            ),
            base=self._ledger.base,
        )

    def propose(self, proposer: str, proposal: Proposal, *, admit: bool = True) -> str:
        """Take in a proposal; returns the candidate that it becomes."""
        candidate = f"c{len(self._ledger.candidates) + 1:04d}"
        self._record(
            ev.Proposed(
                candidate,
                proposer,
                proposal.description,
                proposal.edits,
                proposal.parents,
                proposal.token,
                proposal.usd,
                proposal.against,
                proposal.model,
                proposal.family,
                proposal.expected_effect,
            )
        )
        if admit:
            self.admit(candidate)
        return candidate

    def admit(self, name: str) -> None:
        """Let the gates speak about a candidate."""
        candidate, champion = self._ledger.candidates[name], self._ledger.champion
        assert champion is not None
        seen = self._ledger.syntax_seen.get(champion.commit, {})
        result = self._parts.admission.admit(candidate.proposed, champion.commit, candidate.proposed_at, seen)
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
        self._parts.repository.bundle(admitted.commit, self._ledger.base)  # ahead of need: a free worker must not wait for it

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
