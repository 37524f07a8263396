"""`regatta report`: one self-contained report.html beside progress.png, both written into the run directory by rename.

The page loads nothing from anywhere: style, pictures and text are in it, and everything that candidates wrote is escaped data.
jinja2 and matplotlib are imported when a report is made.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.config import dump_config
from orchestrator.earnings import by_family
from orchestrator.events import Purpose
from orchestrator.ledger import Candidate, CandidateState, Ledger, Trial
from orchestrator.views.champion_file import CHAMPION_FILE, champion_file
from orchestrator.views.diffs import diff_of
from orchestrator.views.export import status_of
from orchestrator.views.front import beside_the_front, front_in, get_line, point_cells, together_text
from orchestrator.views.front_picture import draw_front
from orchestrator.views.loading import Record
from orchestrator.views.plain import one_line, plain
from orchestrator.views.progress import DARK, LIGHT, draw
from orchestrator.views.rules import Rule, rule_of
from orchestrator.views.standing import leak_bound, limit_stands, numbers_of, told_effect
from orchestrator.views.status import WHO_MEASURED, CommitStatus, Status, earned_text, held_out_text, status
from orchestrator.views.stories import commit_name, evidence_lines, finals_of, near_misses, worth_porting
from orchestrator.views.strips import Strip, strip_of
from orchestrator.views.summary import fetch_line
from orchestrator.views.words import better, change, clock, duration, number
from workers.trial import Outcome, Provenance

if TYPE_CHECKING:
    from jinja2 import Template

ROWS_SHOWN = 2000  # a page with more is of no use; `regatta export` has them all
FAILURES_SHOWN = 100
FRONT_SHOWN = 60
DIFF_LINES_SHOWN = 400


@dataclass(frozen=True, slots=True)
class DiffLine:
    kind: str  # add, del, hunk, file, same
    text: str


@dataclass(frozen=True, slots=True)
class Story:
    """A candidate told at length: what was kept, and the near misses."""

    id: str
    description: str
    proposer: str
    effect: str
    commit: str
    base: str
    lines: int | None
    reason: str
    evidence: list[str]
    finals: list[str]
    audited: str | None
    strip: Strip | None
    diff: list[DiffLine]


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    status: str
    description: str
    proposer: str
    mean: str
    delta: str
    samples: int
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    trial: str
    outcome: str
    candidates: str
    worker: str
    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """A worker as the trials know it."""

    worker: str
    device: str
    trials: int
    failed: int
    mean_wall: str


@dataclass(frozen=True, slots=True)
class FrontPage:
    """The front's picture and its points, each with what to type to see it."""

    metrics: list[str]
    rows: list[tuple[list[str], str]]
    points: int
    close: int
    dominated: int
    together: str | None
    light_png: str
    dark_png: str


def write_report(record: Record, now: float | None = None) -> Path:
    """Write progress.png, report.html and a kernel's champion as a file; the path of the page. `now` is needed for a running
    campaign alone."""
    picture = draw(record, LIGHT)
    write_whole(record.run.progress_png, picture)
    page = render(record, picture, draw(record, DARK), now)
    write_whole(record.run.report, page.encode("utf-8"))
    champion = champion_file(record)
    if champion is not None:
        write_whole(record.run.path / CHAMPION_FILE, champion.encode("utf-8"))
    return record.run.report


def render(record: Record, light_png: bytes, dark_png: bytes, now: float | None = None) -> str:
    """The page."""
    pictures = {"light_png": _base64(light_png), "dark_png": _base64(dark_png)}
    return template("report.html.j2").render(**_context(record, now), **pictures)


def template(name: str) -> Template:
    """One of the pages, all of whose data is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["minus"] = _minus
    return templates.get_template(name)


def _context(record: Record, now: float | None) -> dict[str, Any]:
    ledger, minimize = record.ledger, record.minimize
    at = now if now is not None else ledger.last_at or 0.0
    standing = status(record, at)
    champion = ledger.champion
    kept = champion.kept if champion is not None else ()
    told = {*kept}
    rest = [candidate for candidate in reversed(ledger.candidates.values()) if candidate.id not in told]
    return {
        "status": standing,
        "who_measured": WHO_MEASURED[Provenance(standing.objective.provenance)],
        "earned": [earned_text(each) for each in standing.proposers],
        "families": [earned_text(each) for each in by_family(ledger)[:20]],
        "state": _state(standing),
        "began": clock(ledger.opened_at or 0.0),
        "ended": clock(ledger.last_at or 0.0),
        "ran": duration(standing.running_s),
        "target": ledger.opened.target if ledger.opened is not None else "",
        "runner": ledger.opened.runner if ledger.opened is not None else "",
        "champion": _headline(standing.champion),
        "baseline": _headline(standing.baseline),
        "gain": better(standing.champion.mean, standing.baseline.mean, minimize=minimize) if kept else None,
        "front": _front(record, standing),
        "held_out": held_out_text(standing.held_out) if standing.held_out is not None else None,
        "noise": number(standing.noise.stddev, standing.noise.stddev),
        "kept": [_story(record, ledger.candidates[name]) for name in reversed(kept)],
        "winners": [_story(record, candidate) for candidate in worth_porting(ledger)],
        "misses": [_story(record, candidate) for candidate in near_misses(ledger, minimize=minimize)],
        "rest": [_row(ledger, candidate) for candidate in rest[:ROWS_SHOWN]],
        "rest_hidden": max(0, len(rest) - ROWS_SHOWN),
        "outcomes": {outcome.value: ledger.outcomes[outcome] for outcome in Outcome if ledger.outcomes[outcome]},
        "failures": _failures(ledger),
        "rules": _rules(ledger),
        "audited": _audited(ledger, champion.commit) if champion is not None else None,
        "failures_shown": FAILURES_SHOWN,
        "places": _places(ledger),
        "limits": [
            (each.name, f"{round(each.spent, 2):g}", f"{each.limit:g}", each.share)
            for each in limit_stands(ledger, record.config, record.now(at))
        ],
        "fingerprint": ledger.fingerprint,
        "config": plain(dump_config(record.config)),
        "fetch": fetch_line(record),
        "notes": [(clock(when), note.level, one_line(note.text)) for when, note in record.notes[-50:]],
    }


def _front(record: Record, standing: Status) -> FrontPage | None:
    found, front = standing.front, front_in(record.ledger, record.config)
    if found is None or front is None or not front.points:
        return None
    return FrontPage(
        list(found.metrics),
        [
            (point_cells(point, found), get_line(str(record.run.path), point))
            for point in (*found.points[:FRONT_SHOWN], *beside_the_front(found))
        ],
        len(found.points),
        len(found.close),
        found.dominated,
        together_text(found) if found.together else None,
        _base64(draw_front(front, LIGHT)),
        _base64(draw_front(front, DARK)),
    )


def _headline(commit: CommitStatus) -> tuple[str, str]:
    """The mean, and its standard error where that is known."""
    error = "" if commit.mean is None or commit.stderr is None else number(commit.stderr, commit.stderr)
    return number(commit.mean, commit.stderr), error


def _state(standing: Status) -> str:
    if standing.stop_reason is not None:
        return f"{standing.state}: {standing.stop_reason}"
    return standing.state if standing.stop_detail is None else f"{standing.state}: {standing.stop_detail}"


def _story(record: Record, candidate: Candidate) -> Story:
    ledger, evidence, admitted = record.ledger, candidate.evidence, candidate.admitted
    return Story(
        id=candidate.id,
        description=one_line(candidate.proposed.description),
        proposer=one_line(candidate.proposed.proposer),
        effect=change(*told_effect(ledger, candidate)),
        commit=candidate.commit or "",
        base=commit_name(ledger, candidate.base or ""),
        lines=admitted.diff_lines if admitted is not None else None,
        reason=one_line(candidate.reason or ""),
        evidence=evidence_lines(evidence, candidate.state, minimize=record.minimize) if evidence is not None else [],
        finals=[final.text for final in finals_of(ledger, candidate)],
        audited=_audited(ledger, candidate.commit or ""),
        strip=strip_of(ledger, candidate),
        diff=coloured(diff_of(record, candidate)),
    )


def _row(ledger: Ledger, candidate: Candidate) -> Row:
    numbers = numbers_of(ledger, candidate)
    failed = candidate.state in (CandidateState.CRASHED, CandidateState.VIOLATION)
    return Row(
        id=candidate.id,
        status=status_of(candidate),
        description=one_line(candidate.proposed.description, 200),
        proposer=one_line(candidate.proposed.proposer),
        mean="" if failed or numbers.mean is None else number(numbers.mean, numbers.stderr),
        delta="" if failed or numbers.delta is None else change(numbers.delta, numbers.delta_stderr),
        samples=numbers.samples,
        reason=one_line(candidate.reason or "", 300),
    )


def coloured(diff: str) -> list[DiffLine]:
    """A diff by the kind of each line."""
    lines = diff.rstrip("\n").split("\n") if diff.strip() else []
    shown = [DiffLine(_kind(line), line) for line in lines[:DIFF_LINES_SHOWN]]
    if len(lines) > DIFF_LINES_SHOWN:
        shown.append(DiffLine("hunk", f"… {len(lines) - DIFF_LINES_SHOWN} more lines: regatta show has them all"))
    return shown


def _kind(line: str) -> str:
    if line.startswith(("+++", "---", "diff ", "index ", "new file", "deleted file")):
        return "file"
    return {"+": "add", "-": "del", "@": "hunk"}.get(line[:1], "same")


def _failures(ledger: Ledger) -> list[Failure]:
    found = []
    for trial in reversed(ledger.trials.values()):
        ended = trial.ended
        if ended is not None and ended.outcome is not Outcome.OK:
            names = _whose(trial)
            found.append(Failure(trial.id, ended.outcome.value, names, ended.worker, one_line(ended.reason or "", 300)))
    return found


def _whose(trial: Trial) -> str:
    started = trial.started
    together = len(started.candidates) > 1 and started.purpose is not Purpose.FINAL
    where = "" if started.block is None else f" in {started.block} row {started.row}"
    if together:
        return f"{len(started.candidates)} edits together{where}, blamed on none of them"
    return (", ".join(started.candidates) or "the champion") + where


def _rules(ledger: Ledger) -> list[tuple[Rule, int]]:
    """The rules that trials broke, and how many did."""
    ended = (trial.ended for trial in ledger.trials.values() if trial.ended is not None)
    broken = Counter(rule_of(each.reason) for each in ended if each.outcome is Outcome.VIOLATION)
    return [(rule, count) for rule, count in broken.most_common() if rule is not None]


def _audited(ledger: Ledger, commit: str) -> str | None:
    bound = leak_bound(ledger, commit)
    return None if bound is None else str(bound)


def _places(ledger: Ledger) -> list[Place]:
    trials: Counter[tuple[str, str]] = Counter()
    failed: Counter[tuple[str, str]] = Counter()
    seconds: Counter[tuple[str, str]] = Counter()
    for trial in ledger.trials.values():
        if trial.ended is not None:
            key = (trial.ended.worker, one_line(trial.ended.device))
            trials[key] += 1
            failed[key] += trial.ended.outcome is Outcome.INFRA
            seconds[key] += trial.ended.wall_s  # type: ignore[assignment]
    return [Place(*key, count, failed[key], duration(seconds[key] / count)) for key, count in sorted(trials.items())]


def _minus(text: str) -> str:
    """A number's sign as it is printed: as wide as a plus."""
    return re.sub(r"(?<![\w.-])-(?=\d)", "−", text)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def write_whole(path: Path, data: bytes) -> None:
    """Nobody ever reads half of it."""
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_bytes(data)
    draft.replace(path)
