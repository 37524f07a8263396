"""A kernel campaign as AutoKernel's results.tsv: its ten columns, then ours. What was not measured is an empty cell.

`experiment` counts from 0, the starter; `tag` is the candidate's id, `kernel_type` the target. Numbers are means over the
trials of that very commit: `pct_peak` is the share of the speed of light that was reached, `speedup_vs_pytorch` against the
eager implementation. Theirs is one size on one GPU; ours are geometric means over the cases. Without a GPU there is none of
these.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.ledger import Candidate, CandidateState, Ledger
from orchestrator.views.loading import Record
from orchestrator.views.standing import mean_of
from workers.trial import Outcome

COLUMNS = (
    "experiment", "tag", "kernel_type", "throughput_tflops", "latency_us", "pct_peak", "speedup_vs_pytorch", "correctness",
    "peak_vram_mb", "description",
)  # fmt: skip
_METRICS = ("speedup_vs_best", "energy_mj", "registers", "spill_bytes", "shared_bytes", "static_cost")


def autokernel_cells(record: Record) -> Iterator[tuple[object, ...]]:
    """The lines, the header first."""
    ledger = record.ledger
    kind = record.config.target.repo.rstrip("/").rpartition("/")[2]
    yield (*COLUMNS, "commit", "status", *_METRICS, "reason")
    yield _cells(ledger, 0, "baseline", kind, ledger.base, "the starter", "keep", None)
    for number, candidate in enumerate(ledger.candidates.values(), start=1):
        status = candidate.state.value
        yield _cells(ledger, number, candidate.id, kind, candidate.commit, candidate.proposed.description, status, candidate)


def _cells(
    ledger: Ledger, number: int, tag: str, kind: str, commit: str | None, told: str, status: str, candidate: Candidate | None
) -> tuple[object, ...]:
    def mean(metric: str) -> float | None:
        return _mean(ledger, commit, metric)

    floor = mean("floor_fraction") if mean("latency_us") is not None else None
    return (
        number,
        tag,
        kind,
        mean("throughput_tflops"),
        mean("latency_us"),
        None if floor is None else 100 * floor,
        mean("speedup_vs_eager"),
        _correctness(ledger, commit, candidate),
        mean("peak_vram_mb"),
        told,
        commit,
        status,
        *map(mean, _METRICS),
        None if candidate is None else candidate.reason,
    )


def _mean(ledger: Ledger, commit: str | None, metric: str) -> float | None:
    if commit is None:
        return None
    if metric == ledger.objective:
        return mean_of(ledger, commit)
    ended = [trial.ended for trial in ledger.trials_of.get(commit, []) if trial.ended is not None]
    values = [value for each in ended if each.outcome is Outcome.OK and (value := each.metric(metric)) is not None]
    return sum(values) / len(values) if values else None


def _correctness(ledger: Ledger, commit: str | None, candidate: Candidate | None) -> str | None:
    """PASS where a trial of it came to an end, FAIL where it was refused or crashed; None where nothing was tried yet."""
    ended = [trial.ended for trial in ledger.trials_of.get(commit or "", []) if trial.ended is not None]
    if any(each.outcome is Outcome.OK for each in ended):
        return "PASS"
    failed = (CandidateState.CRASHED, CandidateState.VIOLATION, CandidateState.REJECTED)
    return "FAIL" if candidate is not None and candidate.state in failed else None
