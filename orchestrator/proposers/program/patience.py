"""How long to wait after a failure, and when a program is given up. Pure: time is passed in.

Two budgets. A program that fails for a reason of its own is given up soon: the night must not be spent on a wrong command. One
that was told to wait (a subscription that is used up for some hours, a provider that is overloaded, a network that is down) is
waited for. Of runs that were under way together, one failure counts: they had one cause, more likely than not.
"""

from __future__ import annotations

import re

MOST_IN_A_ROW = 6
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
FIRST_THROTTLED_PAUSE_S, LONGEST_THROTTLED_PAUSE_S = 60.0, 900.0
MOST_THROTTLED_S = 6 * 3600.0  # longer than the windows in which subscriptions count
_THROTTLED = re.compile(
    rb"(?<!learning )(?<!learning-)(?<!learning_)rate.?limit|usage.?limit|limit (?:reached|exceeded)|quota|too many requests"
    rb"|\b(?:429|529)\b|overloaded|could not resolve host|network is unreachable|\bENOTFOUND\b|\bEAI_AGAIN\b",
    re.IGNORECASE,
)


def throttled(output: bytes) -> bool:
    """Whether the end of a failed program's output says that it has to wait."""
    return _THROTTLED.search(output[-4096:]) is not None


class Patience:
    """Failures in a row."""

    def __init__(self) -> None:
        self.given_up: str | None = None  # why, in one line
        self.in_a_row = 0
        self._throttled_in_a_row = 0
        self._throttled_since: float | None = None
        self._not_before = 0.0
        self._last_failed: float | None = None

    def ready(self, now: float) -> bool:
        return self.given_up is None and now >= self._not_before

    def worked(self) -> None:
        self.in_a_row = self._throttled_in_a_row = 0
        self._throttled_since = None

    def take_heart(self) -> None:
        """Something is new: try again at once."""
        self.in_a_row, self._not_before = 0, 0.0 if self._throttled_since is None else self._not_before

    def failed(self, now: float, reason: str, *, began: float, before: int | None = None, hope: bool = False) -> None:
        """A run that began at `began` gave nothing that can be measured. `before`: the failures before it, where it was taken
        for a success at first. `hope`: something of its own is still being measured, and may change what it works on: pause,
        but do not give up."""
        self.in_a_row = self.in_a_row if before is None else before
        if self._last_failed is None or began >= self._last_failed:
            self.in_a_row, self._last_failed = self.in_a_row + 1, now
        self.in_a_row = max(1, self.in_a_row)
        self._not_before = now + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self.in_a_row - 1))
        if self.in_a_row >= MOST_IN_A_ROW and not hope:
            self.given_up = f"{self.in_a_row} failures in a row, lastly: {reason}"

    def told_to_wait(self, now: float, reason: str) -> None:
        """It failed because somebody else limits how often it may be used."""
        self._throttled_in_a_row += 1
        since = self._throttled_since = now if self._throttled_since is None else self._throttled_since
        pause_s = FIRST_THROTTLED_PAUSE_S * 2 ** min(10, self._throttled_in_a_row - 1)
        self._not_before = now + min(LONGEST_THROTTLED_PAUSE_S, pause_s)
        if now - since >= MOST_THROTTLED_S:
            self.given_up = f"was told to wait for {(now - since) / 3600:.1f} hours, lastly: {reason}"
