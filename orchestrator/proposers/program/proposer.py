"""Runs programs, several at a time, and hands over what they made of the champion. Never blocks who asks: threads inside.

`move_in` once, then `begin` while `ready`, `collect` as often as one likes, `stop` at the end. Each run has a folder below the
grounds, named by its number (attempt.py). Failures are `ProposalError`s; where they repeat themselves there is a pause, and in
the end `exhausted_reason`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.proposers.base import Brief, Proposal, ProposalError, Result
from orchestrator.proposers.program.assignment import Assignment
from orchestrator.proposers.program.attempt import Attempt, Ended, Program, kept_proposal
from orchestrator.proposers.program.patience import Patience
from orchestrator.proposers.program.redaction import Secrets
from orchestrator.proposers.program.workplace import sweep
from orchestrator.scope import Scope
from workers.waiting import Cancellation

STOP_PATIENCE_S = 10.0
NOT_MEASURED = frozenset({"rejected", "conflict"})  # ends of a candidate that nothing was learnt from
_REMEMBERED = 20  # of what went wrong, for the next prompt


@dataclass(frozen=True, slots=True)
class Grounds:
    """Where a proposer works: its folder in the run directory, the campaign's repository, what may be edited."""

    folder: Path
    repository: Path
    scope: Scope


@dataclass(frozen=True, slots=True)
class _Given:
    """A proposal whose end is not known yet."""

    champion: str | None
    failures_before: int  # in a row
    began: float


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of the program that was not collected yet."""

    thread: threading.Thread
    cancel: Cancellation
    began: float


class ProgramProposer:
    """`environment` is the user's; `clock` counts monotonic seconds."""

    def __init__(
        self,
        command: str,
        *,
        name: str = "program",
        timeout_s: float,
        most_at_once: int = 1,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.most_at_once = most_at_once
        self._program = Program(name, command, timeout_s, dict(environment), Secrets(environment))
        self._clock = clock
        self._grounds: Grounds | None = None
        self._number = 0
        self._running: dict[int, _Run] = {}
        self._ended: queue.SimpleQueue[tuple[int, Ended]] = queue.SimpleQueue()
        self._patience = Patience()
        self._champion: str | None = None
        self._unended: dict[str, _Given] = {}  # by token
        self._unheard: list[Proposal] = []
        self._remarks: list[str] = []
        self._lately: list[str] = []

    # -- as every proposer

    @property
    def exhausted_reason(self) -> str | None:
        """Why there will be no further proposal; None while there may be."""
        return self._patience.given_up

    def planned(self) -> int | None:
        return None

    def learn(self, result: Result) -> None:
        """A proposal that a gate refuses is a failure too: a script that makes the same edit for ever must end."""
        given = self._unended.pop(result.token or "", None)  # None: of an earlier head
        if given is not None and result.status in NOT_MEASURED and given.champion == self._champion:
            reason = f"{result.candidate} was not measured ({result.status})"
            self._patience.failed(
                self._clock(), reason, began=given.began, before=given.failures_before, hope=bool(self._unended)
            )

    def propose(self, brief: Brief) -> Proposal | None:
        del brief
        raise TypeError("a program is asked with `begin` and heard with `collect`")

    # -- its own way

    def move_in(self, grounds: Grounds, known: Collection[str] = ()) -> None:
        """Where to work from now on. Removes the worktrees that a killed head left, and takes in the proposals that it did not
        live to hear of. `known`: the tokens of those that the journal has."""
        self._grounds = grounds
        sweep(grounds.folder)
        numbers = sorted(int(path.name) for path in grounds.folder.glob("*") if path.name.isdigit())
        self._number = max(numbers, default=0)
        unknown = [number for number in numbers if self._token(number) not in known]
        self._unheard = [read for number in unknown if (read := kept_proposal(grounds.folder / f"{number:04d}")) is not None]

    def ready(self, champion: str) -> bool:
        """Whether another run, on this champion, may begin now."""
        if champion != self._champion:
            self._champion = champion  # what led nowhere on the former one may lead somewhere on this one
            self._patience.take_heart()
        return self.under_way() < self.most_at_once and self._patience.ready(self._clock())

    def begin(self, brief: Assignment) -> None:
        """Start one run; `collect` will have its outcome."""
        assert self._grounds is not None, "move_in comes first"
        self._number += 1
        number, cancel = self._number, Cancellation()
        grounds, folder = self._grounds, self._grounds.folder / f"{number:04d}"
        attempt = Attempt(self._program, folder, self._token(number), grounds.repository, grounds.scope)
        arguments = (attempt, number, brief, tuple(self._lately), cancel)
        thread = threading.Thread(target=self._run, args=arguments, name=f"{self.name}-{number}", daemon=True)
        self._running[number] = _Run(thread, cancel, self._clock())
        thread.start()

    def under_way(self) -> int:
        """Runs that have begun and were not collected yet."""
        return len(self._running)

    def collect(self) -> list[Proposal | ProposalError]:
        """What has ended since the last time, without waiting."""
        found: list[Proposal | ProposalError] = []
        while self._unheard:
            found.append(self._unheard.pop(0))
        while not self._ended.empty():
            number, ended = self._ended.get()
            run = self._running.pop(number)
            run.thread.join()
            if ended.remark is not None:
                self._remarks.append(ended.remark)
                self._lately = [*self._lately, ended.remark][-_REMEMBERED:]
            if ended.outcome is not None:
                self._account(ended.outcome, ended.throttled, run.began)
                found.append(ended.outcome)
        return found

    def remarks(self) -> list[str]:
        """What a person should hear of what was collected, once."""
        said, self._remarks = self._remarks, []
        return said

    def call_off(self) -> None:
        """Have whatever runs ended, without waiting; `collect` takes it in."""
        for run in self._running.values():
            run.cancel.cancel()

    def stop(self) -> None:
        """Call off whatever runs, and wait until it has ended."""
        self.call_off()
        deadline = time.monotonic() + STOP_PATIENCE_S
        for run in self._running.values():
            run.thread.join(max(0.0, deadline - time.monotonic()))

    def _account(self, outcome: Proposal | ProposalError, was_throttled: bool, began: float) -> None:
        if isinstance(outcome, Proposal):
            self._unended[outcome.token or ""] = _Given(outcome.against, self._patience.in_a_row, began)
            self._patience.worked()
            return
        self._lately = [*self._lately, outcome.reason][-_REMEMBERED:]
        if was_throttled:
            self._patience.told_to_wait(self._clock(), outcome.reason)
        else:
            self._patience.failed(self._clock(), outcome.reason, began=began, hope=bool(self._unended))

    def _run(self, attempt: Attempt, number: int, brief: Assignment, lately: tuple[str, ...], cancel: Cancellation) -> None:
        self._ended.put((number, attempt.ended(brief, lately, cancel)))

    def _token(self, number: int) -> str:
        return f"{self.name}/{number:04d}"
