"""Where candidate kernels are faced: a small target, this machine's sandbox, and processes kept ready between trials.

A target is the reference of one that ships, with few cases: one that is compiled, and small ones of each role that are run.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from workers.kernel.arch import arch
from workers.output import CappedLog
from workers.run import run_trial, this_machine
from workers.runners import kernel
from workers.session import Machine, Session, Stopped
from workers.trial import KernelPlan, Measurement, Outcome, TrialSpec
from workers.waiting import Cancellation, DeadlinePassedError

KERNELS = Path(__file__).parents[2] / "kernels"
SEALED = ("cases.py", "reference.py")
CASES = """
import random


def cases(seed):
    draw = random.Random(seed)
    rows = [{real}, {small}, ("held_out_fp32", "held_out", "fp32", {held_out}, True)]
    return [case(*row) for row in rows]


def case(name, role, dtype, shape, small):
    size = 4 if dtype == "fp32" else 2
    return {{"name": name, "role": role, "dtype": dtype, "small": small, **row(*shape, size)}}
"""
RMSNORM = (
    CASES.format(
        real='("large_bf16", "real", "bf16", (4096, 1024), False)',
        small='("odd_fp32", "odd", "fp32", (5, 65), True)',
        held_out="(draw.randint(4, 7), draw.randint(100, 250))",
    )
    + """

def row(R, C, size):
    inputs = [{"shape": [R, C], "large": 1000.0}, {"shape": [C], "varies": False}, {"value": 1e-5}]
    return {"inputs": inputs, "flops": 4 * R * C, "bytes": size * (2 * R * C + C)}
"""
)
SOFTMAX = (
    CASES.format(
        real='("large_bf16", "real", "bf16", (4096, 1000), False)',
        small='("odd_fp32", "odd", "fp32", (5, 77), True)',
        held_out="(draw.randint(4, 7), draw.randint(100, 250))",
    )
    + """

def row(R, C, size):
    return {"inputs": [{"shape": [R, C], "scale": 3.0}], "flops": 5 * R * C, "bytes": size * 2 * R * C}
"""
)
CROSS_ENTROPY = (
    CASES.format(
        real='("large_fp16", "real", "fp16", (2048, 5000), False)',
        small='("odd_fp32", "odd", "fp32", (5, 77), True)',
        held_out="(draw.randint(4, 7), draw.randint(100, 250))",
    )
    + """

def row(N, V, size):
    inputs = [{"shape": [N, V], "scale": 2.0, "inf": "negative", "large": 1000.0},
              {"shape": [N], "fill": "index", "below": V}]
    return {"inputs": inputs, "flops": 4 * N * V, "bytes": size * (N * V + N) + 8 * N}
"""
)
MATMUL = (
    CASES.format(
        real='("large_fp16", "real", "fp16", (1024, 1024, 1024), False), ("plain_fp32", "real", "fp32", (48, 32, 64), True)',
        small='("odd_fp32", "odd", "fp32", (7, 33, 17), True)',
        held_out="tuple(draw.randint(17, 60) for _ in range(3))",
    )
    + """

def row(M, N, K, size):
    inputs = [{"shape": [M, K]}, {"shape": [K, N], "scale": K**-0.5, "varies": False}]
    return {"inputs": inputs, "flops": 2 * M * N * K, "bytes": size * (M * K + K * N + M * N)}
"""
)
TARGETS = {"rmsnorm": RMSNORM, "softmax": SOFTMAX, "cross_entropy": CROSS_ENTROPY, "matmul": MATMUL}
_GIT = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


@dataclass(frozen=True)
class Happened:
    """What became of a candidate."""

    outcome: str
    reason: str
    measurement: Measurement | None  # None where it was let past the static check
    log: str


@dataclass
class KernelArena:
    """One machine, and a repository with a base commit for each target."""

    machine: Machine
    user: Path
    bases: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    @contextmanager
    def open(cls, folder: Path, visible_devices: str = "") -> Iterator[KernelArena]:
        user = folder / "user"
        user.mkdir(parents=True)
        whole = this_machine(folder / "node", visible_devices, folder / "data")
        machine = replace(whole, room=replace(whole.room, processes=200))  # a bomb must not take long to go off
        machine.standby.keeps = 1
        arena = cls(machine, user)
        arena._git("init", "--quiet")
        try:
            yield arena
        finally:
            machine.standby.close()
            machine.lender.close()
            machine.repository.close()

    def face(self, target: str, source: str, *, timeout_s: float = 60.0, gpus: int = 0) -> Happened:
        """A trial, as `python -m workers` has it."""
        found = run_trial(self._spec(target, source, timeout_s, gpus), self.machine)
        return Happened(found.outcome.value, found.reason or "", found, found.log.decode(errors="replace"))

    def face_past_the_static_check(self, target: str, source: str, *, timeout_s: float = 60.0) -> Happened:
        """What is behind the static check, for a candidate that had got round it."""
        spec = self._spec(target, source, timeout_s, 0)
        log = CappedLog()
        session = Session(spec, self.machine, time.monotonic() + timeout_s, Cancellation(), log, None)
        outcome, reason = Outcome.OK, ""
        try:
            kernel.measure(session, KernelPlan("sm_90"), source, arch("sm_90"))
        except Stopped as stopped:
            outcome, reason = stopped.outcome, stopped.reason
        except DeadlinePassedError:
            outcome = Outcome.TIMEOUT
        return Happened(outcome.value, reason, None, log.value().decode(errors="replace"))

    def _spec(self, target: str, source: str, timeout_s: float, gpus: int) -> TrialSpec:
        base = self._base(target)
        commit = self._commit({"kernel.py": source}, base)
        self.machine.repository.take_from(self.user, [commit])
        spec = TrialSpec(
            trial_id=f"k{next(self._numbers):04}",
            attempt=1,
            commit=commit,
            base_commit=base,
            sealed=SEALED,
            plan=KernelPlan("sm_90"),
            objective="static_cost",
            seed=7,
            timeout_s=timeout_s,
            confined=True,
        )
        return replace(spec, gpus=gpus, objective="latency_us") if gpus else spec

    def _base(self, target: str) -> str:
        if target not in self.bases:
            files = {name: (KERNELS / target / name).read_text() for name in ("kernel.py", "reference.py")}
            self.bases[target] = self._commit({**files, "cases.py": TARGETS[target]}, None)
            self.machine.repository.take_from(self.user, [self.bases[target]])
        return self.bases[target]

    def _commit(self, files: dict[str, str], parent: str | None) -> str:
        if parent is None:
            self._git("checkout", "--quiet", "--orphan", f"base-{next(self._numbers)}")
        else:
            self._git("checkout", "--quiet", "--detach", "--force", parent)
        for name, text in files.items():
            (self.user / name).write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "-m", "x")
        return self._git("rev-parse", "HEAD")

    def _git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=u", "-c", "user.email=u@localhost", *arguments]
        environment = {**os.environ, **_GIT}
        done = subprocess.run(command, cwd=self.user, check=True, capture_output=True, text=True, env=environment)
        return done.stdout.strip()
