"""The rows that scripts and the field's own tools read."""

from __future__ import annotations

import csv
import json
from datetime import datetime

from views_support import BASE, HOSTILE, commit_id, nearly

from orchestrator.views.export import export
from orchestrator.views.loading import Record

CANDIDATE = [
    "id",
    "commit",
    "base",
    "parents",
    "proposer",
    "description",
    "status",
    "reason",
    "diff_lines",
    "mean",
    "stderr",
    "delta",
    "evidence",
    "trial_ids",
    "usd",
]
TRIAL = [
    "id",
    "commit",
    "candidates",
    "outcome",
    "seed",
    "worker",
    "device",
    "metrics",
    "wall_s",
    "energy_j",
    "started_at",
    "fingerprint",
    "purpose",
    "block",
    "row",
]


def jsonl(record: Record, rows: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in export(record, rows, "jsonl")]  # type: ignore[arg-type]


def tsv(record: Record, rows: str) -> list[dict[str, str]]:
    lines = list(export(record, rows, "tsv"))  # type: ignore[arg-type]
    assert not any("\n" in line for line in lines)
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_candidates_have_exactly_the_contracts_fields_oldest_first(record: Record) -> None:
    rows = jsonl(record, "candidates")
    assert [row["id"] for row in rows] == [f"c{n:04d}" for n in range(1, 10)]
    assert all(list(row) == CANDIDATE for row in rows)


def test_each_fate_has_its_status(record: Record) -> None:
    statuses = {row["id"]: row["status"] for row in jsonl(record, "candidates")}
    assert list(statuses.values()) == [
        "keep", "discard", "rejected", "crash", "violation", "inconclusive", "conflict", "crash", "pending",
    ]  # fmt: skip


def test_a_decided_candidate_carries_the_numbers_it_was_decided_by(record: Record) -> None:
    kept, *_, running = jsonl(record, "candidates")
    assert nearly(kept["mean"], 1.57)  # type: ignore[arg-type]
    assert kept["delta"] == -0.03
    assert nearly(kept["stderr"], 0.003)  # type: ignore[arg-type]
    assert kept["evidence"]["e_value_needed"] == 400.0  # type: ignore[index]
    assert len(kept["trial_ids"]) == 6  # type: ignore[arg-type]
    assert nearly(kept["usd"], 0.01 + 6 * (2.0 / 12 + 0.5 * 0.01))  # type: ignore[arg-type]
    assert running["mean"] is running["delta"] is running["evidence"] is running["reason"] is None


def test_a_candidate_that_never_ran_has_no_numbers(record: Record) -> None:
    rejected = jsonl(record, "candidates")[2]
    assert rejected["commit"] is None
    assert rejected["trial_ids"] == []
    assert rejected["mean"] is None
    assert str(rejected["reason"]).startswith("scope: ")


def test_trials_have_exactly_the_contracts_fields_and_appear_once(record: Record) -> None:
    rows = jsonl(record, "trials")
    assert all(list(row) == TRIAL for row in rows)
    assert len({row["id"] for row in rows}) == len(rows) == 18
    assert rows[0]["commit"] == BASE
    assert rows[0]["metrics"] == {"loss": 2.5, "val_bpb": 1.594, "peak_vram_mb": 2048.0}
    assert datetime.fromisoformat(str(rows[0]["started_at"])).timestamp() > 1.7e9
    assert rows[-1]["outcome"] is None
    assert rows[-1]["candidates"] == ["c0009"]
    assert rows[-1]["metrics"] == {}


def test_candidates_tsv_is_what_the_fields_tools_read(record: Record) -> None:
    header = next(export(record, "candidates", "tsv"))
    assert header.split("\t")[:5] == ["commit", "val_bpb", "memory_gb", "status", "description"]
    baseline, *rows = tsv(record, "candidates")
    assert baseline["commit"] == BASE
    assert baseline["status"] == "keep"
    assert baseline["description"] == "baseline"
    assert float(baseline["val_bpb"]) == 1.6
    assert float(baseline["memory_gb"]) == 2.0
    assert [row["status"] for row in rows] == [
        "keep", "discard", "discard", "crash", "crash", "discard", "discard", "crash", "discard",
    ]  # fmt: skip
    assert rows[2]["val_bpb"] == rows[2]["memory_gb"] == rows[2]["commit"] == ""
    assert rows[3]["commit"] == commit_id("c0004")
    assert rows[3]["val_bpb"] == ""  # a crash can never look like a record
    assert rows[-1]["verdict"] == "pending"
    assert all(len(row) == len(header.split("\t")) and None not in row for row in rows)


def test_trials_tsv_has_one_row_a_trial_with_its_metrics_as_json(record: Record) -> None:
    rows = tsv(record, "trials")
    assert list(rows[0]) == TRIAL
    assert json.loads(rows[0]["metrics"])["val_bpb"] == 1.594
    assert rows[-1]["outcome"] == rows[-1]["wall_s"] == ""


def test_hostile_text_stays_data(record: Record) -> None:
    assert jsonl(record, "candidates")[1]["description"] == HOSTILE
    assert "\x1b" not in "".join(export(record, "candidates", "jsonl"))
    text = "\n".join(export(record, "candidates", "tsv"))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(tsv(record, "candidates")) == 10
