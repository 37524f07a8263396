"""What the views have in common: how a candidate, a commit, the limits and the workers stand. Pure reads of a ledger."""

from __future__ import annotations

import math
from dataclasses import dataclass

from orchestrator.config import Config
from orchestrator.events import WorkerState
from orchestrator.ledger import Candidate, CandidateState, Ledger, Trial
from orchestrator.tournament import limits
from orchestrator.tournament.settings import Prices
from orchestrator.views.loading import prices_of
from workers.trial import MODELLED, PEAK_VRAM_MB, TRIAL_ENERGY_J, Outcome, Provenance

# What the worker itself measures under the command runner; all else there is printed by the command.
_WORKER_MEASURES = frozenset({"wall_s", "peak_rss_mb", PEAK_VRAM_MB, TRIAL_ENERGY_J})


@dataclass(frozen=True, slots=True)
class Numbers:
    """A candidate's numbers: those that it was decided by, or else those so far. None is unknown."""

    mean: float | None
    stderr: float | None  # of the mean
    delta: float | None  # against the champion it was measured against, sign as measured
    delta_stderr: float | None
    samples: int


def numbers_of(ledger: Ledger, candidate: Candidate) -> Numbers:
    """None for one that crashed or broke a rule, whatever its first trials gave: it must never look like a record."""
    if candidate.state in (CandidateState.CRASHED, CandidateState.VIOLATION):
        return Numbers(None, None, None, None, ledger.samples(candidate.commit or "").n)
    evidence = candidate.evidence
    if evidence is not None:
        stderr = evidence.noise_sd / math.sqrt(evidence.samples)
        return Numbers(evidence.mean, stderr, evidence.effect, evidence.stderr, evidence.samples)
    if candidate.heats and not candidate.alone:
        return _from_blocks(ledger, candidate)
    samples, reference = ledger.samples(candidate.commit or ""), ledger.samples(candidate.base or "")
    if not samples.n:
        return Numbers(None, None, None, None, 0)
    stderr_so_far = ledger.book.stderr(candidate.commit or "")
    if not reference.n:
        return Numbers(samples.mean, stderr_so_far, None, None, samples.n)
    sd = ledger.book.noise().sd
    both = None if sd is None else sd * math.sqrt(1 / samples.n + 1 / reference.n)
    return Numbers(samples.mean, stderr_so_far, samples.mean - reference.mean, both, samples.n)


def _from_blocks(ledger: Ledger, candidate: Candidate) -> Numbers:
    """What the blocks say so far, each weighed by its precision."""
    weights = [heat.spread**-2 for heat in candidate.heats]
    effect = sum(w * heat.effect for w, heat in zip(weights, candidate.heats, strict=True)) / sum(weights)
    base = sum(heat.base_mean for heat in candidate.heats) / len(candidate.heats)
    sd = ledger.book.noise().sd
    stderr = None if sd is None else sd / math.sqrt(sum(weights))
    return Numbers(base + effect, stderr, effect, stderr, sum(heat.rows_with for heat in candidate.heats))


def told_effect(ledger: Ledger, candidate: Candidate) -> tuple[float | None, float | None]:
    """The effect that people are told, and its standard error: that of the final where a candidate was kept alone, whose
    samples were drawn after the choice; else that of its race."""
    if candidate.state is CandidateState.KEPT:
        for stack in ledger.stacks.values():
            decided = stack.decided
            if (
                stack.built.candidates == (candidate.id,)
                and decided is not None
                and decided.kept
                and decided.evidence is not None
            ):
                return decided.evidence.effect, decided.evidence.stderr
    numbers = numbers_of(ledger, candidate)
    return numbers.delta, numbers.delta_stderr


HELD_OUT_METRIC = "test_bpb"  # as the train runner names it


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What baseline and champion score on the split that decided nothing. None is unknown."""

    metric: str
    baseline: float | None
    champion: float | None


def held_out(ledger: Ledger) -> HeldOut | None:
    """None where no such split was scored."""
    if ledger.opened is None or ledger.champion is None:
        return None
    baseline = _mean_held_out(ledger, ledger.base)
    if baseline is None:
        return None
    return HeldOut(HELD_OUT_METRIC, baseline, _mean_held_out(ledger, ledger.champion.commit))


def _mean_held_out(ledger: Ledger, commit: str) -> float | None:
    ended = [trial.ended for trial in ledger.trials_of.get(commit, []) if trial.ended is not None]
    found = [each.measured[HELD_OUT_METRIC] for each in ended if HELD_OUT_METRIC in each.measured]
    return sum(found) / len(found) if found else None


@dataclass(frozen=True, slots=True)
class LeakBound:
    """What the audits of a commit's trials bought: no leak that they did not see is worth more (docs/trust.md)."""

    bpb: float
    decoys: int

    def __str__(self) -> str:
        return f"no unseen leak above {self.bpb:.2g} bpb ({self.decoys} decoys)"


def leak_bound(ledger: Ledger, commit: str) -> LeakBound | None:
    """The decoys of a commit's trials that ended well, taken together; None where none was asked about."""
    ended = [trial.ended for trial in ledger.trials_of.get(commit, []) if trial.ended is not None]
    audited = [each.measured for each in ended if each.outcome is Outcome.OK and {"decoys", "val_bpb"} <= each.measured.keys()]
    decoys = sum(int(measured["decoys"]) for measured in audited)
    if decoys <= 0:
        return None
    from workers.runners.audits import leak_bound_bpb  # late: it computes with numpy

    return LeakBound(leak_bound_bpb(decoys, sum(measured["val_bpb"] for measured in audited) / len(audited)), decoys)


def mean_of(ledger: Ledger, commit: str) -> float | None:
    samples = ledger.samples(commit)
    return samples.mean if samples.n else None


def provenance(ledger: Ledger, config: Config) -> Provenance:
    """Who measured the objective: `reported` as soon as one trial's number was only printed; `modelled` where it is a stand-in
    by a model, which nobody measured."""
    if MODELLED.intersection(config.objective.parts):
        return Provenance.MODELLED
    ended = [t.ended for t in ledger.trials.values() if t.ended is not None and t.ended.outcome is Outcome.OK]
    if ended:
        printed = any(ledger.objective not in each.measured for each in ended)
        return Provenance.REPORTED if printed else Provenance.MEASURED
    printed = config.target.runner == "command" and not _WORKER_MEASURES.issuperset(config.objective.parts)
    return Provenance.REPORTED if printed else Provenance.MEASURED


def usd_of_candidate(ledger: Ledger, candidate: Candidate, prices: Prices) -> float:
    """What its proposer cost, and its share of the trials that held it."""
    total = candidate.proposed.usd
    for name in candidate.trials:
        trial = ledger.trials[name]
        if trial.ended is not None:
            hours = trial.ended.wall_s * trial.started.gpus / 3600
            kwh = (trial.ended.energy_j or 0.0) / 3.6e6
            total += (hours * prices.usd_per_gpu_hour + kwh * prices.usd_per_kwh) / max(1, len(trial.started.candidates))
    return total


@dataclass(frozen=True, slots=True)
class Worker:
    id: str
    node: str
    device: str
    state: WorkerState
    detail: str | None
    trial: Trial | None


def workers_of(ledger: Ledger) -> list[Worker]:
    """The workers of the running head, in the order they joined."""
    busy = ledger.busy()
    result = []
    for seen in ledger.workers.values():
        trial = busy.get(seen.worker)
        works = trial is not None and seen.state in (WorkerState.IDLE, WorkerState.BUSY)
        state = WorkerState.BUSY if works else seen.state
        result.append(Worker(seen.worker, seen.node, seen.device, state, seen.detail, trial))
    return result


@dataclass(frozen=True, slots=True)
class LimitStand:
    """A limit of the config, and how much of it is spent."""

    name: str
    spent: float
    limit: float

    @property
    def share(self) -> float:
        return min(1.0, self.spent / self.limit) if self.limit > 0 else 1.0


def limit_stands(ledger: Ledger, config: Config, now: float | None) -> list[LimitStand]:
    """The limits that are set. `plateau` counts candidates decided since the last keep."""
    wanted = config.limits
    pairs = (
        ("trials", len(ledger.trials), wanted.trials),
        ("candidates", ledger.proposed, wanted.candidates),
        ("hours", ledger.running_s(now) / 3600, wanted.hours),
        ("gpu_hours", limits.gpu_hours(ledger), wanted.gpu_hours),
        ("usd", limits.usd(ledger, prices_of(config)), wanted.usd),
        ("energy_wh", limits.energy_wh(ledger) or 0.0, wanted.energy_wh),
        ("plateau", ledger.decided_since_keep, wanted.plateau),
    )
    return [LimitStand(name, float(spent), float(limit)) for name, spent, limit in pairs if limit is not None]


def time_left_s(ledger: Ledger, config: Config, now: float) -> float | None:
    """Seconds until the first limit is reached at the pace so far; None where no limit or no pace is known.

    `plateau` is left out: a keep sets it back.
    """
    if ledger.limit is not None:
        return 0.0
    ran = ledger.running_s(now)
    left = []
    for stand in limit_stands(ledger, config, now):
        if stand.name == "plateau" or stand.spent <= 0 or ran <= 0:
            continue
        pace = 1 / 3600 if stand.name == "hours" else stand.spent / ran
        left.append(max(0.0, stand.limit - stand.spent) / pace)
    return min(left, default=None)
