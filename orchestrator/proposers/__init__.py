"""The proposers of a campaign, built from its config, and whose turn it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config_text import ConfigError
from orchestrator.proposers.base import (
    AnyProposer,
    BackgroundProposer,
    Brief,
    Proposal,
    ProposalError,
    Proposer,
    Result,
    exhausted_reason,
)

if TYPE_CHECKING:
    from orchestrator.config import ProposerEntry

__all__ = [
    "AnyProposer",
    "BackgroundProposer",
    "Brief",
    "Proposal",
    "ProposalError",
    "Proposer",
    "Result",
    "build",
    "build_all",
    "choose",
    "exhausted_reason",
    "names",
]


def names(entries: Sequence[ProposerEntry]) -> tuple[str, ...]:
    """A name for each entry, unique and stable: its kind, then `kind-2`, `kind-3` for further ones."""
    count: Counter[str] = Counter()
    result = []
    for entry in entries:
        count[entry.kind] += 1
        result.append(entry.kind if count[entry.kind] == 1 else f"{entry.kind}-{count[entry.kind]}")
    return tuple(result)


def build(entry: ProposerEntry, *, index: int, seed: int, working_dir: Path, name: str | None = None) -> AnyProposer:
    """The proposer of `proposers[index]`. Raises `ConfigError` where it cannot start, e.g. for want of its file."""
    if entry.kind == "replay":
        from orchestrator.proposers.replay import ReplayProposer

        key = f"proposers[{index}].path"
        return ReplayProposer(entry.path, name=name or entry.kind, working_dir=working_dir, key=key)
    if entry.kind == "llm":
        from orchestrator.proposers.llm import building

        return building.build(entry, index=index, seed=seed, working_dir=working_dir, name=name or entry.kind)
    if entry.kind == "program":
        from orchestrator.proposers.program import building as program

        return program.build(entry, index=index, working_dir=working_dir, name=name or entry.kind)
    from orchestrator.proposers.knobs import KnobsProposer

    return KnobsProposer(seed=(seed, index), name=name or entry.kind, only=entry.only)


def build_all(entries: Sequence[ProposerEntry], *, seed: int, working_dir: Path) -> tuple[AnyProposer, ...]:
    """Raises `ConfigError` with all that is wrong with any of them."""
    made: list[AnyProposer] = []
    problems: list[str] = []
    for index, (entry, name) in enumerate(zip(entries, names(entries), strict=True)):
        try:
            made.append(build(entry, index=index, seed=seed, working_dir=working_dir, name=name))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return tuple(made)


def choose(weights: Sequence[float], given: Sequence[int], exhausted: Collection[int] = ()) -> int | None:
    """Whose turn it is: the least served for its weight (then the heaviest, then the first); None when all are used up."""
    left = [index for index in range(len(weights)) if index not in exhausted]
    return min(left, key=lambda index: (given[index] / weights[index], -weights[index], index), default=None)
