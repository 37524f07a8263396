"""Where a fleet stands: a table of its targets and what they have gained together, for a script and for a person.

What is not known is None (`null`). Keys may be added, never removed or given another meaning.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from orchestrator.fleet.choice import FleetStop, NextTurn, next_turn, total
from orchestrator.fleet.config import FleetConfig
from orchestrator.fleet.directory import FleetDirectory
from orchestrator.fleet.speed_up import UNCHANGED, Number, ratio, speed_up
from orchestrator.fleet.standing import MemberRecord, failures, headroom, read_members, rules_of
from orchestrator.owned_directory import Holder
from orchestrator.views.status import WHO_MEASURED, ChampionStatus, CommitStatus, ObjectiveStatus, Status, status
from orchestrator.views.summary import fetch_line
from orchestrator.views.words import UNKNOWN, duration, with_error
from workers.trial import Provenance

_LIMITS = ("trials", "candidates", "hours", "gpu_hours", "usd", "energy_wh")  # that are the whole fleet's


@dataclass(frozen=True, slots=True)
class FleetRecord:
    """All that is known of a fleet at one instant."""

    directory: FleetDirectory
    config: FleetConfig
    members: list[MemberRecord]
    holder: Holder | None  # the process that runs it, or one of its members, now


def load_fleet_record(directory: FleetDirectory) -> FleetRecord:
    """Read a fleet as it stands. Raises `RunDirectoryError`, `JournalError` or `ConfigError`."""
    holder = directory.holder()  # first: who lets go while we read has written its last word
    config = directory.load()
    return FleetRecord(directory, config, read_members(directory, config), holder)


@dataclass(frozen=True, slots=True)
class TargetStatus:
    target: str
    repo: str
    share: float  # of the time of all targets
    run_dir: str
    state: str
    stop_reason: str | None
    stop_detail: str | None
    baseline: CommitStatus
    champion: ChampionStatus
    ratio: float | None  # champion over baseline, or the inverse where more is better
    ratio_stderr: float | None
    candidates: dict[str, int]
    decided: int
    headroom: float | None  # share of the champion's time above the machine's floor
    cost_s: float | None  # trial time that one candidate took
    turns: int
    turns_since_keep: int
    report: str | None


@dataclass(frozen=True, slots=True)
class FleetStatus:
    name: str
    state: str
    stop_reason: str | None
    objective: ObjectiveStatus
    sandbox: str | None
    speed_up: float | None  # of all targets together, by their shares
    speed_up_stderr: float | None
    targets: list[TargetStatus]
    next_target: str | None  # whose turn is next
    trials: dict[str, int]
    limits: dict[str, dict[str, float]]
    running_s: float
    run_dir: str
    report: str | None
    pid: int | None
    host: str | None

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


def fleet_status(record: FleetRecord, now: float) -> FleetStatus:
    """Where the fleet stands at Unix time `now`."""
    found = [(each, status(each.record, now)) for each in record.members]
    config, seen = record.config, [one for _, one in found]
    standings = [each.standing for each in record.members]
    ahead = next_turn(standings, rules_of(config))
    ended = record.holder is None and isinstance(ahead, FleetStop)
    ratios = {each.member.name: _ratio(one, config) for each, one in found}
    known = {name: found for name, found in ratios.items() if found is not None}
    gained = speed_up(config.shares, known) if len(known) == len(ratios) else None
    return FleetStatus(
        name=config.name,
        state=_state(record, ended),
        stop_reason=ahead.value if ended and isinstance(ahead, FleetStop) else None,
        objective=_objective(seen),
        sandbox="none" if any(one.sandbox == "none" for one in seen) else seen[0].sandbox,
        speed_up=None if gained is None else gained.value,
        speed_up_stderr=None if gained is None else gained.stderr,
        targets=[_target(each, one, ratios[each.member.name]) for each, one in found],
        next_target=ahead.target if isinstance(ahead, NextTurn) else None,
        trials={outcome: sum(one.trials[outcome] for one in seen) for outcome in seen[0].trials},
        limits=_limits(record),
        running_s=sum(one.running_s for one in seen),
        run_dir=str(record.directory.path.absolute()),
        report=str(record.directory.index.absolute()) if record.directory.index.is_file() else None,
        pid=record.holder.pid if record.holder is not None else None,
        host=record.holder.host if record.holder is not None else None,
    )


def _state(record: FleetRecord, ended: bool) -> str:
    if record.holder is not None:
        return "running"
    if not ended:
        return "interrupted"
    return "failed" if failures(record.members) else "finished"


def _objective(seen: Sequence[Status]) -> ObjectiveStatus:
    """As the members have it; the least that is true of any member's numbers."""
    objectives = [one.objective for one in seen]
    return next((each for each in objectives if each.provenance != Provenance.MEASURED), objectives[0])


def _ratio(one: Status, config: FleetConfig) -> Number | None:
    if one.champion.commit == one.baseline.commit:
        return UNCHANGED
    if one.baseline.mean is None or one.champion.mean is None:
        return None
    baseline = Number(one.baseline.mean, one.baseline.stderr)
    return ratio(baseline, Number(one.champion.mean, one.champion.stderr), minimize=config.minimize)


def _target(each: MemberRecord, one: Status, found: Number | None) -> TargetStatus:
    return TargetStatus(
        target=each.member.name,
        repo=each.member.config.target.repo,
        share=each.standing.share,
        run_dir=one.run_dir,
        state=one.state,
        stop_reason=one.stop_reason,
        stop_detail=one.stop_detail,
        baseline=one.baseline,
        champion=one.champion,
        ratio=None if found is None else found.value,
        ratio_stderr=None if found is None else found.stderr,
        candidates=one.candidates,
        decided=one.candidates["proposed"] - one.candidates["pending"],
        headroom=headroom(each.record.ledger),
        cost_s=each.standing.cost_s,
        turns=each.standing.turns,
        turns_since_keep=each.standing.turns_since_keep,
        report=one.report,
    )


def _limits(record: FleetRecord) -> dict[str, dict[str, float]]:
    """Those of the whole fleet that are set, and how much of each is spent."""
    spent = total([each.standing for each in record.members])
    wanted = record.config.common.limits
    assert {field.name for field in fields(spent)} == set(_LIMITS)
    pairs = {name: getattr(wanted, name) for name in _LIMITS}
    return {name: {"spent": float(getattr(spent, name)), "limit": float(n)} for name, n in pairs.items() if n is not None}


# -- for a person


_HEADER = ("target", "share", "baseline", "", "champion", "ratio", "kept", "headroom", "turns")


def fleet_text(found: FleetStatus) -> str:
    """The same in a screenful of words."""
    who = WHO_MEASURED[Provenance(found.objective.provenance)]
    unconfined = "; sandbox: none (candidates run unconfined, as this user)" if found.sandbox == "none" else ""
    lines = [
        f"{found.name}: {_state_text(found)}{unconfined}",
        f"  {found.objective.metric}, {found.objective.direction}; {who}",
        "",
        *_table([_HEADER, *map(_cells, found.targets)]),
        "",
        f"  the whole, by share: {speed_up_text(found)}",
    ]
    if found.limits:
        stands = [f"{name} {round(each['spent'], 4):g} of {each['limit']:g}" for name, each in found.limits.items()]
        lines.append(f"  limits: {', '.join(stands)}")
    lines += [f"  {each.target} could not go on: {each.stop_detail}" for each in found.targets if each.state == "failed"]
    return "\n".join(lines)


def _state_text(found: FleetStatus) -> str:
    ran = duration(found.running_s)
    match found.state:
        case "running":
            return f"running for {ran} (process {found.pid} on {found.host})"
        case "interrupted":
            return f"interrupted after {ran}; go on with: regatta resume {shlex.quote(found.run_dir)}"
        case _:
            return f"{found.state} ({found.stop_reason}) after {ran}"


def speed_up_text(found: FleetStatus) -> str:
    if found.speed_up is None:
        return "unknown: a ratio of numbers that are not all above zero says nothing"
    as_what = "as fast" if found.objective.direction == "minimize" else "as good"
    error = found.speed_up_stderr or None
    by_model = ", by the model alone" if found.objective.provenance == Provenance.MODELLED else ""
    return f"{times(found.speed_up, error)} times {as_what} as the baseline{by_model}"


def _cells(each: TargetStatus) -> tuple[str, ...]:
    return (
        each.target,
        f"{each.share:.3f}",
        _mean(each.baseline),
        "→",
        _mean(each.champion) if each.champion.commit != each.baseline.commit else "the baseline",
        UNKNOWN if each.ratio is None else times(each.ratio, each.ratio_stderr or None),
        f"{each.candidates['kept']}/{each.decided}",
        UNKNOWN if each.headroom is None else f"{each.headroom:.2f}",
        str(each.turns),
    )


def times(ratio: float, stderr: float | None) -> str:
    """A ratio to four digits, or to those that its standard error leaves."""
    return with_error(ratio, stderr) if stderr else f"{ratio:.4g}"


def _mean(commit: CommitStatus) -> str:
    return with_error(commit.mean, commit.stderr)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def fleet_summary(record: FleetRecord, now: float) -> str:
    """The last screenful of `regatta run`."""
    found = fleet_status(record, now)
    path = record.directory.path
    rows = [("report", found.report)] if found.report is not None else []
    taken = [(f"take {each.member.name} home", fetch_line(each.record)) for each in record.members if _kept(each)]
    rows += [(label, f"{line}    (in your own repository)") for label, line in taken]
    example = next((each.member.name for each in record.members if _kept(each)), found.targets[0].target)
    rows += [("what was kept, and why", f"regatta show {shlex.quote(str(path / example))}"), ("go on", _go_on(found, record))]
    width = max(len(label) for label, _ in rows)
    return "\n".join([fleet_text(found), "", *(f"  {label:<{width}}  {text}" for label, text in rows)])


def _kept(each: MemberRecord) -> bool:
    champion = each.record.ledger.champion
    return champion is not None and bool(champion.kept)


def _go_on(found: FleetStatus, record: FleetRecord) -> str:
    """The limit to raise: the one that ended the fleet, doubled."""
    resume = f"regatta resume {shlex.quote(str(record.directory.path))}"
    if found.stop_reason == FleetStop.PATIENCE:
        return f"{resume} --set turn.patience={2 * record.config.turn.patience}"
    key = {"energy": "energy_wh"}.get(found.stop_reason or "", found.stop_reason)
    limit = found.limits.get(key or "")
    return resume if limit is None else f"{resume} --set limits.{key}={2 * limit['limit']:g}"


__all__ = ["FleetRecord", "FleetStatus", "fleet_status", "fleet_summary", "fleet_text", "load_fleet_record"]
