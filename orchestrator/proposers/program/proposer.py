"""Runs programs, several at a time, and hands over what they made of the champion. Never blocks who asks: threads inside.

`move_in` once, then `begin` while `ready`, `collect` as often as one likes, `stop` at the end. Each run has a folder below the
grounds, named by its number: `prompt.md` as it was told, `output.txt` (capped, keys taken out) as it answered, `proposal.json`
as it was understood, so that a head that dies before it has heard of one need not pay for it again. Failures are
`ProposalError`s; where they repeat themselves there is a pause, and in the end `exhausted_reason`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from orchestrator.edits import Edit
from orchestrator.proposers.base import Brief, Proposal, ProposalError, Result
from orchestrator.proposers.program import assignment as told
from orchestrator.proposers.program import command as shell
from orchestrator.proposers.program.assignment import Assignment
from orchestrator.proposers.program.difference import edits_between
from orchestrator.proposers.program.outcome import Said, heard, one_line_of
from orchestrator.proposers.program.patience import Patience, throttled
from orchestrator.proposers.program.redaction import Secrets
from orchestrator.proposers.program.workplace import (
    DESCRIPTION_BYTES,
    MOST_CHANGES,
    MOST_FILE_BYTES,
    Change,
    Workplace,
    WorkplaceError,
    read_plain_file,
    sweep,
)
from orchestrator.scope import Scope, new_name_problem, path_problem
from orchestrator.views.plain import one_line
from workers.git import GitError
from workers.output import CappedLog
from workers.process import Command, ContainedProcess, Exit
from workers.waiting import Cancellation, CancelledError, DeadlinePassedError

STOP_PATIENCE_S = 10.0
NOT_MEASURED = frozenset({"rejected", "conflict"})  # ends of a candidate that nothing was learnt from
_STDOUT_HEAD, _STDOUT_TAIL = 256 * 1024, 1024 * 1024  # of what the description and the cost are looked for in
_PROPOSAL = "proposal.json"
_REMEMBERED = 20  # of what went wrong, for the next prompt


@dataclass(frozen=True, slots=True)
class Grounds:
    """Where a proposer works: its folder in the run directory, the campaign's repository, what may be edited."""

    folder: Path
    repository: Path
    scope: Scope


@dataclass(frozen=True, slots=True)
class _Ended:
    """One run of the program is over. Nothing in `outcome`: it was called off."""

    outcome: Proposal | ProposalError | None
    remark: str | None = None  # what a person and the next prompt should hear
    throttled: bool = False


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
        self._command, self._timeout_s = command, timeout_s
        self._environment, self._secrets = dict(environment), Secrets(environment)
        self._clock = clock
        self._grounds: Grounds | None = None
        self._number = 0
        self._running: dict[int, _Run] = {}
        self._ended: queue.SimpleQueue[tuple[int, _Ended]] = queue.SimpleQueue()
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
        self._unheard = [read for number in unknown if (read := _read(grounds.folder / f"{number:04d}")) is not None]

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
        arguments = (self._grounds, number, brief, tuple(self._lately), cancel)
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

    # -- one run, in its thread

    def _run(self, grounds: Grounds, number: int, brief: Assignment, lately: tuple[str, ...], cancel: Cancellation) -> None:
        try:
            ended = self._attempt(grounds, number, brief, lately, cancel)
        except CancelledError:
            ended = _Ended(None)
        except Exception as error:  # noqa: BLE001  the thread's edge: whatever it is, the campaign goes on
            ended = _Ended(ProposalError(self._nothing(), self._clean(f"could not be run: {error or type(error).__name__}")))
        self._ended.put((number, ended))

    def _attempt(
        self, grounds: Grounds, number: int, brief: Assignment, lately: tuple[str, ...], cancel: Cancellation
    ) -> _Ended:
        folder = grounds.folder / f"{number:04d}"
        files = told.files(brief, lately)
        log, stdout = CappedLog(), CappedLog(_STDOUT_HEAD, _STDOUT_TAIL)
        with Workplace(grounds.repository, folder, brief.champion) as place:
            (folder / "prompt.md").write_text(self._clean(files["prompt.md"]), encoding="utf-8", errors="replace")
            place.tell(files)
            try:
                exited = self._executed(place.worktree, brief, log, stdout, cancel)
            finally:
                output = log.value()
                shown = self._clean(output.decode("utf-8", "replace"))
                (folder / "output.txt").write_text(shown, encoding="utf-8", errors="replace")
            said = self._said(place, stdout.value(), brief)
            problem = self._problem(exited, log, folder)
            if problem is not None:
                error = ProposalError(said.description or self._nothing(), problem, said.usd)
                return _Ended(error, throttled=exited is not None and throttled(output))
            ended = self._judged(place, grounds.scope, brief, said, self._token(number))
        if isinstance(ended.outcome, Proposal):
            draft = folder / "proposal.tmp"
            draft.write_bytes(msgspec.json.encode(ended.outcome))
            draft.replace(folder / _PROPOSAL)
        return ended

    def _executed(
        self, worktree: Path, brief: Assignment, log: CappedLog, stdout: CappedLog, cancel: Cancellation
    ) -> Exit | None:
        """How it ended; None: it was ended when its time was over."""
        env = told.environment(brief, worktree, self._environment)
        argv = ("/bin/sh", "-c", shell.line(self._command, worktree / told.FOLDER / "prompt.md"))
        with ContainedProcess(Command(argv, worktree, env, worktree), log, stdout.append) as process:
            try:
                return process.wait(time.monotonic() + self._timeout_s, cancel)
            except DeadlinePassedError:
                return None

    def _problem(self, exited: Exit | None, log: CappedLog, folder: Path) -> str | None:
        if exited is not None and exited.succeeded:
            return None
        how = f"ran for more than timeout_s ({self._timeout_s:g} s) and was ended" if exited is None else str(exited)
        last = log.last_line()
        said = "it printed nothing" if last is None else f"it last printed {self._clean(last)!r}"
        return f"{how}; {said} (all of it: {folder / 'output.txt'})"

    def _said(self, place: Workplace, output: bytes, brief: Assignment) -> Said:
        """From its output; where that does not say what the edit is for, from `.regatta/description`, else its last commit."""
        said = heard(output)
        if said.description is None:
            written = read_plain_file(place.worktree / told.DESCRIPTION, DESCRIPTION_BYTES)
            text = written.decode("utf-8", "replace") if isinstance(written, bytes) else ""
            in_file = heard(written) if isinstance(written, bytes) else Said()
            description = one_line_of(text) or one_line_of(place.subject() or "")
            said = replace(
                said,
                description=description,
                expected=in_file.expected if said.expected is None else said.expected,
                family=said.family or in_file.family,
            )
        if said.expected is not None and brief.direction == "maximize":
            said = replace(said, expected=-said.expected)
        cleaned = {k: self._clean(v) for k in ("description", "family", "model") if (v := getattr(said, k)) is not None}
        return replace(said, **cleaned)  # type: ignore[arg-type]

    def _judged(self, place: Workplace, scope: Scope, brief: Assignment, said: Said, token: str) -> _Ended:
        """A proposal of what changed in scope, or why there is none."""
        try:
            changes = place.changes()
            before = frozenset(place.existing())
            inside = [each for each in changes if _out_of_scope(each, scope, before) is None]
            outside = [why for each in changes if (why := _out_of_scope(each, scope, before)) is not None]
            edits = self._edits(place, inside)
        except (WorkplaceError, GitError) as error:
            return _Ended(ProposalError(said.description or self._nothing(), self._clean(str(error)), said.usd))
        left_out = None if not outside else f"{_some(outside)}; editable: {', '.join(scope.editable_globs)}"
        if not edits:
            reason = "changed no file" if left_out is None else f"changed nothing in scope: {left_out}"
            return _Ended(ProposalError(said.description or self._nothing(), self._clean(reason), said.usd))
        description = said.description or f"{self.name}: {_some(sorted({edit.path for edit in edits}))}"
        proposal = Proposal(
            description,
            edits,
            token=token,
            usd=said.usd,
            against=brief.champion,
            model=said.model,
            family=said.family,
            expected_effect=said.expected,
        )
        if left_out is not None:
            left_out = self._clean(f"{self.name} left out of {one_line(description, 80)!r}: {left_out}")
        return _Ended(proposal, left_out)

    def _edits(self, place: Workplace, changes: list[Change]) -> tuple[Edit, ...]:
        if len(changes) > MOST_CHANGES:
            raise WorkplaceError(f"changed {len(changes):,} files that may be edited; at most {MOST_CHANGES}")
        edits: list[Edit] = []
        size = 0
        for change in changes:
            if change.unfit is not None:
                raise WorkplaceError(f"{change.path}: is {change.unfit}; a proposal changes the text of plain files alone")
            new = None if change.deleted else place.after(change.path)
            secret = None if new is None else self._secrets.named_in(new)
            if secret is not None:
                raise WorkplaceError(f"{change.path}: holds the value of ${secret}; a key must not become part of a commit")
            edits += edits_between(change.path, place.before(change.path), new)
            size += len(new or "")
            if size > MOST_FILE_BYTES:
                raise WorkplaceError(f"the files that it changed have more than {MOST_FILE_BYTES:,} bytes together")
        return tuple(edits)

    def _token(self, number: int) -> str:
        return f"{self.name}/{number:04d}"

    def _nothing(self) -> str:
        return f"no proposal of {self.name}"

    def _clean(self, text: str) -> str:
        return self._secrets.redacted(text)


def _read(folder: Path) -> Proposal | None:
    """The proposal of a run that ended; None where there is none, or it cannot be read."""
    try:
        return msgspec.json.decode((folder / _PROPOSAL).read_bytes(), type=Proposal)
    except (OSError, msgspec.DecodeError, ValueError):
        return None


def _out_of_scope(change: Change, scope: Scope, before: frozenset[str]) -> str | None:
    """Why a change does not count; None where it does. What else the gates have against it, they say themselves."""
    problem = path_problem(change.path)
    if problem is None and not scope.matches(change.path):
        problem = f"{change.path}: out of scope"
    if problem is None and change.path not in before:
        problem = new_name_problem(change.path)
    return None if problem is None else one_line(problem, 200)


def _some(texts: list[str], most: int = 5) -> str:
    return ", ".join(texts[:most]) + (f", and {len(texts) - most} more" if len(texts) > most else "")


__all__ = ["Assignment", "Grounds", "ProgramProposer"]
