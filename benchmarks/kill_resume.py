"""Kill the head with SIGKILL at random moments of a campaign, resume each time, and compare with a night undisturbed.

One worker, real Ray, a noisy command with a child in a session of its own. After each kill: is anything of a candidate alive a
second later? At the end: was every proposal decided exactly once, does every trial count once, is the repository sound, and
are the champion's tree, its kept candidates and the seeds those of the same campaign that nobody killed?

    python benchmarks/kill_resume.py [kills, default 50] [seed, default 0]
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from record import command_target, write

from orchestrator import events as ev
from orchestrator.journal import Journal

MARK = "regatta-benchmark-candidate"
MEASURE = f"""
import os, random, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "{MARK}"], start_new_session=True)
from values import VALUES
noise = random.Random(int(os.environ["REGATTA_SEED"])).gauss(0, 0.02)
time.sleep(0.15)
print(f"METRIC loss={{10 + sum(VALUES.values()) + noise}}")
"""
CONFIG = """
name: {name}
target: {{repo: target, editable: [values.py], command: "python measure.py {mark}"}}
objective: {{metric: loss}}
proposers: [{{kind: replay, path: proposals.jsonl}}]
cluster: {{address: local, cpu_slots: 1}}
metrics: {{port: 0}}
seed: 5
"""
REGATTA = [sys.executable, "-m", "orchestrator.cli"]
KNOBS = 70


def main(kills: int, seed: int) -> None:
    with tempfile.TemporaryDirectory(prefix="regatta-kill-") as temporary:
        folder = Path(temporary)
        _write_campaign(folder)
        subprocess.run([*REGATTA, "run", "undisturbed.yaml"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        lives = _kill_and_resume(folder, kills, random.Random(seed))
        undisturbed, killed = (_outcome(folder / "runs" / name) for name in ("undisturbed", "killed"))
    found = {
        "kills": sum(life["killed"] for life in lives),
        "kills_with_a_trial_running": sum(life["candidates_at_kill"] > 0 for life in lives),
        "candidate_processes_left_after_1_s": sum(life["left"] for life in lives),
        "proposals": killed["proposals"],
        "proposals_not_decided_exactly_once": killed["not_decided_once"],
        "trials": killed["trials"],
        "trials_not_ended_exactly_once": killed["not_ended_once"],
        "trials_handed_out_again": killed["restarted"],
        "fsck_exit_status": killed["fsck"],
        "same_champion_as_undisturbed": killed["champion"] == undisturbed["champion"],
        "same_kept_as_undisturbed": killed["kept"] == undisturbed["kept"],
        "same_seeds_as_undisturbed": killed["seeds"] == undisturbed["seeds"],
        "kept": killed["kept"],
    }
    write("kill_resume", "50 SIGKILLs of the head: nothing lost, nothing twice, nothing left", found, {"lives": lives})


def _write_campaign(folder: Path) -> None:
    values = {f"V{number}": 0.0 for number in range(KNOBS)}
    source = "VALUES = dict(\n" + "".join(f"    {name}={value},\n" for name, value in values.items()) + ")\n"
    command_target(folder / "target", {"measure.py": MEASURE, "values.py": source})
    rng = random.Random(1)
    with (folder / "proposals.jsonl").open("w") as file:
        for number in range(3 * KNOBS):
            name = f"V{number % KNOBS}"
            effect = rng.choice([-0.2, -0.1, 0.0, 0.0, 0.1, 0.2, 0.3])
            edit = {"path": "values.py", "search": f"    {name}=", "replace": f"    # {number}\n    {name}={effect} + "}
            file.write(json.dumps({"description": f"{name} {effect:+}", "edits": [edit]}) + "\n")
    for name in ("undisturbed", "killed"):
        (folder / f"{name}.yaml").write_text(CONFIG.format(name=name, mark=MARK))


def _kill_and_resume(folder: Path, kills: int, rng: random.Random) -> list[dict[str, Any]]:
    run = folder / "runs/killed"
    lives: list[dict[str, Any]] = []
    while True:
        command = [*REGATTA, "resume", str(run)] if run.exists() else [*REGATTA, "run", "killed.yaml"]
        began = time.monotonic()
        with (folder / "output").open("w+") as output:
            head = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
            if len(lives) < kills and _lives_until_its_moment(head, Path(output.name), rng):
                busy = len(_candidates())
                head.send_signal(signal.SIGKILL)
                head.wait()
                life = {"life_s": time.monotonic() - began, "killed": True, "candidates_at_kill": busy}
                lives.append(life | {"left": _wait_until_gone(1.0)})
                print(f"kill {len(lives)}: {lives[-1]}", flush=True)
                continue
            head.wait()
        assert head.returncode == 0, (folder / "output").read_text()
        life = {"life_s": time.monotonic() - began, "killed": False, "candidates_at_kill": 0}
        lives.append(life | {"left": len(_candidates())})
        return lives


def _lives_until_its_moment(head: subprocess.Popen[bytes], output: Path, rng: random.Random) -> bool:
    """Wait for a random moment: a quarter of them while the head starts, the others while it works. False: it has ended."""
    if rng.random() < 0.25:
        moment = time.monotonic() + rng.uniform(0.05, 5.0)
    else:
        while " ready" not in output.read_text() and head.poll() is None:
            time.sleep(0.02)
        moment = time.monotonic() + rng.uniform(0.0, 3.0)
    while time.monotonic() < moment and head.poll() is None:
        time.sleep(0.005)
    return head.poll() is None


def _candidates() -> list[int]:
    """Processes that bear the mark as an argument: the commands, their children, not the heads that read it from a file."""
    return [process.pid for process in psutil.process_iter(["cmdline"]) if MARK in (process.info["cmdline"] or ())]


def _wait_until_gone(patience_s: float) -> int:
    deadline = time.monotonic() + patience_s
    while _candidates() and time.monotonic() < deadline:
        time.sleep(0.02)
    return len(_candidates())


def _outcome(run: Path) -> dict[str, Any]:
    events = [entry.event for entry in Journal.read_only(run / "journal.sqlite").entries()]
    proposed = [e.candidate for e in events if isinstance(e, ev.Proposed)]
    final = Counter(e.candidate for e in events if isinstance(e, (ev.Rejected, ev.Conflicted)))
    final.update(e.candidate for e in events if isinstance(e, ev.CandidateDecided) and e.verdict is not ev.Verdict.WON)
    final.update(name for e in events if isinstance(e, ev.ChampionMoved) for name in e.kept)
    started = [e for e in events if isinstance(e, ev.TrialStarted)]
    ended = Counter(e.trial for e in events if isinstance(e, ev.TrialEnded))
    git = ["git", "-C", str(run / "repo")]
    tree = subprocess.run([*git, "rev-parse", "champion^{tree}"], capture_output=True, text=True, check=True).stdout.strip()
    fsck = subprocess.run([*git, "fsck", "--full", "--strict"], capture_output=True, text=True, check=False)
    return {
        "proposals": len(proposed),
        "not_decided_once": [name for name in proposed if final[name] != 1],
        "trials": len(started),
        "not_ended_once": [e.trial for e in started if ended[e.trial] != 1],
        "restarted": sum(isinstance(e, ev.TrialRestarted) for e in events),
        "seeds": [e.seed for e in started],
        "kept": [name for e in events if isinstance(e, ev.ChampionMoved) for name in e.kept],
        "champion": tree,
        "fsck": fsck.returncode,
    }


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
