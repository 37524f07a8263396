"""One run of a program, from a fresh worktree to a proposal or the reason why there is none. Blocks: for a thread.

Its folder keeps `prompt.md` as it was told, `output.txt` (capped, keys taken out) as it answered, and `proposal.json` as that
was understood, so that a head that dies before it has heard of it need not pay for it again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from orchestrator.edits import Edit
from orchestrator.proposers.base import Proposal, ProposalError
from orchestrator.proposers.program import assignment as told
from orchestrator.proposers.program import command as shell
from orchestrator.proposers.program.assignment import Assignment
from orchestrator.proposers.program.difference import edits_between
from orchestrator.proposers.program.outcome import Said, heard, one_line_of
from orchestrator.proposers.program.patience import throttled
from orchestrator.proposers.program.workplace import (
    DESCRIPTION_BYTES,
    MOST_CHANGES,
    MOST_FILE_BYTES,
    Change,
    Workplace,
    WorkplaceError,
    read_plain_file,
)
from orchestrator.proposers.redaction import Redaction
from orchestrator.scope import Scope, new_name_problem, path_problem
from orchestrator.views.plain import one_line
from workers.git import GitError
from workers.output import CappedLog
from workers.process import Command, ContainedProcess, Exit
from workers.waiting import Cancellation, CancelledError, DeadlinePassedError

_STDOUT_HEAD, _STDOUT_TAIL = 256 * 1024, 1024 * 1024  # of what the description and the cost are looked for in
_PROPOSAL = "proposal.json"


@dataclass(frozen=True, slots=True)
class Program:
    """What is run, and for whom."""

    name: str  # of the proposer
    command: str
    timeout_s: float
    environment: Mapping[str, str]  # the user's
    redaction: Redaction


@dataclass(frozen=True, slots=True)
class Ended:
    """One run is over. Nothing in `outcome`: it was called off."""

    outcome: Proposal | ProposalError | None
    remark: str | None = None  # what a person and the next prompt should hear
    throttled: bool = False  # it failed because it was told to wait


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run: `folder` is its own, `token` names its proposal."""

    program: Program
    folder: Path
    token: str
    repository: Path
    scope: Scope

    def ended(self, brief: Assignment, lately: tuple[str, ...], cancel: Cancellation) -> Ended:
        """Run it. Never raises."""
        try:
            return self._ended(brief, lately, cancel)
        except CancelledError:
            return Ended(None)
        except Exception as error:  # noqa: BLE001  the thread's edge: whatever it is, the campaign goes on
            return Ended(self._error(Said(), f"could not be run: {error or type(error).__name__}"))

    def _ended(self, brief: Assignment, lately: tuple[str, ...], cancel: Cancellation) -> Ended:
        files = told.files(brief, lately)
        log, stdout = CappedLog(), CappedLog(_STDOUT_HEAD, _STDOUT_TAIL)
        with Workplace(self.repository, self.folder, brief.champion) as place:
            self._keep("prompt.md", files["prompt.md"])
            place.tell(files)
            try:
                exited = self._executed(place.worktree, brief, log, stdout, cancel)
            finally:
                output = log.value()
                self._keep("output.txt", output.decode("utf-8", "replace"))
            said = self._said(place, stdout.value(), brief)
            problem = self._problem(exited, log)
            if problem is not None:
                return Ended(self._error(said, problem), throttled=exited is not None and throttled(output))
            ended = self._judged(place, brief, said)
        if isinstance(ended.outcome, Proposal):
            draft = self.folder / "proposal.tmp"
            draft.write_bytes(msgspec.json.encode(ended.outcome))
            draft.replace(self.folder / _PROPOSAL)
        return ended

    def _executed(
        self, worktree: Path, brief: Assignment, log: CappedLog, stdout: CappedLog, cancel: Cancellation
    ) -> Exit | None:
        """How it ended; None: it was ended when its time was over."""
        env = told.environment(brief, worktree, self.program.environment)
        argv = ("/bin/sh", "-c", shell.line(self.program.command, worktree / told.FOLDER / "prompt.md"))
        with ContainedProcess(Command(argv, worktree, env, worktree), log, stdout.append) as process:
            try:
                return process.wait(time.monotonic() + self.program.timeout_s, cancel)
            except DeadlinePassedError:
                return None

    def _problem(self, exited: Exit | None, log: CappedLog) -> str | None:
        if exited is not None and exited.succeeded:
            return None
        limit = f"timeout_s ({self.program.timeout_s:g} s)"
        how = f"ran for more than {limit} and was ended" if exited is None else str(exited)
        last = log.last_line()
        said = "it printed nothing" if last is None else f"it last printed {self._clean(last)!r}"
        return f"{how}; {said} (all of it: {self.folder / 'output.txt'})"

    def _said(self, place: Workplace, output: bytes, brief: Assignment) -> Said:
        """From its output; where that does not say what the edit is for, from `.regatta/description`, else its last commit."""
        said = heard(output)
        if said.description is None:
            written = read_plain_file(place.worktree / told.DESCRIPTION, DESCRIPTION_BYTES)
            in_file = written if isinstance(written, bytes) else b""
            description = one_line_of(in_file.decode("utf-8", "replace")) or one_line_of(place.subject() or "")
            more = heard(in_file)
            expected = more.expected if said.expected is None else said.expected
            said = replace(said, description=description, expected=expected, family=said.family or more.family)
        if said.expected is not None and brief.direction == "maximize":
            said = replace(said, expected=-said.expected)
        description, family, model = (
            None if text is None else self._clean(text) for text in (said.description, said.family, said.model)
        )
        return replace(said, description=description, family=family, model=model)

    def _judged(self, place: Workplace, brief: Assignment, said: Said) -> Ended:
        """A proposal of what changed in scope, or why there is none."""
        try:
            before = frozenset(place.existing())
            judged = [(each, _out_of_scope(each, self.scope, before)) for each in place.changes()]
            edits = self._edits(place, [each for each, problem in judged if problem is None])
        except (WorkplaceError, GitError) as error:
            return Ended(self._error(said, str(error)))
        outside = [problem for _, problem in judged if problem is not None]
        left_out = None if not outside else f"{_some(outside)}; editable: {', '.join(self.scope.editable_globs)}"
        if not edits:
            reason = "changed no file" if left_out is None else f"changed nothing in scope: {left_out}"
            return Ended(self._error(said, reason))
        description = said.description or f"{self.program.name}: {_some(sorted({edit.path for edit in edits}))}"
        proposal = Proposal(
            description,
            edits,
            token=self.token,
            usd=said.usd,
            against=brief.champion,
            model=said.model,
            family=said.family,
            expected_effect=said.expected,
        )
        if left_out is not None:
            left_out = self._clean(f"{self.program.name} left out of {one_line(description, 80)!r}: {left_out}")
        return Ended(proposal, left_out)

    def _edits(self, place: Workplace, changes: list[Change]) -> tuple[Edit, ...]:
        if len(changes) > MOST_CHANGES:
            raise WorkplaceError(f"changed {len(changes):,} files that may be edited; at most {MOST_CHANGES}")
        edits: list[Edit] = []
        size = 0
        for change in changes:
            if change.unfit is not None:
                raise WorkplaceError(f"{change.path}: is {change.unfit}; a proposal changes the text of plain files alone")
            new = None if change.deleted else place.after(change.path)
            secret = None if new is None else self.program.redaction.variable_in(new)
            if secret is not None:
                raise WorkplaceError(f"{change.path}: holds the value of ${secret}; a key must not become part of a commit")
            edits += edits_between(change.path, place.before(change.path), new)
            size += len(new or "")
            if size > MOST_FILE_BYTES:
                raise WorkplaceError(f"the files that it changed have more than {MOST_FILE_BYTES:,} bytes together")
        return tuple(edits)

    def _error(self, said: Said, reason: str) -> ProposalError:
        """What it cost is known all the same."""
        description = said.description or f"no proposal of {self.program.name}"
        stands_for = Proposal(description, (), usd=said.usd, model=said.model, family=said.family)
        return ProposalError(description, self._clean(reason), stands_for)

    def _keep(self, name: str, text: str) -> None:
        (self.folder / name).write_text(self._clean(text), encoding="utf-8", errors="replace")

    def _clean(self, text: str) -> str:
        return self.program.redaction.of(text)


def kept_proposal(folder: Path) -> Proposal | None:
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
