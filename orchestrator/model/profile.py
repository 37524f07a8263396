"""`regatta profile`: the user's model under the profiler, in a process of its own, and a campaign's folder from what it took.

The model is the user's own code and runs as the user would run it: with all rights, unconfined.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from orchestrator.model.campaign_folder import Place, refuse_existing, write
from orchestrator.model.errors import ModelUseError
from orchestrator.model.shares import LEAST_SHARE, Profile, profile_of


def model_file(given: str, working_dir: Path) -> Path:
    """MODEL.py, as typed. Raises `ModelUseError`."""
    path = (working_dir / Path(given).expanduser()).resolve()
    if not path.is_file() or path.suffix != ".py":
        raise ModelUseError(
            f"{given}: is no Python file; give one that defines model() -> torch.nn.Module and inputs() -> a tuple of tensors"
        )
    return path


def place_of(given: str | None, model: Path, working_dir: Path) -> Place:
    """The folder to write; by default MODEL-kernels."""
    name = (given or f"{model.stem}-kernels").rstrip("/")
    return Place(name, working_dir / Path(name).expanduser(), model.name)


def profile(given: str, working_dir: Path, *, name: str | None, device: str | None, steps: int, backward: bool) -> Profile:
    """Profile the model and write the folder. Raises `ModelUseError`."""
    model = model_file(given, working_dir)
    place = place_of(name, model, working_dir)
    refuse_existing(place)
    found = profile_of(_run(model, device, steps, backward), steps)
    if not found.targets:
        raise ModelUseError(
            f"{given}: no target does {100 * LEAST_SHARE:g} % of its time or more, so there is no campaign to write; "
            f"most goes to {', '.join(each.name for each in found.operations[:5])}: `regatta bench --new NAME` begins a target"
        )
    write(found, place)
    return found


def _run(model: Path, device: str | None, steps: int, backward: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="regatta-profile-") as folder:
        result = Path(folder) / "result.json"
        words = [str(model), str(result), device or "auto", str(steps), "1" if backward else "0"]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "workers.model.profiling", *words],
            cwd=model.parent,
            stdout=2,
            check=False,
        )  # what the model prints is for the person, and no part of --json
        if done.returncode or not result.is_file():
            raise ModelUseError(f"{model}: its process ended with exit status {done.returncode}; what it said is above")
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    if "error" in found:
        raise ModelUseError(f"{model}: {found['error']}")
    return found
