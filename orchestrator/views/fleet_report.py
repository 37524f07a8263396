"""`regatta report` of a fleet: its members' reports, and index.html, which links them. The page loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from orchestrator.config_text import read_text
from orchestrator.views.fleet import FleetRecord, TargetStatus, fleet_status, speed_up_text, times
from orchestrator.views.plain import plain
from orchestrator.views.report import template, write_report, write_whole
from orchestrator.views.words import UNKNOWN, better, duration, with_error


def write_fleet_report(record: FleetRecord, now: float, only: Collection[str] | None = None) -> Path:
    """Write the reports of the members (`only` these, where given) and index.html; the path of the page."""
    for each in record.members:
        if only is None or each.member.name in only:
            write_report(each.record, now)
    write_whole(record.directory.index, render_fleet(record, now).encode("utf-8"))
    return record.directory.index


def render_fleet(record: FleetRecord, now: float) -> str:
    """The page."""
    found = fleet_status(record, now)
    return template("fleet.html.j2").render(
        status=found,
        state=found.state if found.stop_reason is None else f"{found.state}: {found.stop_reason}",
        ran=duration(found.running_s),
        whole=speed_up_text(found),
        rows=[_row(each, minimize=record.config.minimize) for each in found.targets],
        kept=sum(each.candidates["kept"] for each in found.targets),
        decided=sum(each.decided for each in found.targets),
        turns=sum(each.turns for each in found.targets),
        limits=[
            (name, f"{round(each['spent'], 2):g}", f"{each['limit']:g}", min(1.0, each["spent"] / each["limit"]))
            for name, each in found.limits.items()
        ],
        config=plain(read_text(record.directory.config)),
    )


def _row(each: TargetStatus, *, minimize: bool) -> dict[str, Any]:
    changed = each.champion.commit != each.baseline.commit
    return {
        "target": each.target,
        "link": f"{each.target}/report.html" if each.report is not None else None,
        "state": each.state,
        "share": f"{each.share:.3f}",
        "baseline": with_error(each.baseline.mean, each.baseline.stderr),
        "champion": with_error(each.champion.mean, each.champion.stderr) if changed else "the baseline",
        "gain": (better(each.champion.mean, each.baseline.mean, minimize=minimize) or UNKNOWN) if changed else "",
        "ratio": UNKNOWN if each.ratio is None else times(each.ratio, each.ratio_stderr or None),
        "kept": f"{each.candidates['kept']} of {each.decided}",
        "headroom": UNKNOWN if each.headroom is None else f"{each.headroom:.2f}",
        "turns": each.turns,
        "detail": each.stop_detail if each.state == "failed" else None,
    }
