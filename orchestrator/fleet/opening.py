"""Opening a fleet: from its config to a complete directory with every member's run directory in it, or to nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.config import ConfigError, load_config, with_runner
from orchestrator.fleet.config import FleetConfig, Member, load_fleet
from orchestrator.fleet.directory import FleetDirectory
from orchestrator.opening import open_config
from orchestrator.owned_directory import appearing
from orchestrator.target import TargetError


def open_fleet(config_path: str, overrides: Sequence[str], run_dir: Path | None, working_dir: Path) -> FleetDirectory:
    """Check every target, then make the directory: it appears complete or not at all.

    Raises `ConfigError` with all that is wrong with any of them, or `RunDirectoryError`.
    """
    config = load_fleet(config_path, overrides)
    path = working_dir / (run_dir if run_dir is not None else Path("runs") / config.name)
    with appearing(path) as draft:
        members = _open_members(config, draft, working_dir)
        FleetDirectory(draft).write(replace(config, members=members))
    return FleetDirectory(path)


def _open_members(config: FleetConfig, folder: Path, working_dir: Path) -> tuple[Member, ...]:
    """Make every member's run directory; the members with their runners decided."""
    opened = []
    found: list[list[str]] = []
    for member in config.members:
        try:
            run = open_config(member.config, folder / member.name, working_dir, campaigns=len(config.members))
            runner = load_config(run.config).target.runner
            assert runner is not None
            opened.append(replace(member, config=with_runner(member.config, runner)))
            found.append([])
        except (ConfigError, TargetError) as error:
            found.append(list(error.problems) if isinstance(error, ConfigError) else [str(error)])
    if any(found):
        raise ConfigError(_told(config, found))
    return tuple(opened)


def _told(config: FleetConfig, found: Sequence[Sequence[str]]) -> list[str]:
    """What is wrong with every target, once; what is wrong with one, with which it is."""
    common = [problem for problem in found[0] if all(problem in others for others in found)]
    told = list(common)
    for index, (member, problems) in enumerate(zip(config.members, found, strict=True)):
        for problem in problems:
            if problem in common:
                continue
            of_repo = problem.startswith("target.repo:")
            where = f"targets[{index}]" if of_repo else f"targets[{index}] ({member.config.target.repo}): "
            told.append(where + (problem.removeprefix("target") if of_repo else problem))
    return told
