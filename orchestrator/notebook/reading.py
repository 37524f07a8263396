"""What the candidates of a ledger add up to: by fate, by family of ideas, by proposer. Pure: one pass, and no text is made."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from orchestrator.candidate import PENDING, Candidate, CandidateState
from orchestrator.ledger import Ledger
from orchestrator.views.plain import one_line
from orchestrator.views.standing import told_effect

FAMILIES = ("architecture", "optimiser", "schedule", "data", "simplification")
"""Kinds of ideas that a proposer is asked to name; it may name others."""

_SPELLINGS = {"optimizer": "optimiser", "optimization": "optimisation", "regularization": "regularisation"}
_SPELLINGS |= {"initialization": "initialisation", "normalization": "normalisation", "quantization": "quantisation"}

Effect = tuple[float | None, float | None]
_NUMBER = re.compile(r"\d+")


@dataclass(slots=True)
class Tally:
    """What came of several candidates."""

    name: str
    states: Counter[CandidateState] = field(default_factory=Counter)
    best: Candidate | None = None  # of those that were kept
    closest: Candidate | None = None  # of the near misses
    foreseen: list[tuple[float, float]] = field(default_factory=list)  # (expected, measured); negative is better

    @property
    def decided(self) -> int:
        """Those that a trial decided, or a clash with the champion."""
        return sum(self.states.values()) - self.states[CandidateState.REJECTED] - self.pending

    @property
    def pending(self) -> int:
        return sum(self.states[state] for state in PENDING)

    @property
    def kept(self) -> int:
        return self.states[CandidateState.KEPT]

    def as_good_as_foreseen(self) -> int:
        return sum(measured <= expected for expected, measured in self.foreseen)

    def medians(self) -> tuple[float, float]:
        """Of what was expected, and of what was measured of the same candidates."""
        expected, measured = zip(*self.foreseen, strict=True)
        return statistics.median(expected), statistics.median(measured)


@dataclass(slots=True)
class Alike:
    """Candidates that failed in the same words, numbers aside."""

    latest: Candidate
    names: list[str]  # the latest first


@dataclass(slots=True)
class Reading:
    """Candidates by what a reader does with them; each list begins with what matters most."""

    kept: list[Candidate] = field(default_factory=list)
    near_misses: list[Candidate] = field(default_factory=list)
    clashed: list[Candidate] = field(default_factory=list)
    dropped: list[Candidate] = field(default_factory=list)
    crashed: list[Candidate] = field(default_factory=list)
    violations: list[Candidate] = field(default_factory=list)
    refused: list[Candidate] = field(default_factory=list)
    pending: list[Candidate] = field(default_factory=list)
    families: list[Tally] = field(default_factory=list)
    proposers: list[Tally] = field(default_factory=list)
    effects: dict[str, Effect] = field(default_factory=dict)  # of the kept, as people are told them


def read(ledger: Ledger, *, minimize: bool) -> Reading:
    """Sort every candidate into its place."""
    sign = 1.0 if minimize else -1.0
    found = Reading()
    families: dict[str, Tally] = {}
    proposers: dict[str, Tally] = {}
    places = {
        CandidateState.KEPT: found.kept,
        CandidateState.DISCARDED: found.dropped,
        CandidateState.CRASHED: found.crashed,
        CandidateState.VIOLATION: found.violations,
        CandidateState.REJECTED: found.refused,
        CandidateState.CONFLICT: found.clashed,
        **dict.fromkeys(PENDING, found.pending),
    }
    for candidate in reversed(ledger.candidates.values()):
        proposed, state, evidence = candidate.proposed, candidate.state, candidate.evidence
        by = proposed.model or proposed.proposer
        tallies = [_tally(families, _family_of(candidate)), _tally(proposers, by)]
        for tally in tallies:
            tally.states[state] += 1
        if state is CandidateState.INCONCLUSIVE:
            close = evidence is not None and sign * evidence.effect < 0
            (found.near_misses if close else found.dropped).append(candidate)
        else:
            places[state].append(candidate)
        if evidence is not None and proposed.expected_effect is not None and state is not CandidateState.VIOLATION:
            expected, measured = proposed.expected_effect, sign * evidence.effect
            if math.isfinite(expected) and math.isfinite(measured):
                tallies[1].foreseen.append((expected, measured))
    _rank(found, ledger, sign)
    for candidate in found.kept:  # the best first
        tally = families[_family_of(candidate)]
        tally.best = tally.best or candidate
    for candidate in found.near_misses:
        tally = families[_family_of(candidate)]
        tally.closest = tally.closest or candidate
    found.families, found.proposers = _by_success(families), _by_success(proposers)
    return found


def _family_of(candidate: Candidate) -> str:
    given = candidate.proposed.family
    return "" if given is None else family_name(given)


def _tally(tallies: dict[str, Tally], name: str) -> Tally:
    tally = tallies.get(name)
    if tally is None:
        tally = tallies[name] = Tally(name)
    return tally


def _rank(found: Reading, ledger: Ledger, sign: float) -> None:
    """Winners by their effects, near misses by how probably they help; the rest stays newest first."""
    found.effects = {candidate.id: told_effect(ledger, candidate) for candidate in found.kept}
    found.kept.sort(key=lambda candidate: sign * (found.effects[candidate.id][0] or 0.0))
    found.near_misses.sort(key=lambda candidate: candidate.evidence.p_null if candidate.evidence else 1.0)
    found.clashed.sort(key=lambda candidate: candidate.evidence.p_null if candidate.evidence else 1.0)


def _by_success(tallies: dict[str, Tally]) -> list[Tally]:
    return sorted(tallies.values(), key=lambda tally: (-tally.kept, -tally.decided, tally.name))


@lru_cache(maxsize=1024)
def family_name(given: str) -> str:
    """A family as it is counted: `Optimizer ` is `optimiser`."""
    name = one_line(given).casefold()
    return _SPELLINGS.get(name, name)


def alike(candidates: Iterable[Candidate], pattern: Callable[[Candidate], str]) -> list[Alike]:
    """Newest first, those of one pattern together; digits do not count."""
    groups: dict[str, Alike] = {}
    for candidate in candidates:
        key = _NUMBER.sub("0", pattern(candidate)[:200])
        group = groups.get(key)
        if group is None:
            groups[key] = Alike(candidate, [candidate.id])
        else:
            group.names.append(candidate.id)
    return list(groups.values())
