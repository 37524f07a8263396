"""Agents that edit a worktree, as shell scripts, through the installed command: kept, refused, hung, killed."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from place import Place, running_commands, swap, wait_for

# Lets the first value vanish that is still there; says what it does, and what that cost.
ZEROES = """
set -e
grep -q "Make .loss. smaller" "$1"
name=$(grep -o '[abcd]=[1-9]' values.py | head -n 1 | cut -d= -f1)
sed -i "s/$name=[1-9]/$name=0/" values.py
echo "# tampered with" >> measure.py
git add -A
git commit -q -m "a commit of its own"
sleep 600 &
echo "HYPOTHESIS: $name is of no use"
echo '{"total_cost_usd": 0.25}'
"""


GOOD = [swap("a=1.0", "a=0.0", "good a"), swap("b=2.0", "b=0.0", "good b")]


def alive(marker: str) -> bool:
    return any(marker in command for command in running_commands())


def program(command: str, **keys: Any) -> list[dict[str, Any]]:
    return [{"kind": "program", "command": command, **keys}]


def left_behind(place: Place) -> list[Path]:
    return [*place.path.glob("runs/night/proposers/*/*/worktree"), *place.path.glob("runs/night/proposers/*/*/index")]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("night"))
    place.summing_target(sd=0.0)
    (place.path / "agent.sh").write_text(ZEROES)
    place.config("night", [], proposers=program("sh agent.sh {prompt}"), objective={"metric": "loss", "target": 0.5})
    done = place.regatta("run", "night.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_the_edits_of_a_shell_script_are_kept(night: Place) -> None:
    assert night.status("runs/night")["stop_reason"] == "target"
    kept = [row for row in night.rows("runs/night", "candidates") if row["status"] == "keep"]
    assert [row["description"] for row in kept] == [f"{name} is of no use" for name in "abcd"]
    assert {row["proposer"] for row in kept} == {"program"}
    text = night.git("show", "champion:values.py", at="runs/night/repo")
    assert all(f"{name}=0.0" in text for name in "abcd")


def test_only_edits_in_scope_count_and_the_others_are_said(night: Place) -> None:
    champion = night.git("show", "champion:measure.py", at="runs/night/repo")
    assert "tampered" not in champion
    log = night.regatta("log", "runs/night").stdout
    assert "measure.py: out of scope; editable: values.py" in log


def test_what_it_cost_is_counted(night: Place) -> None:
    rows = night.rows("runs/night", "candidates")
    assert all(row["usd"] == 0.25 for row in rows)
    assert night.status("runs/night")["spend"]["usd"] == pytest.approx(0.25 * len(rows))


def test_nothing_of_it_is_left_but_what_it_was_told_and_what_it_said(night: Place) -> None:
    assert left_behind(night) == []
    assert night.git("status", "--porcelain") == ""
    branches = night.git("for-each-ref", "--format=%(refname)", at="runs/night/repo").split()
    assert all(re.match(r"refs/(heads/champion|heads/candidate/|regatta/)", branch) for branch in branches)
    first = night.path / "runs/night/proposers/program/0001"
    assert "HYPOTHESIS: a is of no use" in (first / "output.txt").read_text()
    assert "`values.py`" in (first / "prompt.md").read_text()


# One of each kind of end; the others are tried without a campaign, in tests/orchestrator/proposers/program.
MISDEEDS = {
    "exits with 3": ("echo no luck; exit 3", "exit status 3; it last printed 'no luck'"),
    "hangs": ("echo thinking; sleep 600", "timeout_s (3 s)"),
    "edits the benchmark": ("echo 'print(\"METRIC loss=-9\")' > measure.py", "measure.py: out of scope"),
    "breaks the syntax": ("echo '(' >> values.py", "values.py"),
}


def test_whatever_an_agent_does_is_told_in_a_line_and_the_night_goes_on(place: Place) -> None:
    place.summing_target(sd=0.0)
    # Before each misdeed something good: another digit of `a`.
    cases = "".join(
        f'{2 * n + 2}) echo "HYPOTHESIS: {name}"; {does} ;;\n' for n, (name, (does, _)) in enumerate(MISDEEDS.items())
    )
    (place.path / "agent.sh").write_text(
        f"echo x >> {place.path}/count; n=$(wc -l < {place.path}/count)\n"
        f'case $n in\n{cases}*) sed -i "s/a=[0-9.]*/a=0.$((99 - n))/" values.py\n'
        'head -c 10000000 /dev/zero | tr "\\0" x; echo; echo "HYPOTHESIS: better" ;;\nesac\n'
    )
    limits = {"candidates": 2 * len(MISDEEDS) + 1}
    place.config("night", [], proposers=program("sh agent.sh", timeout_s=3.0), limits=limits)
    done = place.regatta("run", "night.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["description"]: row for row in place.rows("runs/night", "candidates")}
    for name, (_, reason) in MISDEEDS.items():
        assert rows[name]["status"] == "rejected", name
        assert reason in rows[name]["reason"], name
    assert place.status("runs/night")["candidates"]["kept"] >= 1
    assert place.status("runs/night")["stop_reason"] == "candidates"
    assert left_behind(place) == []


def test_one_that_is_not_installed_is_refused_before_anything_is_made(place: Place) -> None:
    place.summing_target(sd=0.0)
    place.config("night", [], proposers=program("no-such-agent < {prompt}"))
    done = place.regatta("run", "night.yaml")
    assert done.returncode == 2
    assert "proposers[0].command: given 'no-such-agent < {prompt}'" in done.stderr
    assert not (place.path / "runs").exists()


def test_a_slow_one_keeps_nobody_waiting_a_killed_head_leaves_no_agent_and_resume_sweeps_and_finishes(place: Place) -> None:
    marker = uuid.uuid4().hex
    place.summing_target(sd=0.0)
    (place.path / "agent.sh").write_text(f"test -f {place.path}/again || sh -c 'sleep 600; : {marker}'\n" + ZEROES)
    agent = program("sh agent.sh {prompt}", parallel=2, weight=9)
    proposers = [{"kind": "replay", "path": "night.jsonl"}, *agent]
    place.config("night", GOOD, proposers=proposers, objective={"metric": "loss", "target": 0.5})
    head = place.start("run", "night.yaml")
    wait_for(lambda: (place.path / "runs/night").exists() and place.status("runs/night")["candidates"]["kept"] == 2)
    assert alive(marker)
    head.kill()
    head.communicate()
    wait_for(lambda: not alive(marker))
    assert left_behind(place)
    (place.path / "again").touch()
    done = place.regatta("resume", "runs/night")
    assert done.returncode == 0, done.stdout + done.stderr
    assert place.status("runs/night")["candidates"]["kept"] == 4
    assert left_behind(place) == []
