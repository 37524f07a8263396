"""progress.png: the staircase of a campaign. Draws from a record into bytes; matplotlib is imported when it is called.

x: candidates in the order they were decided; y: the objective. The line is the champion with its standard error, as it is known
now; green points are what was kept, grey ones what was not. What lies far off is drawn as an arrow at the edge, what has no
number (a crash, a violation) as a cross at the bottom.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from typing import Any

from orchestrator.ledger import Candidate, CandidateState, Ledger
from orchestrator.views.loading import Record
from orchestrator.views.plain import one_line
from orchestrator.views.standing import numbers_of, provenance
from orchestrator.views.words import better, number, plural

LABELS = 14  # more would not be read
LABEL_WIDTH = 34
_FAILED = frozenset({CandidateState.CRASHED, CandidateState.VIOLATION})


@dataclass(frozen=True, slots=True)
class Theme:
    page: str
    ink: str
    faint: str
    dot: str
    kept: str
    label: str
    failed: str


LIGHT = Theme("#ffffff", "#1f2328", "#d8dee4", "#9aa4af", "#1a7f45", "#14532d", "#c2410c")
DARK = Theme("#151a21", "#e6edf3", "#2d3540", "#8591a0", "#3fb96f", "#8ee0ac", "#f0883e")


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    mean: float
    label: str = ""
    stderr: float | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """What is to be drawn, worked out of the ledger."""

    line: list[Point]  # the champion, from each x on
    kept: list[Point]
    others: list[Point]
    failed: list[int]
    width: int
    low: float
    high: float


def draw(record: Record, theme: Theme = LIGHT) -> bytes:
    """The picture as PNG."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picture = compose(record.ledger, minimize=record.minimize)
    figure = Figure(figsize=(11, 5.2), dpi=160, facecolor=theme.page, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    with mpl.rc_context({"font.family": "sans-serif"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a description may hold signs that the font lacks
        _frame(axes, record, picture, theme)
        if picture.line:
            _points(axes, picture, theme, minimize=record.minimize)
            figure.canvas.draw()
            _label(axes, picture, theme, minimize=record.minimize)
        else:
            axes.text(0.5, 0.5, "nothing is measured yet", transform=axes.transAxes, ha="center", color=theme.ink)
        out = io.BytesIO()
        figure.savefig(out, format="png", facecolor=theme.page)
    return out.getvalue()


def compose(ledger: Ledger, *, minimize: bool) -> Picture:
    """Pure: the points of the picture."""
    decided = [c for c in ledger.candidates.values() if c.decided_at is not None and c.state is not CandidateState.REJECTED]
    decided.sort(key=lambda c: (c.decided_at or 0.0, c.id))
    place = {candidate.id: x for x, candidate in enumerate(decided, start=1)}
    line = _line(ledger, place)
    kept, others, failed = _kept(ledger, place), [], []
    for candidate in decided:
        x, mean = place[candidate.id], numbers_of(ledger, candidate).mean
        if candidate.state in _FAILED:
            failed.append(x)
        elif candidate.state is not CandidateState.KEPT and mean is not None:
            others.append(Point(x, mean))
    low, high = _range(ledger, line, others, minimize=minimize)
    return Picture(line, kept, others, failed, max(1, len(decided)), low, high)


def _line(ledger: Ledger, place: dict[str, int]) -> list[Point]:
    steps = [(0, ledger.base), *((max(place[name] for name in move.kept), move.commit) for _, move in ledger.moves)]
    measured = [(x, commit, ledger.samples(commit)) for x, commit in steps]
    return [Point(x, samples.mean, stderr=ledger.book.stderr(commit)) for x, commit, samples in measured if samples.n]


def _kept(ledger: Ledger, place: dict[str, int]) -> list[Point]:
    points = []
    for _, move in ledger.moves:
        mean = ledger.samples(move.commit).mean
        for name in move.kept:
            points.append(Point(place[name], mean, _text(ledger.candidates[name]), ledger.book.stderr(move.commit)))
    return points


def _text(candidate: Candidate) -> str:
    return one_line(candidate.proposed.description, LABEL_WIDTH) or candidate.id


def _range(ledger: Ledger, line: list[Point], others: list[Point], *, minimize: bool) -> tuple[float, float]:
    """The part of the y axis that is worth showing: the staircase, and as much of the rest as does not flatten it."""
    if not line:
        return 0.0, 1.0
    sign = 1.0 if minimize else -1.0
    steps = [sign * point.mean for point in line]
    noise = ledger.book.noise().sd or 0.0
    span = max(max(steps) - min(steps), 6 * noise, 1e-6 * abs(steps[0]), 1e-12)
    worse = [y for y in (sign * point.mean for point in others) if y <= max(steps) + 1.2 * span]
    gains = [y for y in (sign * point.mean for point in others) if y >= min(steps) - 0.5 * span]
    top = max([*steps, *worse]) + 0.10 * span
    bottom = min([*steps, *gains]) - 0.28 * span  # room for the labels, which stand on the better side
    return (bottom, top) if minimize else (-top, -bottom)


# -- drawing


def _frame(axes: Any, record: Record, picture: Picture, theme: Theme) -> None:
    metric, ledger = record.ledger.objective, record.ledger
    way = "lower" if record.minimize else "higher"
    who = provenance(ledger, record.config).value
    axes.set_facecolor(theme.page)
    axes.set_title(
        _title(record, picture), loc="left", color=theme.ink, fontsize=13, fontweight="bold", pad=12, parse_math=False
    )
    axes.set_ylabel(f"{metric}  ({way} is better, {who})", color=theme.ink, parse_math=False)
    axes.set_xlabel("candidates, in the order they were decided", color=theme.ink)
    axes.set_xlim(-0.02 * picture.width, picture.width * 1.02 + 0.5)
    axes.set_ylim(picture.low, picture.high)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.locator_params(axis="x", integer=True)
    axes.grid(axis="y", color=theme.faint, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.ink, length=0)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(theme.faint)


def _title(record: Record, picture: Picture) -> str:
    if not picture.line:
        return record.config.name
    first, last = picture.line[0], picture.line[-1]
    told = plural(len(picture.kept), "edit") + f" kept of {len(record.ledger.candidates)}"
    if len(picture.line) == 1:
        return f"{record.config.name}: {number(first.mean, first.stderr)}, {told}"
    gain = better(last.mean, first.mean, minimize=record.minimize)
    change = f"{number(first.mean, last.stderr)} → {number(last.mean, last.stderr)}"
    return f"{record.config.name}: {change}{f' ({gain})' if gain else ''}, {told}"


def _points(axes: Any, picture: Picture, theme: Theme, *, minimize: bool) -> None:
    inside = [point for point in picture.others if picture.low <= point.mean <= picture.high]
    outside = [point for point in picture.others if not picture.low <= point.mean <= picture.high]
    size = 22 if picture.width < 300 else 12 if picture.width < 2000 else 5
    axes.scatter(
        [p.x for p in inside], [p.mean for p in inside], s=size, color=theme.dot, alpha=0.75, linewidths=0, label="not kept"
    )
    for side, marker, offset in ((picture.high, "^", -0.012), (picture.low, "v", 0.012)):
        beyond = [p.x for p in outside if (p.mean > picture.high) == (side == picture.high)]
        y = side + offset * (picture.high - picture.low)
        axes.scatter(beyond, [y] * len(beyond), s=size, marker=marker, color=theme.dot, alpha=0.6, linewidths=0)
    if picture.failed:
        axes.scatter(
            picture.failed, [0.02] * len(picture.failed), s=16, marker="x", color=theme.failed, linewidths=1.1,
            transform=axes.get_xaxis_transform(), label="crash or violation",
        )  # fmt: skip
    _staircase(axes, picture, theme)
    place = "upper right" if minimize else "lower right"
    axes.legend(loc=place, frameon=False, labelcolor=theme.ink, fontsize=9, ncols=4, handletextpad=0.4, columnspacing=1.4)


def _staircase(axes: Any, picture: Picture, theme: Theme) -> None:
    xs = [*(point.x for point in picture.line), picture.width + 0.5]
    ys = [*(point.mean for point in picture.line), picture.line[-1].mean]
    axes.step(xs, ys, where="post", color=theme.kept, linewidth=2.0, label="champion")
    errors = [point.stderr for point in picture.line]
    known = [0.0 if error is None else error for error in errors]
    lows = [point.mean - error for point, error in zip(picture.line, known, strict=True)]
    highs = [point.mean + error for point, error in zip(picture.line, known, strict=True)]
    axes.fill_between(xs, [*lows, lows[-1]], [*highs, highs[-1]], step="post", color=theme.kept, alpha=0.15, linewidth=0)
    if picture.kept:
        axes.errorbar(
            [p.x for p in picture.kept],
            [p.mean for p in picture.kept],
            yerr=[p.stderr or 0.0 for p in picture.kept],
            **{"fmt": "o", "color": theme.kept, "markersize": 7, "elinewidth": 1.4, "zorder": 5, "label": "kept ± s.e."},
            **{"markeredgecolor": theme.page, "markeredgewidth": 1.2},
        )


def _label(axes: Any, picture: Picture, theme: Theme, *, minimize: bool) -> None:
    """Names beside what was kept, each where it covers no other; one that finds no room is left out."""
    taken = [_box_around(axes, point) for point in picture.kept]
    frame = axes.get_window_extent()
    renderer = axes.figure.canvas.get_renderer()
    side = -1 if minimize else 1
    for point in _worth_a_label(picture):
        text = axes.annotate(
            point.label, (point.x, point.mean), xytext=(0, 0), textcoords="offset points", fontsize=8.5, color=theme.label,
            va="top" if minimize else "bottom", parse_math=False, zorder=6,
        )  # fmt: skip
        for across, away in _OFFSETS:
            text.set_horizontalalignment("right" if across < 0 else "left")
            text.set_position((across, side * away))
            box = text.get_window_extent(renderer)
            inside = box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 + 14 and box.y1 <= frame.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                if away > 12:
                    _leader(axes, point, (across, side * away), theme)
                break
        else:
            text.remove()


_OFFSETS = [(across, away) for away in (6, 18, 30, 42, 56, 70, 86) for across in (-5, 5)]


def _leader(axes: Any, point: Point, offset: tuple[float, float], theme: Theme) -> None:
    arrow = {"arrowstyle": "-", "color": theme.kept, "linewidth": 0.6, "alpha": 0.6, "shrinkA": 0, "shrinkB": 4}
    axes.annotate("", (point.x, point.mean), xytext=offset, textcoords="offset points", arrowprops=arrow, zorder=4)


def _box_around(axes: Any, point: Point) -> Any:
    from matplotlib.transforms import Bbox

    x, y = axes.transData.transform((point.x, point.mean))
    return Bbox.from_extents(x - 9, y - 9, x + 9, y + 9)


def _worth_a_label(picture: Picture) -> list[Point]:
    """The kept points with the largest steps, in their order."""
    before, sizes = picture.line[0].mean, []
    for point in picture.kept:
        sizes.append((abs(point.mean - before), point))
        before = point.mean
    sizes.sort(key=lambda pair: -pair[0] if math.isfinite(pair[0]) else 0.0)
    chosen = {id(point) for _, point in sizes[:LABELS]}
    return [point for point in picture.kept if id(point) in chosen]
