"""The Pareto front: the commits that no other beats in all metrics of `objective.front` at once. Pure, folded from the ledger.

Nothing is decided by it: the objective is the stated preference, and the front shows what else could have been preferred.

A point is a commit that was measured by itself: the base commit, a champion, a candidate in its race, a stack in its final,
with every repeat of it. Its numbers are absolute, and the fingerprint of all trials is the same, so commits that stand on
different champions are compared as they are: nothing is added up, carried over or corrected. A row of a block holds several
candidates and has a commit that no branch leads to: it is nobody's point. A candidate that was carried over to a later champion
is known by its last commit. Where a final measured a candidate alone, on the base of its race, that is the same program, and
only the final's samples count: those of the race were drawn before the choice. Who crashed or broke a rule is no point.

The rule, by which noise may put a lucky commit on the front, but hardly a good one out of sight:

- `front`: by its mean, no other point is no worse in every metric and better in one. Of equal points the first stands for all.
- `dominated`: another point is no worse by its mean in every metric, and better in one by more than two standard errors of the
  difference; by more where there are many points, of which some are always lucky: a commit as good as the best is to be called
  dominated in one case of ten at most, once the noise is known from forty repeats, however many stand beside it.
- `close`: neither; it is beaten by means alone, and more samples may bring it back.

Standard errors come from the noise of a metric pooled over all repeats, so a single sample has one too; while nothing was
repeated it is not known, and then nothing is dominated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import NormalDist

from orchestrator.ledger import Candidate, CandidateState, Ledger
from orchestrator.other_metrics import books_of
from orchestrator.samples import SampleBook

CLEARLY = 2.0  # standard errors of the difference, at least
UNLUCKY = 0.05  # how often the luckiest of all may beat its equal clearly, were the noise known exactly
_FAILED = (CandidateState.CRASHED, CandidateState.VIOLATION, CandidateState.REJECTED)


class Standing(StrEnum):
    FRONT = "front"
    CLOSE = "close"
    DOMINATED = "dominated"


@dataclass(frozen=True, slots=True)
class Axis:
    metric: str
    minimize: bool = True


@dataclass(frozen=True, slots=True)
class Point:
    """A commit and what it was measured at, in the order of the axes."""

    name: str  # what people call it: baseline, champion, c0007
    candidates: tuple[str, ...]  # whose edits it has: of a champion all that were kept; of others, those beyond their base
    commit: str
    ref: str  # how the run's repository knows it
    means: tuple[float, ...]
    stderrs: tuple[float | None, ...]
    samples: int
    standing: Standing
    is_champion: bool
    is_baseline: bool


@dataclass(frozen=True, slots=True)
class Front:
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]  # the best in the first metric first
    together: int  # candidates that were measured in blocks alone: they have no numbers of their own

    def standing(self, standing: Standing) -> tuple[Point, ...]:
        return tuple(point for point in self.points if point.standing is standing)


def front_of(ledger: Ledger, axes: Sequence[Axis]) -> Front:
    """Where every commit that was measured by itself stands."""
    books = books_of(ledger, [axis.metric for axis in axes])
    known = _measured(ledger, books[0])
    means = [tuple(book.of(each.measured_as).mean for book in books) for each in known]
    stderrs = [tuple(book.stderr(each.measured_as) for book in books) for each in known]
    standings = _standings(means, stderrs, axes)
    champion = ledger.champion.commit if ledger.champion is not None else None
    points = [
        Point(
            each.name,
            each.candidates,
            each.commit,
            each.ref,
            mean,
            stderr,
            books[0].of(each.measured_as).n,
            standing,
            is_champion=each.commit == champion,
            is_baseline=each.commit == ledger.base,
        )
        for each, mean, stderr, standing in zip(known, means, stderrs, standings, strict=True)
    ]
    points.sort(key=lambda point: point.means[0] if axes[0].minimize else -point.means[0])
    alone = {name for each in known for name in each.candidates}
    together = sum(bool(candidate.heats) and candidate.id not in alone for candidate in ledger.candidates.values())
    return Front(tuple(axes), tuple(points), together)


# -- who is a point


@dataclass(frozen=True, slots=True)
class _Known:
    """A commit that has a name."""

    name: str
    candidates: tuple[str, ...]
    commit: str
    ref: str
    measured_as: str  # the commit whose trials are its own


def _measured(ledger: Ledger, book: SampleBook) -> list[_Known]:
    """Those that have samples, the champion and the baseline first, then the oldest."""
    by_program: dict[tuple[str, tuple[str, ...]], _Known] = {}  # by base and edits: one program, though in two commits
    by_program[ledger.base, ()] = _Known("baseline", (), ledger.base, ledger.base, ledger.base)
    for candidate in ledger.candidates.values():
        commit, base = candidate.commit, candidate.base
        if commit is not None and base is not None and not _has_failed(ledger, candidate):
            by_program[base, (candidate.id,)] = _Known(
                candidate.id, (candidate.id,), commit, f"candidate/{candidate.id}", commit
            )
    for name, stack in ledger.stacks.items():
        built = stack.built
        faulty = any(_has_failed(ledger, ledger.candidates[each]) for each in built.candidates)
        if stack.decided is None or stack.decided.kept or faulty or _at_fault(ledger, built.commit):
            continue
        if not book.of(built.commit).n:
            continue
        raced = by_program.get((built.base, built.candidates))
        final = _Known(name, built.candidates, built.commit, built.commit, built.commit)
        by_program[built.base, built.candidates] = final if raced is None else replace(raced, measured_as=built.commit)
    kept: tuple[str, ...] = ()
    for _, move in ledger.moves:
        kept += move.kept
        by_program[move.previous, move.kept] = _Known(
            f"champion at {move.kept[-1]}", kept, move.commit, move.commit, move.commit
        )
    found = [_called_champion(each, ledger) for each in by_program.values() if book.of(each.measured_as).n]
    return sorted(found, key=lambda each: (each.ref != "champion", each.commit != ledger.base))


def _called_champion(known: _Known, ledger: Ledger) -> _Known:
    """The present champion is on its branch; it keeps the name of the baseline while it is that."""
    if ledger.champion is None or known.commit != ledger.champion.commit:
        return known
    return replace(known, name="baseline" if known.commit == ledger.base else "champion", ref="champion")


def _has_failed(ledger: Ledger, candidate: Candidate) -> bool:
    return candidate.state in _FAILED or _at_fault(ledger, candidate.commit)


def _at_fault(ledger: Ledger, commit: str | None) -> bool:
    ended = (trial.ended for trial in ledger.trials_of.get(commit or "", []))
    return any(each is not None and each.outcome.by_own_fault for each in ended)


# -- who stands where


def _standings(
    means: Sequence[tuple[float, ...]], stderrs: Sequence[tuple[float | None, ...]], axes: Sequence[Axis]
) -> list[Standing]:
    """By the rule above. Whole columns at once: a campaign may have ten thousand points."""
    import numpy as np  # late: a campaign without a front does not need it to say where it stands

    signs = [1.0 if axis.minimize else -1.0 for axis in axes]  # small is good
    columns = [sign * np.array(column) for sign, column in zip(signs, zip(*means, strict=True), strict=False)]
    variances = [np.array(column, dtype=float) ** 2 for column in zip(*stderrs, strict=True)]  # None becomes NaN
    needed = max(CLEARLY, NormalDist().inv_cdf(1 - UNLUCKY / max(2, len(means))))
    found = []
    for nth in range(len(means)):
        no_worse = np.logical_and.reduce([column <= column[nth] for column in columns])
        no_worse[nth] = False
        others = np.flatnonzero(no_worse)
        ahead, clearly = others < nth, np.zeros(len(others), dtype=bool)  # of equals the first
        for column, variance in zip(columns, variances, strict=True):
            gaps = column[nth] - column[others]
            ahead |= gaps > 0
            clearly |= gaps > needed * np.sqrt(variance[others] + variance[nth])
        found.append(Standing.DOMINATED if clearly.any() else Standing.CLOSE if ahead.any() else Standing.FRONT)
    return found
