"""The scatter of a front for the report: a panel for each further metric against the first. matplotlib is imported when called.

The front is drawn as a staircase where it has two metrics: nothing that is known lies on its better side. What lies far off is
left out, and counted in the caption.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

from orchestrator.front import Axis, Front, Point, Standing
from orchestrator.views.plain import one_line
from orchestrator.views.progress import Theme

LABELS = 16  # more would not be read
FAR = 1.5  # of the width of what is worth showing


def draw_front(front: Front, theme: Theme) -> bytes:
    """The picture as PNG. `front` has a point at least."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = len(front.axes) - 1
    figure = Figure(figsize=(11, 4.8 * panels), dpi=160, facecolor=theme.page, layout="constrained")
    FigureCanvasAgg(figure)
    with mpl.rc_context({"font.family": "sans-serif"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a metric's name may hold signs that the font lacks
        for nth in range(1, panels + 1):
            _panel(figure.add_subplot(panels, 1, nth), front, nth, theme)
        out = io.BytesIO()
        figure.savefig(out, format="png", facecolor=theme.page)
    return out.getvalue()


def bounds(front: Front, nth: int) -> tuple[float, float]:
    """The part of an axis that is worth showing: the front, champion and baseline, and as much around them as does not flatten
    it. Pure."""
    told = [p.means[nth] for p in front.points if p.standing is Standing.FRONT or p.is_champion or p.is_baseline]
    span = (max(told) - min(told)) or abs(told[0]) * 0.1 or 1.0
    low, high = min(told) - FAR * span, max(told) + FAR * span
    near = [point.means[nth] for point in front.points if low <= point.means[nth] <= high]
    return min(near) - 0.08 * span, max(near) + 0.08 * span


def staircase(points: Sequence[Point], axes: tuple[Axis, Axis], until: tuple[float, float]) -> list[tuple[float, float]]:
    """The corners of the border between what is beaten and what is not, up to `until`, the worse end of both axes. Pure."""
    found = sorted((point.means for point in points), key=lambda means: means[0] if axes[0].minimize else -means[0])
    corners = [(found[0][0], until[1])]
    for here, following in zip(found, [*found[1:], (until[0], found[-1][1])], strict=True):
        corners += [(here[0], here[1]), (following[0], here[1])]
    return corners


def _panel(axes: Any, front: Front, nth: int, theme: Theme) -> None:
    first, other = front.axes[0], front.axes[nth]
    left_right, low_high = bounds(front, 0), bounds(front, nth)
    axes.set_facecolor(theme.page)
    axes.set_xlim(*left_right)
    axes.set_ylim(*low_high)
    axes.set_xlabel(_named(first), color=theme.ink, parse_math=False)
    axes.set_ylabel(_named(other), color=theme.ink, parse_math=False)
    axes.ticklabel_format(useOffset=False)
    axes.grid(color=theme.faint, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.ink, length=0)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)
    best = front.standing(Standing.FRONT)
    if len(front.axes) == 2:
        until = (left_right[1] if first.minimize else left_right[0], low_high[1] if other.minimize else low_high[0])
        corners = staircase(best, (first, other), until)
        axes.plot([x for x, _ in corners], [y for _, y in corners], color=theme.kept, linewidth=1.4, alpha=0.7, zorder=2)
    _marks(axes, front, nth, theme)
    for point in [*best[:LABELS], *(p for p in front.points if (p.is_champion or p.is_baseline) and p not in best[:LABELS])]:
        axes.annotate(
            one_line(point.name, 30), (point.means[0], point.means[nth]), xytext=(7, 7), textcoords="offset points",
            fontsize=8.5, color=theme.label, parse_math=False, zorder=6, annotation_clip=True,
        )  # fmt: skip
    axes.legend(loc="best", frameon=False, labelcolor=theme.ink, fontsize=9)


def _marks(axes: Any, front: Front, nth: int, theme: Theme) -> None:
    looks = {
        Standing.DOMINATED: {"color": theme.dot, "marker": "o", "markersize": 4, "alpha": 0.6, "label": "clearly beaten"},
        Standing.CLOSE: {"color": theme.failed, "marker": "o", "markersize": 5, "alpha": 0.8, "label": "within the noise"},
        Standing.FRONT: {"color": theme.kept, "marker": "o", "markersize": 7, "label": "front ± s.e.", "zorder": 4},
    }
    for standing, look in looks.items():
        points = front.standing(standing)
        if points:
            places = ([point.means[axis] for point in points] for axis in (0, nth))
            errors = ([point.stderrs[axis] or 0.0 for point in points] for axis in (0, nth))
            axes.errorbar(*places, **dict(zip(("xerr", "yerr"), errors, strict=True)), linestyle="none", elinewidth=1.0, **look)
    for marker, name, found in (
        ("*", "champion", [point for point in front.points if point.is_champion]),
        ("s", "baseline", [point for point in front.points if point.is_baseline]),
    ):
        axes.scatter(
            [point.means[0] for point in found], [point.means[nth] for point in found], marker=marker, s=170, zorder=5,
            facecolors="none", edgecolors=theme.ink, linewidths=1.3, label=name,
        )  # fmt: skip


def _named(axis: Axis) -> str:
    return f"{one_line(axis.metric, 60)}  ({'lower' if axis.minimize else 'higher'} is better)"
