"""Where a benchmark ran and what it found, written to `benchmarks/results/<name>.json` beside the claim it supports."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command has it; before anything imports numpy
RESULTS = Path(__file__).with_name("results")
PACKAGES = ("regatta", "ray", "torch", "numpy", "gitpython", "msgspec")


def machine() -> dict[str, Any]:
    """The machine and the versions, as a reader needs them to judge a figure."""
    cpu = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine())
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gb": round(memory_gb, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "git": git,
        **versions,
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """n, median, p95 and maximum."""
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"n": len(ordered), "median": statistics.median(ordered), "p95": p95, "max": ordered[-1]}


def write(name: str, claim: str, found: Mapping[str, Any], raw: Mapping[str, Any]) -> None:
    """Print what was found, and keep it with the raw values and the machine."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    result = {"claim": claim, "when": when, "machine": machine(), "found": found, "raw": raw}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def command_target(folder: Path, files: Mapping[str, str]) -> None:
    """A git repository with these files, committed."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    identity = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
    for arguments in (["init", "--quiet"], ["add", "--all"], [*identity, "commit", "--quiet", "-m", "base"]):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)
