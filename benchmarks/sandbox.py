"""What the sandbox costs a process, and a trial: started and ended with and without it, in turns on the same machine.

Three kinds of start: unconfined; confined; confined with the embedded corpus' held-out text veiled, as every process of a
nanotrain trial is. Then whole no-op trials of the command runner, git and guardian included, confined and not. The first
start of each kind, which finds caches cold, is not counted. The search for held-out text, once a node, is told apart.

    python benchmarks/sandbox.py [rounds, default 200]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from record import command_target, quantiles, write

from workers.output import CappedLog
from workers.process import Command, ContainedProcess
from workers.run import run_trial, this_machine, veil_over_copies
from workers.sandbox import Confinement
from workers.trial import CommandPlan, Outcome, TrialSpec
from workers.veil import Veil

ROOT = Path(__file__).resolve().parents[1]


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="regatta-sandbox-") as temporary:
        folder = Path(temporary)
        began = time.perf_counter()
        veil = _veil(folder)
        search_s = time.perf_counter() - began
        starts = _starts(folder, veil, rounds)
        trials = _trials(folder, rounds // 2)
    paired = [confined - bare for bare, confined in zip(starts["unconfined"], starts["veiled"], strict=True)]
    found = {
        "start_ms": {kind: quantiles(values) for kind, values in starts.items()},
        "sandbox_adds_to_a_process_ms": quantiles(paired),
        "trial_ms": {kind: quantiles(values) for kind, values in trials.items()},
        "mounts_of_the_veil": len(veil.hidden) + len(veil.replaced),
        "search_for_held_out_text_s": search_s,
    }
    write("sandbox", "the sandbox adds at most 60 ms (median) to the start of a trial's process", found, starts | trials)


def _veil(folder: Path) -> Veil:
    prepared = subprocess.run(
        [sys.executable, "prepare.py"], cwd=ROOT / "nanotrain", check=True, capture_output=True, text=True
    )
    meta = json.loads((Path(json.loads(prepared.stdout.splitlines()[-1])["data_dir"]) / "meta.json").read_text())
    return veil_over_copies(meta, folder)


def _starts(folder: Path, veil: Veil, rounds: int) -> dict[str, list[float]]:
    places = [folder / name for name in ("workspace", "home", "tmp")]
    for place in places:
        place.mkdir()
    confined = Confinement(*places)
    veiled = replace(confined, hidden=veil.hidden, replaced=veil.replaced)
    kinds = {"unconfined": None, "confined": confined, "veiled": veiled}
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(rounds + 1):
        for kind, confinement in kinds.items():
            command = Command(("true",), folder, {"PATH": os.environ["PATH"]}, folder, confinement=confinement)
            began = time.perf_counter()
            with ContainedProcess(command, CappedLog()) as process:
                exited = process.wait(None, None)
            assert exited.succeeded, exited
            if turn:
                taken[kind].append(1000 * (time.perf_counter() - began))
    return taken


def _trials(folder: Path, rounds: int) -> dict[str, list[float]]:
    command_target(folder / "target", {"value.txt": "0\n"})
    machine = this_machine(folder / "node")
    commit = subprocess.run(
        ["git", "-C", str(folder / "target"), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    machine.repository.take_from(folder / "target", [commit])
    spec = TrialSpec("t", 1, commit, commit, (), CommandPlan("echo METRIC loss=1"), "loss", seed=0, timeout_s=60.0)
    taken: dict[str, list[float]] = {"trial unconfined": [], "trial confined": []}
    for turn in range(rounds + 1):
        for kind, confined in (("trial unconfined", False), ("trial confined", True)):
            began = time.perf_counter()
            measurement = run_trial(replace(spec, confined=confined), machine)
            assert measurement.outcome is Outcome.OK, measurement.reason
            if turn:
                taken[kind].append(1000 * (time.perf_counter() - began))
    machine.repository.close()
    return taken


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
