"""The fleet's directory: fleet.yaml (as resolved), a run directory for each target, the lock, and index.html.

fleet.yaml   the config; all that the fleet itself remembers
<target>/    an ordinary run directory
lock         as a run's. Whoever runs a member alone holds it too: no two processes run members of one fleet
head.json    what the process that holds it left on the machine (Ray's processes), for `resume` to reap
index.html   the page that links the members' reports
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.fleet.config import FleetConfig, dump_fleet, load_fleet
from orchestrator.owned_directory import OwnedDirectory, RunDirectoryError
from orchestrator.run_directory import FLEET_CONFIG, RunDirectory


class FleetDirectory(OwnedDirectory):
    """Paths of one fleet. Makes nothing unless a method says so."""

    look = "status"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.config = path / FLEET_CONFIG
        self.index = path / "index.html"

    @classmethod
    def at(cls, path: Path) -> FleetDirectory | None:
        """The fleet at `path`; None where there is none."""
        fleet = cls(path)
        return fleet if fleet.config.is_file() else None

    @classmethod
    def around(cls, run: Path) -> FleetDirectory | None:
        """The fleet whose member lies at `run`; None for a run of its own."""
        fleet = cls.at(run.absolute().parent)
        return fleet if fleet is not None and (run / "journal.sqlite").is_file() else None

    def load(self, overrides: Sequence[str] = ()) -> FleetConfig:
        """Its config. Raises `ConfigError`."""
        return load_fleet(self.config, overrides)

    def write(self, config: FleetConfig) -> None:
        """Make `config` the fleet's, by one rename."""
        draft = self.config.with_suffix(".tmp")
        draft.write_text(dump_fleet(config), encoding="utf-8")
        draft.replace(self.config)

    def member(self, name: str) -> RunDirectory:
        """Raises `RunDirectoryError` where it is gone."""
        return RunDirectory.existing(self.path / name)

    def members(self) -> list[Path]:
        """Where the members' run directories lie."""
        return [self.path / each.name for each in self.load().members]


__all__ = ["FleetDirectory", "RunDirectoryError"]
