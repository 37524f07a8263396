"""The ledger: what the journal's events add up to. A pure fold: no I/O, no clock, no decision.

The tournament reads it to decide, the views read it to tell. Only `Ledger.apply` changes it, one event at a time, in the
journal's order; the same events give the same ledger. An event that the state does not allow raises `IllegalTransitionError`
with the candidate's history.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator import events as ev
from orchestrator.block_book import BlockBook
from orchestrator.candidate import PENDING, RETEST, TRANSITIONS, VERDICT_STATE, Candidate, CandidateState, Heat
from orchestrator.roster import Roster
from orchestrator.samples import SampleBook, Samples
from workers.trial import Outcome

__all__ = ["PENDING", "Candidate", "CandidateState", "Champion", "IllegalTransitionError", "Ledger", "Stack", "Trial"]

_MEASURED = (CandidateState.RACING, CandidateState.IN_BLOCKS, CandidateState.INCONCLUSIVE)


class IllegalTransitionError(Exception):
    """The journal and the rules disagree: a defect of Regatta, or a journal that was tampered with."""


@dataclass(slots=True)
class Trial:
    started: ev.TrialStarted
    started_at: float  # of the attempt that counts
    worker: str
    nth: int = 0  # in the order in which they were started
    attempt: int = 1
    adrift: bool = False  # its head died; to be handed out again
    ended: ev.TrialEnded | None = None

    @property
    def id(self) -> str:
        return self.started.trial


@dataclass(slots=True)
class Stack:
    built: ev.StackBuilt
    decided: ev.StackDecided | None = None


@dataclass(slots=True)
class Champion:
    commit: str
    kept: tuple[str, ...] = ()  # every candidate in it, in the order they were kept


class Ledger:
    """The state of one campaign. Read its attributes; change it through `apply` alone."""

    def __init__(self, objective: str) -> None:
        self.objective = objective
        self.opened: ev.CampaignOpened | None = None
        self.opened_at: float | None = None
        self.head: ev.HeadStarted | None = None
        self.stopped: ev.HeadStopped | None = None  # None while a head runs, or after it was killed
        self.limit: ev.StopReason | None = None
        self.candidates: dict[str, Candidate] = {}
        self.states: dict[CandidateState, int] = dict.fromkeys(CandidateState, 0)  # how many candidates are in each
        self.pending: dict[str, Candidate] = {}  # those in PENDING, in order of arrival
        self.racing: dict[str, Candidate] = {}  # those of the pending that race, in order of arrival
        self.answered: dict[str, Candidate] = {}  # those of the racing of which no trial runs, or one ended by its own fault
        self.won: list[str] = []  # in the order they won, until kept or turned down
        self.near_misses: dict[str, Candidate] = {}  # left open on their numbers: they may pass when the bar has fallen
        self.decided_races: list[ev.Evidence] = []  # of every race that ended with a verdict on the numbers
        self.race_wins: list[ev.Evidence] = []
        self.wins_p_null = 0.0  # what they have spent of the budget for error: the sum of their p_null
        self.trials: dict[str, Trial] = {}
        self.open_trials: dict[str, Trial] = {}
        self.adrift: dict[str, Trial] = {}  # those of the open trials whose head died
        self.running_of: dict[str, int] = {}  # how many open trials a commit has
        self.trials_of: dict[str, list[Trial]] = {}  # by commit
        self.raced_on: dict[str, int] = {}  # candidates that raced against a commit
        self.outcomes: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
        self.book = SampleBook()
        self.blocks = BlockBook()
        self.in_blocks: dict[str, Candidate] = {}  # those of the pending that are measured together, in order of arrival
        self.between_blocks: dict[str, Candidate] = {}  # those of them that no open block holds
        self.ran = 0  # candidates of which a trial has ended without a crash
        self.fingerprint: str | None = None
        self.champion: Champion | None = None
        self.moves: list[tuple[float, ev.ChampionMoved]] = []
        self.stacks: dict[str, Stack] = {}
        self.open_stack: Stack | None = None
        self.stack_limit: int | None = None  # bisection: how many winners the next stack may hold
        self.roster = Roster()
        self.exhausted: set[str] = set()  # proposers that have nothing more to give
        self.proposals_by: dict[str, int] = {}
        self.retested_at: dict[str, int] = {}  # kept candidates that were tried without, and how many were kept by then
        self.taken_out: dict[str, str] = {}  # kept candidates that are on the champion no more, and which retest took them out
        self.syntax_seen: dict[str, dict[str, str]] = {}  # base commit -> fingerprint of the change -> candidate
        self.decided_since_keep = 0
        self.proposer_usd = 0.0
        self.trial_seconds = 0.0  # wall-clock of every ended trial
        self.gpu_seconds = 0.0
        self.energy_j: float | None = None
        self.last_at: float | None = None
        self._head_since: float | None = None
        self._ran_before_s = 0.0

    # -- reading

    @property
    def base(self) -> str:
        assert self.opened is not None
        return self.opened.base

    def samples(self, commit: str) -> Samples:
        return self.book.of(commit)

    def running_s(self, now: float | None = None) -> float:
        """Seconds that heads of this campaign have run, up to `now` (or to the last event)."""
        if self._head_since is None:
            return self._ran_before_s
        until = now if now is not None else self.last_at
        return self._ran_before_s + max(0.0, (until or self._head_since) - self._head_since)

    def busy(self) -> dict[str, Trial]:
        """The trial that each worker runs at this moment."""
        return {trial.worker: trial for trial in self.open_trials.values() if not trial.adrift}

    @property
    def workers(self) -> dict[str, ev.WorkerChanged]:
        return self.roster.workers

    def free_workers(self) -> list[str]:
        """Workers that can take a trial."""
        return self.roster.free(trial.worker for trial in self.open_trials.values() if not trial.adrift)

    @property
    def proposed(self) -> int:
        """Candidates that a proposer or a person has brought: retests are the tournament's own."""
        return len(self.candidates) - self.proposals_by.get(RETEST, 0)

    # -- folding

    def apply(self, event: ev.Event, at: float) -> None:
        """Fold one event, which happened at Unix time `at`. Raises `IllegalTransitionError`."""
        match event:
            case ev.CampaignOpened():
                self.opened, self.opened_at = event, at
                self.champion = Champion(event.base)
            case ev.HeadStarted():
                self._head_started(event, at)
            case ev.HeadStopped():
                self._close_head(at)
                self.stopped = event
            case ev.LimitReached():
                self.limit = event.reason
            case ev.WorkerChanged():
                self.roster.change(event)
            case ev.ProposalsEnded():
                self.exhausted.add(event.proposer)
            case ev.Proposed() | ev.Admitted() | ev.Rejected() | ev.Conflicted() | ev.CandidateDecided() | ev.SentSolo():
                self._apply_to_candidate(event, at)
            case ev.Composed():
                self.blocks.compose(event, len(self.candidates))
            case ev.BlockOpened() | ev.BlockClosed():
                self._apply_to_blocks(event)
            case ev.TrialStarted() | ev.TrialRestarted() | ev.TrialEnded():
                self._apply_to_trial(event, at)
            case ev.MachineSuspected():
                self.roster.suspect(event, trials=len(self.trials))
            case ev.MachineCleared():
                self.roster.clear(event)
            case ev.MachineDoubted():
                self.roster.set_aside(event)
            case ev.TrialVoided():
                self._void(event)
            case ev.StackBuilt() | ev.StackDecided() | ev.ChampionMoved():
                self._apply_to_stack(event, at)
            case ev.Note():
                pass
        self.last_at = at

    def _head_started(self, event: ev.HeadStarted, at: float) -> None:
        if self._head_since is not None and self.last_at is not None:
            self._close_head(self.last_at)  # the former head was killed: it ran at least until its last event
        self.head, self.stopped, self.limit = event, None, None
        self._head_since = at
        self.roster.begin()
        self.exhausted.clear()
        for trial in self.open_trials.values():
            trial.adrift = True
        self.adrift = dict(self.open_trials)

    def _close_head(self, at: float) -> None:
        if self._head_since is not None:
            self._ran_before_s += max(0.0, at - self._head_since)
        self._head_since = None

    def _apply_to_candidate(
        self,
        event: ev.Proposed | ev.Admitted | ev.Rejected | ev.Conflicted | ev.CandidateDecided | ev.SentSolo,
        at: float,
    ) -> None:
        if isinstance(event, ev.Proposed):
            if event.candidate in self.candidates:
                raise IllegalTransitionError(f"{event.candidate} was proposed twice")
            candidate = Candidate(event, at, nth=len(self.candidates))
            self.candidates[candidate.id] = self.pending[candidate.id] = candidate
            self.states[candidate.state] += 1
            self.proposals_by[event.proposer] = self.proposals_by.get(event.proposer, 0) + 1
            self.proposer_usd += event.usd
            for kept in candidate.retests:
                self.retested_at[kept] = len(self.champion.kept) if self.champion else 0
            return
        candidate = self._candidate(event.candidate)
        match event:
            case ev.Admitted():
                if candidate.state is CandidateState.WON:  # it clashes with the champion and must race again
                    self._forget_the_win(candidate)
                self._move(candidate, CandidateState.WAITING, f"admitted on {event.base[:7]}")
                candidate.admitted = event
                self.syntax_seen.setdefault(event.base, {}).setdefault(event.fingerprint, candidate.id)
            case ev.Rejected():
                self._end(candidate, CandidateState.REJECTED, f"{event.gate}: {event.reason}", at)
            case ev.Conflicted():
                self._end(candidate, CandidateState.CONFLICT, event.reason, at)
            case ev.CandidateDecided():
                self._decide(candidate, event, at)
            case ev.SentSolo():
                candidate.alone = True
                candidate.history.append(f"sent solo: {event.reason}")
                self.blocks.strike(candidate.id)
                if candidate.state is CandidateState.IN_BLOCKS:
                    self._move(candidate, CandidateState.WAITING, event.reason)

    def _apply_to_blocks(self, event: ev.BlockOpened | ev.BlockClosed) -> None:
        if isinstance(event, ev.BlockOpened):
            self.blocks.open_block(event)
            for candidate in map(self._candidate, event.candidates):
                candidate.open_blocks += 1
                if candidate.state is not CandidateState.IN_BLOCKS:
                    self._move(candidate, CandidateState.IN_BLOCKS, f"in {event.block}")
                self.between_blocks.pop(candidate.id, None)
            return
        for candidate in map(self._candidate, self.blocks.blocks[event.block].opened.candidates):
            candidate.open_blocks -= 1
            if candidate.state is CandidateState.IN_BLOCKS and not candidate.open_blocks:
                self.between_blocks[candidate.id] = candidate
        self.blocks.close(event)
        self.book.add_residuals(event.residual_squares, event.residual_df)
        for nth, name in enumerate(event.candidates):
            self._candidate(name).heats.append(
                Heat(event.block, event.effects[nth], event.spreads[nth], event.rows_with[nth], event.rows, event.base_mean)
            )

    def _forget_the_win(self, candidate: Candidate) -> None:
        self.won.remove(candidate.id)
        if candidate.evidence is not None:
            self.race_wins.remove(candidate.evidence)
            self.wins_p_null = sum(win.p_null for win in self.race_wins)
        candidate.evidence, candidate.reason = None, None
        candidate.race_since, candidate.raced = len(candidate.trials), 0

    def _decide(self, candidate: Candidate, event: ev.CandidateDecided, at: float) -> None:
        if candidate.id in self.near_misses:
            self._promote(candidate)
        elif (
            event.verdict is ev.Verdict.INCONCLUSIVE
            and event.evidence is not None
            and candidate.state is not CandidateState.WON
        ):
            self.near_misses[candidate.id] = candidate
        if event.evidence is not None and candidate.state in _MEASURED:
            candidate.evidence = event.evidence
            self.decided_races.append(event.evidence)
        if event.verdict is ev.Verdict.WON:
            self._move(candidate, CandidateState.WON, event.reason)
            candidate.reason = event.reason
            self.won.append(candidate.id)
            if event.evidence is not None:
                self.race_wins.append(event.evidence)
                self.wins_p_null += event.evidence.p_null
        else:
            if event.verdict is ev.Verdict.VIOLATION:
                self._forget_its_numbers(candidate)
            self._end(candidate, VERDICT_STATE[event.verdict], event.reason, at)

    def _promote(self, candidate: Candidate) -> None:
        """A near miss is among the pending again: its final is to come."""
        del self.near_misses[candidate.id]
        self.pending[candidate.id] = candidate
        candidate.decided_at = None
        if candidate.evidence is not None:
            self.decided_races.remove(candidate.evidence)

    def _forget_its_numbers(self, candidate: Candidate) -> None:
        """Who broke a rule is evidence of nothing: not of the noise, nor of what edits are worth, nor a keep that is spent."""
        for trial in (self.trials[name] for name in candidate.trials):
            if trial.started.commit == candidate.commit or (trial.ended and trial.ended.outcome is Outcome.VIOLATION):
                self.book.disown(trial.started.commit)
        if candidate.evidence is not None:
            for races in (self.decided_races, self.race_wins):
                if candidate.evidence in races:
                    races.remove(candidate.evidence)
            self.wins_p_null = sum(win.p_null for win in self.race_wins)

    def _apply_to_trial(self, event: ev.TrialStarted | ev.TrialRestarted | ev.TrialEnded, at: float) -> None:
        if isinstance(event, ev.TrialStarted):
            if event.trial in self.trials:
                raise IllegalTransitionError(f"{event.trial} was started twice")
            self.roster.occupy(event.worker)
            trial = Trial(event, at, event.worker, nth=len(self.trials))
            self.trials[trial.id] = self.open_trials[trial.id] = trial
            self.trials_of.setdefault(event.commit, []).append(trial)
            self.running_of[event.commit] = self.running_of.get(event.commit, 0) + 1
            for name in event.candidates:
                candidate = self._candidate(name)
                candidate.trials.append(trial.id)
                candidate.running += 1
                self.answered.pop(name, None)
                candidate.raced += event.purpose is ev.Purpose.RACE
                if candidate.state is CandidateState.WAITING and event.purpose is ev.Purpose.RACE:
                    self._move(candidate, CandidateState.RACING, f"{trial.id} started")
                    candidate.race_since = len(candidate.trials) - 1
                    base = candidate.base or ""
                    self.raced_on[base] = self.raced_on.get(base, 0) + 1
            if event.block is not None:
                self.blocks.start_row(event, len(self.trials))
            return
        open_trial = self.open_trials.get(event.trial)
        if open_trial is None:
            raise IllegalTransitionError(f"{event.trial} is not running: {type(event).__name__} cannot follow")
        self.adrift.pop(event.trial, None)
        if isinstance(event, ev.TrialRestarted):
            self.roster.look_again()
            open_trial.attempt, open_trial.worker, open_trial.adrift = event.attempt, event.worker, False
            open_trial.started_at = at
            return
        open_trial.ended = event
        del self.open_trials[event.trial]
        self.roster.release(open_trial.worker, event, adrift=open_trial.adrift)
        self.running_of[open_trial.started.commit] -= 1
        at_fault = event.outcome.by_own_fault
        if open_trial.started.purpose is ev.Purpose.SMOKE and at_fault:
            self._suspect(open_trial.started.candidates)
        if open_trial.started.block is not None:
            self.blocks.end_row(open_trial.started, event, event.metric(self.objective))
        for candidate in map(self._candidate, open_trial.started.candidates):
            candidate.running -= 1
            if event.outcome is Outcome.OK and not candidate.runs:
                candidate.runs = True
                self.ran += 1
            if candidate.state is CandidateState.RACING and (at_fault or not candidate.running):
                self.answered[candidate.id] = candidate
        self._count(open_trial, event)

    def _suspect(self, candidates: tuple[str, ...]) -> None:
        """A smoke test of these crashed: one of them is at fault, and each half is to be tested by itself."""
        half = (len(candidates) + 1) // 2
        for group in (candidates[:half], candidates[half:]):
            for candidate in map(self._candidate, group):
                candidate.suspects = group

    def _void(self, event: ev.TrialVoided) -> None:
        trial = self.trials[event.trial]
        ended = trial.ended
        racing = [name for name in trial.started.candidates if name in self.racing]
        if ended is None or ended.outcome is not Outcome.OK or not (racing or trial.started.block in self.blocks.open):
            raise IllegalTransitionError(f"{event.trial} is no row of an open block, nor of a race, that has given a number")
        value = ended.metric(self.objective)
        assert value is not None
        self.book.withdraw(trial.started.commit, value)
        trial.ended = replace(ended, outcome=Outcome.INFRA, reason=event.reason)
        self.outcomes[Outcome.OK] -= 1
        self.outcomes[Outcome.INFRA] += 1
        for candidate in map(self._candidate, racing):
            candidate.raced -= 1
            self.answered.pop(candidate.id, None)
        if trial.started.block is not None:
            self.blocks.void_row(trial.started)

    def _count(self, trial: Trial, ended: ev.TrialEnded) -> None:
        self.outcomes[ended.outcome] += 1
        self.trial_seconds += ended.wall_s
        self.gpu_seconds += ended.wall_s * trial.started.gpus
        if ended.energy_j is not None:
            self.energy_j = (self.energy_j or 0.0) + ended.energy_j
        if ended.outcome.is_wasted and trial.started.purpose is ev.Purpose.RACE:
            for candidate in map(self._candidate, trial.started.candidates):
                candidate.raced -= trial.id in candidate.race_trials
        self.roster.count(trial.worker, ended.outcome)
        if ended.outcome is Outcome.OK and trial.started.purpose is not ev.Purpose.SMOKE:
            value = ended.metric(self.objective)
            if value is None:
                raise IllegalTransitionError(f"{trial.id} ended ok without {self.objective}")
            self.fingerprint = self.fingerprint or ended.fingerprint
            self.book.add(trial.started.commit, value)
            self.roster.clock(trial.worker, ended)

    def _apply_to_stack(self, event: ev.StackBuilt | ev.StackDecided | ev.ChampionMoved, at: float) -> None:
        match event:
            case ev.StackBuilt():
                if self.open_stack is not None:
                    raise IllegalTransitionError(f"{event.stack} was built while {self.open_stack.built.stack} is undecided")
                self.open_stack = self.stacks[event.stack] = Stack(event)
            case ev.StackDecided():
                if self.open_stack is None or self.open_stack.built.stack != event.stack:
                    raise IllegalTransitionError(f"{event.stack} is not the stack being measured")
                self.open_stack.decided = event
                if not event.kept:
                    size = len(self.open_stack.built.candidates)
                    self.stack_limit = size // 2 if size > 1 else None
                    self.open_stack = None
            case ev.ChampionMoved():
                self._move_champion(event, at)

    def _move_champion(self, event: ev.ChampionMoved, at: float) -> None:
        if self.open_stack is None or self.champion is None or event.previous != self.champion.commit:
            raise IllegalTransitionError(f"champion cannot move from {event.previous[:7]} to {event.commit[:7]}")
        # The branch's commits carry trailers; their trees are those that were measured as the stack.
        measured = self.open_stack.built.commit
        self.book.share(measured, event.commit)
        self.trials_of[event.commit] = self.trials_of.setdefault(measured, [])
        self.champion = Champion(event.commit, self.champion.kept + event.kept)
        for name in event.kept:
            self.taken_out |= dict.fromkeys(self._candidate(name).retests, name)
            self._end(self._candidate(name), CandidateState.KEPT, self._candidate(name).reason or "", at)
        self.moves.append((at, event))
        self.open_stack, self.stack_limit = None, None
        self.decided_since_keep = 0

    # -- the candidate's state machine

    def _candidate(self, name: str) -> Candidate:
        try:
            return self.candidates[name]
        except KeyError:
            raise IllegalTransitionError(f"{name} was never proposed") from None

    def _move(self, candidate: Candidate, state: CandidateState, story: str) -> None:
        if state not in TRANSITIONS.get(candidate.state, frozenset()):
            history = "; ".join(candidate.history) or "nothing"
            raise IllegalTransitionError(f"{candidate.id} cannot go from {candidate.state} to {state}; before: {history}")
        self.states[candidate.state] -= 1
        self.states[state] += 1
        candidate.state = state
        if state is CandidateState.IN_BLOCKS:
            self.in_blocks[candidate.id] = candidate
        else:
            self.in_blocks.pop(candidate.id, None)
            self.between_blocks.pop(candidate.id, None)
        if state is CandidateState.RACING:
            self._let_race(candidate)
        else:
            self.racing.pop(candidate.id, None)
            self.answered.pop(candidate.id, None)
        candidate.history.append(f"{state}: {story}")

    def _let_race(self, candidate: Candidate) -> None:
        last = next(reversed(self.racing.values()), None)
        self.racing[candidate.id] = candidate
        if last is not None and last.nth > candidate.nth:  # one that races again
            self.racing = dict(sorted(self.racing.items(), key=lambda each: each[1].nth))

    def _end(self, candidate: Candidate, state: CandidateState, reason: str, at: float) -> None:
        self._move(candidate, state, reason)
        candidate.reason, candidate.decided_at = reason, at
        self.pending.pop(candidate.id, None)
        if candidate.id in self.won:
            self.won.remove(candidate.id)
        if state is not CandidateState.REJECTED:
            self.decided_since_keep += 1
