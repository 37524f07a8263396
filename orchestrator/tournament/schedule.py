"""Which trial a free worker takes next. Pure.

In order of what a trial is worth now: the baseline (nothing can be decided without it); finals that are under way, or that no
block will bring (they hold up the champion); repeats of a champion that is at the target (its mean may be luck); a row of an
open block; the next block; and then races: a repeat of the commit that open races are against, when it has fewer samples than
the deepest of them; another sample for those races, the most promising first; the first sample of a new candidate. A worker
that would have nothing left takes a further sample of an open race, or a row of a second block of the same candidates: an
early answer beats an idle GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import count

from orchestrator.events import Purpose
from orchestrator.ledger import Candidate, CandidateState, Ledger
from orchestrator.tournament import block_plan, machines
from orchestrator.tournament.block_plan import Outlook
from orchestrator.tournament.decisions import Reapply, StartTrial
from orchestrator.tournament.finals import final_cap, measured_in_blocks
from orchestrator.tournament.limits import at_target
from orchestrator.tournament.race import outcome_of
from orchestrator.tournament.settings import Settings
from workers.trial import Outcome

_Choice = tuple[Purpose, str, tuple[str, ...], str | None]  # purpose, commit, candidates, stack
Promise = Callable[[Candidate], tuple[float, int]]
Step = block_plan.Step | Reapply


def next_trial(ledger: Ledger, settings: Settings, promise: Promise, outlook: Outlook) -> Step | None:
    """What the first free worker should do; None when no worker is free or nothing is to be measured.

    `promise(candidate)` orders the racing candidates: who is the least likely not to help goes first.
    """
    free = ledger.free_workers()
    if not free or ledger.champion is None:
        return None
    checked = machines.wanted_repeat(ledger, free)
    if checked is not None:
        return StartTrial(checked[0], Purpose.REPEAT, checked[1], (), _seed(ledger, settings, Purpose.REPEAT, checked[1], ""))
    choice: _Choice | Step | None = (
        _baseline(ledger, settings)
        or _final(ledger, settings, due=not _row_0_is_its_final(ledger))
        or _confirmation(ledger, settings)
        or _row(ledger, settings, free)
        or block_plan.step(ledger, settings, outlook, free[0])
        or _final(ledger, settings, due=True)
    )
    if choice is None and not block_plan.keeps_back(ledger, settings, outlook):
        choice = (
            _repeat(ledger, settings)
            or _further_sample(ledger, settings, sorted(ledger.answered.values(), key=lambda c: c.nth), promise, at_once=1)
            or _new_candidate(ledger, settings)
            or _further_sample(ledger, settings, ledger.racing.values(), promise, at_once=settings.max_repeats)
            or block_plan.again(ledger, settings, outlook)
            or _champion_again(ledger, outlook)
        )
    if not isinstance(choice, tuple):
        return choice
    purpose, commit, candidates, stack = choice
    worker = _pick_worker(ledger, free, commit)
    if worker is None:
        return None
    seed = _seed(ledger, settings, purpose, commit, stack or (candidates[0] if candidates else ""))
    return StartTrial(worker, purpose, commit, candidates, seed, stack)


def _row(ledger: Ledger, settings: Settings, free: list[str]) -> StartTrial | None:
    found = block_plan.next_row(ledger, free)
    if found is None:
        return None
    block, row, worker = found
    opened = block.opened
    members = block.members(row)
    seed = _drawn(f"{settings.seed}/{'common' if settings.common_seeds else opened.block}/{row}")
    if row == 0 and opened.stack is not None and _is_unmeasured(ledger, opened.stack):
        built = ledger.stacks[opened.stack].built
        final = Purpose.FINAL, built.commit, built.candidates
        return StartTrial(worker, *final, seed, opened.stack, block=opened.block, row=row)
    commit = opened.base if not members else None
    return StartTrial(worker, Purpose.BLOCK, commit, members, seed, base=opened.base, block=opened.block, row=row)


def _is_unmeasured(ledger: Ledger, stack: str) -> bool:
    """Whether the final of this stack has not begun."""
    due = ledger.open_stack
    return due is not None and due.built.stack == stack and due.decided is None and not _counted(ledger, due.built.commit)


def _row_0_is_its_final(ledger: Ledger) -> bool:
    """Whether the final that is due is to be a block's row 0: one that is open, or the next one."""
    stack = ledger.open_stack
    if stack is None or _counted(ledger, stack.built.commit):
        return False
    return not any(ledger.candidates[name].alone for name in stack.built.candidates)


def _baseline(ledger: Ledger, settings: Settings) -> _Choice | None:
    if _counted(ledger, ledger.base) < settings.baseline_repeats:
        return Purpose.BASELINE, ledger.base, (), None
    return None


def _final(ledger: Ledger, settings: Settings, *, due: bool) -> _Choice | None:
    stack = ledger.open_stack
    if stack is None or stack.decided is not None or not due:
        return None
    done, counted = ledger.samples(stack.built.commit).n, _counted(ledger, stack.built.commit)
    if done == 0 and measured_in_blocks(ledger, stack):
        built = stack.built
        return (Purpose.FINAL, built.commit, built.candidates, built.stack) if counted == 0 else None
    if _counted(ledger, stack.built.base) < min(counted, settings.baseline_repeats):
        return Purpose.REPEAT, stack.built.base, (), None
    want = 2 if done < 2 else max(4, done + 1)  # as judge_final looks: at two, at four, then at each
    if counted < min(want, final_cap(settings)):
        return Purpose.FINAL, stack.built.commit, stack.built.candidates, stack.built.stack
    return None


def _confirmation(ledger: Ledger, settings: Settings) -> _Choice | None:
    assert ledger.champion is not None
    commit = ledger.champion.commit
    if at_target(ledger, settings) and _counted(ledger, commit) < settings.baseline_repeats:
        return Purpose.REPEAT, commit, (), None
    return None


def _further_sample(
    ledger: Ledger, settings: Settings, racing: Iterable[Candidate], promise: Promise, at_once: int
) -> _Choice | None:
    def wants_one(candidate: Candidate) -> bool:
        running = _running(ledger, candidate.commit or "")
        return running < at_once and candidate.raced < settings.max_repeats

    best = min((c for c in racing if wants_one(c)), key=promise, default=None)
    return None if best is None or best.commit is None else (Purpose.RACE, best.commit, (best.id,), None)


def _repeat(ledger: Ledger, settings: Settings) -> _Choice | None:
    deepest: dict[str, int] = {}
    for candidate in ledger.racing.values():
        base, raced = candidate.base or ledger.base, candidate.raced
        if raced >= deepest.get(base, 0):
            deepest[base] = raced
    for base, depth in deepest.items():
        want = 2 if depth < 2 else max(depth, settings.baseline_repeats)
        # Many against one: the one deserves √k samples for each of theirs (Dunnett 1955).
        if _counted(ledger, base) < max(want, math.sqrt(ledger.raced_on.get(base, 0))):
            return Purpose.REPEAT, base, (), None
    return None


def _new_candidate(ledger: Ledger, settings: Settings) -> _Choice | Reapply | None:
    only_alone = settings.lanes != "solo"
    waiting = next(
        (c for c in ledger.pending.values() if c.state is CandidateState.WAITING and (c.alone or not only_alone)), None
    )
    if waiting is None or waiting.commit is None or ledger.champion is None:
        return None
    if waiting.base != ledger.champion.commit:
        return Reapply(waiting.id)
    return Purpose.RACE, waiting.commit, (waiting.id,), None


def _champion_again(ledger: Ledger, outlook: Outlook) -> _Choice | None:
    """Too little is left of the campaign for anything new: the champion's own mean becomes surer."""
    if (
        math.isinf(outlook.trials_left)
        or ledger.open_trials
        or ledger.won
        or ledger.open_stack
        or not ledger.pending
        or ledger.champion is None
    ):
        return None
    return Purpose.REPEAT, ledger.champion.commit, (), None


def _counted(ledger: Ledger, commit: str) -> int:
    """Samples of a commit, and trials of it that are running."""
    return ledger.samples(commit).n + _running(ledger, commit)


def _running(ledger: Ledger, commit: str) -> int:
    return ledger.running_of.get(commit, 0)


def _pick_worker(ledger: Ledger, free: list[str], commit: str) -> str | None:
    """A free worker; not one whose machine already failed this commit while another works on something else: None, to wait."""
    failed = {trial.worker for trial in ledger.trials_of.get(commit, []) if outcome_of(trial) is Outcome.INFRA}
    elsewhere = next((worker for worker in free if worker not in failed), None)
    return elsewhere or (None if ledger.busy().keys() - failed else free[0])


def _seed(ledger: Ledger, settings: Settings, purpose: Purpose, commit: str, subject: str) -> int:
    """A fresh seed for each trial, by what is measured and for which time: the same campaign draws the same ones again."""
    if purpose in (Purpose.BASELINE, Purpose.REPEAT):
        subject = "champion " + " ".join(_kept_by(ledger, commit))
    elif purpose is Purpose.RACE:  # a candidate that must race again does so with other seeds
        subject = " ".join([subject, "on", *_kept_by(ledger, ledger.candidates[subject].base or "")])
    if settings.common_seeds:
        subject = "common"
    taken = {t.started.seed for t in ledger.trials_of.get(commit, []) if not (t.ended and t.ended.outcome.is_wasted)}
    return next(seed for nth in count() if (seed := _drawn(f"{settings.seed}/{subject}/{nth}")) not in taken)


def _drawn(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") >> 1  # 31 bits: every library takes it


def _kept_by(ledger: Ledger, commit: str) -> tuple[str, ...]:
    """The candidates in a past or present champion."""
    kept: tuple[str, ...] = ()
    for _, move in ledger.moves:
        kept += move.kept
        if move.commit == commit:
            return kept
    return ()
