"""The champions of a fleet, or of one kernel run, as they lie in its repositories. Only reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config import load_config
from orchestrator.fleet.directory import FleetDirectory
from orchestrator.model.errors import ModelUseError
from orchestrator.repository import CHAMPION, CampaignRepository
from orchestrator.run_directory import RunDirectory
from workers.model.operations import SIZES

_SOURCE = "kernel.py"


@dataclass(frozen=True, slots=True)
class Champions:
    """What is to be put into the model."""

    sources: Mapping[str, str]  # text of kernel.py, by target
    left_out: Mapping[str, str]  # why, by the name of the run


def champions_of(path: Path) -> Champions:
    """Raises `ModelUseError` where none of them can be put into a model, and `RunDirectoryError` where there is no run."""
    fleet = FleetDirectory.at(path)
    runs = fleet.members() if fleet is not None else [path]
    sources: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for run in map(RunDirectory.existing, runs):
        target = load_config(run.config).target.repo.rstrip("/").rpartition("/")[2]
        source = _champion(run)
        if source is None:
            left_out[run.path.name] = "its champion has no kernel.py: it is no kernel target"
        elif target not in SIZES:
            left_out[run.path.name] = f"no operation of a model is known that {target} computes"
        elif target in sources:
            left_out[run.path.name] = f"another run of this fleet is of {target} too, and goes before"
        else:
            sources[target] = source
    if not sources:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise ModelUseError(
            f"{path}: has no champion that can be put into a model ({why}); known are {', '.join(SIZES)}: the last part of "
            "target.repo says which. `regatta profile MODEL.py` writes such a campaign"
        )
    return Champions(sources, left_out)


def _champion(run: RunDirectory) -> str | None:
    repository = CampaignRepository(run.repo)
    try:
        return repository.read(CHAMPION, _SOURCE)
    finally:
        repository.close()
