"""The blocks of a campaign: which rows of which design have been run, and what the closed ones said. A pure fold.

A block measures many candidates at once: each row of its design is a trial of the base with about half of them on it. Only
the ledger changes a book of blocks, in the journal's order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator import events as ev
from orchestrator.design import inclusion
from workers.trial import Outcome

LARGE_FIT = 16  # candidates to be asked about together, for how many fit to be a measure of how edits clash


@dataclass(slots=True)
class Row:
    """The trial that a row of the design became, and who was in it: one sent solo meanwhile is in no later row."""

    trial: str
    candidates: tuple[str, ...]
    worker: str
    nth: int  # in the order of all trials
    outcome: Outcome | None = None
    value: float | None = None


@dataclass(slots=True)
class Block:
    opened: ev.BlockOpened
    todo: list[int]  # rows to be run, the next one last
    rows: dict[int, Row] = field(default_factory=dict)  # those that were run or are running
    running: int = 0
    struck: set[str] = field(default_factory=set)  # sent solo since it was opened
    failed_on: dict[int, set[str]] = field(default_factory=dict)  # by row: workers whose machine has failed it

    @property
    def name(self) -> str:
        return self.opened.block

    @property
    def is_over(self) -> bool:
        return not self.todo and not self.running

    def members(self, row: int) -> tuple[str, ...]:
        """Who is to be in this row."""
        taken = inclusion(self.opened.size, self.opened.columns)[row]
        return tuple(
            name for name, is_in in zip(self.opened.candidates, taken, strict=True) if is_in and name not in self.struck
        )


class BlockBook:
    def __init__(self) -> None:
        self.blocks: dict[str, Block] = {}
        self.open: dict[str, Block] = {}
        self.closed: list[ev.BlockClosed] = []
        # Of all closed blocks together: what their designs leave unexplained, on how many degrees of freedom, and these
        # weighed by the square of the number of candidates, with which interactions between candidates grow.
        self.residual_squares = 0.0
        self.residual_df = 0
        self.residual_pairs = 0.0
        # Of many that were asked about the last time: how many could have fitted, how many did, and when that was.
        self.last_large_fit = (0, 0, 0)
        # What was found to fit, by base and who was asked about; since the last block was opened.
        self._composed: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}

    def compose(self, event: ev.Composed, candidates: int) -> None:
        """`candidates`: that have been proposed by then."""
        most = min(len(event.asked), event.room or 0)
        if most >= LARGE_FIT:
            self.last_large_fit = most, len(event.candidates), candidates
        self._composed[event.base, event.asked] = event.candidates

    def composed(self, base: str, asked: tuple[str, ...]) -> tuple[str, ...] | None:
        """Who of the `asked` fits on `base`; None where that was not found out."""
        return self._composed.get((base, asked))

    def open_block(self, event: ev.BlockOpened) -> None:
        self._composed.clear()
        block = Block(event, todo=list(reversed(event.order)))
        self.blocks[event.block] = self.open[event.block] = block

    def close(self, event: ev.BlockClosed) -> None:
        del self.open[event.block]
        self.closed.append(event)
        self.residual_squares += event.residual_squares
        self.residual_df += event.residual_df
        self.residual_pairs += event.residual_df * len(event.candidates) ** 2

    def start_row(self, started: ev.TrialStarted, nth: int) -> None:
        block = self.blocks[started.block or ""]
        assert started.row is not None
        block.todo.remove(started.row)
        block.rows[started.row] = Row(started.trial, started.candidates, started.worker, nth)
        block.running += 1

    def end_row(self, started: ev.TrialStarted, ended: ev.TrialEnded, value: float | None) -> None:
        block = self.blocks[started.block or ""]
        assert started.row is not None
        block.running -= 1
        if ended.outcome is Outcome.INFRA:
            block.failed_on.setdefault(started.row, set()).add(ended.worker)
        if ended.outcome.is_wasted:
            del block.rows[started.row]
            if block.name in self.open:
                block.todo.append(started.row)
            return
        row = block.rows[started.row]
        row.outcome, row.value, row.worker = ended.outcome, value, ended.worker
        if started.row == 0 and ended.outcome is not Outcome.OK:
            block.todo.clear()  # its base does not run: nor will any other row

    def void_row(self, started: ev.TrialStarted) -> None:
        """The number of a row that was run does not count: it is run again."""
        block = self.open[started.block or ""]
        assert started.row is not None
        del block.rows[started.row]
        block.todo.append(started.row)

    def strike(self, candidate: str) -> None:
        """It is in no further row of the open blocks; those that crashed with it are run again without it."""
        for block in self.open.values():
            if candidate not in block.opened.candidates:
                continue
            block.struck.add(candidate)
            lost = [
                row
                for row, found in block.rows.items()
                if candidate in found.candidates and found.outcome not in (None, Outcome.OK)
            ]
            for row in lost:
                del block.rows[row]
                block.todo.append(row)
