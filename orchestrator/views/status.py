"""`regatta status`: where a campaign stands, for a script (the keys of the public contract) and for a person.

What is not known is None (`null`). Keys may be added, never removed or given another meaning. `workers` is empty while no
head runs: there are none then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.config import Config
from orchestrator.earnings import Earned, by_model
from orchestrator.events import WorkerState
from orchestrator.ledger import CandidateState, Ledger
from orchestrator.proposers.llm.record import tokens_used
from orchestrator.tournament import limits
from orchestrator.views.front import FrontStatus, front_lines, front_status
from orchestrator.views.loading import Record, prices_of
from orchestrator.views.plain import one_line
from orchestrator.views.standing import HeldOut, held_out, limit_stands, mean_of, provenance, time_left_s, workers_of
from orchestrator.views.words import better, duration, number, plural, with_error
from workers.trial import Outcome, Provenance

WORKERS_SHOWN = 16


@dataclass(frozen=True, slots=True)
class ObjectiveStatus:
    metric: str
    direction: str
    provenance: str


@dataclass(frozen=True, slots=True)
class CommitStatus:
    commit: str
    mean: float | None
    stderr: float | None
    trials: int  # samples of the objective


@dataclass(frozen=True, slots=True)
class ChampionStatus(CommitStatus):
    kept: list[str]


@dataclass(frozen=True, slots=True)
class NoiseStatus:
    stddev: float | None
    repeats: int


@dataclass(frozen=True, slots=True)
class BlocksStatus:
    open: int
    closed: int
    candidates: int  # measured together and undecided


@dataclass(frozen=True, slots=True)
class SpendStatus:
    usd: float
    gpu_hours: float
    energy_wh: float | None
    expected_gain_per_gpu_hour: float | None  # of the next one, in the objective's own units
    usd_per_kept: float | None  # all dollars, GPUs and energy included, by the candidates kept


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    id: str
    node: str
    device: str
    state: str
    trial: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Status:
    name: str
    state: str
    stop_reason: str | None
    stop_detail: str | None
    objective: ObjectiveStatus
    sandbox: str | None
    metrics_port: int | None  # where the running head serves its metrics
    baseline: CommitStatus
    champion: ChampionStatus
    held_out: HeldOut | None  # on the split that decided nothing
    front: FrontStatus | None  # of several metrics, by which nothing is decided; None where none was asked for
    noise: NoiseStatus
    candidates: dict[str, int]
    blocks: BlocksStatus
    trials: dict[str, int]
    trials_running: int
    spend: SpendStatus
    proposers: list[Earned]  # what each, and each of its models, has cost and brought
    limits: dict[str, dict[str, float]]
    worth_per_gpu_hour: float | None  # below which expected gain of a GPU-hour the campaign ends
    limit_reached: str | None  # what runs is still finished and decided
    running_s: float
    time_left_s: float | None
    workers: list[WorkerStatus]
    warnings: list[str]
    run_dir: str
    report: str | None
    notebook: str | None
    pid: int | None
    host: str | None

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


def status(record: Record, now: float) -> Status:
    """Where the campaign stands at Unix time `now`."""
    ledger, config = record.ledger, record.config
    at = record.now(now)
    running = record.holder is not None
    head, noise = ledger.head, ledger.book.noise()
    stopped = None if running else ledger.stopped
    return Status(
        name=config.name,
        state=record.state,
        stop_reason=stopped.reason.value if stopped is not None and stopped.reason is not None else None,
        stop_detail=one_line(stopped.detail) if stopped is not None and stopped.detail else None,
        objective=ObjectiveStatus(ledger.objective, config.objective.direction, provenance(ledger, config).value),
        sandbox=head.sandbox if head is not None else None,
        metrics_port=head.metrics_port if head is not None else None,
        baseline=_commit(ledger, ledger.base),
        champion=_champion(ledger),
        held_out=held_out(ledger),
        front=front_status(ledger, config),
        noise=NoiseStatus(noise.sd, noise.repeats),
        candidates=count_candidates(ledger),
        blocks=BlocksStatus(len(ledger.blocks.open), len(ledger.blocks.closed), len(ledger.in_blocks)),
        trials={outcome.value: ledger.outcomes[outcome] for outcome in Outcome},
        trials_running=len(ledger.busy()) if running else 0,
        spend=_spend(ledger, config),
        proposers=by_model(ledger, tokens_used(record.run.path / "exchanges")),
        limits={each.name: {"spent": each.spent, "limit": each.limit} for each in limit_stands(ledger, config, at)},
        worth_per_gpu_hour=config.limits.worth_per_gpu_hour,
        limit_reached=ledger.limit.value if ledger.limit is not None else None,
        running_s=ledger.running_s(at),
        time_left_s=time_left_s(ledger, config, now) if running else None,
        workers=_workers(ledger) if running else [],
        warnings=[one_line(note.text) for _, note in record.notes if note.level == "warning"][-5:],
        run_dir=str(record.run.path.absolute()),
        report=str(record.run.report.absolute()) if record.run.report.is_file() else None,
        notebook=str(record.run.notebook.absolute()) if record.run.notebook.is_file() else None,
        pid=record.holder.pid if record.holder is not None else None,
        host=record.holder.host if record.holder is not None else None,
    )


def count_candidates(ledger: Ledger) -> dict[str, int]:
    """How many candidates are in which state, by the names of the contract."""
    by_state = ledger.states
    return {
        "proposed": len(ledger.candidates),
        "pending": len(ledger.pending),
        "rejected": by_state[CandidateState.REJECTED],
        "discarded": by_state[CandidateState.DISCARDED],
        "inconclusive": by_state[CandidateState.INCONCLUSIVE],
        "crashed": by_state[CandidateState.CRASHED],
        "violations": by_state[CandidateState.VIOLATION],
        "conflicts": by_state[CandidateState.CONFLICT],
        "kept": by_state[CandidateState.KEPT],
    }


def _commit(ledger: Ledger, commit: str) -> CommitStatus:
    return CommitStatus(commit, mean_of(ledger, commit), ledger.book.stderr(commit), ledger.samples(commit).n)


def _champion(ledger: Ledger) -> ChampionStatus:
    assert ledger.champion is not None
    commit = ledger.champion.commit
    tip = _commit(ledger, commit)
    return ChampionStatus(tip.commit, tip.mean, tip.stderr, tip.trials, list(ledger.champion.kept))


def _spend(ledger: Ledger, config: Config) -> SpendStatus:
    usd, kept = limits.usd(ledger, prices_of(config)), ledger.states[CandidateState.KEPT]
    return SpendStatus(
        usd, limits.gpu_hours(ledger), limits.energy_wh(ledger), _worth(ledger, config), usd / kept if kept else None
    )


def _worth(ledger: Ledger, config: Config) -> float | None:
    if not ledger.decided_races:
        return None
    from orchestrator.tournament.worth import Worth  # and with it scipy: a campaign that has decided nothing starts at once

    return Worth(minimize=config.objective.direction == "minimize").per_gpu_hour(ledger)


def _workers(ledger: Ledger) -> list[WorkerStatus]:
    return [
        WorkerStatus(each.id, each.node, each.device, each.state.value, each.trial.id if each.trial else None, each.detail)
        for each in workers_of(ledger)
    ]


# -- for a person


def status_text(status: Status) -> str:
    """The same in a screenful of words."""
    rows = [
        ("objective", f"{status.objective.metric}, {status.objective.direction}; {_who_measured(status)}"),
        ("champion", _champion_text(status)),
        ("baseline", _commit_text(status.baseline)),
        *([("held out", held_out_text(status.held_out))] if status.held_out is not None else []),
        *(("" if nth else "front", text) for nth, text in enumerate(_front_lines(status))),
        ("noise", _noise_text(status)),
        ("candidates", _counts(status.candidates)),
        *([("blocks", _blocks_text(status.blocks))] if status.blocks.open or status.blocks.closed else []),
        ("trials", _trials_text(status)),
        ("limits", _limits_text(status)),
        ("spent", _spent_text(status.spend)),
        *(("worth", text) for text in [_worth_text(status)] if text),
        *(("" if nth else "proposers", earned_text(each)) for nth, each in enumerate(status.proposers)),
        ("sandbox", _sandbox_text(status.sandbox)),
    ]
    if status.state == "running":
        rows.append(("metrics", f"http://127.0.0.1:{status.metrics_port}/metrics" if status.metrics_port else "not served"))
        rows.append(("workers", _worker_counts(status.workers)))
        rows += [("", _worker_text(each)) for each in status.workers[:WORKERS_SHOWN]]
    if status.report is not None:
        rows.append(("report", status.report))
    if status.notebook is not None:
        rows.append(("notebook", status.notebook))
    rows += [("warning", text) for text in status.warnings]
    width = max(len(label) for label, _ in rows)
    unconfined = "; sandbox: none" if status.sandbox == "none" else ""
    lines = [f"{status.name}: {_state_text(status)}{unconfined}", *(f"  {label:<{width}}  {text}" for label, text in rows)]
    return "\n".join(lines)


def held_out_text(found: HeldOut) -> str:
    """Baseline and champion on text that decided nothing."""
    return f"{found.metric} {number(found.baseline, 1e-3)} → {number(found.champion, 1e-3)}, on text that decided nothing"


def _front_lines(status: Status) -> list[str]:
    return front_lines(status.front, status.run_dir) if status.front is not None else []


def _state_text(status: Status) -> str:
    ran = duration(status.running_s)
    match status.state:
        case "running":
            ending = f", limit reached: {status.limit_reached}" if status.limit_reached else ""
            return f"running for {ran}{ending} (process {status.pid} on {status.host})"
        case "finished":
            return f"finished ({status.stop_reason}) after {ran}"
        case "failed":
            return f"failed after {ran}: {status.stop_detail or 'no reason was written down'}"
        case _:
            return f"interrupted after {ran}; go on with: regatta resume {status.run_dir}"


WHO_MEASURED = {
    Provenance.MEASURED: "measured by the worker",
    Provenance.REPORTED: "reported (printed by the command)",
    Provenance.MODELLED: "modelled: a stand-in, which no one measured",
}


def _who_measured(status: Status) -> str:
    return WHO_MEASURED[Provenance(status.objective.provenance)]


def _commit_text(commit: CommitStatus) -> str:
    if commit.mean is None:
        return f"not measured yet, at {commit.commit[:10]}"
    return f"{with_error(commit.mean, commit.stderr)} over {plural(commit.trials, 'trial')}, at {commit.commit[:10]}"


def _champion_text(status: Status) -> str:
    if not status.champion.kept:
        return f"the baseline; nothing kept{'' if status.candidates['proposed'] else ', nothing proposed'} yet"
    gain = better(status.champion.mean, status.baseline.mean, minimize=status.objective.direction == "minimize")
    kept = status.champion.kept
    shown = " ".join(kept[-6:])
    more = f"{len(kept) - 6} more and " if len(kept) > 6 else ""
    than = f"; {gain} than the baseline" if gain else ""
    return f"{_commit_text(status.champion)}{than}; kept {more}{shown}"


def _noise_text(status: Status) -> str:
    if status.noise.stddev is None:
        return "not known yet: nothing was measured twice"
    sd = status.noise.stddev
    blocks = ", and what the blocks' edits do not explain" if status.blocks.closed else ""
    return f"{number(sd, sd)} between repeats of one commit ({status.noise.repeats} samples){blocks}"


def _counts(counts: dict[str, int]) -> str:
    parts = [f"{count} {name}" for name, count in counts.items() if name != "proposed" and count]
    return f"{counts['proposed']} proposed" + (f": {', '.join(reversed(parts))}" if parts else "")


def _blocks_text(blocks: BlocksStatus) -> str:
    undecided = f"; {plural(blocks.candidates, 'candidate')} measured together" if blocks.candidates else ""
    return f"{blocks.open} open, {blocks.closed} closed{undecided}"


def _trials_text(status: Status) -> str:
    parts = [f"{count} {name}" for name, count in status.trials.items() if count]
    if status.trials_running:
        parts.append(f"{status.trials_running} running")
    return ", ".join(parts) or "none yet"


def _limits_text(status: Status) -> str:
    if not status.limits:
        return "none set" if status.worth_per_gpu_hour is None else "its worth alone"
    parts = [f"{name} {each['spent']:.6g} of {each['limit']:g}" for name, each in _rounded(status.limits).items()]
    left = "" if status.time_left_s is None else f"; about {duration(status.time_left_s)} left at this pace"
    return ", ".join(parts) + left


def _rounded(stands: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {name: {"spent": round(each["spent"], 2), "limit": each["limit"]} for name, each in stands.items()}


def _spent_text(spend: SpendStatus) -> str:
    energy = "energy unknown" if spend.energy_wh is None else f"{spend.energy_wh:.4g} Wh"
    a_keep = f" (${spend.usd_per_kept:.2f} a kept edit)" if spend.usd and spend.usd_per_kept is not None else ""
    return f"${spend.usd:.2f}{a_keep}, {spend.gpu_hours:.3g} GPU hours, {energy}"


def earned_with_money(ledger: Ledger, tokens: Mapping[tuple[str, str], tuple[int, int]] | None = None) -> list[str]:
    """A line for each model and each program that charged something; none where proposals cost nothing."""
    return [earned_text(each) for each in by_model(ledger, tokens) if each.model is not None or each.usd]


def _worth_text(status: Status) -> str:
    """What another GPU-hour may bring, where that is known or where it may end the campaign."""
    expected, least, champion = status.spend.expected_gain_per_gpu_hour, status.worth_per_gpu_hour, status.champion.mean
    ends = "" if least is None else f"; the campaign ends below {least:.2g}"
    if expected is None:
        return "" if least is None else f"what another GPU-hour may bring is not known yet{ends}"
    share = f" ({100 * expected / abs(champion):.2g} %)" if champion else ""
    return f"another GPU-hour can be expected to improve {status.objective.metric} by {expected:.2g}{share}{ends}"


def earned_text(earned: Earned) -> str:
    """What a proposer's model, or a family of ideas, has cost and brought."""
    model = f" ({one_line(earned.model, 60)})" if earned.model else ""
    text = f"{one_line(earned.name, 40)}{model}: {plural(earned.candidates, 'candidate')}, {earned.kept} kept"
    if earned.usd:
        text += f", ${earned.usd:.2f}" + (f", ${earned.usd_per_kept:.2f} a keep" if earned.usd_per_kept is not None else "")
    if earned.prompt_tokens is not None:
        text += f", {earned.prompt_tokens:,} tokens sent, {earned.completion_tokens:,} written"
    return text


def _sandbox_text(sandbox: str | None) -> str:
    if sandbox is None:
        return "unknown: no head has run yet"
    return "none (candidates run unconfined, as this user)" if sandbox == "none" else sandbox


def _worker_counts(workers: list[WorkerStatus]) -> str:
    counts = Counter(each.state for each in workers)
    states = ", ".join(f"{counts[state.value]} {state.value.replace('_', ' ')}" for state in WorkerState if counts[state.value])
    hidden = f" (the first {WORKERS_SHOWN} are shown)" if len(workers) > WORKERS_SHOWN else ""
    return (states or "none has joined yet") + hidden


def _worker_text(worker: WorkerStatus) -> str:
    doing = worker.trial or (one_line(worker.detail, 70) if worker.detail else "")
    where = f"{one_line(worker.device)} on {one_line(worker.node)}"
    return f"{worker.id:<4} {worker.state.replace('_', ' '):<9} {where} {doing}".rstrip()


__all__ = ["Status", "count_candidates", "earned_text", "earned_with_money", "status", "status_text"]
