"""The turns that a campaign had, as its journal tells them. A pure fold, like the ledger.

A turn lasts from the start of a head to the first end that was no interruption: the head that goes on after a Ctrl-C or a kill
goes on with the same turn. A head that proposed nothing and measured nothing is no turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator import events as ev
from orchestrator.candidate import RETEST


@dataclass(slots=True)
class _Count:
    """What there was so far."""

    proposed: int = 0  # candidates, without those that are the tournament's own
    trials: int = 0
    keeps: int = 0


class Turns:
    """Read its attributes; change it through `apply` alone."""

    def __init__(self) -> None:
        self.had = 0  # that are over
        self.since_keep = 0  # of these, those after the last one that kept something
        self.began_with: int | None = None  # candidates that there were when the open turn began; None: none is open
        self._now = _Count()
        self._before = _Count()

    @classmethod
    def of(cls, events: Iterable[ev.Event]) -> Turns:
        turns = cls()
        for event in events:
            turns.apply(event)
        return turns

    def apply(self, event: ev.Event) -> None:
        match event:
            case ev.Proposed():
                self._now.proposed += event.proposer != RETEST
            case ev.TrialStarted():
                self._now.trials += 1
            case ev.ChampionMoved():
                self._now.keeps += 1
            case ev.HeadStarted():
                if self.began_with is None:
                    self._before = _Count(self._now.proposed, self._now.trials, self._now.keeps)
                    self.began_with = self._before.proposed
            case ev.HeadStopped():
                if event.state is not ev.EndState.INTERRUPTED:
                    self._end()
            case _:
                pass

    def _end(self) -> None:
        self.began_with = None
        if (self._now.proposed, self._now.trials) == (self._before.proposed, self._before.trials):
            return
        self.had += 1
        self.since_keep = 0 if self._now.keeps > self._before.keeps else self.since_keep + 1
