"""What share of the time a GPU is in use when kernels come one by one, and when one passes the gates while another is timed.

The gates are real: starters of two targets, in the sandbox, as in a campaign. There is no GPU here, so a stand-in holds the
GPU's turn for as long as the timing of a kernel would and does nothing meanwhile; how long that is on a GPU is not measured
yet, hence several guesses. Both ways take turns, and each way's processes get ready before its clock begins.

    python benchmarks/gates_ahead.py [trials of each way and guess, default 7]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from record import write

from orchestrator.repository import CampaignRepository
from orchestrator.target import Target, shipped_subjects
from workers.run import run_trial, this_machine
from workers.runners import kernel_timing
from workers.session import Machine, Session
from workers.trial import KernelPlan, Outcome, TrialSpec

TARGETS = ("kernels/rmsnorm", "kernels/cross_entropy")
TIMED_S = (4.0, 8.0)  # in the GPU's place
WAYS = {"one by one": 1, "gates ahead": 2}


class StandIn:
    """Has the turn for a while, and notes from when to when."""

    def __init__(self) -> None:
        self.timed_s = 0.0
        self.turns: list[tuple[float, float]] = []

    def run(self, session: Session, *_: Any) -> None:
        began = time.monotonic()
        time.sleep(self.timed_s)
        session.measured["latency_us"] = 1.0
        self.turns.append((began, time.monotonic()))

    def share_in_use(self) -> float:
        """Of the time from the first turn's begin to the last one's."""
        return sum(end - begin for begin, end in self.turns[:-1]) / (self.turns[-1][0] - self.turns[0][0])


def main(trials: int) -> None:
    shares: dict[str, dict[str, dict[str, float]]] = {}  # by seconds on the GPU, way and target
    for timed_s in TIMED_S:
        of_these = shares[f"{timed_s:g}"] = {way: {} for way in WAYS}
        for name in TARGETS:
            for way, abreast in WAYS.items():
                with tempfile.TemporaryDirectory(prefix="regatta-ahead-") as folder:
                    of_these[way][name] = share_in_use(Path(folder), name, abreast, timed_s, trials)
                print(f"{name}, {timed_s:g} s on the GPU, {way}: in use {of_these[way][name]:.0%}", flush=True)
    found = {
        timed_s: {way: statistics.mean(by_target.values()) for way, by_target in ways.items()}
        for timed_s, ways in shares.items()
    }
    claim = (
        "a GPU is not kept waiting by the gates: its share in use, by the seconds that a kernel has it (a stand-in for the GPU)"
    )
    write("gates_ahead", claim, {"share_in_use_by_seconds_on_the_gpu": found}, shares)


def share_in_use(folder: Path, name: str, abreast: int, timed_s: float, trials: int) -> float:
    """Of one target's trials."""
    machine, specs = _prepared(folder, name)
    machine.standby.keeps = abreast
    stand_in = StandIn()
    kernel_timing.run = stand_in.run  # type: ignore[assignment]
    try:
        with ThreadPoolExecutor(abreast) as threads:
            list(threads.map(lambda spec: _passed(machine, spec), [next(specs) for _ in range(2 * abreast)]))
            stand_in.timed_s, stand_in.turns = timed_s, []
            list(threads.map(lambda spec: _passed(machine, spec), [next(specs) for _ in range(trials)]))
            return stand_in.share_in_use()
    finally:
        machine.standby.close()
        machine.repository.close()


def _prepared(folder: Path, name: str) -> tuple[Machine, Iterator[TrialSpec]]:
    repository, base = CampaignRepository.create(folder / "repo", Target(name, None, "", shipped_subjects()[name], None))
    sealed = tuple(each for each in repository.files(base) if each != "kernel.py")
    repository.close()
    machine = this_machine(folder / "node")
    machine.repository.take_from(folder / "repo", [base])
    plan = KernelPlan("sm_90", device="cuda")
    specs = (TrialSpec(f"t{seed}", 1, base, base, sealed, plan, "latency_us", seed, 300.0, confined=True) for seed in count())
    return machine, specs


def _passed(machine: Machine, spec: TrialSpec) -> None:
    found = run_trial(spec, machine)
    if found.outcome is not Outcome.OK:
        raise SystemExit(f"the starter did not pass: {found.reason}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
