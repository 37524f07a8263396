"""Candidates of the `command` runner that lie, or take more of the machine than they may, end as their rules say."""

from __future__ import annotations

import shutil
import textwrap
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from arena import Arena, Happened
from attack import IN_VAIN
from attacks_on_the_run import PRINTING, SURVIVING, TAKING, Greedy
from trust_table import Notes

from orchestrator.edits import Edit
from workers.session import Room

IMPORTS = "import atexit, os, signal, socket, subprocess, threading, time\n\n\n"
SMALL = Room(memory_mb=1000, processes=150, disk_mb=200)


DROP = """
places = [".", os.path.expanduser("~"), "/tmp", "/dev/shm", "/var/tmp", "/run", os.path.expanduser("~/.cache"),
          os.path.expanduser("~/.triton"), "/dev/mqueue", os.path.dirname(os.__file__)]
for place in places:
    try:
        os.makedirs(place, exist_ok=True)
        print("found" if os.path.exists(f"{place}/note") else "dropped", place)
        open(f"{place}/note", "w").write("x")
    except OSError as error:
        print("refused", place, error)
"""


def with_body(body: str) -> tuple[Edit, ...]:
    return (Edit("work.py", content=f"{IMPORTS}def work():\n{textwrap.indent(body, '    ')}\n"),)


@pytest.fixture(scope="module")
def small(measuring: Arena) -> Iterator[Arena]:
    """A machine with little room, so that a large one need not suffer."""
    whole = measuring.machine
    measuring.machine = replace(whole, room=SMALL)
    yield measuring
    measuring.machine = whole


def judged(attack: Greedy, happened: Happened) -> tuple[str, str]:
    """Outcome and rule as the table has them."""
    if happened.measurement is not None and happened.outcome == "ok":
        value = happened.measurement.reported.get("loss")
        return (IN_VAIN, attack.rule) if value == 2.5 else ("reported", attack.rule)
    return happened.outcome, attack.rule if happened.reason.startswith(attack.rule) else happened.reason


@pytest.mark.parametrize("attack", PRINTING, ids=str)
def test_what_is_printed_counts_as_the_rule_says(small: Arena, notes: Notes, attack: Greedy) -> None:
    happened = small.measure(with_body(attack.body), timeout_s=60.0)
    outcome, rule = judged(attack, happened)
    notes.take("Printing (`command` runner)", attack.name, outcome, rule, attack.elsewhere)
    assert (outcome, rule) == (attack.outcome, attack.rule), happened
    assert happened.measurement is not None
    assert "loss" not in happened.measurement.measured
    assert len(happened.measurement.log) < 1 << 20


@pytest.mark.parametrize("attack", TAKING, ids=str)
def test_a_candidate_that_takes_too_much_is_ended(small: Arena, notes: Notes, attack: Greedy) -> None:
    free_before = shutil.disk_usage(small.machine.repository.root).free
    happened = small.measure(with_body(attack.body), timeout_s=2.0 if attack.outcome == "timeout" else 60.0)
    outcome, rule = judged(attack, happened)
    notes.take("Taking", attack.name, outcome, rule, attack.elsewhere)
    assert (outcome, rule) == (attack.outcome, attack.rule), happened
    assert list(small.machine.repository.private_folder.glob("trial-*")) == []
    assert shutil.disk_usage(small.machine.repository.root).free > free_before - (1 << 30)


def test_nobody_survives_into_the_next_trial(small: Arena, notes: Notes) -> None:
    name, marker = "double-fork a survivor into the next trial", f"survivor-{uuid.uuid4().hex}"
    leave = f"""
        for redirect in ("", ">/dev/null 2>&1 <&-"):
            script = f"(setsid sh -c 'sleep 300; : {marker}' {{redirect}} &) {{redirect}} &"
            subprocess.Popen(["setsid", "sh", "-c", script])
        while (count := len([p for p in os.listdir("/proc") if p.isdigit()])) <= 5:
            time.sleep(0.01)
        print("left", count)
        return 2.5
    """
    first = small.measure(with_body(textwrap.dedent(leave).strip()), timeout_s=60.0)
    alive = [entry for entry in Path("/proc").glob("[0-9]*/cmdline") if marker in _text(entry)]
    count = 'print("processes", len([p for p in os.listdir("/proc") if p.isdigit()]))\nreturn 2.5'
    second = small.measure(with_body(count))
    left = [line for line in first.log.splitlines() if line.startswith("left")]
    assert left, first
    assert int(left[0].split()[1]) > 5
    seen = [line for line in second.log.splitlines() if line.startswith("processes")]
    gone = alive == [] and int(seen[0].split()[1]) < 6
    notes.take("Surviving", name, IN_VAIN if gone else "lived on", "its process tree is ended", SURVIVING[name])
    assert gone, (alive, seen)


def test_nothing_is_handed_on_in_a_cache(small: Arena, notes: Notes) -> None:
    name = "hand something on in a cache, to the next trial"
    first, second = (small.measure(with_body(f"{DROP}\nreturn 2.5 + 0 * {number}")) for number in (1, 2))
    assert "dropped" in first.log, first
    nothing = "found" not in second.log and "dropped" in second.log
    notes.take("Surviving", name, IN_VAIN if nothing else "found it", "its folders are new, and gone with it", SURVIVING[name])
    assert nothing, second.log


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:  # it ended meanwhile
        return ""
