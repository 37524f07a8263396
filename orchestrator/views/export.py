"""`regatta export`: the rows of a campaign for scripts and for the field's own tools, streamed.

Candidates and trials, oldest first, as JSON lines or as TSV. Unknown is `null`, or an empty cell. Numbers of a candidate are
those that it was decided by (`mean`, its standard error, `delta` against the champion it was measured against); of one still
open, those so far. `memory_gb` is the largest `peak_vram_mb` of its trials / 1024, empty where no trial had a GPU's memory to
measure. In the candidates' TSV a pending candidate has the status `discard`, as everything that is not kept; the column
`verdict` tells them apart. A trial that runs has no outcome yet; the numbers of one whose purpose is `smoke` count for
nothing. Of a fleet, the rows of one target follow those of another, each with the leading column or key `target`. The format
`autokernel` is for candidates of kernel campaigns (autokernel.py). A text in the TSV that a spreadsheet would take for a
formula has an apostrophe in front, as spreadsheets write it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Literal

from orchestrator.ledger import PENDING, Candidate, CandidateState, Ledger, Trial
from orchestrator.views.autokernel import autokernel_cells
from orchestrator.views.loading import Record, prices_of
from orchestrator.views.plain import escaped, one_line
from orchestrator.views.standing import mean_of, numbers_of, usd_of_candidate
from orchestrator.views.words import utc

Rows = Literal["candidates", "trials"]
Format = Literal["jsonl", "tsv", "autokernel"]

_FORMULA = ("=", "+", "-", "@")  # a spreadsheet would compute such a cell, or run what it says
_FURTHER = (
    "id",
    "verdict",
    "base",
    "parents",
    "proposer",
    "reason",
    "diff_lines",
    "stderr",
    "delta",
    "samples",
    "trial_ids",
    "usd",
)


def export(record: Record, rows: Rows, form: Format) -> Iterator[str]:
    """The lines, without line ends."""
    if form == "jsonl":
        return map(_json, _rows(record, rows))
    return map(_tsv, _cells(record, rows, form))


def export_all(records: Mapping[str, Record], rows: Rows, form: Format) -> Iterator[str]:
    """The lines of several runs, by the names of their targets; they have one objective, and so one header."""
    header = form != "jsonl"
    for target, record in records.items():
        if form == "jsonl":
            yield from (_json({"target": target, **row}) for row in _rows(record, rows))
            continue
        names, *found = _cells(record, rows, form)
        if header:
            yield _tsv(("target", *names))
        header = False
        yield from (_tsv((target, *cells)) for cells in found)


def _rows(record: Record, rows: Rows) -> Iterator[dict[str, Any]]:
    return candidate_rows(record) if rows == "candidates" else trial_rows(record.ledger)


def _cells(record: Record, rows: Rows, form: Format) -> Iterator[tuple[object, ...]]:
    """The lines of a TSV, its header first."""
    if form == "autokernel" and rows == "candidates":
        return autokernel_cells(record)
    return _candidate_cells(record) if rows == "candidates" else _trial_cells(record.ledger)


def _json(row: dict[str, Any]) -> str:
    return escaped(json.dumps(_finite(row), ensure_ascii=False, allow_nan=False))


def status_of(candidate: Candidate) -> str:
    """The state of a candidate in the words of the contract."""
    return "pending" if candidate.state in PENDING else candidate.state.value


def candidate_rows(record: Record) -> Iterator[dict[str, Any]]:
    """One mapping a candidate, with exactly the contract's fields."""
    ledger, prices = record.ledger, prices_of(record.config)
    for candidate in ledger.candidates.values():
        numbers, admitted, evidence = numbers_of(ledger, candidate), candidate.admitted, candidate.evidence
        yield {
            "id": candidate.id,
            "commit": candidate.commit,
            "base": candidate.base,
            "parents": list(candidate.proposed.parents),
            "proposer": candidate.proposed.proposer,
            "description": candidate.proposed.description,
            "status": status_of(candidate),
            "reason": candidate.reason,
            "diff_lines": admitted.diff_lines if admitted is not None else None,
            "mean": numbers.mean,
            "stderr": numbers.stderr,
            "delta": numbers.delta,
            "evidence": asdict(evidence) if evidence is not None else None,
            "trial_ids": list(candidate.trials),
            "usd": usd_of_candidate(ledger, candidate, prices),
        }


def trial_rows(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """One mapping a trial, with exactly the contract's fields; a running one has no outcome."""
    for trial in ledger.trials.values():
        started, ended = trial.started, trial.ended
        seen = ledger.workers.get(trial.worker)
        device = ended.device if ended is not None else seen.device if seen is not None else None
        yield {
            "id": trial.id,
            "commit": started.commit,
            "candidates": list(started.candidates),
            "outcome": ended.outcome.value if ended is not None else None,
            "seed": started.seed,
            "worker": ended.worker if ended is not None else trial.worker,
            "device": device,
            "metrics": {**ended.reported, **ended.measured} if ended is not None else {},
            "wall_s": ended.wall_s if ended is not None else None,
            "energy_j": ended.energy_j if ended is not None else None,
            "started_at": utc(ended.started_at if ended is not None else trial.started_at),
            "fingerprint": ended.fingerprint if ended is not None else None,
            "purpose": started.purpose.value,
            "block": started.block,
            "row": started.row,
        }


# -- TSV


def _candidate_cells(record: Record) -> Iterator[tuple[object, ...]]:
    ledger, prices = record.ledger, prices_of(record.config)
    yield ("commit", ledger.objective, "memory_gb", "status", "description", *_FURTHER)
    base, names = ledger.base, [trial.id for trial in ledger.trials_of.get(ledger.base, [])]
    samples = ledger.samples(base)
    memory = _memory_gb(ledger.trials[name] for name in names)
    baseline = (base, mean_of(ledger, base), memory, "keep", "baseline")
    unknown = (None,) * 7
    yield (*baseline, *unknown, ledger.book.stderr(base), None, samples.n, _words(names), None)
    for candidate in ledger.candidates.values():
        numbers, admitted = numbers_of(ledger, candidate), candidate.admitted
        yield (
            candidate.commit,
            numbers.mean,
            _memory_gb(ledger.trials[name] for name in candidate.trials),
            _tsv_status(candidate),
            candidate.proposed.description,
            candidate.id,
            status_of(candidate),
            candidate.base,
            _words(candidate.proposed.parents),
            candidate.proposed.proposer,
            candidate.reason,
            admitted.diff_lines if admitted is not None else None,
            numbers.stderr,
            numbers.delta,
            numbers.samples,
            _words(candidate.trials),
            usd_of_candidate(ledger, candidate, prices),
        )


def _tsv_status(candidate: Candidate) -> str:
    match candidate.state:
        case CandidateState.KEPT:
            return "keep"
        case CandidateState.CRASHED | CandidateState.VIOLATION:
            return "crash"
        case _:
            return "discard"


def _trial_cells(ledger: Ledger) -> Iterator[tuple[object, ...]]:
    names = (
        *("id", "commit", "candidates", "outcome", "seed", "worker", "device"),
        *("metrics", "wall_s", "energy_j", "started_at", "fingerprint", "purpose", "block", "row"),
    )
    yield names
    for row in trial_rows(ledger):
        row["candidates"] = _words(row["candidates"])
        row["metrics"] = json.dumps(_finite(row["metrics"]), ensure_ascii=False) if row["metrics"] else None
        yield tuple(row[name] for name in names)


def _memory_gb(trials: Iterable[Trial]) -> float | None:
    peaks = (trial.ended.metric("peak_vram_mb") for trial in trials if trial.ended is not None)
    largest = max((peak for peak in peaks if peak is not None), default=None)
    return None if largest is None else round(largest / 1024, 3)


def _words(names: Iterable[str]) -> str:
    return " ".join(names)


def _tsv(cells: Iterable[object]) -> str:
    return "\t".join(map(_cell, cells))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.10g}" if math.isfinite(value) else ""
    text = one_line(str(value))
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: such a number is not known."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
