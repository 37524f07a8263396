"""Where a campaign stands: every key of the contract, for a running, a finished and a killed campaign."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from views_support import BASE, CONFIG, EventfulRun, commit_id, evidence, nearly, write_run

from orchestrator import events as ev
from orchestrator.run_directory import RunDirectory
from orchestrator.views.loading import Record, load
from orchestrator.views.status import status, status_text

NUMBER, MAYBE = (int, float), (int, float, type(None))
CONTRACT = {
    "name": str,
    "state": str,
    "stop_reason": (str, type(None)),
    "objective": {"metric": str, "direction": str, "provenance": str},
    "sandbox": str,
    "metrics_port": int,
    "baseline": {"commit": str, "mean": NUMBER, "stderr": NUMBER, "trials": int},
    "champion": {"commit": str, "mean": NUMBER, "stderr": NUMBER, "trials": int, "kept": list},
    "noise": {"stddev": NUMBER, "repeats": int},
    "candidates": dict.fromkeys(
        ["proposed", "pending", "rejected", "discarded", "inconclusive", "crashed", "violations", "conflicts", "kept"], int
    ),
    "trials": dict.fromkeys(["ok", "crash", "timeout", "violation", "infra", "cancelled"], int),
    "spend": {"usd": NUMBER, "gpu_hours": NUMBER, "energy_wh": MAYBE},
    "workers": list,
}


def check(found: dict[str, object], wanted: dict[str, object], at: str = "") -> None:
    for key, kind in wanted.items():
        assert key in found, f"{at}{key} is missing"
        value = found[key]
        if isinstance(kind, dict):
            assert isinstance(value, dict)
            check(value, kind, f"{at}{key}.")
        else:
            assert isinstance(value, kind), f"{at}{key} is {value!r}"  # type: ignore[arg-type]


def test_every_key_of_the_contract_is_there_with_its_type(running: Record) -> None:
    found = json.loads(json.dumps(status(running, EventfulRun.START + 9000).as_json(), allow_nan=False))
    check(found, CONTRACT)
    assert found["state"] == "running"
    assert found["stop_reason"] is None
    for worker in found["workers"]:
        check(worker, {"id": str, "node": str, "device": str, "state": str})
    assert {worker["id"]: worker["state"] for worker in found["workers"]} == {
        "w0": "busy",
        "w1": "idle",
        "w2": "lost",
        "w3": "set_aside",
    }


def test_the_numbers_add_up(record: Record) -> None:
    found = status(record, 0.0).as_json()
    assert found["candidates"] == {
        "proposed": 9, "pending": 1, "rejected": 1, "discarded": 1, "inconclusive": 1, "crashed": 2, "violations": 1,
        "conflicts": 1, "kept": 1,
    }  # fmt: skip
    assert found["trials"] == {"ok": 13, "crash": 1, "timeout": 1, "violation": 1, "infra": 1, "cancelled": 0}
    assert found["baseline"]["commit"] == BASE
    assert nearly(found["baseline"]["mean"], 1.6)
    assert found["champion"]["commit"] == commit_id("champion c0001")
    assert found["champion"]["kept"] == ["c0001"]
    assert nearly(found["champion"]["mean"], 1.57)
    assert found["champion"]["trials"] == 2
    assert nearly(found["champion"]["stderr"], found["noise"]["stddev"] / 2**0.5)
    assert nearly(found["spend"]["gpu_hours"], 17 * 300 / 3600)
    assert nearly(found["spend"]["energy_wh"], 170.0)
    assert nearly(found["spend"]["usd"], 0.01 + 2.0 * 17 * 300 / 3600 + 0.17 * 0.5)


def test_a_killed_head_left_an_interrupted_campaign_without_workers(record: Record) -> None:
    found = status(record, 0.0)
    assert found.state == "interrupted"
    assert found.stop_reason is None
    assert found.workers == []
    assert found.time_left_s is None
    assert "regatta resume" in status_text(found)


@pytest.mark.parametrize(
    ("state", "reason"),
    [(ev.EndState.FINISHED, ev.StopReason.PROPOSALS), (ev.EndState.INTERRUPTED, None), (ev.EndState.FAILED, None)],
)
def test_a_head_that_stopped_says_how(tmp_path: Path, state: ev.EndState, reason: ev.StopReason | None) -> None:
    scripted = EventfulRun(tmp_path / "run")
    scripted.open()
    scripted.tell(ev.HeadStopped(state, reason, "no worker for 120 s"))
    found = status(load(write_run(scripted.path, scripted.told)), 0.0)
    assert found.state == state.value
    assert found.stop_reason == (reason.value if reason else None)
    assert state is not ev.EndState.FAILED or "no worker for 120 s" in status_text(found)


def test_what_is_not_known_is_null(tmp_path: Path) -> None:
    opened = ev.CampaignOpened("young", BASE, "nanotrain", "train", 0, 100)
    found = status(load(write_run(tmp_path / "run", [(1.0, opened)])), 2.0).as_json()
    assert found["baseline"] == {"commit": BASE, "mean": None, "stderr": None, "trials": 0}
    assert found["champion"] == {"commit": BASE, "mean": None, "stderr": None, "trials": 0, "kept": []}
    assert found["noise"] == {"stddev": None, "repeats": 0}
    assert found["spend"]["energy_wh"] is None
    assert found["sandbox"] is None
    json.dumps(found, allow_nan=False)
    assert "not measured yet" in status_text(status(load(RunDirectory(tmp_path / "run")), 2.0))


def test_a_number_that_the_command_printed_is_called_reported(tmp_path: Path) -> None:
    config = CONFIG.replace("runner: train", "runner: command, command: make bench")
    scripted = EventfulRun(tmp_path / "run")
    scripted.tell(ev.CampaignOpened("eventful", BASE, "nanotrain", "command", 0, 100))
    scripted.tell(ev.HeadStarted(1, "here", 9464, "none"))
    scripted.tell(ev.TrialStarted("t000001", ev.Purpose.BASELINE, BASE, (), 1, "w0"))
    scripted.tell(
        ev.TrialEnded(
            "t000001", 1, ev.Outcome.OK, None, {"wall_s": 1.0}, {"val_bpb": 1.5}, 1.0, None, "w0", "cpu", 0.0, 1.0, "f"
        )
    )
    found = status(load(write_run(scripted.path, scripted.told, config)), 0.0)
    assert found.objective.provenance == "reported"
    assert "reported (printed by the command)" in status_text(found)


def test_every_status_shows_the_sandbox_and_who_measured(running: Record, record: Record) -> None:
    for each in (running, record):
        text = status_text(status(each, EventfulRun.START + 9000))
        assert "sandbox: none" in text
        assert "measured by the worker" in text
        assert all(len(line) < 160 for line in text.splitlines())


def test_limits_say_how_long_the_campaign_may_go_on(running: Record) -> None:
    found = status(running, EventfulRun.START + 3600.0 * 4)
    assert found.limits["trials"] == {"spent": 18.0, "limit": 100.0}
    assert found.time_left_s is not None
    assert 0 < found.time_left_s <= 4 * 3600 + 60


def test_what_another_hour_may_bring_is_told_with_what_ends_the_campaign(tmp_path: Path) -> None:
    run = EventfulRun(tmp_path)
    run.open()
    for nth in range(40):
        name = f"c{nth + 1:04d}"
        run.propose(name, name)
        run.trial(ev.Purpose.RACE, commit_id(name), [name], 1.6)
        verdict = evidence(-0.03 if nth % 5 == 0 else 0.0)
        run.tell(ev.CandidateDecided(name, ev.Verdict.DISCARD, "not better", verdict))
    limited = CONFIG.replace("limits: {", "limits: {worth_per_gpu_hour: 0.001, ")
    found = status(load(write_run(run.path, run.told, limited)), run.at)
    worth = found.spend.expected_gain_per_gpu_hour
    assert worth is not None
    assert 0.01 < worth < 0.1  # a fifth of twelve an hour, .03 each, those that would be kept
    assert f"improve val_bpb by {worth:.2g}" in status_text(found)
    assert "ends below 0.001" in status_text(found)


def test_reading_a_status_loads_nothing_heavy() -> None:
    code = (
        "import sys, orchestrator.views.status, orchestrator.views.export; "
        "print([m for m in ('scipy', 'numpy', 'matplotlib', 'jinja2', 'rich', 'ray', 'git', 'torch', 'litellm')"
        " if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
