"""What 10,000 candidates cost to remember: `status`, `resume` up to the start of Ray, and the head's memory.

The journal and the repository are real (10,000 branches with a commit each); the measurements in them are made up. Both
commands are timed as whole processes, several times; the head's memory is its largest resident size over a whole `resume`,
Ray's start included.

    python benchmarks/journal.py [candidates, default 10000]
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import command_target, quantiles, write

from orchestrator import events as ev
from orchestrator.edits import Edit
from orchestrator.journal import Journal
from workers.trial import Outcome

CONFIG = """
name: memory
target: {{repo: target, editable: [value.txt], command: "echo METRIC loss=1"}}
objective: {{metric: loss}}
proposers: [{{kind: replay, path: proposals.jsonl}}]
limits: {{candidates: {candidates}}}
cluster: {{address: local, cpu_slots: 1}}
metrics: {{port: 0}}
"""
REGATTA = [sys.executable, "-m", "orchestrator.cli"]
REPEATS = 5


def main(candidates: int) -> None:
    with tempfile.TemporaryDirectory(prefix="regatta-journal-") as temporary:
        folder = Path(temporary)
        command_target(folder / "target", {"value.txt": "0\n"})
        (folder / "proposals.jsonl").write_text("")
        (folder / "memory.yaml").write_text(CONFIG.format(candidates=candidates))
        subprocess.run([*REGATTA, "run", "memory.yaml"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        run = folder / "runs/memory"
        events = _remember(run, candidates)
        status = [_timed([*REGATTA, "status", str(run), "--json"]) for _ in range(REPEATS)]
        resumes, memory = zip(*(_resumed(run) for _ in range(REPEATS)), strict=True)
    found = {
        "candidates": candidates,
        "events": events,
        "status_s": quantiles(status),
        "resume_up_to_ray_s": quantiles(resumes),
        "head_peak_mb": quantiles(memory),
    }
    raw = {"status_s": status, "resume_up_to_ray_s": resumes, "head_peak_mb": memory}
    write("journal", "10,000 candidates: status and resume (up to Ray) < 2 s each, the head < 500 MB", found, raw)


def _timed(command: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def _resumed(run: Path) -> tuple[float, float]:
    """Seconds from the start of the process to its HeadStarted, which comes right before Ray; and its peak memory in MB."""
    last = max(entry.seq for entry in Journal.read_only(run / "journal.sqlite").entries())
    began = time.time()
    process = subprocess.Popen([*REGATTA, "resume", str(run)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.returncode
    started = next(e.at for e in Journal.read_only(run / "journal.sqlite").entries(last) if isinstance(e.event, ev.HeadStarted))
    return started - began, usage.ru_maxrss / 1024


def _remember(run: Path, candidates: int) -> int:
    """Write the branches and events of `candidates` finished races; returns how many events the journal holds."""
    journal = Journal.open(run / "journal.sqlite")
    base = next(e.event.base for e in journal.entries() if isinstance(e.event, ev.CampaignOpened))
    commits = _branches(run / "repo", base, candidates)
    rng, at, trial = random.Random(0), time.time(), sum(isinstance(e.event, ev.TrialStarted) for e in journal.entries())
    journal._connection.execute("BEGIN")  # the benchmark's own short cut: one transaction for what took a night
    for number, commit in enumerate(commits, start=1):
        name, value = f"c{number:04d}", 1 + rng.gauss(0.01, 0.01)
        edits = (Edit("train.py", search=f"LEARNING_RATE = {number}", replace=f"LEARNING_RATE = {number + 1}"),)
        journal.append(ev.Proposed(name, "replay", f"another learning rate, number {number}", edits), at)
        journal.append(ev.Admitted(name, commit, base, 2, f"{number:064x}"), at)
        for _ in range(1 + (number % 3 == 0)):
            trial += 1
            started = ev.TrialStarted(f"t{trial:06d}", ev.Purpose.RACE, commit, (name,), rng.getrandbits(31), "w0")
            journal.append(started, at)
            ended = ev.TrialEnded(
                started.trial, 1, Outcome.OK, None, {"wall_s": 0.1, "peak_rss_mb": 9.0}, {"loss": value},
                0.1, None, "w0", "cpu", at, at + 0.1, "f" * 64,
            )  # fmt: skip
            journal.append(ended, at)
        evidence = ev.Evidence(value, 1, 1.0, 4, value - 1, 0.011, 0.01, 100, 0.3, 1e4, 0.95, 0.02, "calibrated")
        journal.append(ev.CandidateDecided(name, ev.Verdict.DISCARD, "not better", evidence), at)
    journal._connection.execute("COMMIT")
    events = sum(1 for _ in journal.entries())
    journal.close()
    return events


def _branches(repo: Path, base: str, count: int) -> list[str]:
    stream = []
    for number in range(1, count + 1):
        message, text = f"candidate {number}\n", f"{number}\n"
        stream.append(
            f"commit refs/heads/candidate/c{number:04d}\nmark :{number}\n"
            f"committer Regatta <regatta@localhost> 0 +0000\ndata {len(message)}\n{message}from {base}\n"
            f"M 100644 inline value.txt\ndata {len(text)}\n{text}\n"
        )
    marks = repo / "marks"
    command = ["git", "-C", str(repo), "fast-import", "--quiet", f"--export-marks={marks}"]
    subprocess.run(command, input="".join(stream).encode(), check=True)
    commits = dict(line.split() for line in marks.read_text().splitlines())
    marks.unlink()
    return [commits[f":{number}"] for number in range(1, count + 1)]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
