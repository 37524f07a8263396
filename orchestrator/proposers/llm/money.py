"""What calls cost: dollars from tokens, and what the calls in flight may cost yet.

Prices are litellm's unless the config has its own. A purse is shared by all proposers of a campaign, whose threads use it:
money is held from the moment a call may begin until the journal has what came of it, so the ledger and the purse together
never know less than was spent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CHARS_A_TOKEN = 3.0  # fewer than any tokeniser needs for code: an estimate must not be too low


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens."""

    input_per_mtok: float = 0.0
    output_per_mtok: float = 0.0

    def usd(self, prompt_tokens: float, completion_tokens: float) -> float:
        return (prompt_tokens * self.input_per_mtok + completion_tokens * self.output_per_mtok) / 1e6


def tokens_in(chars: int) -> int:
    return int(chars / CHARS_A_TOKEN) + 1


def estimate(prices: Sequence[Price], prompt_chars: int, most_tokens: int) -> float:
    """The most that one call may cost, whichever of the models answers it."""
    return max((price.usd(tokens_in(prompt_chars), most_tokens) for price in prices), default=0.0)


class Purse:
    """`limit` dollars for the whole campaign; `spent` is what the ledger says, asked in the campaign's loop alone."""

    def __init__(self, limit_usd: float | None, spent: Callable[[], float]) -> None:
        self._limit_usd = limit_usd
        self._ask = spent
        self._spent = 0.0
        self._held: dict[str, float] = {}
        self._lock = threading.Lock()

    def look(self) -> None:
        """Learn what the ledger says by now."""
        spent = self._ask()
        with self._lock:
            self._spent = spent

    def has_room(self) -> bool:
        """Whether another call may begin: what is spent and in flight has not reached the limit."""
        with self._lock:
            return self._limit_usd is None or self._spent + sum(self._held.values()) < self._limit_usd

    def hold(self, what: str, usd: float) -> None:
        """From now on `what` is expected to cost `usd` in all; again, when more is known."""
        with self._lock:
            self._held[what] = usd

    def release(self, what: str) -> None:
        """The ledger has it, or it cost nothing."""
        with self._lock:
            self._held.pop(what, None)

    def has_room_beside(self, what: str, usd: float) -> bool:
        """Whether `what`, of which `usd` are spent by now, may go on to another call."""
        with self._lock:
            others = sum(held for name, held in self._held.items() if name != what)
            return self._limit_usd is None or self._spent + others + usd < self._limit_usd

    def held_usd(self) -> float:
        with self._lock:
            return sum(self._held.values())

    def left_usd(self) -> float | None:
        with self._lock:
            return None if self._limit_usd is None else max(0.0, self._limit_usd - self._spent - sum(self._held.values()))
