"""The `program` proposer: runs a program in the background, several at a time, and delivers what it made of the champion.

Each run has a thread, and a folder below the grounds named by its number (attempt.py). A finished proposal is on the disk
before it is delivered, so a new head takes up what the former one had paid for: `begin` delivers it again. Failures are
`ProposalError`s; where they repeat themselves it is not `ready` for a while, and ends at last.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.proposers.base import Brief, Delivery, Proposal, Result
from orchestrator.proposers.program.assignment import Assignment
from orchestrator.proposers.program.attempt import Attempt, Ended, Program, kept_proposal
from orchestrator.proposers.program.patience import Patience
from orchestrator.proposers.program.workplace import sweep
from orchestrator.proposers.redaction import Redaction
from orchestrator.scope import Scope
from workers.waiting import Cancellation

CLOSING_S = 10.0  # for processes to end and worktrees to go
NOT_MEASURED = frozenset({"rejected", "conflict"})  # ends of a candidate that nothing was learnt from
_REMEMBERED = 20  # of what went wrong, for the next prompt


@dataclass(frozen=True, slots=True)
class Grounds:
    """Where a proposer works and what it is told there. Asked in the campaign's loop alone: the ledger belongs to it."""

    folder: Path  # its own in the run directory
    repository: Path  # the campaign's
    scope: Scope
    known: Callable[[], Collection[str | None]]  # tokens of those of its proposals that the journal has
    champion: Callable[[], str]  # commit
    assignment: Callable[[Brief], Assignment]


@dataclass(slots=True)
class _Run:
    """One run of the program that is not accounted for yet."""

    began: float
    cancel: Cancellation
    thread: threading.Thread | None = None
    ended: Ended | None = None  # set by the thread before it delivers


@dataclass(frozen=True, slots=True)
class _Given:
    """A proposal whose end is not known yet."""

    champion: str | None
    failures_before: int  # in a row
    began: float


class ProgramProposer:
    """`attach` it to a campaign before anything else. `environment` is the user's; `clock` counts monotonic seconds."""

    def __init__(
        self,
        command: str,
        *,
        name: str,
        timeout_s: float,
        most_at_once: int,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._most_at_once = most_at_once
        self._program = Program(name, command, timeout_s, dict(environment), Redaction(environment))
        self._clock = clock
        self._number = 0
        self._runs: dict[str, _Run] = {}  # by token; the campaign's loop alone adds and removes
        self._patience = Patience()
        self._champion: str | None = None
        self._unended: dict[str, _Given] = {}  # by token
        self._lately: list[str] = []

    def attach(self, grounds: Grounds) -> None:
        """Before `begin`: where it works."""
        self._grounds = grounds

    # -- as every proposer

    def learn(self, result: Result) -> None:
        """A proposal that a gate refuses is a failure too: a script that makes the same edit for ever must end."""
        token = result.token or ""
        self._account(token)  # the gates may have spoken before `taken`
        given = self._unended.pop(token, None)  # None: of an earlier head
        if given is not None and result.status in NOT_MEASURED and given.champion == self._champion:
            reason = f"{result.candidate} was not measured ({result.status})"
            self._patience.failed(
                self._clock(), reason, began=given.began, before=given.failures_before, hope=bool(self._unended)
            )
            self._end_if_given_up()

    def planned(self) -> int | None:
        return None

    # -- in the campaign's loop

    def begin(self, deliver: Callable[[Delivery], None]) -> int:
        """Also removes the worktrees that a killed head left."""
        self._deliver = deliver
        folder = self._grounds.folder
        sweep(folder)
        numbers = sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit())
        self._number = max(numbers, default=0)
        known = self._grounds.known()
        unknown = [number for number in numbers if self._token(number) not in known]
        unheard = [kept for number in unknown if (kept := kept_proposal(self._folder(number))) is not None]
        for proposal in unheard:
            deliver(Delivery(self.name, 1, (proposal,)))
        return len(unheard)

    def ready(self) -> bool:
        champion = self._grounds.champion()
        if champion != self._champion:
            self._champion = champion  # what led nowhere on the former one may lead somewhere on this one
            self._patience.take_heart()
        return len(self._runs) < self._most_at_once and self._patience.ready(self._clock())

    def insists(self) -> bool:
        return False

    def request(self, brief: Brief) -> int:
        self._number += 1
        token, assignment = self._token(self._number), self._grounds.assignment(brief)
        attempt = Attempt(self._program, self._folder(self._number), token, self._grounds.repository, self._grounds.scope)
        run = self._runs[token] = _Run(self._clock(), Cancellation())
        arguments = (run, attempt, assignment, tuple(self._lately))
        run.thread = threading.Thread(target=self._work, args=arguments, name=token, daemon=True)
        run.thread.start()
        return 1

    def taken(self, delivery: Delivery) -> None:
        self._account(delivery.job or "")
        self._end_if_given_up()

    def wind_up(self) -> None:
        """A program may go on for long, and what it would bring is of no use any more."""
        for run in self._runs.values():
            run.cancel.cancel()

    def close(self) -> None:
        self.wind_up()
        deadline = time.monotonic() + CLOSING_S
        for run in self._runs.values():
            if run.thread is not None:
                run.thread.join(max(0.0, deadline - time.monotonic()))

    # -- helpers of the loop

    def _account(self, token: str) -> None:
        """Once, as soon as the journal has the first word of how a run ended."""
        run = self._runs.pop(token, None)
        if run is None or run.ended is None:
            return
        outcome = run.ended.outcome
        if isinstance(outcome, Proposal):
            self._unended[token] = _Given(outcome.against, self._patience.in_a_row, run.began)
            self._patience.worked()
            self._remember(run.ended.remark)
        elif outcome is not None:
            self._remember(outcome.reason)
            if run.ended.throttled:
                self._patience.told_to_wait(self._clock(), outcome.reason)
            else:
                self._patience.failed(self._clock(), outcome.reason, began=run.began, hope=bool(self._unended))

    def _remember(self, what: str | None) -> None:
        if what is not None:
            self._lately = [*self._lately, what][-_REMEMBERED:]

    def _end_if_given_up(self) -> None:
        """Once nothing of it is under way any more."""
        if self._patience.given_up is not None and not self._runs:
            self._deliver(Delivery(self.name, ended=self._patience.given_up))

    def _folder(self, number: int) -> Path:
        return self._grounds.folder / f"{number:04d}"

    def _token(self, number: int) -> str:
        return f"{self.name}/{number:04d}"

    # -- in a thread of its own

    def _work(self, run: _Run, attempt: Attempt, assignment: Assignment, lately: tuple[str, ...]) -> None:
        run.ended = ended = attempt.ended(assignment, lately, run.cancel)
        proposals = () if ended.outcome is None else (ended.outcome,)
        notes = () if ended.remark is None else (ended.remark,)
        self._deliver(Delivery(self.name, 1, proposals, notes, job=attempt.token))
