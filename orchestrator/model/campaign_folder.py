"""The folder that `regatta profile` writes: kernels.yaml, a config of a fleet, and a target for each operation, under git.

Targets are copies of those that ship with Regatta, with the model's shapes as their real cases. The folder appears complete or
not at all.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from orchestrator.model.errors import ModelUseError
from orchestrator.model.shares import Profile
from orchestrator.model.written_cases import about_shapes, with_shapes_of
from orchestrator.owned_directory import appearing
from orchestrator.target import FILES_BY_RUNNER, shipped_subjects, without_git_variables

CONFIG = "kernels.yaml"
_FILES = (*FILES_BY_RUNNER["kernel"], "program.md")
_IDENTITY = ("-c", "user.name=Regatta", "-c", "user.email=regatta@localhost", "-c", "commit.gpgsign=false")
_QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false", "-c", "init.defaultBranch=main")


@dataclass(frozen=True, slots=True)
class Place:
    """Where it goes, and what it is called."""

    given: str  # as typed: the paths in the config begin with it
    path: Path
    model: str  # the file's name

    @property
    def name(self) -> str:
        """Of the campaign."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.path.name).lstrip("._-")[:100] or "kernels"


def refuse_existing(place: Place) -> None:
    """Raises `ModelUseError`. Before the model is run, as after: that may take minutes."""
    if place.path.exists():
        raise ModelUseError(
            f"--name {place.given}: is there already; give another name, or run what it holds: "
            f"regatta run {place.given}/{CONFIG}"
        )


def write(profile: Profile, place: Place) -> None:
    """Write the folder. Raises `ModelUseError`."""
    refuse_existing(place)
    shipped = shipped_subjects()
    with appearing(place.path) as draft:
        for target in profile.targets:
            _write_target(profile, target, shipped[f"kernels/{target}"], draft / target, place.model)
        (draft / CONFIG).write_text(config_text(profile, place), encoding="utf-8")
        _commit(draft, f"Targets of {place.model}, with its own shapes\n")


def _write_target(profile: Profile, target: str, source: Path, folder: Path, model: str) -> None:
    folder.mkdir()
    for name in _FILES:
        shutil.copy(source / name, folder / name)
    for name, rewritten in (("cases.py", with_shapes_of), ("program.md", about_shapes)):
        path = folder / name
        path.write_text(rewritten(path.read_text(encoding="utf-8"), target, profile.shapes[target], model), encoding="utf-8")


def _commit(folder: Path, message: str) -> None:
    with without_git_variables():
        for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", message)):
            done = subprocess.run(["git", *_IDENTITY, *_QUIET, *words], cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ModelUseError(f"git {words[0]} in {folder}: {' '.join(done.stderr.split())}")


def _scalar(text: str) -> str:
    """In YAML, quoted where it must be."""
    return text if re.fullmatch(r"[\w./~-]+", text) and not text.startswith(("-", "~")) else json.dumps(text)


def config_text(profile: Profile, place: Place) -> str:
    """The fleet's config, for a person to read and to change."""
    on_gpu = profile.device == "cuda"
    rows = [f"  - {{repo: {_scalar(f'{place.given}/{name}')}, share: {share:.4g}}}" for name, share in profile.targets.items()]
    return "\n".join(
        (
            f"# The kernels of {place.model}, by `regatta profile`. Run it where that was typed: the paths below begin there.",
            f"# Shares of the model's time, measured on {profile.device_name or 'a CPU'}."
            + ("" if on_gpu else " They are not those of a GPU: profile again on one."),
            f"name: {place.name}",
            "targets:",
            *rows,
            "target: {editable: [kernel.py]}",
            *(_ON_A_GPU if on_gpu else _WITHOUT_A_GPU),
        )
    )


_PROPOSERS = (
    "proposers:",
    '  - {kind: knobs, only: ["*BLOCK*", "*WARP*"]}      # block sizes and warps',
    "  # - {kind: llm, model: anthropic/claude-sonnet-4-5}  # any name that litellm knows; its key in the environment",
)
_ON_A_GPU = (
    "objective: {metric: latency_us}",
    "turn: {candidates: 6}",
    "trial: {timeout_s: 300}",
    *_PROPOSERS,
    "limits: {hours: 8}",
    "",
)
_WITHOUT_A_GPU = (
    "# static_cost is a stand-in, no measurement: microseconds of a model of an H100. What is kept is right, and an idea.",
    "objective: {metric: static_cost}",
    "turn: {candidates: 5}",
    "trial: {timeout_s: 120, gpus: 0}",
    *_PROPOSERS,
    "tournament: {lanes: solo, baseline_repeats: 2, max_repeats: 2}  # the model of the chip gives the same number each time",
    "limits: {candidates: 40, hours: 1}",
    "",
)
