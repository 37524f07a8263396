"""A replay campaign of known good, bad, null and broken edits, over a noisy target and over one without any noise."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from place import Place, running_commands, swap

GOOD = ("good a", "good b", "good c")
LEFT = f"left {uuid.uuid4().hex}"
LEAVE_A_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99) # {LEFT}'])\n"
WITH_GOOD_C = "SD = {sd}\nVALUES = dict(\n    a=1.0,\n    b=2.0,\n    c=2.0,\n    d=4.0,\n)\n"
PROPOSALS: list[dict[str, Any]] = [
    swap("a=1.0", "a=0.0", "good a"),
    swap("a=1.0", "a=1.0 + 0.0", "null: the same sum"),
    swap("b=2.0", "b=3.0", "bad b"),
    swap("d=4.0", "d=4.0 * 1", "null: the same product"),
    swap("b=2.0", "b=1.0", "good b"),
    swap("SD = ", "import shutil, os; shutil.rmtree(os.getcwd())\nSD = ", "deletes its workspace"),
    swap("SD = ", "import time; time.sleep(60)\nSD = ", "hangs"),
    swap("SD = ", "raise SystemExit('no')\nSD = ", "crashes"),
    swap("SD = ", "print('x' * 100_000_000)\nSD = ", "prints 100 MB, and is otherwise null"),
    swap("SD = ", LEAVE_A_CHILD + "SD = ", "leaves a child, and is otherwise null"),
    swap("d=4.0", "d=float('nan')", "writes NaN"),
    swap("d=4.0,", "d=4.0,  # a comment", "no-op: a comment"),
    swap("nowhere", "else", "missing search text"),
    swap(".0", ".5", "search text found several times"),
    swap("d=4.0", "d=(", "syntax error"),
    {"description": "out of scope", "edits": [{"path": "measure.py", "content": "print('METRIC loss=-9')"}]},
    {"description": "leads out", "edits": [{"path": "../measure.py", "content": "1"}]},
    {"description": "malformed"},
    {"description": "good c", "edits": [{"path": "values.py", "content": WITH_GOOD_C}]},
    swap("a=1.0", "a=0.97", "clashes with good a"),
]
EXPECTED = {
    "good a": "keep",
    "good b": "keep",
    "good c": "keep",
    "deletes its workspace": "crash",  # the sealed benchmark in it is not to be deleted
    "hangs": "crash",
    "crashes": "crash",
    "writes NaN": "crash",
    "no-op: a comment": "rejected",
    "missing search text": "rejected",
    "search text found several times": "rejected",
    "syntax error": "rejected",
    "out of scope": "rejected",
    "leads out": "rejected",
    "malformed": "rejected",
}


@pytest.fixture(scope="module", params=[(0.05, "auto"), (0.0, "solo")], ids=["noisy", "without noise, one by one"])
def night(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("night"))
    sd, lanes = request.param
    place.summing_target(sd=sd)
    proposals = json.loads(json.dumps(PROPOSALS).replace("{sd}", str(sd)))
    place.config("night", proposals, trial={"timeout_s": 10.0}, tournament={"lanes": lanes})
    done = place.regatta("run", "night.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_all_good_edits_are_kept_and_no_other(night: Place) -> None:
    kept = {row["description"] for row in night.rows("runs/night", "candidates") if row["status"] == "keep"}
    assert kept == set(GOOD)


def test_every_candidate_ends_with_its_own_status_and_a_reason(night: Place) -> None:
    rows = {row["description"]: row for row in night.rows("runs/night", "candidates")}
    assert len(rows) == len(PROPOSALS)
    assert {name: rows[name]["status"] for name in EXPECTED} == EXPECTED
    assert "night.jsonl:18" in rows["malformed"]["reason"]
    raced_before_or_not = ("conflict", "discard", "inconclusive")
    assert rows["clashes with good a"]["status"] in raced_before_or_not
    assert all(row["reason"] for row in rows.values())
    assert not any(row["status"] == "pending" for row in rows.values())


def test_the_champion_branch_holds_the_kept_edits_together(night: Place) -> None:
    repo = "runs/night/repo"
    text = night.git("show", "champion:values.py", at=repo)
    assert all(value in text for value in ("a=0.0", "b=1.0", "c=2.0"))
    night.git("fsck", "--full", "--strict", at=repo)
    log = night.git("log", "--format=%B", "champion", at=repo)
    for trailer in ("Candidate: ", "Proposer: replay", "Metric: loss ", "Baseline: loss ", "Evidence: "):
        assert log.count(trailer) == len(GOOD), trailer
    assert ", reported)" in log  # and not measured: nobody is to take it for more


def test_the_users_repository_can_fetch_the_champion(night: Place) -> None:
    before = night.git("rev-parse", "HEAD").strip()
    night.git("fetch", "--quiet", str(night.path / "runs/night/repo"), "+champion:regatta/night")
    night.git("merge-base", "--is-ancestor", before, "regatta/night")
    assert night.git("status", "--porcelain") == ""


def test_status_says_what_the_contract_says(night: Place) -> None:
    found = night.status("runs/night")
    assert found["state"] == "finished"
    assert found["stop_reason"] == "proposals"
    assert found["objective"] == {"metric": "loss", "direction": "minimize", "provenance": "reported"}
    assert found["sandbox"] == "bubblewrap"
    counts = found["candidates"]
    assert counts["proposed"] == len(PROPOSALS)
    assert counts["pending"] == 0
    assert counts["kept"] == len(GOOD)
    assert counts["rejected"] == sum(status == "rejected" for status in EXPECTED.values())
    assert counts["conflicts"] == sum(row["status"] == "conflict" for row in night.rows("runs/night", "candidates"))
    assert counts["crashed"] == sum(status == "crash" for status in EXPECTED.values())
    assert sorted(found["champion"]["kept"]) == [
        row["id"] for row in night.rows("runs/night", "candidates") if row["status"] == "keep"
    ]
    assert found["champion"]["mean"] == pytest.approx(7.0, abs=0.1)
    assert found["baseline"]["mean"] == pytest.approx(10.0, abs=0.1)
    assert found["trials"]["timeout"] >= 1  # an idle worker may have taken a second sample of what hangs
    assert found["spend"]["energy_wh"] is None


def test_a_trial_is_exported_once_with_its_numbers(night: Place) -> None:
    rows = night.rows("runs/night", "trials")
    assert len({row["id"] for row in rows}) == len(rows)
    ok = [row for row in rows if row["outcome"] == "ok"]
    assert {"wall_s", "peak_rss_mb", "loss"} <= set(ok[0]["metrics"])
    assert len({row["fingerprint"] for row in ok}) == 1
    assert len({(row["commit"], row["seed"]) for row in rows}) == len(rows), "seeds are fresh"


def test_the_table_begins_as_autoresearch_writes_it(night: Place) -> None:
    done = night.regatta("export", "runs/night", "--rows", "candidates", "--format", "tsv")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[0][:5] == ["commit", "loss", "memory_gb", "status", "description"]
    assert lines[1][3] == "keep"
    assert {line[3] for line in lines[1:]} == {"keep", "discard", "crash"}
    assert len(lines) == 2 + len(PROPOSALS)


def test_a_gigabyte_of_output_leaves_a_small_log(night: Place) -> None:
    row = next(r for r in night.rows("runs/night", "candidates") if r["description"].startswith("prints"))
    for trial in row["trial_ids"]:
        log = night.path / "runs/night/trials" / trial / "log.txt"
        assert log.stat().st_size < 1_000_000


def test_no_process_of_a_candidate_is_left(night: Place) -> None:
    assert [command for command in running_commands() if LEFT in command] == []


def test_every_view_answers(night: Place) -> None:
    kept = night.status("runs/night")["champion"]["kept"][0]
    for arguments in (["status"], ["show"], ["log"], ["report"]):
        done = night.regatta(arguments[0], "runs/night", *arguments[1:])
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
    shown = night.regatta("show", "runs/night", kept).stdout
    assert "values.py" in shown
    assert (night.path / "runs/night/report.html").stat().st_size > 10_000
    assert (night.path / "runs/night/progress.png").read_bytes().startswith(b"\x89PNG")
    trial = night.rows("runs/night", "trials")[0]["id"]
    assert "METRIC loss=" in night.regatta("log", "runs/night", trial).stdout


def test_an_idea_of_a_person_joins_a_finished_run(night: Place) -> None:
    edits = night.path / "idea.json"
    edits.write_text(json.dumps([{"path": "values.py", "search": "d=4.0", "replace": "d=3.0"}]))
    proposed = night.regatta("propose", "runs/night", "--edits", str(edits), "--description", "my own")
    assert proposed.returncode == 0, proposed.stderr
    resumed = night.regatta("resume", "runs/night")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    row = night.rows("runs/night", "candidates")[-1]
    assert (row["proposer"], row["description"], row["status"]) == ("person", "my own", "keep")
