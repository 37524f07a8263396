"""What a campaign would bring: many made-up nights of one config on one landscape, and what they have in common."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit  # quantiles of Student's t

from orchestrator import events as ev
from orchestrator.config import Config, Limits
from orchestrator.config_text import ConfigError
from orchestrator.ledger import Ledger
from orchestrator.opening import planned_candidates, settings_of
from orchestrator.proposers.base import Brief, Proposal, Result
from orchestrator.simulator.landscape import Landscape
from orchestrator.simulator.night import BASE, PROPOSER, Night
from orchestrator.simulator.policies import POLICIES
from orchestrator.tournament.decisions import GiveUp
from orchestrator.tournament.limits import gpu_hours
from orchestrator.tournament.settings import Settings


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one night came to."""

    trials: int
    gain: float  # the champion's true improvement, in the metric's units
    keeps: int
    false_keeps: int
    occupancy: float
    gpu_hours: float
    hours: float
    gave_up: bool  # the machines failed so often that it could not go on

    @property
    def false_keep_share(self) -> float:
        """Of what was kept; a night that kept nothing kept nothing false."""
        return self.false_keeps / max(1, self.keeps)


@dataclass(frozen=True, slots=True)
class Forecast:
    policy: str
    nights: tuple[Outcome, ...]
    wall_s: float  # that the simulation took

    def as_json(self) -> dict[str, object]:
        """What `regatta simulate --json` prints: means over the nights."""
        shares = self.of(lambda night: night.false_keep_share)
        gains = self.of(lambda night: night.gain)
        return {
            "policy": self.policy,
            "trials": _mean(self.of(lambda night: night.trials)),
            "gain": {"mean": _mean(gains), "stderr": stderr(gains)},
            "false_keep_share": {"mean": _mean(shares), "upper95": upper95(shares)},
            "any_keep": _mean(self.of(lambda night: night.keeps > 0)),
            "keeps": _mean(self.of(lambda night: night.keeps)),
            "occupancy": _mean(self.of(lambda night: night.occupancy)),
            "gpu_hours": _mean(self.of(lambda night: night.gpu_hours)),
            "hours": _mean(self.of(lambda night: night.hours)),
            "wall_s": self.wall_s,
        }

    def of(self, number: Callable[[Outcome], float]) -> list[float]:
        """One number of every night."""
        return [float(number(night)) for night in self.nights]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _spread(values: Sequence[float]) -> float:
    spread: float = np.std(values, ddof=1).item()
    return spread


def stderr(values: Sequence[float]) -> float | None:
    """Standard error of the mean; None of a single value."""
    return _spread(values) / math.sqrt(len(values)) if len(values) > 1 else None


def upper95(shares: Sequence[float]) -> float:
    """What the mean of shares lies under, with 95 % confidence: Student's bound, but never less than what so many nights
    without a single false keep would show (about 3 in n)."""
    error, n = stderr(shares), len(shares)
    unseen: float = 1 - 0.05 ** (1 / n)
    if error is None:
        return unseen
    student: float = stdtrit(n - 1, 0.95).item()
    return min(1.0, max(unseen, _mean(shares) + student * error))


def forecast(config: Config, landscape: Landscape, *, policy: str | None = None, repeats: int, seed: int) -> Forecast:
    """`repeats` nights of `config` on `landscape`; the same seed gives the same nights. Raises `ConfigError`."""
    name = policy or config.tournament.lanes
    began_s = time.perf_counter()
    nights = tuple(_outcome(night(config, landscape, policy=name, seed=seed, repeat=r)) for r in range(repeats))
    return Forecast(name, nights, time.perf_counter() - began_s)


def night(
    config: Config,
    landscape: Landscape,
    *,
    policy: str,
    seed: int,
    repeat: int = 0,
    record: Callable[[ev.Event, float], None] | None = None,
) -> Night:
    """One night, played to its end."""
    gpus_a_trial = config.trial.gpus or 1.0
    workers = int(landscape.gpus.count / gpus_a_trial)
    if not workers:
        raise ConfigError(
            [f"trial.gpus: given {gpus_a_trial:g}; at most the landscape's GPUs, which are {landscape.gpus.count}"]
        )
    _refuse_without_end(config)
    return Night(
        landscape,
        _settings(config),
        POLICIES[policy](landscape),
        workers=workers,
        gpus_a_trial=gpus_a_trial,
        seed=seed,
        repeat=repeat,
        record=record,
    ).run()


def limited_to(config: Config, trials: int | None, hours: float | None) -> Config:
    """`config` with these limits in place of its own, where any is given."""
    if trials is None and hours is None:
        return config
    return config.model_copy(update={"limits": Limits(trials=trials, hours=hours)})


def _refuse_without_end(config: Config) -> None:
    limits = config.limits
    ends = (limits.trials, limits.candidates, limits.hours, limits.gpu_hours, limits.plateau)
    costs = limits.usd is not None and bool(config.prices.usd_per_gpu_hour)
    if not costs and all(limit is None for limit in ends):
        raise ConfigError(["limits: no limit that a simulated night reaches; give --trials or --hours"])


def _settings(config: Config) -> Settings:
    """The tournament's rules, as the campaign would have them; what a landscape knows nothing of is left out: the metric's
    true size (so a target), other metrics (so constraints and a front)."""
    made = (_Endless(),)
    ledger = Ledger(config.objective.name)
    planned = planned_candidates(config, made)
    ledger.apply(ev.CampaignOpened(config.name, BASE, config.target.repo, "command", config.seed, planned), 0.0)
    return replace(settings_of(config, made, ledger), constraints=(), front=(), target=None)


class _Endless:
    """The landscape's proposer as the settings know it: it never ends. The proposals themselves come from the site."""

    name = PROPOSER

    def propose(self, brief: Brief) -> Proposal | None:  # noqa: ARG002
        return None

    def learn(self, result: Result) -> None:
        pass

    def planned(self) -> int | None:
        return None


def _outcome(played: Night) -> Outcome:
    return Outcome(
        trials=len(played.ledger.trials),
        gain=played.gain,
        keeps=len(played.kept),
        false_keeps=played.false_keeps(),
        occupancy=played.occupancy(),
        gpu_hours=gpu_hours(played.ledger),
        hours=played.site.now_s / 3600,
        gave_up=isinstance(played.ended, GiveUp),
    )
