"""The starters of all kernel targets on this machine's GPU: time and energy of every shape, against what the field has.

Each target's starter is measured by the kernel runner itself, as in a campaign: gates, right answers on the device, windows by
the worker's clock in turns with eager, torch.compile, the target's further baselines and the starter once more, which must come
out as fast as itself. Needs torch, Triton, nvidia-ml-py and git; neither Ray nor a network nor an installed Regatta. Where
bubblewrap is missing, the starters, which are ours, run unconfined.

    python benchmarks/kernels_gpu.py [--targets matmul softmax ...] [--repeats 3] [--no-energy]

Not yet run: no GPU was at hand. Without one it says so and ends with status 1.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from workers import sandbox  # noqa: E402
from workers.run import run_trial, this_machine  # noqa: E402
from workers.session import Machine  # noqa: E402
from workers.telemetry import all_gpus  # noqa: E402
from workers.trial import KernelPlan, Measurement, Outcome, TrialSpec  # noqa: E402

RESULTS = Path(__file__).with_name("results") / "kernels_gpu.json"
KERNELS = ROOT / "kernels"
SEALED = ("cases.py", "reference.py", "baselines.py")
ENERGY = ("energy_mj",)


def main() -> int:
    given = _arguments()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", all_gpus()).split(",")[0]
    with tempfile.TemporaryDirectory(prefix="regatta-kernels-", ignore_cleanup_errors=True) as folder:
        return _measure(this_machine(Path(folder), visible), given)


def _measure(machine: Machine, given: argparse.Namespace) -> int:
    if machine.gpu.absent_because is not None:
        print(f"kernels_gpu: nothing is measured without a GPU: {machine.gpu.absent_because}", file=sys.stderr)
        return 1
    machine.standby.keeps = 1
    found: dict[str, Any] = {}
    try:
        for target in given.targets:
            began = time.monotonic()
            found[target] = _target(machine, target, given.repeats, ENERGY if given.energy else ())
            told = found[target]["summary"] or found[target]["reasons"]
            print(f"{target}: {json.dumps(told)} ({time.monotonic() - began:.0f} s)", flush=True)
            _write(machine, given, found)  # what is known stays, whatever comes later
    finally:
        machine.standby.close()
        machine.lender.close()
        machine.repository.close()
    return 0 if all(each["summary"] for each in found.values()) else 1


def _arguments() -> argparse.Namespace:
    known = sorted(path.parent.name for path in KERNELS.glob("*/cases.py") if path.parent.name != "template")
    arguments = argparse.ArgumentParser(description="Time and energy of the kernel targets' starters on this GPU.")
    arguments.add_argument("--targets", nargs="+", choices=known, default=known, metavar="NAME")
    arguments.add_argument("--repeats", type=int, default=3, help="trials a target, each with a seed of its own (default: 3)")
    arguments.add_argument("--no-energy", dest="energy", action="store_false", help="seconds a case less")
    return arguments.parse_args()


def _target(machine: Machine, target: str, repeats: int, wanted: tuple[str, ...]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="regatta-target-") as temporary:
        folder = Path(temporary) / target
        shutil.copytree(KERNELS / target, folder, ignore=shutil.ignore_patterns("__pycache__"))
        commit = _committed(folder)
        machine.repository.take_from(folder, [commit])
        present = tuple(name for name in SEALED if (folder / name).exists())
        trials = [run_trial(_spec(commit, present, seed, wanted), machine) for seed in range(1, repeats + 1)]
    good = [trial for trial in trials if trial.outcome is Outcome.OK]
    return {
        "summary": _summary(good) if len(good) == len(trials) else None,
        "reasons": [trial.reason for trial in trials if trial.reason is not None],
        "cases": _cases(good),
        "trials": [_plain(trial) for trial in trials],
    }


def _committed(folder: Path) -> str:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")
        return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    git("add", "-A")
    git("commit", "--quiet", "-m", "starter")
    return git("rev-parse", "HEAD")


def _spec(commit: str, sealed: tuple[str, ...], seed: int, wanted: tuple[str, ...]) -> TrialSpec:
    return TrialSpec(
        trial_id=f"benchmark-{seed}",
        attempt=1,
        commit=commit,
        base_commit=commit,
        sealed=sealed,
        plan=KernelPlan(),
        objective="latency_us",
        seed=seed,
        timeout_s=1800.0,
        cpus=max(1, (os.cpu_count() or 2) // 2),
        gpus=1.0,
        confined=sandbox.lacks() is None,
        beside=commit,  # itself: what turns and noise make of two equal kernels
        wanted=wanted,
    )


def _summary(trials: list[Measurement]) -> dict[str, Any]:
    """Each metric's mean and spread over the trials."""
    names = set.intersection(*(set(trial.measured) for trial in trials))
    kept = sorted(name for name in names if name not in ("static_cost", "peak_rss_mb"))
    values = {name: [trial.measured[name] for trial in trials] for name in kept}
    return {
        name: {"mean": statistics.mean(several), "stdev": statistics.stdev(several) if len(several) > 1 else None}
        for name, several in values.items()
    } | {"trial_s": {"mean": statistics.mean(trial.wall_s for trial in trials), "stdev": None}}


def _cases(trials: list[Measurement]) -> list[dict[str, Any]]:
    """Each case's row in the table: medians over the trials."""
    by_name: dict[str, list[Any]] = {}
    for trial in trials:
        for row in trial.cases:
            if row.latency_us is not None:
                by_name.setdefault(row.case, []).append(row)
    return [_case(name, rows) for name, rows in by_name.items()]


def _case(name: str, rows: list[Any]) -> dict[str, Any]:
    def median(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    baselines = sorted({baseline for row in rows for baseline in row.baselines_us})
    return {
        "case": name,
        "role": rows[0].role,
        "dtype": rows[0].dtype,
        "starter_us": median([row.latency_us for row in rows]),
        "floor_us": median([row.floor_us for row in rows]),
        "baselines_us": {each: median([row.baselines_us.get(each) for row in rows]) for each in baselines},
        "energy_mj": median([row.energy_mj for row in rows]),
        "energy_gross_mj": median([row.energy_gross_mj for row in rows]),
    }


def _plain(trial: Measurement) -> dict[str, Any]:
    shown = asdict(trial)
    shown["log"] = trial.log.decode(errors="replace")[-4000:]
    return shown


def _write(machine: Machine, given: argparse.Namespace, found: dict[str, Any]) -> None:
    result = {
        "claim": "starters of the kernel targets against the field's implementations, on one GPU: time and energy a call",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "machine": _machine(machine, confined=sandbox.lacks() is None),
        "found": {target: {"summary": each["summary"], "cases": each["cases"]} for target, each in found.items()},
        "raw": {target: each["trials"] for target, each in found.items()},
        "repeats": given.repeats,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def _machine(machine: Machine, *, confined: bool) -> dict[str, Any]:
    reading = machine.gpu.read()
    smi = shutil.which("nvidia-smi")
    asked = "driver_version,clocks.max.sm,clocks.max.mem,power.limit,persistence_mode,ecc.mode.current"
    said = (
        subprocess.run([smi, f"--query-gpu={asked}", "--format=csv,noheader"], capture_output=True, text=True, check=False)
        if smi
        else None
    )
    return {
        "gpu": machine.gpu.name,
        "capability": machine.gpu.capability(),
        "highest_sm_clock_mhz": machine.gpu.highest_sm_clock_mhz(),
        asked: None if said is None else said.stdout.strip(),
        "sm_clock_mhz": reading.sm_clock_mhz,
        "temperature_c": reading.temperature_c,
        "confined": confined,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("torch", "triton", "nvidia-ml-py")},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
