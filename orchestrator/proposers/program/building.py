"""From a config's entry to a `program` proposer, and from a run to the grounds that it works on."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from orchestrator.admission import Admission
from orchestrator.config import Config, ConfigError, Program
from orchestrator.ledger import Ledger
from orchestrator.proposers.base import Brief
from orchestrator.proposers.ideas import PROGRAM, steering_of
from orchestrator.proposers.program.assignment import Assignment
from orchestrator.proposers.program.command import anchored, missing
from orchestrator.proposers.program.proposer import Grounds, ProgramProposer
from orchestrator.run_directory import RunDirectory
from orchestrator.tournament.limits import usd
from orchestrator.tournament.settings import Settings


def build(entry: Program, *, index: int, working_dir: Path, name: str) -> ProgramProposer:
    """Raises `ConfigError` where there is no such command."""
    absent = missing(anchored(entry.command, working_dir, ()), os.environ)
    if absent is not None:
        said = f"given {entry.command!r}; a command of this machine: the shell finds no {absent}; install it or mend PATH"
        raise ConfigError([f"proposers[{index}].command: {said}"])
    return ProgramProposer(
        entry.command, name=name, timeout_s=entry.timeout_s, most_at_once=entry.parallel, environment=os.environ
    )


def grounds_of(
    run: RunDirectory, config: Config, settings: Settings, ledger: Ledger, admission: Admission, name: str
) -> Grounds:
    """For the proposer called `name`."""
    repository = admission.repository
    steering = steering_of(run, config, repository.read(ledger.base, PROGRAM))
    bounds = ((metric, bound.model_dump(exclude_none=True)) for metric, bound in config.objective.constraints.items())
    constraints = tuple(f"{metric}: {kind} {value:g}" for metric, kinds in bounds for kind, value in kinds.items())

    def champion() -> str:
        assert ledger.champion is not None
        return ledger.champion.commit

    def assignment(brief: Brief) -> Assignment:
        return Assignment(
            champion=brief.champion,
            metric=config.objective.name,
            direction=config.objective.direction,
            constraints=constraints,
            globs=tuple(config.target.editable),
            editable=brief.editable,
            program=steering.program(),
            notebook=_notebook(run),
            pending=tuple(each.proposed.description for each in ledger.pending.values()),
            left=_left(config, settings, ledger),
        )

    return Grounds(
        folder=run.proposers / name,
        repository=repository.path,
        scope=admission.scoping.scope,
        known=lambda: {each.proposed.token for each in ledger.candidates.values() if each.proposed.proposer == name},
        champion=champion,
        assignment=assignment,
    )


def _notebook(run: RunDirectory) -> str | None:
    with contextlib.suppress(OSError):
        return run.notebook.read_text("utf-8", "replace")
    return None


def _left(config: Config, settings: Settings, ledger: Ledger) -> tuple[str, ...]:
    """What is spent of each limit that a proposer can do something about."""
    spent = (
        ("candidates", len(ledger.candidates), config.limits.candidates),
        ("trials", len(ledger.trials), config.limits.trials),
        ("hours", ledger.running_s() / 3600, config.limits.hours),
        ("dollars", usd(ledger, settings.prices), config.limits.usd),
    )
    return tuple(f"{name}: {amount:.4g} of {limit:g} are spent" for name, amount, limit in spent if limit is not None)
