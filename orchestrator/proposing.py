"""The proposers at work: whose turn it is, what was asked of whom, and proposals into candidates.

The campaign's loop asks and takes in; a background proposer works elsewhere meanwhile. How much is under way is known here
alone: it is no event, and a new head begins with what its proposers say is left of the former one's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestrator import events as ev
from orchestrator.opening import Parts
from orchestrator.proposers import choose, exhausted_reason
from orchestrator.proposers.bandit import recently, shares
from orchestrator.proposers.base import (
    AnyProposer,
    BackgroundProposer,
    Brief,
    Delivery,
    Proposal,
    ProposalError,
    Proposer,
)

DRAIN_S = 180.0  # after a limit: how long answers that are being written, and paid for, are waited for


class Proposing:
    """One head's proposers. `admit` lets the gates speak about a candidate; `deliver` must be safe in any thread."""

    def __init__(
        self,
        parts: Parts,
        record: Callable[[ev.Event], None],
        admit: Callable[[str], None],
        deliver: Callable[[Delivery], None],
    ) -> None:
        self._parts = parts
        self._ledger = parts.ledger
        self._record = record
        self._admit = admit
        self._deliver = deliver
        self._proposers: dict[str, AnyProposer] = {proposer.name: proposer for proposer in parts.proposers}
        self._under_way: dict[str, int] = {}
        self._drains_until: float | None = None

    def begin(self) -> None:
        """Before the first decision of a head."""
        for name, proposer in self._background():
            self._under_way[name] = proposer.begin(self._deliver)

    def close(self) -> None:
        for _, proposer in self._background():
            proposer.close()
        lost = sum(self._under_way.values())
        if lost:
            self._record(ev.Note(f"{lost} proposals were still being written when this head ended; they are lost", "warning"))

    # -- what the tournament asks

    def under_way(self) -> int:
        """After a limit, for `DRAIN_S` at most: what has been paid for is waited for, but not without end."""
        if self._ledger.limit is None:
            self._drains_until = None
        elif self._drains_until is None:
            self._drains_until = time.monotonic() + DRAIN_S
            for _, proposer in self._background():
                proposer.wind_up()
        elif time.monotonic() > self._drains_until:
            return 0
        return sum(self._under_way.values())

    def ready(self) -> bool:
        return any(self._is_ready(name) for name in self._proposers)

    def _is_ready(self, name: str) -> bool:
        proposer = self._proposers[name]
        return name not in self._ledger.exhausted and (not isinstance(proposer, BackgroundProposer) or proposer.ready())

    def _background(self) -> Sequence[tuple[str, BackgroundProposer]]:
        return [(name, each) for name, each in self._proposers.items() if isinstance(each, BackgroundProposer)]

    # -- asking

    def ask(self, wanted: int) -> None:
        """Have one more proposal made, by whose turn it is."""
        name = self._whose_turn()
        proposer = self._proposers[name]
        if isinstance(proposer, BackgroundProposer):
            expected = proposer.request(self._brief(name, wanted))
            self._under_way[name] = self._under_way.get(name, 0) + expected
        else:
            self._ask_at_once(name, proposer)

    def _whose_turn(self) -> str:
        names = [name for name in self._proposers if self._is_ready(name)]
        insisting = [n for n in names if isinstance(each := self._proposers[n], BackgroundProposer) and each.insists()]
        weights = {p.name: entry.weight for p, entry in zip(self._parts.proposers, self._parts.config.proposers, strict=True)}
        among = shares(self._ledger, {n: weights[n] for n in insisting or names}, self._parts.settings.prices.usd_per_gpu_hour)
        given = recently(self._ledger)
        index = choose(list(among.values()), [given.get(name, 0) + self._under_way.get(name, 0) for name in among])
        assert index is not None  # the tournament asks only while somebody is ready
        return list(among)[index]

    def _ask_at_once(self, name: str, proposer: Proposer) -> None:
        try:
            proposal = proposer.propose(self._brief(name, 1))
        except ProposalError as error:
            self._refuse(name, error)
            return
        except OSError as error:  # such as a replay file that was moved away meanwhile
            self._record(ev.Note(f"{name} can give no more proposals: {error}", "warning"))
            proposal = None
        if proposal is None:
            self._record(ev.ProposalsEnded(name, exhausted_reason(proposer)))
            return
        self.propose(name, proposal)

    def _brief(self, proposer: str, wanted: int) -> Brief:
        champion = self._ledger.champion
        assert champion is not None
        repository, scope = self._parts.repository, self._parts.admission.scoping.scope
        return Brief(
            champion=champion.commit,
            read=lambda path: repository.read(champion.commit, path),
            editable=tuple(path for path in repository.files(champion.commit) if scope.matches(path)),
            kept=champion.kept,
            proposed=self._ledger.proposals_by.get(proposer, 0),
            outstanding=tuple(
                c.proposed.token
                for c in self._ledger.pending.values()
                if c.proposed.proposer == proposer and c.proposed.token is not None
            ),
            base=self._ledger.base,
            wanted=wanted,
        )

    # -- taking in

    def take_in(self, delivery: Delivery) -> None:
        """Record what a background proposer has ready."""
        left = self._under_way.get(delivery.proposer, 0) - delivery.asked
        self._under_way[delivery.proposer] = max(0, left)
        for text in delivery.notes:
            self._record(ev.Note(text, "warning"))
        for each in self._as_many_as_fit(delivery.proposals):
            if isinstance(each, ProposalError):
                self._refuse(delivery.proposer, each)
            else:
                self.propose(delivery.proposer, each)
        self._proposer(delivery.proposer).taken(delivery)
        if delivery.ended is not None and delivery.proposer not in self._ledger.exhausted:
            self._record(ev.ProposalsEnded(delivery.proposer, delivery.ended))

    def _proposer(self, name: str) -> BackgroundProposer:
        proposer = self._proposers[name]
        assert isinstance(proposer, BackgroundProposer)
        return proposer

    def _as_many_as_fit(self, proposals: tuple[Proposal | ProposalError, ...]) -> tuple[Proposal | ProposalError, ...]:
        """Those that `limits.candidates` has room for: an answer may hold more than it was asked for. The money is spent."""
        limit = self._parts.settings.limits.candidates
        room = len(proposals) if limit is None else max(1, limit - len(self._ledger.candidates))
        taken, rest = proposals[:room], proposals[room:]
        if not rest:
            return taken
        usd = sum(_stands_for(each).usd for each in (taken[-1], *rest))
        last = taken[-1]
        if isinstance(last, ProposalError):
            paid: Proposal | ProposalError = ProposalError(last.description, last.reason, replace(last.stands_for, usd=usd))
        else:
            paid = replace(last, usd=usd)
        return (*taken[:-1], paid)

    def _refuse(self, name: str, error: ProposalError) -> None:
        candidate = self.propose(name, error.stands_for, admit=False)
        self._record(ev.Rejected(candidate, "edit", error.reason))

    def propose(self, proposer: str, proposal: Proposal, *, admit: bool = True) -> str:
        """Take in a proposal; returns the candidate that it becomes."""
        candidate = f"c{len(self._ledger.candidates) + 1:04d}"
        self._record(
            ev.Proposed(
                candidate,
                proposer,
                proposal.description,
                proposal.edits,
                proposal.parents,
                proposal.token,
                proposal.usd,
                proposal.against,
                proposal.model,
                proposal.family,
                proposal.expected_effect,
            )
        )
        if admit:
            self._admit(candidate)
        return candidate


def _stands_for(each: Proposal | ProposalError) -> Proposal:
    return each.stands_for if isinstance(each, ProposalError) else each
