"""What each proposer, each model and each family of ideas has cost and brought, from the ledger alone. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from orchestrator.ledger import Candidate, CandidateState, Ledger

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Earned:
    """One line of the account. `usd` is what models and programs charged; trials are counted elsewhere."""

    name: str
    candidates: int
    kept: int
    rejected: int
    usd: float
    usd_per_kept: float | None  # None where nothing was kept
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def by_model(ledger: Ledger, tokens: Mapping[tuple[str, str], tuple[int, int]] | None = None) -> list[Earned]:
    """A line for each proposer and model; `tokens`: sent and written, by proposer and model, where somebody counted."""
    found = []
    for (proposer, model), group in _grouped(ledger, lambda c: (c.proposed.proposer, c.proposed.model)).items():
        sent, written = (tokens or {}).get((proposer, model or ""), (None, None))
        found.append(_earned(proposer, group, model, sent, written))
    return found


def by_family(ledger: Ledger) -> list[Earned]:
    """A line for each family, the largest first; candidates without one are left out."""
    groups = _grouped(ledger, lambda c: c.proposed.family)
    lines = [_earned(family, group) for family, group in groups.items() if family]
    return sorted(lines, key=lambda line: (-line.candidates, line.name))


def _grouped(ledger: Ledger, key: Callable[[Candidate], K]) -> dict[K, list[Candidate]]:
    groups: dict[K, list[Candidate]] = {}
    for candidate in ledger.candidates.values():
        groups.setdefault(key(candidate), []).append(candidate)
    return groups


def _earned(
    name: str, group: list[Candidate], model: str | None = None, sent: int | None = None, written: int | None = None
) -> Earned:
    kept = sum(candidate.state is CandidateState.KEPT for candidate in group)
    rejected = sum(candidate.state is CandidateState.REJECTED for candidate in group)
    usd = sum(candidate.proposed.usd for candidate in group)
    return Earned(name, len(group), kept, rejected, usd, usd / kept if kept else None, model, sent, written)
