"""How long a kernel is in the gates that need no GPU, on one core: source, compilation for an H100, answers by the interpreter.

Every target's starter, as a trial of the `kernel` runner in the sandbox, several times with fresh seeds. Two figures: with
processes that were ready before the trial, as a campaign has them after its first one; and from nothing, as `regatta bench` has
it, where importing torch and Triton counts too. The whole process tree is held to one core.

    python benchmarks/kernel_gates.py [trials of each kind and target, default 3]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from record import quantiles, write

from orchestrator.repository import CampaignRepository
from orchestrator.target import Target, shipped_subjects
from workers.run import run_trial, this_machine
from workers.session import Machine
from workers.trial import KernelPlan, Outcome, TrialSpec

SETTLE_S = 6.0  # for a process to get ready for the next trial, on the same core


def main(trials: int) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    kernels = {name: path for name, path in shipped_subjects().items() if name.startswith("kernels/")}
    ready: dict[str, list[float]] = {}
    cold: dict[str, list[float]] = {}
    for name, path in kernels.items():
        with tempfile.TemporaryDirectory(prefix="regatta-gates-") as folder:
            spec, machine = _prepared(Path(folder), name, path)
            machine.standby.keeps = 1
            cold[name] = []
            for seed in range(trials):
                machine.standby.close()
                cold[name].append(
                    _seconds(machine, spec(seed))
                )  # as the first of a campaign: it leaves processes that are ready
            ready[name] = []
            for seed in range(trials):
                time.sleep(SETTLE_S)
                ready[name].append(_seconds(machine, spec(trials + seed)))
            machine.standby.close()
            machine.repository.close()
        medians = f"ready {statistics.median(ready[name]):.2f} s, from nothing {statistics.median(cold[name]):.2f} s"
        print(f"{name}: {medians}", flush=True)
    found = {
        "ready_s": quantiles([statistics.median(values) for values in ready.values()]),
        "from_nothing_s": quantiles([statistics.median(values) for values in cold.values()]),
        "by_target_ready_s": {name: statistics.median(values) for name, values in ready.items()},
    }
    claim = "a kernel passes the gates that need no GPU in at most 3 s (median over the targets) on one core"
    write("kernel_gates", claim, found, {"ready_s": ready, "from_nothing_s": cold})


def _prepared(folder: Path, name: str, path: Path) -> tuple[Callable[[int], TrialSpec], Machine]:
    repository, base = CampaignRepository.create(folder / "repo", Target(name, None, "", path, None))
    sealed = tuple(each for each in repository.files(base) if each != "kernel.py")
    repository.close()
    machine = this_machine(folder / "node")
    machine.repository.take_from(folder / "repo", [base])

    def spec(seed: int) -> TrialSpec:
        return TrialSpec("gates", 1, base, base, sealed, KernelPlan("sm_90"), "static_cost", seed, 300.0, confined=True)

    return spec, machine


def _seconds(machine: Machine, spec: TrialSpec) -> float:
    began = time.perf_counter()
    found = run_trial(spec, machine)
    took_s = time.perf_counter() - began
    if found.outcome is not Outcome.OK:
        raise SystemExit(f"the starter did not pass: {found.reason}")
    return took_s


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
