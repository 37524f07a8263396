"""While no model answers: when to ask again, when to give up, and what a person is told. Pure but for its own state."""

from __future__ import annotations

import threading

from orchestrator.proposers.llm.calls import CallError

MOST_S = 300.0  # between two tries
MOST_ASKED_S = 3600.0  # what a server may ask for by Retry-After
PERMANENT_TRIES = 3  # of what a person must mend: a key that was withdrawn, a model that is gone


class Outage:
    """Of one proposer. Told of failures in its thread, asked in the campaign's."""

    def __init__(self, proposer: str, backoff_s: float, patience_s: float) -> None:
        self._proposer = proposer
        self._backoff_s = backoff_s
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._failures = 0
        self._permanent = 0
        self._since: float | None = None
        self._not_before = 0.0
        self.given_up: str | None = None

    def may_try(self, now: float, in_flight: int) -> bool:
        """While it lasts, one request at a time finds out whether it is over."""
        with self._lock:
            return self.given_up is None and (not self._failures or (in_flight == 0 and now >= self._not_before))

    def failed(self, error: CallError, now: float) -> tuple[str, ...]:
        """No model has answered. Returns what a person should know of it."""
        with self._lock:
            if now < self._not_before:  # one of several that were in flight when it began
                return ()
            self._failures += 1
            self._permanent = self._permanent + 1 if error.permanent else 0
            self._since = now if self._since is None else self._since
            wait_s = min(MOST_S, self._backoff_s * 2 ** (self._failures - 1))
            wait_s = max(wait_s, min(MOST_ASKED_S, error.retry_after_s or 0.0))
            self._not_before = now + wait_s
            if self._permanent >= PERMANENT_TRIES:
                self.given_up = f"no model answers, and trying again is no use: {error.reason}"
            elif now - self._since >= self._patience_s:
                self.given_up = f"no model has answered for {now - self._since:.0f} s: {error.reason}"
            if self.given_up is not None or self._failures not in (1, 2, 4, 8, 16, 32, 64, 128):
                return ()
            return (f"{self._proposer}: no model answers: {error.reason}; the next try is in {wait_s:.0f} s",)

    def over(self) -> tuple[str, ...]:
        """A model has answered."""
        with self._lock:
            was, self._failures, self._permanent, self._since, self._not_before = self._failures, 0, 0, None, 0.0
            return (f"{self._proposer}: a model answers again",) if was else ()
