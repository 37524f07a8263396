"""Blocks: many candidates measured at once, each in half of the rows, so that every trial informs every one of them. Pure.

A block is opened with those that fit on each other; its rows are run as workers become free, so that blocks overlap and none
waits for a last row. When its rows are in, least squares tells each candidate's effect with all others' held apart. Candidates
of which enough is known are decided, the others stay for the next block and keep their evidence. What was won is stacked, and
the stack is the base of the next block: that block's row 0 is its final.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from orchestrator.block_book import Block
from orchestrator.candidate import Candidate
from orchestrator.events import BlockClosed, CandidateDecided, Evidence, SentSolo, Verdict
from orchestrator.ledger import Ledger
from orchestrator.tournament.bar import Bar, bar_for_block
from orchestrator.tournament.beliefs import Beliefs, pooled
from orchestrator.tournament.margin import margin_for
from orchestrator.tournament.settings import Settings
from workers.trial import Outcome

GIVEN_UP_FROM = 0.60  # probability of no help, once it was measured in a block
MOST_BLOCKS = 6  # in which one candidate is measured
SUSPECT_AFTER = 3  # crashed rows, and not one that ran: of two, one in four of the innocent would be suspected


def close(block: Block, *, in_time: bool) -> BlockClosed:
    """What the rows of a block whose rows are all in say, by least squares over those that gave a number.

    A candidate of which they say nothing is left out: one that was in all or none of them, or cannot be told from another.
    `in_time`: the rows were run one after the other, so a steady drift is told apart too, where columns are left for it.
    """
    opened = block.opened
    rows = sorted((row, found) for row, found in block.rows.items() if found.value is not None)
    y = np.array([found.value for _, found in rows], dtype=np.float64)
    held = np.array([[name in found.candidates for name in opened.candidates] for _, found in rows], dtype=np.float64)
    if not rows:
        return BlockClosed(block.name, (), (), (), (), 0, 0.0, 0.0, 0)
    columns = [np.ones((len(rows), 1)), held]
    if in_time and len(rows) - 1 - held.shape[1] >= 2:
        at = np.array([found.nth for _, found in rows], dtype=np.float64)
        columns.append(((at - at.mean()) / (at.std() or 1.0))[:, None])
    design = np.hstack(columns)
    told = _told_apart(design)[1 : held.shape[1] + 1]
    if not told.any():
        return BlockClosed(block.name, (), (), (), (), len(rows), float(y.mean()), 0.0, 0)
    inverse = np.linalg.pinv(design.T @ design, hermitian=True)
    fitted = inverse @ (design.T @ y)
    residuals = y - design @ fitted
    spreads = np.sqrt(np.diag(inverse)[1 : held.shape[1] + 1])
    return BlockClosed(
        block.name,
        tuple(name for name, is_told in zip(opened.candidates, told, strict=True) if is_told),
        tuple(fitted[1 : held.shape[1] + 1][told].tolist()),
        tuple(spreads[told].tolist()),
        tuple(int(n) for n in held[:, told].sum(axis=0)),
        len(rows),
        float(fitted[0]),
        float(residuals @ residuals),
        max(0, len(rows) - int(np.linalg.matrix_rank(design))),
    )


def _told_apart(design: np.ndarray) -> np.ndarray:
    """Which coefficients the rows determine: those in which no combination of columns that adds up to nothing takes part."""
    _, sizes, directions = np.linalg.svd(design, full_matrices=True)
    rank = int((sizes > 1e-8 * sizes[0]).sum())
    return np.asarray((np.abs(directions[rank:]) < 1e-8).all(axis=0))


def judge_blocks(ledger: Ledger, beliefs: Beliefs, p_null: Mapping[str, float], settings: Settings) -> CandidateDecided | None:
    """The verdict on one candidate of which the blocks have told enough; None where more is to be measured.

    `p_null` holds those that a closed block has told of, the most promising first.
    """
    bar = bar_for_block(ledger, settings)
    for name, null in p_null.items():
        candidate = ledger.in_blocks.get(name)
        if candidate is None:
            continue
        wins = _passes(ledger, candidate, beliefs, null, bar, settings)
        if wins:
            evidence = _evidence(ledger, candidate, beliefs, null, bar, settings)
            return CandidateDecided(
                name, Verdict.WON, f"{'no worse' if evidence.margin else 'better'}: {_told(evidence)}", evidence
            )
        if candidate.open_blocks:
            continue
        if null >= GIVEN_UP_FROM:
            evidence = _evidence(ledger, candidate, beliefs, null, bar, settings)
            return CandidateDecided(name, Verdict.DISCARD, f"not better: {_told(evidence)}", evidence)
        if len(candidate.heats) >= MOST_BLOCKS:
            evidence = _evidence(ledger, candidate, beliefs, null, bar, settings)
            return CandidateDecided(name, Verdict.INCONCLUSIVE, f"near miss: {_told(evidence)}", evidence)
    return None


def _passes(ledger: Ledger, candidate: Candidate, beliefs: Beliefs, null: float, bar: Bar, settings: Settings) -> bool:
    margin = margin_for(ledger, settings, candidate)
    if bar.p_null is not None and null > bar.p_null:
        return False
    if bar.p_null is not None and beliefs.may_keep:
        return True
    needed = bar.e_value
    if needed is None and margin:  # the guard asks whether anything helps, which a deletion need not
        needed = settings.planned_candidates / settings.false_keep_rate
    return needed is not None and beliefs.e_value(candidate.id, margin) >= needed


def _evidence(ledger: Ledger, candidate: Candidate, beliefs: Beliefs, null: float, bar: Bar, settings: Settings) -> Evidence:
    effect, spread = pooled(candidate.heats)
    margin = margin_for(ledger, settings, candidate)
    with_it = sum(heat.rows_with for heat in candidate.heats)
    without = sum(heat.rows for heat in candidate.heats) - with_it
    reference = sum(heat.base_mean for heat in candidate.heats) / len(candidate.heats)
    return Evidence(
        mean=reference + effect,
        samples=with_it,
        reference_mean=reference,
        reference_samples=without,
        effect=effect,
        stderr=spread * beliefs.noise_sd,
        noise_sd=beliefs.noise_sd,
        noise_df=max(1, ledger.book.noise().df),
        e_value=beliefs.e_value(candidate.id, margin),
        e_value_needed=bar.e_value,
        p_null=null,
        p_null_allowed=bar.p_null,
        rule=settings.rule,
        blocks=tuple(heat.block for heat in candidate.heats),
        margin=margin,
    )


def _told(evidence: Evidence) -> str:
    count = len(evidence.blocks)
    return (
        f"{evidence.effect:+.4g} ± {evidence.stderr:.2g} over {evidence.samples} trials with it and "
        f"{evidence.reference_samples} without, in {count} block{'' if count == 1 else 's'}; "
        f"p(no help) {evidence.p_null:.2g}"
    )


def suspect_of(ledger: Ledger, block: Block) -> SentSolo | None:
    """One whose every row in this block has crashed, in three at least, while others ran: it is to race alone.

    A row that crashed is blamed on nobody; only a candidate that crashes alone is a crash.
    """
    crashed: dict[str, int] = {}
    for row in block.rows.values():
        if row.outcome not in (None, Outcome.OK):
            for name in row.candidates:
                crashed[name] = crashed.get(name, 0) + 1
    if not crashed:
        return None
    if not any(row.outcome is Outcome.OK for row in block.rows.values()):
        return None
    ran = {name for row in block.rows.values() if row.outcome is Outcome.OK for name in row.candidates}
    for name, times in crashed.items():
        if times >= SUSPECT_AFTER and name not in ran and name not in block.struck and name in ledger.in_blocks:
            return SentSolo(
                name, f"each of its {times} trials in {block.name} crashed; alone it shows whether by its own fault"
            )
    return None
