"""Whose turn it is to propose, and hearing those proposers that answer later: programs.

They are begun while the tournament can use what they bring, heard at every tick of the campaign, and called off when it ends.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator import events as ev
from orchestrator.candidate import Candidate, CandidateState
from orchestrator.opening import Parts
from orchestrator.proposers import choose
from orchestrator.proposers.base import Proposal, ProposalError
from orchestrator.proposers.program import Assignment, Grounds, ProgramProposer
from orchestrator.tournament.limits import usd
from orchestrator.views.plain import one_line

NOTEBOOK_LINES = 60


class Asking:
    """`take` turns what was collected of a proposer (by its name) into a candidate."""

    def __init__(
        self, parts: Parts, record: Callable[[ev.Event], None], take: Callable[[str, Proposal | ProposalError], None]
    ) -> None:
        self._parts, self._ledger = parts, parts.ledger
        self._record, self._take = record, take
        self._programs = [each for each in parts.proposers if isinstance(each, ProgramProposer)]

    def start(self) -> None:
        """Once, before anybody is asked."""
        for program in self._programs:
            folder = self._parts.run.proposers / program.name
            known = {each.proposed.token for each in self._ledger.candidates.values() if each.proposed.token is not None}
            program.move_in(Grounds(folder, self._parts.repository.path, self._parts.admission.scoping.scope), known)

    def turn(self) -> str | None:
        """The name of the proposer to be asked next; None when nobody can be asked now."""
        made, ledger = self._parts.proposers, self._ledger
        under_way = {program.name: program.under_way() for program in self._programs}
        given = [ledger.proposals_by.get(each.name, 0) + under_way.get(each.name, 0) for each in made]
        room = self._room() - sum(under_way.values())
        over = [
            index
            for index, each in enumerate(made)
            if each.name in ledger.exhausted or (isinstance(each, ProgramProposer) and not self._can_begin(each, room))
        ]
        index = choose([entry.weight for entry in self._parts.config.proposers], given, over)
        return None if index is None else made[index].name

    def _room(self) -> int:
        """How many proposals the campaign can still use now."""
        ledger, most = self._ledger, self._parts.config.limits.candidates
        room = len(ledger.workers) + 1 - ledger.states[CandidateState.WAITING]
        return room if most is None else min(room, most - len(ledger.candidates))

    def _can_begin(self, program: ProgramProposer, room: int) -> bool:
        assert self._ledger.champion is not None
        return room > 0 and program.exhausted_reason is None and program.ready(self._ledger.champion.commit)

    def begin(self, program: ProgramProposer) -> None:
        program.begin(assignment(self._parts))

    def hear(self) -> None:
        """Take in what has ended meanwhile, and who has given up."""
        for program in self._programs:
            if self._ledger.limit is not None:
                program.call_off()
            for outcome in program.collect():
                self._take(program.name, outcome)
            for remark in program.remarks():
                self._record(ev.Note(remark, "warning"))
            reason = program.exhausted_reason
            if reason is not None and program.under_way() == 0 and program.name not in self._ledger.exhausted:
                self._record(ev.ProposalsEnded(program.name, reason))

    def stop(self) -> None:
        for program in self._programs:
            program.stop()


def assignment(parts: Parts) -> Assignment:
    """What there is to know now."""
    ledger, config, scoping = parts.ledger, parts.config, parts.admission.scoping
    assert ledger.champion is not None
    commit = ledger.champion.commit
    own = parts.run.path / "program.md"
    bounds = ((name, bound.model_dump(exclude_none=True)) for name, bound in config.objective.constraints.items())
    return Assignment(
        champion=commit,
        metric=config.objective.metric,
        direction=config.objective.direction,
        constraints=tuple(f"{name}: {kind} {value:g}" for name, kinds in bounds for kind, value in kinds.items()),
        globs=tuple(config.target.editable),
        editable=tuple(path for path in parts.repository.files(commit) if scoping.scope.matches(path)),
        program=own.read_text("utf-8", "replace") if own.is_file() else parts.repository.read(commit, "program.md"),
        notebook=_notebook(parts),
        pending=tuple(each.proposed.description for each in ledger.pending.values()),
        left=_left(parts),
    )


def _left(parts: Parts) -> tuple[str, ...]:
    """What is spent of each limit that a proposer can do something about."""
    ledger, wanted = parts.ledger, parts.config.limits
    spent = (
        ("candidates", len(ledger.candidates), wanted.candidates),
        ("trials", len(ledger.trials), wanted.trials),
        ("hours", ledger.running_s() / 3600, wanted.hours),
        ("dollars", usd(ledger, parts.settings.prices), wanted.usd),
    )
    return tuple(f"{name}: {amount:.4g} of {limit:g} are spent" for name, amount, limit in spent if limit is not None)


def _notebook(parts: Parts) -> str:
    own = parts.run.path / "notebook.md"
    if own.is_file():
        return own.read_text("utf-8", "replace")
    ended = [each for each in parts.ledger.candidates.values() if each.decided_at is not None]
    return "\n".join(map(_line, ended[-NOTEBOOK_LINES:]))


def _line(candidate: Candidate) -> str:
    effect = "" if candidate.evidence is None else f", {candidate.evidence.effect:+.4g}"
    why = "" if candidate.reason is None else f" ({one_line(candidate.reason, 120)})"
    return f"{candidate.id} {candidate.state.value}{effect}: {one_line(candidate.proposed.description, 160)}{why}"
