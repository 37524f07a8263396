"""What the blocks say of one candidate: the samples with it beside those without, and what was made of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.block_book import Block, Row
from orchestrator.ledger import Candidate, Ledger
from orchestrator.views.words import change, number, plural

SHOWN = 16  # samples on each side


@dataclass(frozen=True, slots=True)
class InBlock:
    """One block that a candidate was in."""

    block: str
    base: str  # commit
    others: int
    size: int
    ran: int  # of its trials, those that gave a number
    crashed: int  # of its trials that held the candidate, those that ended by somebody's fault
    with_it: list[float]
    without: list[float]
    effect: float | None  # None where the block says nothing of it, or is not closed
    stderr: float | None
    is_open: bool
    final_of: str | None  # whose final its first row was


def _failed(ledger: Ledger, block: Block, trial: str) -> bool:
    ended, started = ledger.trials[trial].ended, ledger.trials[trial].started
    return started.block == block.name and ended is not None and ended.outcome.by_own_fault


def blocks_of(ledger: Ledger, candidate: Candidate) -> list[InBlock]:
    """Oldest first."""
    return [
        _seen(ledger, block, candidate) for block in ledger.blocks.blocks.values() if candidate.id in block.opened.candidates
    ]


def _seen(ledger: Ledger, block: Block, candidate: Candidate) -> InBlock:
    rows: list[Row] = [row for _, row in sorted(block.rows.items())]
    heat = next((heat for heat in candidate.heats if heat.block == block.name), None)
    sd = candidate.evidence.noise_sd if candidate.evidence is not None else ledger.book.noise().sd
    return InBlock(
        block=block.name,
        base=block.opened.base,
        others=len(block.opened.candidates) - 1,
        size=block.opened.size,
        ran=sum(row.value is not None for row in rows),
        crashed=sum(_failed(ledger, block, name) for name in candidate.trials),  # run again since, or not
        with_it=[row.value for row in rows if row.value is not None and candidate.id in row.candidates],
        without=[row.value for row in rows if row.value is not None and candidate.id not in row.candidates],
        effect=heat.effect if heat is not None else None,
        stderr=None if heat is None or sd is None else heat.spread * sd,
        is_open=block.name in ledger.blocks.open,
        final_of=block.opened.stack,
    )


def told(seen: InBlock, base: str, sd: float | None) -> list[tuple[str, str]]:
    """Label and text of each line; `base`: what people call the commit that the block stands on."""
    if seen.is_open:
        effect = f"open, {seen.ran} of its {plural(seen.size, 'trial')} are in"
    elif seen.effect is None:
        effect = "its trials say nothing of this edit"
    else:
        effect = f"effect {change(seen.effect, seen.stderr)}"
    others = f"with {plural(seen.others, 'other edit')}, about half of them in each trial"
    lines = [
        ("block", f"{seen.block} on {base}, {others}: {effect}"),
        ("  with it", _values(seen.with_it, sd)),
        ("  without", _values(seen.without, sd)),
    ]
    if seen.crashed:
        lines.append(("", f"{plural(seen.crashed, 'trial')} with it failed; others were in them too, so nobody is blamed"))
    return lines


def explanation(blocks: list[InBlock]) -> str:
    """How an effect comes out of samples that other edits are in too."""
    return (
        "the effect is what remains when those of the other edits, which are in half of either samples, are held apart "
        f"(least squares over all trials of {'the block' if len(blocks) == 1 else 'each block'})"
    )


def sent_solo(candidate: Candidate) -> str | None:
    """Why it is not measured together with others any more; None where it may be."""
    mark = "sent solo: "
    return next((step.removeprefix(mark) for step in reversed(candidate.history) if step.startswith(mark)), None)


def _values(values: list[float], sd: float | None) -> str:
    if not values:
        return "no sample"
    shown = " ".join(number(value, sd) for value in values[:SHOWN])
    more = f" … ({len(values) - SHOWN} more)" if len(values) > SHOWN else ""
    return f"{shown}{more}, mean {number(sum(values) / len(values), sd)} over {len(values)}"
