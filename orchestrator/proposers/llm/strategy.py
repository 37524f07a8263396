"""What kind of idea a model is asked for next: chosen by what the campaign has learnt. Pure.

First come duties: a person's idea, the repair of a crash that looks like a slip (two attempts, each a new candidate with its
parent), the port of an edit that clashed with the champion. Else a kind is drawn, from the seed and the number of tasks so far,
with weights that follow the ledger: near misses to combine, kept edits to build on, to simplify and to ablate.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.ledger import Candidate, CandidateState, Ledger

REPAIRS = 2  # attempts at one slip
NEAR_MISSES = 12  # the latest that are looked at
DUTIES_LOOK_BACK = 300  # candidates: what is older is no longer worth a port or a repair
STUCK_AFTER = 25  # candidates decided since the last keep: time for something quite different
MOST_AT_ONCE = 3  # candidates asked for in one answer
FAMILIES = (
    "architecture",
    "optimiser",
    "schedule",
    "data",
    "initialisation",
    "regularisation",
    "precision",
    "kernel",
    "memory",
    "simplification",
)


class Kind(StrEnum):
    """What is asked for, one line each."""

    IDEA = "idea"  # a person's, from ideas.md
    REPAIR = "repair"  # the crash of a good idea that looks like a slip
    PORT = "port"  # what clashed with the champion, written anew on it
    EXPLORE = "explore"  # something that nobody has tried
    EXPLOIT = "exploit"  # further in a direction that has paid
    COMBINE = "combine"  # near misses, together
    SIMPLIFY = "simplify"  # the same with less code
    ABLATE = "ablate"  # take out something of the champion that may not help


@dataclass(frozen=True, slots=True)
class Choice:
    kind: Kind
    count: int = 1
    parents: tuple[str, ...] = ()
    idea: str | None = None
    about: str = ""  # one line for the prompt


_SLIP = re.compile(
    r"NameError|AttributeError|ImportError|ModuleNotFoundError|UnboundLocalError|TypeError|KeyError|IndexError|IndentationError"
    r"|SyntaxError|shapes? |size mismatch|must match the size|dimension|expected scalar type|dtype|broadcast"
    r"|out of memory|OutOfMemory|OOM\b|MemoryError|device-side assert|Expected all tensors"
)


def is_slip(reason: str | None) -> bool:
    """Whether a crash speaks of a name, a shape, an import or memory, and says nothing about the idea."""
    return reason is not None and _SLIP.search(reason) is not None


def token_kind(token: str | None) -> str | None:
    """The kind of task that a proposal of this proposer answers: tokens read `x000012.1.repair`."""
    parts = (token or "").split(".")
    return parts[2] if len(parts) == 3 else None


def choose(
    ledger: Ledger,
    proposer: str,
    *,
    minimize: bool,
    wanted: int,
    nth: int,
    seed: int,
    ideas: Sequence[str] = (),
    busy_with: Collection[tuple[str, str]] = (),
) -> Choice:
    """`busy_with`: kind and parent of the duties that are being worked on at this moment."""
    if ideas:
        return Choice(Kind.IDEA, idea=ideas[0])
    duty = _duty(ledger, proposer, busy_with)
    if duty is not None:
        return duty
    missed = near_misses(ledger, minimize)
    kind = _drawn(_weights(ledger, missed), _uniform(seed, proposer, nth))
    count = max(1, min(MOST_AT_ONCE, wanted))
    if kind is Kind.COMBINE:
        first = int(_uniform(seed, proposer, nth, "pair") * (len(missed) - 1))
        pair = (missed[first], missed[first + 1])
        about = "; ".join(f"{c.id} ({c.proposed.family or 'no family'})" for c in pair)
        return Choice(kind, 1, tuple(c.id for c in pair), about=about)
    if kind is Kind.ABLATE:
        assert ledger.champion is not None
        kept = ledger.champion.kept
        chosen = kept[int(_uniform(seed, proposer, nth, "ablate") * len(kept))]
        return Choice(kind, 1, (chosen,), about=chosen)
    if kind is Kind.EXPLOIT:
        return Choice(kind, count, about=best_family(ledger) or "")
    if kind is Kind.SIMPLIFY:
        return Choice(kind)
    return Choice(kind, count, about=_little_tried(ledger, nth))


def _duty(ledger: Ledger, proposer: str, busy_with: Collection[tuple[str, str]]) -> Choice | None:
    """The oldest slip or clash of this proposer's own that nobody has taken up."""
    recent = list(ledger.candidates.values())[-DUTIES_LOOK_BACK:]
    taken = {(token_kind(c.proposed.token), parent) for c in recent for parent in c.proposed.parents} | set(busy_with)
    for candidate in recent:
        if candidate.proposed.proposer != proposer:
            continue
        if candidate.state is CandidateState.CONFLICT and (Kind.PORT, candidate.id) not in taken:
            if token_kind(candidate.proposed.token) != Kind.PORT and candidate.reason != "the champion has it already":
                return Choice(Kind.PORT, 1, (candidate.id,), about=candidate.id)
        elif (
            candidate.state is CandidateState.CRASHED
            and (Kind.REPAIR, candidate.id) not in taken
            and is_slip(candidate.reason)
            and _repairs(ledger, candidate) < REPAIRS
        ):
            return Choice(Kind.REPAIR, 1, (candidate.id,), about=candidate.id)
    return None


def _repairs(ledger: Ledger, candidate: Candidate) -> int:
    """How many repairs in a row have led to this candidate."""
    count = 0
    while token_kind(candidate.proposed.token) == Kind.REPAIR and candidate.proposed.parents and count < REPAIRS:
        parent = ledger.candidates.get(candidate.proposed.parents[0])
        if parent is None:
            break
        count, candidate = count + 1, parent
    return count


def near_misses(ledger: Ledger, minimize: bool) -> list[Candidate]:
    """The latest that looked good and could not be shown to be, best first."""
    found = []
    for candidate in reversed(ledger.candidates.values()):
        evidence = candidate.evidence
        if candidate.state not in (CandidateState.INCONCLUSIVE, CandidateState.DISCARDED) or evidence is None:
            continue
        gain = -evidence.effect if minimize else evidence.effect
        if gain > 0 and evidence.stderr >= 0 and (candidate.state is CandidateState.INCONCLUSIVE or gain > evidence.stderr):
            found.append((gain, candidate))
            if len(found) == NEAR_MISSES:
                break
    return [candidate for _, candidate in sorted(found, key=lambda each: (-each[0], each[1].nth))]


def _little_tried(ledger: Ledger, nth: int) -> str:
    """A family to begin from: several models that write at once must not have the same idea."""
    tried = dict.fromkeys(FAMILIES, 0)
    for candidate in ledger.candidates.values():
        if candidate.proposed.family in tried:
            tried[candidate.proposed.family] += 1
    least = sorted(FAMILIES, key=lambda family: (tried[family], FAMILIES.index(family)))[: len(FAMILIES) // 2]
    return least[nth % len(least)]


def best_family(ledger: Ledger) -> str | None:
    """The family with the best rate of kept candidates, drawn towards nothing while it is small."""
    counts: dict[str, list[int]] = {}
    for candidate in ledger.candidates.values():
        if candidate.proposed.family:
            count = counts.setdefault(candidate.proposed.family, [0, 0])
            count[0] += candidate.state is CandidateState.KEPT
            count[1] += 1
    kept = {name: (k + 0.2) / (n + 4) for name, (k, n) in counts.items() if k}
    return max(kept, key=lambda name: (kept[name], name), default=None)


def _weights(ledger: Ledger, missed: Sequence[Candidate]) -> dict[Kind, float]:
    kept = len(ledger.champion.kept) if ledger.champion else 0
    stuck = ledger.decided_since_keep / STUCK_AFTER
    return {
        Kind.EXPLORE: 1.0 + min(2.0, stuck),
        Kind.EXPLOIT: 1.5 / (1 + stuck) if kept else 0.0,
        Kind.COMBINE: min(0.8, 0.2 * len(missed)) if len(missed) >= 2 else 0.0,
        Kind.SIMPLIFY: 0.3 if kept else 0.1,
        Kind.ABLATE: 0.3 if kept >= 3 else 0.0,
    }


def _drawn(weights: dict[Kind, float], at: float) -> Kind:
    total = math.fsum(weights.values())
    for kind, weight in weights.items():
        at -= weight / total
        if at < 0:
            return kind
    return Kind.EXPLORE


def _uniform(*of: object) -> float:
    """In [0, 1), the same for the same arguments on every machine."""
    return int.from_bytes(hashlib.sha256(repr(of).encode()).digest()[:7], "big") / 2**56
