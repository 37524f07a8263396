"""The Pareto front as people and scripts read it. Pure reads of a record; the rule is in orchestrator/front.py."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.config import Config
from orchestrator.front import Axis, Front, Point, Standing, front_of
from orchestrator.ledger import Candidate, Ledger
from orchestrator.tournament.constraints import broken_constraint
from orchestrator.tournament.settings import Constraint
from orchestrator.views.loading import Record
from orchestrator.views.words import number, plural, with_error

POINTS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class PointStatus:
    """A commit, by metric."""

    name: str
    candidates: list[str]
    commit: str
    ref: str  # as the run's repository knows it: git -C RUN/repo show REF
    means: dict[str, float]
    stderrs: dict[str, float | None]
    samples: int
    standing: str  # front, close, dominated
    breaks: str | None  # the constraint that it breaks, in words: it could not be champion
    is_champion: bool
    is_baseline: bool


@dataclass(frozen=True, slots=True)
class FrontStatus:
    metrics: dict[str, str]  # and which way each is better
    points: list[PointStatus]  # that none other beats, the best in the first metric first
    close: list[PointStatus]  # beaten by means alone, within the noise
    champion: PointStatus | None  # wherever it stands; None while it is not measured
    baseline: PointStatus | None
    dominated: int  # commits that are clearly beaten
    together: int  # candidates without numbers of their own: measured in blocks alone


def front_in(ledger: Ledger, config: Config) -> Front | None:
    """None where the campaign asks for none."""
    metrics = config.objective.front_metrics
    return front_of(ledger, [Axis(metric, direction == "minimize") for metric, direction in metrics]) if metrics else None


def front_status(ledger: Ledger, config: Config) -> FrontStatus | None:
    """As `status --json` gives it."""
    front = front_in(ledger, config)
    if front is None:
        return None
    told = {
        point.commit: _as_status(ledger, config, point, front.axes)
        for point in front.points
        if point.standing is not Standing.DOMINATED or point.is_champion or point.is_baseline
    }
    return FrontStatus(
        dict(config.objective.front_metrics),
        [point for point in told.values() if point.standing == Standing.FRONT],
        [point for point in told.values() if point.standing == Standing.CLOSE],
        next((point for point in told.values() if point.is_champion), None),
        next((point for point in told.values() if point.is_baseline), None),
        len(front.standing(Standing.DOMINATED)),
        front.together,
    )


def _as_status(ledger: Ledger, config: Config, point: Point, axes: Sequence[Axis]) -> PointStatus:
    names = [axis.metric for axis in axes]
    return PointStatus(
        point.name,
        list(point.candidates),
        point.commit,
        point.ref,
        dict(zip(names, point.means, strict=True)),
        dict(zip(names, point.stderrs, strict=True)),
        point.samples,
        point.standing.value,
        _breaks(ledger, config, point),
        point.is_champion,
        point.is_baseline,
    )


def _breaks(ledger: Ledger, config: Config, point: Point) -> str | None:
    """A candidate's by the champion that it was measured against; a commit of the champion's branch kept to all of them."""
    candidate = ledger.candidates.get(point.name)
    if candidate is None or candidate.base is None:
        return None
    bounds = tuple(Constraint(metric, **bound.model_dump()) for metric, bound in config.objective.constraints.items())
    return broken_constraint(ledger, ledger.trials_of.get(point.commit, []), candidate.base, bounds)


# -- for a person


def front_lines(found: FrontStatus, run_dir: str) -> list[str]:
    """What the front is of, its points in columns, and how to get one."""
    lines = [_headline(found)]
    rows = [point_cells(point, found) for point in (*found.points[:POINTS_SHOWN], *beside_the_front(found))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if len(found.points) > POINTS_SHOWN:
        lines.append(f"and {len(found.points) - POINTS_SHOWN} more: regatta status {shlex.quote(run_dir)} --json")
    if found.close:
        lines.append(f"within the noise of it: {_names(found.close)}")
    if found.together:
        lines.append(together_text(found))
    other = next((point for point in found.points if not point.is_champion), None)
    if other is not None:
        lines.append(f"get one: {get_line(run_dir, other)}")
    return lines


def beside_the_front(found: FrontStatus) -> list[PointStatus]:
    """Champion and baseline, where they do not stand on it."""
    marked = [point for point in (found.champion, found.baseline) if point is not None and point.standing != Standing.FRONT]
    return marked[:1] if len(marked) == 2 and marked[0] == marked[1] else marked


def get_line(run_dir: str, point: PointStatus) -> str:
    """What to type to see a point's commit."""
    return f"git -C {shlex.quote(run_dir)}/repo show {point.ref}"


def together_text(found: FrontStatus) -> str:
    who = plural(found.together, "candidate")
    return f"{who} measured in blocks alone, without numbers of their own (tournament.lanes: solo gives each some)"


def _headline(found: FrontStatus) -> str:
    metrics = ", ".join(f"{metric} {'↓' if way == 'minimize' else '↑'}" for metric, way in found.metrics.items())
    if not found.points:
        return f"{metrics}: nothing is measured yet"
    beaten = f"; {found.dominated} clearly beaten" if found.dominated else ""
    return f"{metrics}: {plural(len(found.points), 'commit')} that none beats in all{beaten}"


def point_cells(point: PointStatus, found: FrontStatus) -> list[str]:
    """Its name, each metric with its error, how often it was measured, and what it is besides."""
    values = [f"{metric} {with_error(point.means[metric], point.stderrs[metric])}" for metric in found.metrics]
    return [point.name, *values, f"n={point.samples}", _marks(point)]


def _marks(point: PointStatus) -> str:
    marks = ["champion"] if point.is_champion and point.name != "champion" else []
    marks += {"close": ["within the noise of the front"], "dominated": ["clearly beaten"]}.get(point.standing, [])
    if point.name == "champion" and point.candidates:
        marks.append(f"the last kept is {point.candidates[-1]}")
    marks += [f"breaks a {point.breaks}"] if point.breaks is not None else []
    return "; ".join(marks)


def _names(points: list[PointStatus]) -> str:
    more = f" and {len(points) - POINTS_SHOWN} more" if len(points) > POINTS_SHOWN else ""
    return ", ".join(point.name for point in points[:POINTS_SHOWN]) + more


def stand_of(record: Record, candidate: Candidate) -> str | None:
    """Where a candidate's own commit stands, in words; None where it is no point, or there is no front."""
    front = front_in(record.ledger, record.config)
    if front is None:
        return None
    kept_as = [move.commit for _, move in record.ledger.moves if candidate.id in move.kept]
    by_commit = {point.commit: point for point in front.points}
    own = next((by_commit[each] for each in (candidate.commit, *kept_as) if each in by_commit), None)
    if own is None:
        return None
    values = ", ".join(
        f"{axis.metric} {number(mean, stderr)}" for axis, mean, stderr in zip(front.axes, own.means, own.stderrs, strict=True)
    )
    return f"{_STANDS[own.standing]} ({values}, n={own.samples})"


_STANDS = {
    Standing.FRONT: "on the front: no other commit is better in one metric and no worse in the others",
    Standing.CLOSE: "beaten in every metric or equal, but within the noise: more samples may tell",
    Standing.DOMINATED: "clearly beaten: another commit is no worse in any metric, and better in one beyond the noise",
}
