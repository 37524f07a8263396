"""What the verbs do on a fleet: print, and return the exit code. cli.py asks here first; as there, each verb imports what it
needs when it is used.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.fleet.directory import FleetDirectory
    from orchestrator.views.export import Format, Rows


def is_fleet(config: str) -> bool:
    """Whether a config is a fleet's."""
    from orchestrator.fleet.config import names_several_targets

    return names_several_targets(config)


def fleet_at(path: Path) -> FleetDirectory | None:
    """The fleet at `path`; None for a run, and for what is neither."""
    from orchestrator.fleet.directory import FleetDirectory

    return FleetDirectory.at(path)


@contextlib.contextmanager
def fleet_around(run: Path) -> Iterator[None]:
    """Where `run` is a member of a fleet, hold that, so that it is nobody else's turn meanwhile."""
    from orchestrator.fleet.directory import FleetDirectory

    around = FleetDirectory.around(run)
    if around is None:
        yield
        return
    from orchestrator.fleet.running import held

    with held(around, _say):
        yield


def run(config: str, overrides: Sequence[str], run_dir: Path | None) -> int:
    from orchestrator.fleet.opening import open_fleet

    return resume(open_fleet(config, overrides, run_dir, Path.cwd()), ())


def resume(fleet: FleetDirectory, overrides: Sequence[str]) -> int:
    from orchestrator.fleet.running import work_fleet
    from orchestrator.head import EXIT_CODES
    from orchestrator.views.fleet import fleet_summary, load_fleet_record
    from orchestrator.views.fleet_report import write_fleet_report
    from orchestrator.views.plain import plain
    from orchestrator.views.words import plural

    end = work_fleet(fleet, overrides, _say)
    write_fleet_report(load_fleet_record(fleet), time.time(), only=end.had_a_turn)
    print(fleet_summary(load_fleet_record(fleet), time.time()))
    if end.failed:
        told = "; ".join(f"{name}: {plain(why)}" for name, why in end.failed.items())
        look = f"regatta log {fleet.path / next(iter(end.failed))}"
        print(f"regatta: {plural(len(end.failed), 'target')} could not go on: {told}; type: {look}", file=sys.stderr)
    return EXIT_CODES[end.state]


def status(fleet: FleetDirectory, *, as_json: bool) -> int:
    import json

    from orchestrator.views.fleet import fleet_status, fleet_text, load_fleet_record

    found = fleet_status(load_fleet_record(fleet), time.time())
    print(json.dumps(found.as_json(), indent=1) if as_json else fleet_text(found))
    return 0


def report(fleet: FleetDirectory) -> int:
    from orchestrator.views.fleet import load_fleet_record
    from orchestrator.views.fleet_report import write_fleet_report

    print(write_fleet_report(load_fleet_record(fleet), time.time()))
    return 0


def export(fleet: FleetDirectory, rows: Rows, form: Format) -> int:
    from orchestrator.views.export import export_all
    from orchestrator.views.fleet import load_fleet_record

    for line in export_all({each.member.name: each.record for each in load_fleet_record(fleet).members}, rows, form):
        print(line)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
