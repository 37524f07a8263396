"""What is asked of a worker and what it answers: the data that crosses between head and hands.

Frozen dataclasses of plain values only, so that they pickle over Ray and print as JSON. Nothing here acts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """How a trial ended. Never one bool: whose fault it was decides what happens next."""

    OK = "ok"  # measured; the objective's number is there
    CRASH = "crash"  # the candidate's fault: exit status, no number, NaN
    TIMEOUT = "timeout"  # the candidate's fault: ran past a time limit
    VIOLATION = "violation"  # broke a rule (scope, clock, audit)
    INFRA = "infra"  # the machine's fault: repeated elsewhere, never held against the candidate
    CANCELLED = "cancelled"  # stopped by a person or by the head

    @property
    def by_own_fault(self) -> bool:
        """The candidate's, or that of one of the candidates that the trial held."""
        return self in (Outcome.CRASH, Outcome.TIMEOUT, Outcome.VIOLATION)

    @property
    def is_wasted(self) -> bool:
        """It says nothing about any candidate: to be run again."""
        return self in (Outcome.INFRA, Outcome.CANCELLED)


# What only a GPU's counters tell, whichever runner reads them.
PEAK_VRAM_MB = "peak_vram_mb"
TRIAL_ENERGY_J = "trial_energy_j"  # of all that the trial did, set-up and guards included
ENERGY_METRICS = frozenset({"energy_mj", "energy_gross_mj", "edp_uj_s"})  # of a kernel's call
GPU_METRICS = ENERGY_METRICS | {PEAK_VRAM_MB, TRIAL_ENERGY_J}


class Provenance(StrEnum):
    """Who measured a number."""

    MEASURED = "measured"  # the worker itself
    REPORTED = "reported"  # printed by the code under test, believed because a person chose to
    MODELLED = "modelled"  # by the worker, from what is known without measuring: a stand-in (workers/kernel/cost.py)


MODELLED = frozenset({"static_cost"})  # metrics that no one measures


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """The `train` runner: the worker's clock, the worker's data, the worker's score (docs/train-protocol.md)."""

    budget_s: float  # training time between `start` and the arrival of the checkpoint
    corpus: str | None = None  # which corpus the subject's prepare.py should offer; None: its default
    script: str = "train.py"


@dataclass(frozen=True, slots=True)
class CommandPlan:
    """The `command` runner: any command that prints a number; such a number is `reported`."""

    command: str  # run by `sh -c` in the workspace
    setup: str | None = None  # run once a workspace, before the clock
    guards: tuple[str, ...] = ()  # commands that must exit 0 after the measurement
    mounts: tuple[str, ...] = ()  # folders outside the workspace that the command reads


@dataclass(frozen=True, slots=True)
class KernelPlan:
    """The `kernel` runner: gates without a GPU, then time and energy on one (docs/kernel-track.md)."""

    arch: str | None = None  # what is compiled for, such as sm_90; None: the worker's GPU, or sm_90 where there is none
    baselines: tuple[str, ...] = ("eager", "compile")  # what ours is compared with, beside the target's own baselines.py
    window_s: float = 0.3  # of back-to-back work, for one case and implementation: all windows together
    device: str | None = None  # where is timed: cuda; cpu (Triton's interpreter: to try the protocol); None: the GPU, if any


Plan = TrainPlan | CommandPlan | KernelPlan


@dataclass(frozen=True, slots=True)
class Product:
    """An objective of several metrics: their product, each to its power. The worker computes it for each trial."""

    powers: tuple[tuple[str, float], ...]  # metric and power; a negative power for a metric that should be large

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(metric for metric, _ in self.powers)

    @property
    def name(self) -> str:
        """The metric that the product is known by: `latency_us^2*energy_mj`."""
        return "*".join(metric if power == 1 else f"{metric}^{power:.12g}" for metric, power in self.powers)

    def of(self, values: Mapping[str, float]) -> float:
        """From a value above 0 of each metric; infinite where it is too large for a number."""
        try:
            return math.prod(math.pow(values[metric], power) for metric, power in self.powers)
        except OverflowError:
            return math.inf


@dataclass(frozen=True, slots=True)
class Allowances:
    """What a candidate of the `train` runner may use outside its budget, from what the champion used. None: no cap yet."""

    setup_s: float | None = None  # from the start of its process to `ready`
    scoring_s: float | None = None  # until the last answer that makes up the score
    scoring_rss_mb: float | None = None  # of a process that scores
    checkpoint_mb: float | None = None


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """One measurement of one commit with one seed. `attempt` grows when the head hands the same trial out again."""

    trial_id: str
    attempt: int
    commit: str  # 40 hex
    base_commit: str  # 40 hex: sealed files are restored from here
    sealed: tuple[str, ...]  # paths, relative to the repository's root
    plan: Plan
    objective: str  # the metric without which an outcome is not `ok`; the product's name where there is one
    seed: int
    timeout_s: float  # the whole trial
    cpus: int = 1
    gpus: float = 0.0
    held_out: bool = False  # score the split that decides nothing too (train runner)
    promotion: bool = False  # its score may move the champion: audited more deeply (train runner)
    smoke: bool = False  # only to see whether it runs: a part of the score will do, and its clock is patient (train runner)
    allowances: Allowances = Allowances()
    confined: bool = False  # in the sandbox, or not at all
    bundle: bytes | None = None  # git bundle with `commit`, its prerequisites being what the node already has
    product: Product | None = None  # what the objective is computed from; None: it is a metric by itself
    beside: str | None = None  # 40 hex: the champion, timed in turns with this commit (kernel runner)
    wanted: tuple[str, ...] = ()  # metrics of constraints or of the front: measured too, where that costs extra (energy)

    @property
    def decisive(self) -> tuple[str, ...]:
        """The metrics that the objective is made of."""
        return (self.objective,) if self.product is None else self.product.metrics


@dataclass(frozen=True, slots=True)
class Progress:
    """Advisory: for live views and charts, never for a decision."""

    trial_id: str
    phase: str  # workspace, setup, train, score, command, guard, check, compile, queue (for the GPU), time
    fraction: float | None = None  # of the phase, 0..1
    step: int | None = None
    train_loss: float | None = None  # nats per token, as the candidate says


@dataclass(frozen=True, slots=True)
class TelemetrySample:
    """One reading of the trial's GPU."""

    at_s: float  # since the trial began
    power_w: float | None
    gpu_util_percent: float | None
    vram_mb: float | None
    sm_clock_mhz: float | None
    temperature_c: float | None


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case of a kernel target: what was compiled for it, and how long it took."""

    case: str
    role: str  # real, odd, edge, held_out
    dtype: str
    launches: int  # kernels in one call
    programs: int  # of all launches
    registers: int  # this and what follows: the largest of the case's kernels
    spill_bytes: int
    shared_bytes: int
    tensor_cores: bool
    floor_us: float  # the speed of light: by measured ceilings on a GPU, by the chip's data sheet elsewhere
    stand_in_us: float | None = None  # of a model (workers/kernel/cost.py), no measurement
    latency_us: float | None = None  # median
    p20_us: float | None = None
    p80_us: float | None = None
    baselines_us: Mapping[str, float] = field(default_factory=dict)  # medians: eager, compile, vendor, liger
    energy_mj: float | None = None  # net of one call
    energy_gross_mj: float | None = None
    champion_us: float | None = None  # median, of the commit that was timed in turns with this one
    windows_us: tuple[float, ...] = ()  # one call by each window, in the order in which they were measured
    replay_p20_us: float | None = None  # over single replays, as the process itself tells: for people, never for a decision
    replay_p80_us: float | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a worker found. A number that is not known is absent or None, never 0."""

    trial_id: str
    attempt: int
    outcome: Outcome
    reason: str | None  # one line for a person; None when ok
    measured: Mapping[str, float]  # by the worker itself
    reported: Mapping[str, float]  # by the code under test
    wall_s: float
    energy_j: float | None  # NVML, over the trial; None without a GPU
    started_at: float  # Unix time, this worker's clock
    ended_at: float
    fingerprint: str | None  # hex; only equal fingerprints are compared; None when it ended before that was known
    device: str  # "NVIDIA H100 80GB HBM3", or the CPU's name
    log: bytes = b""  # what the candidate printed, capped
    telemetry: tuple[TelemetrySample, ...] = field(default=())
    cases: tuple[CaseRow, ...] = ()  # of a kernel target

    def metric(self, name: str) -> float | None:
        """The value of a metric, the worker's own before the candidate's; None when unknown."""
        value = self.measured.get(name)
        return self.reported.get(name) if value is None else value
