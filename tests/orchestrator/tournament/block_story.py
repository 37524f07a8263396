"""Blocks in the words of a story: opened, their rows run, closed. Used by tests only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from resumable import settings
from story import BASE, Story

from orchestrator import events as ev
from orchestrator.block_book import Block
from orchestrator.design import columns_for
from orchestrator.events import Purpose
from orchestrator.tournament import block_plan, limits
from orchestrator.tournament.block_plan import Outlook
from orchestrator.tournament.blocks import close
from orchestrator.tournament.settings import Settings
from workers.trial import Outcome

Answer = Callable[[tuple[str, ...]], "float | Outcome"]


def names(count: int) -> tuple[str, ...]:
    return tuple(f"c{nth + 1:04d}" for nth in range(count))


class BlockStory(Story):
    """`candidates` wait on the base, which was measured four times: mean 1, standard deviation 0.12."""

    def __init__(self, candidates: int = 0, workers: int = 1) -> None:
        super().__init__(workers)
        self.baseline(0.9, 1.1, 0.9, 1.1)
        for name in names(candidates):
            self.candidate(name)

    def block(
        self,
        size: int,
        *candidates: str,
        name: str = "b0001",
        base: str = BASE,
        columns: Sequence[int] | None = None,
        stack: str | None = None,
        in_time: bool = False,
        order: Sequence[int] | None = None,
    ) -> Block:
        """An open block whose rows are to be run in their natural order where no other is given."""
        taken = tuple(columns or columns_for(size, len(candidates), name, in_time=in_time))
        self.tell(ev.BlockOpened(name, base, size, candidates, taken, tuple(order or range(size)), stack))
        return self.ledger.blocks.blocks[name]

    def start_row(self, block: Block, worker: str = "w0") -> str:
        """The block's next row."""
        row = block.todo[-1]
        trial, members, base = f"t{len(self.ledger.trials) + 1:06d}", block.members(row), block.opened.base
        commit = f"{base}+{trial}" if members else base
        self.tell(ev.TrialStarted(trial, Purpose.BLOCK, commit, members, 0, worker, 0.0, None, block.name, row))
        return trial

    def run_rows(self, block: Block, answer: Answer, at_most: int = 1000) -> BlockStory:
        """One row after the other, what is left of them."""
        for _ in range(at_most):
            if not block.todo:
                break
            members = block.members(block.todo[-1])
            found = answer(members)
            trial = self.start_row(block)
            self.end(trial, outcome=found) if isinstance(found, Outcome) else self.end(trial, found)
        return self

    def close(self, block: Block, *, in_time: bool = False) -> ev.BlockClosed:
        closed = close(block, in_time=in_time)
        self.tell(closed)
        return closed

    def smoke(self, *candidates: str, outcome: Outcome = Outcome.OK) -> str:
        trial = f"t{len(self.ledger.trials) + 1:06d}"
        self.tell(ev.TrialStarted(trial, Purpose.SMOKE, f"{BASE}+{trial}", candidates, 0, "w0"))
        self.end(trial, 1.0 if outcome is Outcome.OK else None, outcome)
        return trial

    def fits(self, *candidates: str, asked: Sequence[str] | None = None, base: str = BASE) -> BlockStory:
        self.tell(ev.Composed(base, tuple(asked or candidates), candidates))
        return self


def additive(worth: Mapping[str, float]) -> Answer:
    return lambda members: 1.0 + sum(worth.get(name, 0.0) for name in members)


def outlook(story: Story, told: Settings | None = None, **changes: object) -> Outlook:
    """What the tournament would say, with `changes`."""
    wanted = told or settings(lanes="auto")
    found = {
        "beliefs": None,
        "p_null": {},
        "trials_left": limits.trials_left(story.ledger, wanted, story.now),
        "reserved": limits.reserved_trials(story.ledger, wanted),
        "more_to_come": True,
        "trial_s": 300.0,
        "now": story.now,
    }
    return Outlook(**{**found, **changes})  # type: ignore[arg-type]


def step(story: Story, told: Settings | None = None, **changes: object) -> object:
    wanted = told or settings(lanes="auto")
    return block_plan.step(story.ledger, wanted, outlook(story, wanted, **changes), "w0")
