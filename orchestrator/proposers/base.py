"""What a proposer is: it gives proposals when asked, at once or later, and hears what became of them.

A proposer never decides, measures, or touches git. Its state must follow from the journal alone: after a crash a fresh one
is built and told every past proposal and result in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from orchestrator.edits import Edit


@dataclass(frozen=True, slots=True)
class Proposal:
    """An idea: one line of hypothesis and the edits that carry it out."""

    description: str
    edits: tuple[Edit, ...]
    parents: tuple[str, ...] = ()
    token: str | None = None  # handed back in Result: how the proposer recognises its own
    usd: float = 0.0
    against: str | None = None  # the commit that the edits were written against; None: the champion in the brief
    model: str | None = None  # which model wrote it, where one did
    family: str | None = None  # what kind of idea, in the proposer's word
    expected_effect: float | None = None  # on the objective; negative is better


@dataclass(frozen=True, slots=True)
class Brief:
    """What a proposer may look at: the campaign as it stands."""

    champion: str  # commit
    read: Callable[[str], str | None]  # text of an editable file on the champion
    editable: tuple[str, ...]  # editable paths that exist on the champion
    kept: tuple[str, ...]
    proposed: int  # how many proposals this proposer has given so far, past heads included
    outstanding: tuple[str, ...] = ()  # tokens of those of its proposals whose end it has not heard of yet
    base: str | None = None  # the commit that the campaign began with
    wanted: int = 1  # how many proposals the tournament could use now; more would wait for nothing


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a proposal of this proposer. `effect` is signed so that negative is better."""

    candidate: str
    token: str | None
    status: str  # keep, discard, inconclusive, rejected, crash, violation, conflict
    effect: float | None  # against what it was measured with
    metrics: Mapping[str, float]


class _Listener(Protocol):
    """What every proposer is, whichever way it gives."""

    @property
    def name(self) -> str: ...

    def learn(self, result: Result) -> None:
        """Hear the end of one of its own proposals (in the order of the journal)."""

    def planned(self) -> int | None:
        """How many proposals it will give in all, where it knows."""


class Proposer(_Listener, Protocol):
    """One that answers at once, in the campaign's own loop."""

    def propose(self, brief: Brief) -> Proposal | None:
        """The next proposal; None when there will never be another. A malformed one raises `ProposalError`."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a background proposer has ready. It reaches the campaign's loop through its queue of arrivals."""

    proposer: str
    asked: int = 0  # of what `request` and `begin` promised, so many are hereby answered, whatever came of them
    proposals: tuple[Proposal | ProposalError, ...] = ()
    notes: tuple[str, ...] = ()  # one line each, for a person
    ended: str | None = None  # why there will never be another
    job: str | None = None  # the proposer's own handle of what it worked on, for `taken`


@runtime_checkable
class BackgroundProposer(_Listener, Protocol):
    """One that takes its time: asked in the campaign's loop, it works elsewhere and delivers when it is done.

    None of these may block; `deliver` alone is called from another thread.
    """

    def begin(self, deliver: Callable[[Delivery], None]) -> int:
        """Once a head, before the first request. Returns how many proposals are under way already: what the former head
        was killed over, and had been paid for."""

    def ready(self) -> bool:
        """Whether it may be asked now: False while its models are down or its money is spent."""

    def insists(self) -> bool:
        """Whether it holds something that is to be tried before anybody else's: a person's idea."""

    def request(self, brief: Brief) -> int:
        """Begin to work on one or more proposals; returns how many are to be expected, at most `brief.wanted`."""

    def taken(self, delivery: Delivery) -> None:
        """The journal has what it delivered."""

    def wind_up(self) -> None:
        """A limit is reached: nothing more will be asked, and soon nothing more waited for. What is not worth waiting for is
        to be ended and delivered as such."""

    def close(self) -> None:
        """End whatever is under way, at once."""


AnyProposer = Proposer | BackgroundProposer


def exhausted_reason(proposer: AnyProposer) -> str | None:
    """Why `propose` gave None, in one line; None where the proposer does not say (it has more, or keeps no reason)."""
    reason = getattr(proposer, "exhausted_reason", None)
    return reason if isinstance(reason, str) else None


class ProposalError(ValueError):
    """A proposal that cannot even be read; the campaign records it as rejected and asks for the next one."""

    def __init__(self, description: str, reason: str, stands_for: Proposal | None = None) -> None:
        """`stands_for`: what is known of the proposal all the same, such as what it cost."""
        super().__init__(reason)
        self.description = description
        self.reason = reason
        self.stands_for = stands_for or Proposal(description, ())
