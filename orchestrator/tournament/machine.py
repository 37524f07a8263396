"""The tournament itself: asked again and again for the next decision, until there is none.

It holds no state but caches: everything it decides follows from the ledger and the time. The campaign journals and carries
out each decision before it asks for the next, so a decision is never taken twice.
"""

from __future__ import annotations

from orchestrator.candidate import CandidateState
from orchestrator.events import CandidateDecided, LimitReached, SentSolo, StopReason, Verdict
from orchestrator.ledger import Candidate, Ledger
from orchestrator.roster import RESTS_AFTER
from orchestrator.tournament import block_plan, blocks, limits, machines
from orchestrator.tournament.beliefs import Beliefs
from orchestrator.tournament.block_plan import Outlook
from orchestrator.tournament.constraints import lacking
from orchestrator.tournament.decisions import BuildStack, Decision, Finish, GiveUp, MoveChampion, Propose, RestartTrial
from orchestrator.tournament.evidence import noise_floor, p_null
from orchestrator.tournament.finals import judge_final, next_stack, turned_down
from orchestrator.tournament.margin import margin_for
from orchestrator.tournament.near_misses import promoted
from orchestrator.tournament.proposals import AtOnce, Proposals
from orchestrator.tournament.race import LearntPrior, contrast_between, judge_race
from orchestrator.tournament.schedule import next_trial
from orchestrator.tournament.settings import Settings
from orchestrator.tournament.worth import Worth
from workers.trial import Outcome

INFRA_IN_A_ROW = 10  # after so many failures of the machines without one success (three on each worker), a person is needed


class Tournament:
    def __init__(self, ledger: Ledger, settings: Settings, proposals: Proposals | None = None) -> None:
        self.ledger = ledger
        self.settings = settings
        self._proposals = proposals or AtOnce()
        self._prior = LearntPrior()
        self._worth = Worth(minimize=settings.minimize)
        self._judged: object = None  # the state of the evidence at which no race was ready to be decided
        self._blocks_judged: object = None  # and at which no candidate in blocks
        self._faults_seen: object = None
        self._near_misses_seen: object = None
        self._paced = -1  # samples that there were when no worker was found to have slowed down
        self._beliefs: Beliefs | None = None
        self._p_null: dict[str, float] = {}
        self._p_null_at = -1  # closed blocks

    def next(self, now: float) -> Decision | None:
        """The next decision at Unix time `now`; None when there is nothing to do but wait."""
        return (
            self._give_up()
            or self._hand_out_again()
            or self._final()
            or self._machines()
            or self._race()
            or self._block()
            or self._near_miss()
            or self._limit(now)
            or self._stack()
            or self._trial(now)
            or self._propose(now)
            or self._finish()
        )

    def _give_up(self) -> GiveUp | None:
        ledger = self.ledger
        for trial in ledger.trials_of.get(ledger.base, []):
            ended = trial.ended
            if ended is not None and ended.outcome.by_own_fault:
                detail = f"the base commit's own trial ended as {ended.outcome}: {ended.reason}"
                return GiveUp(detail, trial.id)
        missing = lacking(ledger, self.settings)
        if missing is not None:
            return GiveUp(missing.detail, missing.trial)
        if ledger.roster.infra_in_a_row >= max(INFRA_IN_A_ROW, RESTS_AFTER * len(ledger.workers)):
            last = next(t for t in reversed(ledger.trials.values()) if t.ended and t.ended.outcome is Outcome.INFRA)
            reason = last.ended.reason if last.ended else None
            return GiveUp(
                f"{ledger.roster.infra_in_a_row} trials in a row failed by the machine's fault, lastly: {reason}", last.id
            )
        return None

    def _hand_out_again(self) -> RestartTrial | None:
        adrift = next(iter(self.ledger.adrift.values()), None)
        free = self.ledger.free_workers()
        return RestartTrial(adrift.id, free[0]) if adrift is not None and free else None

    def _final(self) -> Decision | None:
        stack = self.ledger.open_stack
        if stack is not None:
            if stack.decided is not None:
                return MoveChampion(stack.built.stack)
            return judge_final(self.ledger, stack, self.settings)
        last = next(reversed(self.ledger.stacks.values()), None)
        if last is not None and last.built.candidates[0] in self.ledger.won:
            return turned_down(self.ledger, last)
        return None

    def _race(self) -> CandidateDecided | None:
        ledger = self.ledger
        state = (ledger.book.count, sum(ledger.outcomes.values()), len(ledger.decided_races), len(ledger.race_wins))
        if state == self._judged:
            return None
        if not ledger.answered:
            self._judged = state
            return None
        prior = self._prior.of(ledger.decided_races, self.settings.minimize)
        for candidate in sorted(ledger.answered.values(), key=lambda answered: answered.nth):
            decided = judge_race(ledger, candidate, prior, self.settings)
            if decided is not None:
                return decided
        self._judged = state
        return None

    def _block(self) -> Decision | None:
        ledger = self.ledger
        beliefs = self._learnt()
        for block in ledger.blocks.open.values():
            if block.is_over and not self._is_held(block.name):
                may_ask = beliefs is not None and beliefs.closed and ledger.roster.suspicion is None  # one suspicion at a time
                suspect = machines.suspected(ledger, block, beliefs) if beliefs is not None and may_ask else None
                return suspect or blocks.close(block, in_time=len(ledger.workers) == 1)
        return self._at_fault() or self._judge_blocks()

    def _machines(self) -> Decision | None:
        """What becomes of a worker that is suspected of reading wrong or of having slowed down, and of what it has measured."""
        void = machines.void_of(self.ledger)
        if void is not None:
            return void
        if self.ledger.roster.suspicion is None:
            if self._no_more_trials() or self._paced == self.ledger.book.count:
                return None
            slow = machines.slowed_down(self.ledger)
            self._paced = self._paced if slow else self.ledger.book.count
            return slow
        beliefs = self._learnt()
        noise_sd = self.ledger.book.noise().sd if beliefs is None else beliefs.noise_sd
        return machines.settled(self.ledger, noise_sd, give_up=self._no_more_trials())

    def _is_held(self, block: str) -> bool:
        return self.ledger.roster.suspicion is not None and self.ledger.roster.suspicion.event.block == block

    def _at_fault(self) -> SentSolo | CandidateDecided | None:
        """What becomes of who may have crashed a smoke test or a block's rows; looked at after each further trial."""
        ledger = self.ledger
        crashes = sum(n for outcome, n in ledger.outcomes.items() if outcome.by_own_fault)
        # A row that ends well is news too: it shows that the base runs.
        state = (crashes, ledger.states[CandidateState.CRASHED], ledger.ran, ledger.outcomes[Outcome.OK])
        if not crashes or self._faults_seen == state:
            return None
        for candidate in ledger.pending.values():
            if len(candidate.suspects) == 1 and not candidate.runs and not candidate.running:
                trial = block_plan.crashed_alone(ledger, candidate)
                ended = ledger.trials[trial].ended if trial else None
                if ended is not None:
                    verdict = Verdict.VIOLATION if ended.outcome is Outcome.VIOLATION else Verdict.CRASH
                    return CandidateDecided(candidate.id, verdict, ended.reason or ended.outcome.value)
        for block in ledger.blocks.open.values():
            suspect = blocks.suspect_of(ledger, block)
            if suspect is not None:
                return suspect
        self._faults_seen = state
        return None

    def _judge_blocks(self) -> CandidateDecided | None:
        ledger = self.ledger
        state = (len(ledger.blocks.closed), len(ledger.race_wins))
        if not ledger.blocks.closed or state == self._blocks_judged:
            return None
        beliefs = self._learnt()
        assert beliefs is not None, "a block was closed before the baseline was there"
        decided = blocks.judge_blocks(ledger, beliefs, self._p_null_in_blocks(beliefs), self.settings)
        if decided is None:
            self._blocks_judged = state
        return decided

    def _near_miss(self) -> CandidateDecided | None:
        """One that passes now; looked for after each win, with which alone the bar falls."""
        ledger, beliefs = self.ledger, self._learnt()
        is_open = beliefs is not None and beliefs.may_keep
        state = (len(ledger.race_wins), ledger.wins_p_null, len(ledger.near_misses), is_open)
        if not ledger.near_misses or state == self._near_misses_seen or self._no_more_trials():
            return None
        found = promoted(ledger, self.settings, guard_is_open=is_open)
        if found is None:
            self._near_misses_seen = state
        return found

    def _learnt(self) -> Beliefs | None:
        """The beliefs after every closed block; None before the baseline is there, and where there are no blocks."""
        ledger = self.ledger
        if self.settings.lanes == "solo":
            return None
        if self._beliefs is None:
            repeats = ledger.samples(ledger.base).values[: max(2, self.settings.baseline_repeats)]
            if len(repeats) < max(2, self.settings.baseline_repeats):
                return None
            floor = noise_floor(*repeats)
            self._beliefs = Beliefs(repeats, floor, minimize=self.settings.minimize, alpha=self.settings.false_keep_rate)
        for closed in ledger.blocks.closed[self._beliefs.closed :]:
            self._beliefs.learn(closed)
        return self._beliefs

    def _p_null_in_blocks(self, beliefs: Beliefs) -> dict[str, float]:
        """Of the candidates that blocks have told of and that are undecided, the most promising first."""
        if self._p_null_at != beliefs.closed:
            told = [candidate for candidate in self.ledger.in_blocks.values() if candidate.heats]
            margins = [margin_for(self.ledger, self.settings, candidate) for candidate in told]
            nulls = beliefs.p_null([candidate.id for candidate in told], margins if any(margins) else ()).tolist()
            found = sorted(zip(nulls, told, strict=True), key=lambda each: (_coarse(each[0]), each[1].diff_lines, each[1].id))
            self._p_null = {candidate.id: null for null, candidate in found}
            self._p_null_at = beliefs.closed
        return self._p_null

    def _outlook(self, now: float) -> Outlook:
        beliefs = self._learnt()
        ledger = self.ledger
        return Outlook(
            beliefs,
            {} if beliefs is None else self._p_null_in_blocks(beliefs),
            limits.trials_left(ledger, self.settings, now),
            limits.reserved_trials(ledger, self.settings),
            ledger.limit is None and not ledger.exhausted >= set(self.settings.proposers),
            limits.mean_trial_s(ledger),
            now,
        )

    def _limit(self, now: float) -> LimitReached | None:
        if self._no_more_trials():
            return None
        reason = limits.reached(self.ledger, self.settings, now)
        if reason is None and self.ledger.limit is None:
            reason = self._worth_reached()
        return None if reason is None else LimitReached(reason)

    def _worth_reached(self) -> StopReason | None:
        least = self.settings.limits.worth_per_gpu_hour
        expected = None if least is None else self._worth.per_gpu_hour(self.ledger)
        return StopReason.WORTH if expected is not None and least is not None and expected < least else None

    def _stack(self) -> BuildStack | None:
        ledger = self.ledger
        if ledger.open_stack is not None or not ledger.won or self._no_more_trials():
            return None
        return BuildStack(next_stack(ledger))

    def _trial(self, now: float) -> Decision | None:
        if self._no_more_trials() or not self.ledger.free_workers():
            return None
        return next_trial(self.ledger, self.settings, self._promise, self._outlook(now))

    def _propose(self, now: float) -> Propose | None:
        ledger = self.ledger
        if ledger.limit is not None or ledger.exhausted >= set(self.settings.proposers):
            return None
        writing = self._proposals.under_way()
        ahead = ledger.states[CandidateState.WAITING] + writing
        wanted = block_plan.wanted(ledger, self.settings, self._outlook(now)) - ahead
        if self.settings.limits.candidates is not None:
            wanted = min(wanted, self.settings.limits.candidates - ledger.proposed - writing)
        return Propose(wanted) if wanted > 0 and self._proposals.ready() else None

    def _finish(self) -> Finish | None:
        ledger = self.ledger
        if ledger.limit is None or ledger.open_trials or self._proposals.under_way():
            return None
        baseline_is_due = ledger.samples(ledger.base).n < self.settings.baseline_repeats
        if limits.only_ends_proposing(ledger.limit, self.settings) and (ledger.pending or baseline_is_due):
            return None
        return Finish(ledger.limit)

    def _no_more_trials(self) -> bool:
        limit = self.ledger.limit
        return limit is not None and not limits.only_ends_proposing(limit, self.settings)

    def _promise(self, candidate: Candidate) -> tuple[float, int]:
        """The smaller the more promising; of two that are as good as equal, the one that changes less."""
        ledger = self.ledger
        samples, reference = ledger.samples(candidate.commit or ""), ledger.samples(candidate.base or "")
        contrast = contrast_between(ledger, samples, reference, self.settings)
        if contrast is None:
            return 0.5, candidate.diff_lines
        contrast = contrast.shifted(margin_for(ledger, self.settings, candidate))
        null = p_null(contrast, self._prior.of(ledger.decided_races, self.settings.minimize))
        return _coarse(null), candidate.diff_lines


def _coarse(probability: float) -> float:
    """To two digits: what differs by less is as good as equal."""
    return float(f"{probability:.1e}")
