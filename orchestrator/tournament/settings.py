"""What the tournament is told once, at the start of a campaign: the rules it decides by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop; None is no limit."""

    trials: int | None = None  # all that were started
    candidates: int | None = None  # all that were proposed
    hours: float | None = None  # running time, resumes included
    gpu_hours: float | None = None
    usd: float | None = None
    energy_wh: float | None = None
    plateau: int | None = None  # candidates decided since the last keep
    worth_per_gpu_hour: float | None = None  # expected gain of the next GPU-hour, in the objective's own units


@dataclass(frozen=True, slots=True)
class Prices:
    usd_per_gpu_hour: float = 0.0
    usd_per_kwh: float = 0.0


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound on another metric; ratios are against the mean of the commit that the candidate was branched from."""

    metric: str
    max: float | None = None
    min: float | None = None
    max_ratio: float | None = None
    min_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    metric: str
    minimize: bool
    seed: int
    planned_candidates: int  # the error rate is spent over this many
    proposers: tuple[str, ...]
    rule: str = "calibrated"  # or "provable"
    lanes: str = "solo"  # or "blocks", or "auto" for whichever suits
    block: int | None = None  # rows of a block; None: as fits noise, machines and what is left of the campaign
    false_keep_rate: float = 0.05
    max_repeats: int = 8
    baseline_repeats: int = 4
    common_seeds: bool = False
    constraints: tuple[Constraint, ...] = ()
    front: tuple[str, ...] = ()  # metrics by which nothing is decided, but without which a campaign is of no use
    target: float | None = None
    noninferiority_margin: float = 0.0  # by which a candidate that makes the program smaller may be worse
    limits: Limits = Limits()
    prices: Prices = Prices()

    def signed(self, value: float) -> float:
        """`value` so that smaller is better."""
        return value if self.minimize else -value
