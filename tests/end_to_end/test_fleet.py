"""A fleet through the installed command: three targets on one Ray, interrupted, killed and resumed, and nothing is lost."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from place import PATIENCE_S, Place

MEASURE = """
import os, random
from knobs import SIZE
noise = random.Random(int(os.environ["REGATTA_SEED"])).gauss(0, 0.01)
print(f"METRIC latency_us={10 + FACTOR * SIZE + noise}")
print("METRIC floor_fraction=0.5")
"""
FACTORS = {"a": 1.0, "b": 1.0, "flat": 0.0}  # how much there is to be found
SHARES = {"a": 0.1, "b": 0.3, "flat": 0.1}
IDEAS = [{"description": f"size {n}", "edits": [{"path": "knobs.py", "content": f"SIZE = {n}\n"}]} for n in (4, 3, 2, 1)]
CANDIDATES = 8  # of twelve that the ideas would make


@dataclass
class Session:
    """What one process said, and which Ray there was beside each of its turns."""

    returncode: int = 0
    lines: list[str] = field(default_factory=list)
    errors: str = ""
    rays: list[frozenset[int]] = field(default_factory=list)  # process ids, while each turn but the first has work to do
    ray_temp_dir: str = ""

    @property
    def turns(self) -> list[str]:
        """Whose they were."""
        return [found[1] for line in self.lines if (found := re.match(r"turn \d+: (\w+): ", line))]


@dataclass
class Night:
    place: Place
    sessions: list[Session] = field(default_factory=list)


def ray_temp_dir(fleet: Path) -> str:
    """Of the Ray that the running fleet says is its own."""
    return str(json.loads((fleet / "head.json").read_text())["ray_temp_dir"])


def rays_at(temp_dir: str) -> frozenset[int]:
    """The head processes of this Ray."""
    found = psutil.process_iter(["cmdline"])
    commands = {process.pid: process.info["cmdline"] or [] for process in found}
    return frozenset(
        pid for pid, command in commands.items() if command and "gcs_server" in command[0] and temp_dir in " ".join(command)
    )


def followed(place: Place, arguments: tuple[str, ...], at: Callable[[str], signal.Signals | None]) -> Session:
    """Run a verb, looking at each line; `at` may ask for a signal."""
    head = place.start(*arguments)
    session = Session()
    assert head.stdout is not None
    assert head.stderr is not None
    for line in head.stdout:
        session.lines.append(line)
        if re.match(r"turn [2-9]", line) or (len(session.turns) > 1 and " admitted" in line):  # trials are still to come
            session.ray_temp_dir = ray_temp_dir(place.path / "runs/fleet")
            session.rays.append(rays_at(session.ray_temp_dir))
        number = at(line)
        if number is not None:
            head.send_signal(number)
    session.errors = head.stderr.read()
    session.returncode = head.wait(timeout=PATIENCE_S)
    return session


def first(pattern: str, number: signal.Signals) -> Callable[[str], signal.Signals | None]:
    """The signal, at the first line that matches."""
    sent: list[str] = []

    def at(line: str) -> signal.Signals | None:
        if sent or not re.search(pattern, line):
            return None
        sent.append(line)
        return number

    return at


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Interrupted in the first target's turn, killed in the second's, then left alone."""
    place = Place(tmp_path_factory.mktemp("fleet"))
    make(place)
    night = Night(place)
    night.sessions.append(followed(place, ("run", "fleet.yaml"), first("^a: .* admitted", signal.SIGINT)))
    night.sessions.append(followed(place, ("resume", "runs/fleet"), first("^b: .* decided", signal.SIGKILL)))
    night.sessions.append(followed(place, ("resume", "runs/fleet"), lambda _line: None))
    return night


def make(place: Place, **changes: Any) -> None:
    (place.path / "kernels").mkdir()
    place.git("init", "--quiet", at="kernels")
    for name, factor in FACTORS.items():
        folder = place.path / "kernels" / name
        folder.mkdir()
        (folder / "measure.py").write_text(MEASURE.replace("FACTOR", str(factor)))
        (folder / "knobs.py").write_text("SIZE = 5\n")
    place.git("add", "--all", at="kernels")
    place.git("commit", "--quiet", "-m", "base", at="kernels")
    (place.path / "ideas.jsonl").write_text("".join(json.dumps(idea) + "\n" for idea in IDEAS))
    config = {
        "name": "fleet",
        "targets": [{"repo": f"kernels/{name}", "share": share} for name, share in SHARES.items()],
        "target": {"editable": ["knobs.py"], "command": "python measure.py"},
        "turn": {"candidates": 2},
        "objective": {"metric": "latency_us"},
        "proposers": [{"kind": "replay", "path": "ideas.jsonl"}],
        "tournament": {"lanes": "solo", "baseline_repeats": 2},
        "limits": {"candidates": CANDIDATES},
        "metrics": {"port": 0},
        **changes,
    }
    (place.path / "fleet.yaml").write_text(json.dumps(config))


def test_ctrl_c_ends_the_target_in_order_and_the_fleet_with_130(night: Night) -> None:
    interrupted = night.sessions[0]
    assert interrupted.returncode == 130, interrupted.errors
    assert interrupted.turns == ["a"]
    assert "Traceback" not in interrupted.errors
    assert "go on with: regatta resume" in "".join(interrupted.lines)


def test_a_turn_that_was_interrupted_or_killed_goes_on_first(night: Night) -> None:
    _, killed, last = night.sessions
    assert killed.returncode == -signal.SIGKILL
    assert killed.turns == ["a", "b"]
    assert last.turns[:2] == ["b", "flat"]
    assert "goes on with the turn that was interrupted" in killed.lines[0] + "".join(last.lines[:2])
    assert "processes that its Ray had left" in last.lines[0]


def test_then_the_turn_goes_to_what_has_most_to_gain(night: Night) -> None:
    last = night.sessions[2]
    assert last.returncode == 0, last.errors
    assert last.turns == ["b", "flat", "b"], "b has three times the share of the others"
    why = next(line for line in last.lines if "most to gain" in line)
    assert re.search(r"share 0\.6 × headroom 0\.50 ÷ .* a candidate", why)


def test_ray_is_started_once_for_all_turns_and_gone_afterwards(night: Night) -> None:
    last = night.sessions[2]
    assert len(last.turns) >= 3
    assert len(set(last.rays)) == 1
    assert len(last.rays) > len(last.turns)
    assert len(last.rays[0]) == 1
    assert rays_at(last.ray_temp_dir) == frozenset()
    assert not (night.place.path / "runs/fleet/head.json").exists()


def test_every_candidate_is_decided_once_and_none_is_lost(night: Night) -> None:
    rows = night.place.rows("runs/fleet", "candidates")
    assert len(rows) == CANDIDATES
    assert all(row["status"] in ("keep", "discard", "inconclusive") for row in rows)
    for name in FACTORS:
        own = [row["description"] for row in rows if row["target"] == name]
        assert own == [idea["description"] for idea in IDEAS[: len(own)]]
        trials = night.place.rows(f"runs/fleet/{name}", "trials")
        assert len({row["id"] for row in trials}) == len(trials)
        at = ("-C", str(night.place.path / f"runs/fleet/{name}/repo"))
        subprocess.run(["git", *at, "fsck", "--full"], check=True, capture_output=True)


def test_the_status_tells_what_each_target_and_the_whole_have_gained(night: Night) -> None:
    status = night.place.status("runs/fleet")
    assert (status["state"], status["stop_reason"]) == ("finished", "candidates")
    assert status["objective"] == {"metric": "latency_us", "direction": "minimize", "provenance": "reported"}
    targets = {each["target"]: each for each in status["targets"]}
    assert list(targets) == list(FACTORS)
    assert targets["b"]["champion"]["mean"] == pytest.approx(11.0, abs=0.05)
    assert targets["b"]["ratio"] == pytest.approx(11 / 15, abs=0.01)
    assert targets["flat"]["ratio"] == 1.0
    assert (targets["flat"]["candidates"]["kept"], targets["flat"]["turns_since_keep"]) == (0, targets["flat"]["turns"])
    assert targets["b"]["headroom"] == 0.5
    whole = 1 / (0.2 * targets["a"]["ratio"] + 0.6 * targets["b"]["ratio"] + 0.2)
    assert status["speed_up"] == pytest.approx(whole)
    assert 0 < status["speed_up_stderr"] < 0.05
    assert status["limits"]["candidates"] == {"spent": CANDIDATES, "limit": CANDIDATES}


def test_the_last_words_and_show_are_the_same_table(night: Night) -> None:
    said = "".join(night.sessions[2].lines)
    shown = night.place.regatta("show", "runs/fleet").stdout
    assert shown in said
    row = re.search(r"^  b +0\.600 .* → +(\d+\.\d+) ± \S+ +(0\.\d+) ± ", shown, re.MULTILINE)
    assert row is not None, shown
    assert [float(number) for number in row.groups()] == [pytest.approx(11.0, abs=0.05), pytest.approx(11 / 15, abs=0.01)]
    assert re.search(r"the whole, by share: 1\.\d+ ± 0\.0\d+ times as fast", shown)
    assert "git fetch" in said
    assert "--set limits.candidates=16" in said


def test_a_member_is_a_run_like_any_other(night: Night) -> None:
    member = "runs/fleet/b"
    assert night.place.status(member)["state"] == "finished"
    assert "kept, in this order" in night.place.regatta("show", member).stdout
    assert "head started" in night.place.regatta("log", member).stdout
    proposed = night.place.rows(member, "candidates")
    assert "target" not in proposed[0]


def test_the_report_links_the_members_and_loads_nothing(night: Night) -> None:
    index = night.place.path / "runs/fleet/index.html"
    page = index.read_text()
    links = re.findall(r'href="([^"]+)"', page)
    assert links == ["a/report.html", "b/report.html", "flat/report.html"]
    assert all((index.parent / link).is_file() for link in links if link)
    assert "http:" not in page
    assert "https:" not in page
    assert "default-src 'none'" in page


def test_a_tsv_has_one_header_and_a_leading_column(night: Night) -> None:
    for rows in ("candidates", "trials"):
        done = night.place.regatta("export", "runs/fleet", "--rows", rows, "--format", "tsv")
        header, *lines = [line.split("\t") for line in done.stdout.splitlines()]
        assert header[0] == "target"
        assert {line[0] for line in lines} == set(FACTORS)
        assert {len(line) for line in lines} == {len(header)}


@pytest.mark.parametrize(
    "arguments",
    [
        ("watch", "runs/fleet"),
        ("log", "runs/fleet"),
        ("show", "runs/fleet", "c0001"),
        ("propose", "runs/fleet", "--patch", "x", "--description", "y"),
    ],
    ids=["watch", "log", "show", "propose"],
)
def test_verbs_that_are_about_one_target_name_the_run_directories(night: Night, arguments: tuple[str, ...]) -> None:
    done = night.place.regatta(*arguments)
    assert done.returncode == 2
    assert "is a fleet" in done.stderr
    assert all(f"runs/fleet/{name}" in done.stderr for name in FACTORS)


def test_resume_changes_limits_and_turns_alone(night: Night) -> None:
    done = night.place.regatta("resume", "runs/fleet", "--set", "objective.direction=maximize")
    assert done.returncode == 2
    assert "limits" in done.stderr
    assert "turn" in done.stderr


# -- what a user can get wrong


def test_what_is_wrong_with_any_target_is_found_before_anything_is_made(place: Place) -> None:
    targets = [{"repo": "kernels/a"}, {"repo": "nowhere"}, {"repo": "kernels/b", "editable": ["*.rs"]}]
    make(place, targets=targets)
    done = place.regatta("run", "fleet.yaml")
    assert done.returncode == 2
    assert "targets[1].repo: nowhere: there is no such folder" in done.stderr
    assert "targets[2] (kernels/b): target.editable: '*.rs' matches no file" in done.stderr
    assert "targets[0]" not in done.stderr
    assert "Traceback" not in done.stderr
    assert not (place.path / "runs").exists()


def test_simulate_takes_one_target(place: Place) -> None:
    make(place)
    done = place.regatta("simulate", "fleet.yaml", "--landscape", "any.yaml")
    assert done.returncode == 2
    assert "several targets" in done.stderr


def test_a_missing_file_of_proposals_is_named_once(place: Place) -> None:
    make(place, proposers=[{"kind": "replay", "path": "gone.jsonl"}])
    done = place.regatta("run", "fleet.yaml")
    assert done.returncode == 2
    assert done.stderr.count("gone.jsonl") == 1
    assert not (place.path / "runs").exists()


def test_a_directory_that_is_taken_is_refused(place: Place) -> None:
    make(place)
    (place.path / "taken").mkdir()
    (place.path / "taken/file").write_text("mine")
    done = place.regatta("run", "fleet.yaml", "--run-dir", "taken")
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert [path.name for path in (place.path / "taken").iterdir()] == ["file"]


def test_a_target_that_cannot_go_on_ends_alone_and_the_fleet_with_1(place: Place) -> None:
    make(place, objective={"metric": "latency_us", "direction": "maximize"}, limits={"candidates": 6})
    broken = place.path / "kernels/a/measure.py"
    broken.write_text("raise ValueError('no such data')\n")
    place.git("commit", "--quiet", "--all", "-m", "broken", at="kernels")
    done = place.regatta("run", "fleet.yaml")
    assert done.returncode == 1
    assert "1 target could not go on: a: the base commit's own trial ended as crash" in done.stderr
    assert "type: regatta log" in done.stderr
    status = place.status("runs/fleet")
    assert status["state"] == "failed"
    states = {each["target"]: (each["state"], each["turns"]) for each in status["targets"]}
    assert states["a"] == ("failed", 1)
    assert all(state == "finished" for name, (state, _) in states.items() if name != "a")
