"""Campaigns that measure many edits at once, through the installed command: only the good ones are kept, and no row twice."""

from __future__ import annotations

import subprocess
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from place import MEASURE, Place, swap, wait_for

from orchestrator.journal import Journal

COUNT = 16
GOOD = [f"good {n}" for n in range(4)]
BAD = [f"bad {n}" for n in range(4, 9)]
NULL = [f"null {n}" for n in range(9, 13)]


def values_target(place: Place, *, slower_s: float = 0.0) -> None:
    """A target whose metric is a sum of sixteen values, one a line."""
    lines = "".join(f"    v{n}={n + 1}.0,\n" for n in range(COUNT))
    measure = f"import time; time.sleep({slower_s})\n{MEASURE}" if slower_s else MEASURE
    place.target({"measure.py": measure, "values.py": f"SD = 0.05\nVALUES = dict(\n{lines})\n"})


def change(n: int, what: str, description: str) -> dict[str, Any]:
    return swap(f"    v{n}={n + 1}.0,", f"    v{n}={n + 1}.0{what},", description)


def proposals() -> list[dict[str, Any]]:
    """Good, bad and null ones, two that clash, one that crashes in whatever it is, and some that the gates refuse."""
    made = [change(n, " - 0.5", f"good {n}") for n in range(4)]
    made += [change(n, " + 0.5", f"bad {n}") for n in range(4, 9)]
    made += [change(n, " * 1.0", f"null {n}") for n in range(9, 13)]
    made += [change(13, " - 0.4", "clashes: good"), change(13, " + 0.4", "clashes: bad")]
    made += [change(14, " + [][0]", "crashes"), change(15, " + 0.0", "null 15")]
    made += [swap("SD = ", "import math\nSD = ", "null: an import"), swap("nowhere", "else", "missing search text")]
    return made


def journalled(place: Place, kind: str) -> list[dict[str, Any]]:
    """What the journal says of one kind of event."""
    with closing(Journal.read_only(place.path / "runs/night/journal.sqlite")) as journal:
        return [asdict(entry.event) for entry in journal.entries() if type(entry.event).__name__ == kind]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("blocks"))
    values_target(place)
    place.config("night", proposals(), tournament={"lanes": "auto"})
    done = place.regatta("run", "night.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_exactly_the_good_edits_are_kept(night: Place) -> None:
    rows = {row["description"]: row for row in night.rows("runs/night", "candidates")}
    kept = {name for name, row in rows.items() if row["status"] == "keep"}
    assert kept == {*GOOD, "clashes: good"}
    assert {rows[name]["status"] for name in BAD} == {"discard"}
    assert {rows[name]["status"] for name in NULL} <= {"discard", "inconclusive"}
    assert rows["crashes"]["status"] == "crash"
    assert rows["missing search text"]["status"] == "rejected"
    assert all(row["reason"] for row in rows.values())
    assert night.status("runs/night")["champion"]["mean"] == pytest.approx(133.6, abs=0.2)


def test_edits_were_measured_together(night: Place) -> None:
    rows = [row for row in night.rows("runs/night", "trials") if row["block"] is not None]
    assert sum(len(row["candidates"]) > 3 for row in rows) >= 8
    assert len({(row["block"], row["row"]) for row in rows if row["outcome"] != "infra"}) == len(rows)
    assert len({row["fingerprint"] for row in rows}) == 1
    found = night.status("runs/night")["blocks"]
    assert found["open"] == 0
    assert found["closed"] >= 1


def test_nobody_is_blamed_for_a_crash_in_company(night: Place) -> None:
    trials = {row["id"]: row for row in night.rows("runs/night", "trials")}
    crashed = next(row for row in night.rows("runs/night", "candidates") if row["status"] == "crash")
    assert any(
        trials[name]["candidates"] == [crashed["id"]] and trials[name]["outcome"] == "crash" for name in crashed["trial_ids"]
    )


def test_rows_leave_no_refs_behind_and_the_champion_is_whole(night: Place) -> None:
    refs = night.git("for-each-ref", "--format=%(refname)", at="runs/night/repo").split()
    assert not [ref for ref in refs if "/sent/" in ref or "/b0" in ref]
    text = night.git("show", "champion:values.py", at="runs/night/repo")
    assert all(f"v{n}={n + 1}.0 - 0.5" in text for n in range(4))
    assert text.count(" + 0.5") == 0
    night.git("fsck", "--full", "--strict", at="runs/night/repo")


def test_why_is_told_in_plain_words(night: Place) -> None:
    rows = {row["description"]: row for row in night.rows("runs/night", "candidates")}
    measured = next(rows[name] for name in GOOD if rows[name]["evidence"]["blocks"])
    text = night.regatta("show", "runs/night", measured["id"]).stdout
    for words in ("kept: it is on the champion branch", "with it", "without", "effect -0.", "a keep allowed at most", "final"):
        assert words in text
    for view in ("status", "show", "log", "report"):
        assert night.regatta(view, "runs/night").returncode == 0


def test_a_campaign_of_blocks_alone_sends_nobody_solo_for_want_of_company(place: Place) -> None:
    values_target(place)
    place.config("night", proposals()[:13], tournament={"lanes": "blocks", "block": 16})
    done = place.regatta("run", "night.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row["description"] for row in place.rows("runs/night", "candidates") if row["status"] == "keep"} == set(GOOD)
    assert {block["size"] for block in journalled(place, "BlockOpened")} <= {8, 12, 16}


def test_a_head_that_is_killed_within_a_block_goes_on_with_it(place: Place) -> None:
    values_target(place, slower_s=0.3)
    place.config("night", proposals())
    head = place.start("run", "night.yaml")
    wait_for(lambda: rows_begun(place) >= 6)
    head.kill()
    head.communicate()
    before = {row["id"] for row in place.rows("runs/night", "trials")}
    done = place.regatta("resume", "runs/night")
    assert done.returncode == 0, done.stdout + done.stderr
    trials = place.rows("runs/night", "trials")
    assert before <= {row["id"] for row in trials}
    assert len({row["id"] for row in trials}) == len(trials)
    rows = [(row["block"], row["row"]) for row in trials if row["block"] is not None and row["outcome"] != "infra"]
    assert len(set(rows)) == len(rows), "a row was run twice"
    for block in journalled(place, "BlockOpened"):
        assert {row for name, row in rows if name == block["block"]} == set(range(block["size"]))
    kept = {row["description"] for row in place.rows("runs/night", "candidates") if row["status"] == "keep"}
    assert kept == {*GOOD, "clashes: good"}
    subprocess.run(["git", "-C", str(place.path / "runs/night/repo"), "fsck", "--full"], check=True, capture_output=True)


def rows_begun(place: Place) -> int:
    """Rows of blocks that have been handed out."""
    if not Path(place.path / "runs/night/journal.sqlite").exists():
        return 0
    return sum(started["block"] is not None for started in journalled(place, "TrialStarted"))
