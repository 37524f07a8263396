"""What this machine has and lacks for a campaign, with the command that mends it. Only looks."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Level(StrEnum):
    OK = "ok"
    LACKS = "lacks"  # something works less well, or not at all, without it
    FAILS = "fails"  # no campaign can run


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    level: Level
    detail: str
    mend: str | None = None  # what to type


# The triton that a release of torch is built for; a CUDA build of torch pins it, the CPU build does not.
_TRITON_OF_TORCH = {"2.11": "3.6", "2.12": "3.7", "2.13": "3.7", "2.14": "3.8"}


def examine() -> Iterator[Finding]:
    """Every finding, as it is found."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python, _git, _ray, _torch, _triton, _gpu, _sandbox, _shared_memory, _disk, _nanotrain_data
    )  # fmt: skip
    for check in checks:
        yield check()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", Level.OK, f"{version}, {os.cpu_count()} CPUs")


def _git() -> Finding:
    if shutil.which("git") is None:
        return Finding("git", Level.FAILS, "not found", "apt-get install git")
    version = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False).stdout.split()[-1]
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if parts < (2, 28):
        return Finding("git", Level.FAILS, f"{version}, 2.28 or newer is needed", "apt-get install git")
    return Finding("git", Level.OK, version)


def _ray() -> Finding:
    return _package("ray", "pip install ray")


def _torch() -> Finding:
    found = _package("torch", "pip install torch==2.13.0")
    if found.level is not Level.OK:
        return Finding("torch", Level.LACKS, "not found: nanotrain needs it, other targets do not", found.mend)
    return found


def _triton() -> Finding:
    found = _package("triton", "pip install -r requirements/cpu.txt")
    torch = _version("torch")
    wanted = _TRITON_OF_TORCH.get(".".join(torch.split(".")[:2])) if torch else None
    if found.level is Level.OK and wanted and not found.detail.startswith(wanted):
        mend = f"pip install 'triton=={wanted}.*'"
        return Finding("triton", Level.LACKS, f"{found.detail}, but torch {torch} is built for {wanted}", mend)
    if found.level is not Level.OK:
        return Finding("triton", Level.LACKS, "not found: kernel targets need it", found.mend)
    return found


def _gpu() -> Finding:
    from workers.telemetry import all_gpus, open_gpu

    visible = all_gpus()
    gpu = open_gpu(visible.split(",")[0] if visible else "0")
    if gpu.name is None:
        return Finding("gpu", Level.LACKS, f"none ({gpu.absent_because}); CPUs are used, energy is unknown")
    count = len(visible.split(","))
    return Finding("gpu", Level.OK, f"{count} × {gpu.name}")


def _sandbox() -> Finding:
    from workers import sandbox

    lacks = sandbox.lacks()
    if lacks is None:
        return Finding("sandbox", Level.OK, "bubblewrap confines candidates")
    return Finding("sandbox", Level.LACKS, f"{lacks.what}: only the proposer knobs may run, or sandbox: none", lacks.mend)


def _shared_memory() -> Finding:
    free_mb = shutil.disk_usage("/dev/shm").free >> 20 if Path("/dev/shm").is_dir() else 0
    if free_mb < 300:
        return Finding(
            "shared memory", Level.LACKS, f"{free_mb} MB free in /dev/shm, Ray wants 300", "mount -o remount,size=1G /dev/shm"
        )
    return Finding("shared memory", Level.OK, f"{free_mb} MB free")


def _disk() -> Finding:
    folder = tempfile.gettempdir()
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < 5:
        return Finding("disk", Level.LACKS, f"{free_gb:.1f} GB free in {folder}", "make room, or set TMPDIR to another disk")
    return Finding("disk", Level.OK, f"{free_gb:.0f} GB free in {folder}")


def _nanotrain_data() -> Finding:
    root = Path(os.environ.get("REGATTA_DATA") or Path.home() / ".cache/regatta")
    prepared = sorted(str(meta.parent.relative_to(root)) for meta in root.glob("**/meta.json")) if root.is_dir() else []
    if not prepared:
        return Finding("nanotrain data", Level.LACKS, f"not prepared in {root}", "regatta prepare nanotrain")
    return Finding("nanotrain data", Level.OK, f"{', '.join(prepared)} in {root}")


def _package(name: str, mend: str) -> Finding:
    version = _version(name)
    if version is None or importlib.util.find_spec(name) is None:
        return Finding(name, Level.FAILS, "not found", mend)
    return Finding(name, Level.OK, version)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
