"""Which block is opened next: how large, on which base, with whom; and who is tested or raced alone instead. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.block_book import Block
from orchestrator.candidate import Candidate, CandidateState
from orchestrator.design import SIZES, columns_for, order_of, smallest_size
from orchestrator.events import BlockOpened, Purpose, SentSolo
from orchestrator.ledger import Ledger
from orchestrator.tournament import retests
from orchestrator.tournament.beliefs import Beliefs
from orchestrator.tournament.blocks import GIVEN_UP_FROM, MOST_BLOCKS
from orchestrator.tournament.decisions import Compose, Retest, StartTrial
from orchestrator.tournament.settings import Settings

FIRST = 64  # 128 brings 3 % more at sd 3e-4 and 7 % at 2e-3, twice as late
STEERED = (16, 32, FIRST)  # sizes among which interactions choose
SMALLEST = 8
FEWEST = 3  # candidates that are worth a block
PATIENCE_TRIALS = 0.2  # of a trial's time, and
PATIENCE_S = 60.0  # at most: so long do too few candidates wait for company while a worker is free
CROWDED = 0.14  # where less than this share of the edits fits together, blocks are too small to find as much as races do
ASKED_AGAIN_AFTER = 1000  # candidates
SMOKE_FROM = 0.3  # crashes expected in a block: from here on candidates are tested before
_CRASHES_AT_START, _RUNS_AT_START = 0.5, 25.0  # what is thought of a candidate before any has run


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the plan needs to know beyond the ledger."""

    beliefs: Beliefs | None
    p_null: Mapping[str, float]  # of those that blocks have told of, the most promising first
    trials_left: float  # inf where no limit ends the campaign
    reserved: float  # how many of them are for the finals at the end
    more_to_come: bool  # proposers may yet bring candidates
    trial_s: float | None  # what a trial takes
    now: float


def wanted(ledger: Ledger, settings: Settings, outlook: Outlook) -> int:
    """How many candidates should wait for their first trial, so that the next block is full when it can be opened."""
    if settings.lanes == "solo":
        return len(ledger.workers) + 1
    if outlook.trials_left < SMALLEST:
        return 1
    if settings.lanes == "auto" and _is_crowded(ledger, outlook):
        return len(ledger.workers) + 1  # what waits longer clashes with what the champion gains meanwhile
    ahead = len(ledger.workers) if len(ledger.workers) > 1 else 0
    return max(2, size_of_next(ledger, settings, outlook) + ahead - len(ledger.between_blocks))


def size_of_next(ledger: Ledger, settings: Settings, outlook: Outlook) -> int:
    """Rows of the next block, were there candidates enough; 0 where too few trials are left for any."""
    size: float = settings.block or _sharpest(ledger, outlook)
    left = outlook.trials_left - outlook.reserved
    if left < 3 * size:  # the last blocks share what is left evenly
        size = left / math.ceil(left / size) if left >= 1 else 0
    return max((each for each in SIZES if each <= size), default=0)


def _sharpest(ledger: Ledger, outlook: Outlook) -> int:
    """The size whose contrasts are sharpest at one candidate a row: noise falls with the rows, but where edits interact each
    further one in a block blurs all others."""
    book = ledger.blocks
    if book.residual_df < 2 or outlook.beliefs is None:
        return FIRST
    noise = outlook.beliefs.repeats_variance(outlook.beliefs.noise_sd**2)
    excess = max(0.0, book.residual_squares - book.residual_df * noise)
    blur = excess / (book.residual_pairs + 2 * 900.0)
    return min(STEERED, key=lambda size: (noise / size + blur * size, -size))


def next_base(ledger: Ledger) -> tuple[str, str | None]:
    """What the next block stands on: the stack whose final is due, which the block's row 0 will be; else the champion."""
    stack = ledger.open_stack
    if stack is not None and (stack.decided is None or stack.decided.kept):
        return stack.built.commit, stack.built.stack if stack.decided is None else None
    assert ledger.champion is not None
    return ledger.champion.commit, None


def keeps_back(ledger: Ledger, settings: Settings, outlook: Outlook) -> bool:
    """Whether what is left of the campaign is for the finals of what blocks have won or may yet win."""
    may_win = bool(ledger.blocks.open or ledger.won or ledger.open_stack)
    return settings.lanes != "solo" and may_win and outlook.trials_left <= outlook.reserved


def next_row(ledger: Ledger, free: Sequence[str]) -> tuple[Block, int, str] | None:
    """The next row of the oldest block that has rows left, and who runs it: one that has not failed it, where there is one."""
    block = next((block for block in ledger.blocks.open.values() if block.todo), None)
    if block is None:
        return None
    for row in reversed(block.todo):
        failed = block.failed_on.get(row, ())
        worker = next((worker for worker in free if worker not in failed), None)
        if worker is not None:
            return block, row, worker
    return block, block.todo[-1], free[0]


Step = Compose | BlockOpened | StartTrial | SentSolo | Retest


def step(ledger: Ledger, settings: Settings, outlook: Outlook, worker: str) -> Step | None:
    """What brings the next block nearer, where a worker is free and no row is left to be run; None: nothing at this time."""
    size = size_of_next(ledger, settings, outlook)
    if settings.lanes == "solo":
        return None
    candidates = _eligible(ledger, outlook)
    if settings.lanes == "auto" and candidates and _is_crowded(ledger, outlook):
        return _one_alone(ledger, candidates)
    if _better_company_is_near(candidates, size, outlook):
        return None
    if len(candidates) < FEWEST or size < SMALLEST:
        return _too_few(ledger, candidates, settings, outlook)
    base, stack = next_base(ledger)
    asked = tuple(candidate.id for candidate in candidates)
    room = size - 1 - _spare(size, ledger, outlook)
    composed = ledger.blocks.composed(base, asked)
    if composed is None:
        return Compose(base, asked, room)
    fit = [name for name in composed if name in ledger.candidates and _is_free(ledger.candidates[name])]
    if len(fit) < FEWEST:
        return _too_few(ledger, [ledger.candidates[name] for name in asked], settings, outlook)
    smoke = _smoke(ledger, fit, base, worker)
    if smoke is not None:
        return smoke
    if any(ledger.candidates[name].running for name in fit):
        return None  # its smoke test is under way
    return _retests(ledger, fit, room, size, settings, outlook) or _opened(ledger, fit, base, stack, room, size, settings)


def _retests(ledger: Ledger, fit: list[str], room: int, size: int, settings: Settings, outlook: Outlook) -> Retest | None:
    """What may fill the columns that this block would leave empty."""
    if not outlook.more_to_come or retests.is_under_way(ledger):
        return None  # they would draw out the end; or one did not fit into this block
    kept = retests.due(ledger, _columns(fit, room, size, settings) - len(fit))
    return Retest(kept) if kept else None


def _size_for(fit: list[str], room: int, size: int, settings: Settings) -> int:
    """Rows of a block with these candidates, where `size` rows would have `room` for candidates."""
    return size if settings.block is not None else min(size, smallest_size(min(len(fit), room), size - 1 - room))


def _columns(fit: list[str], room: int, size: int, settings: Settings) -> int:
    """How many candidates that block has columns for."""
    return _size_for(fit, room, size, settings) - 1 - (size - 1 - room)


def _opened(
    ledger: Ledger, fit: list[str], base: str, stack: str | None, room: int, size: int, settings: Settings
) -> BlockOpened:
    taken = tuple(fit[:room])
    size = _size_for(fit, room, size, settings)
    name = f"b{len(ledger.blocks.blocks) + 1:04d}"
    seed, in_time = f"{settings.seed}/{name}", len(ledger.workers) == 1
    columns = columns_for(size, len(taken), seed, in_time=in_time)
    return BlockOpened(name, base, size, taken, columns, order_of(size, seed, in_time=in_time), stack)


def again(ledger: Ledger, settings: Settings, outlook: Outlook) -> Compose | BlockOpened | None:
    """The same candidates in a second block at the same time, where a worker would have nothing else to do."""
    if any(c.state is CandidateState.WAITING and not c.alone for c in ledger.pending.values()):
        return None  # they are about to be in a block
    if settings.lanes == "solo" or len(ledger.workers) < 2 or outlook.trials_left <= outlook.reserved + SMALLEST:
        return None
    base, stack = next_base(ledger)
    size = size_of_next(ledger, settings, outlook)
    room = size - 1 - _spare(size, ledger, outlook)
    more = {name for name, c in ledger.in_blocks.items() if _worth_another(c, outlook)}
    measured = [name for name in outlook.p_null if name in more]
    open_ones = sorted((ledger.in_blocks[name] for name in more), key=lambda c: (c.open_blocks, c.nth))
    asked = tuple(dict.fromkeys([c.id for c in open_ones if c.open_blocks] + measured))[: max(0, room)]
    if len(asked) < FEWEST or size < SMALLEST:
        return None
    composed = ledger.blocks.composed(base, asked)
    if composed is None:
        return Compose(base, asked, room)
    fit = [name for name in composed if name in ledger.in_blocks]
    return _opened(ledger, fit, base, stack, room, size, settings) if len(fit) >= FEWEST else None


def _worth_another(candidate: Candidate, outlook: Outlook) -> bool:
    """Not of one that would be given up, or has been measured often enough, as soon as its open blocks are closed."""
    promising = outlook.p_null.get(candidate.id, 0.0) < GIVEN_UP_FROM
    return promising and len(candidate.heats) + candidate.open_blocks < MOST_BLOCKS


def _eligible(ledger: Ledger, outlook: Outlook) -> list[Candidate]:
    """Who may be in the next block: first those that stayed from former ones, the most promising first, then the new."""
    free = ledger.between_blocks
    stayed = [free[name] for name in outlook.p_null if name in free]
    untold = [candidate for name, candidate in free.items() if name not in outlook.p_null]
    waiting = [c for c in ledger.pending.values() if c.state is CandidateState.WAITING and not c.alone]
    return [*stayed, *untold, *waiting]


def _is_free(candidate: Candidate) -> bool:
    return candidate.state in (CandidateState.IN_BLOCKS, CandidateState.WAITING) and not (
        candidate.open_blocks or candidate.alone
    )


def _spare(size: int, ledger: Ledger, outlook: Outlook) -> int:
    """Columns left empty: they show the noise and, on one GPU, take up its drift."""
    if size < 32 or outlook.trials_left + len(ledger.trials) <= 200:
        return 1
    return 3 if len(ledger.workers) == 1 else 2


def _too_few(ledger: Ledger, candidates: list[Candidate], settings: Settings, outlook: Outlook) -> SentSolo | None:
    """Too few for a block: they wait a moment for company, then race alone, the most promising first."""
    waits = settings.lanes == "blocks" and outlook.more_to_come
    if not candidates or waits or outlook.trials_left <= outlook.reserved:
        return None
    racing = sum(c.alone for c in ledger.pending.values() if c.state in (CandidateState.WAITING, CandidateState.RACING))
    if racing >= len(ledger.workers):
        return None
    return SentSolo(candidates[0].id, "too few edits are there to be measured together")


def _better_company_is_near(candidates: list[Candidate], size: int, outlook: Outlook) -> bool:
    """Whether a block of so few should wait a moment: ideas come in bursts."""
    if not candidates or not outlook.more_to_come or size < SMALLEST or len(candidates) >= size / 2:
        return False
    patience_s = PATIENCE_S if outlook.trial_s is None else min(PATIENCE_S, PATIENCE_TRIALS * outlook.trial_s)
    return outlook.now - max(candidate.proposed_at for candidate in candidates) < patience_s / 2 and (
        outlook.now - min(candidate.proposed_at for candidate in candidates) < patience_s
    )


def _is_crowded(ledger: Ledger, outlook: Outlook) -> bool:
    """Whether clashes leave blocks so empty that races find more: where one trial shows a helpful edit above the noise.

    After a first block, for what edits bring is then known; and for a while, since proposers change.
    """
    asked, fit, at = ledger.blocks.last_large_fit
    if outlook.beliefs is None or outlook.beliefs.closed < 1 or len(ledger.candidates) - at > ASKED_AGAIN_AFTER:
        return False
    return fit < CROWDED * asked and outlook.beliefs.helpful_size() > 1.2 * outlook.beliefs.noise_sd


def _one_alone(ledger: Ledger, candidates: list[Candidate]) -> SentSolo | None:
    """The most promising one, where no other waits for its race already."""
    if any(c.alone and c.state is CandidateState.WAITING for c in ledger.pending.values()):
        return None
    return SentSolo(candidates[0].id, "edits clash here, and bring more than the noise hides")


# -- smoke tests


def _smoke(ledger: Ledger, fit: list[str], base: str, worker: str) -> StartTrial | None:
    """A short run of some that have never run, where crashes are to be expected in this block."""
    untried = [c for name in fit if not (c := ledger.candidates[name]).runs]
    crashed = ledger.states[CandidateState.CRASHED]
    rate = (crashed + _CRASHES_AT_START) / (crashed + ledger.ran + _RUNS_AT_START)
    under_suspicion = next((c for c in untried if c.suspects and not c.running), None)
    if under_suspicion is not None:
        group = tuple(name for name in under_suspicion.suspects if name in fit and not ledger.candidates[name].runs)
    elif rate * len(untried) < SMOKE_FROM:
        return None
    else:
        new = [c.id for c in untried if not c.suspects and not c.running]
        most = 2 ** int(max(0.0, min(5.0, math.log2(0.7 / rate))))
        group = tuple(new[:most])
    if not group:
        return None
    seed = len(ledger.trials)  # its numbers count for nothing
    return StartTrial(worker, Purpose.SMOKE, None, group, seed, base=base)


def crashed_alone(ledger: Ledger, candidate: Candidate) -> str | None:
    """The trial in which a candidate crashed with nobody else in it; None where there is none."""
    for name in reversed(candidate.trials):
        trial = ledger.trials[name]
        if trial.ended is None or not trial.ended.outcome.by_own_fault:
            continue
        if trial.started.purpose is Purpose.SMOKE and trial.started.candidates == (candidate.id,):
            return name
    return None
