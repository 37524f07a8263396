"""How long a worker waits between two trials: real Ray, 2 workers, a command that does nothing but print its number.

The gap is from the end of a trial to the start of the next on the same worker, both by the worker's clock: the answer to
the head, the journal, the decision, the journal again and the next order. Compared: around candidate 20 and behind
candidate 2,000. A second figure, the worker's own overhead a trial (workspace, containment, clean-up), is the trial's
wall-clock less the command's.

    python benchmarks/trial_gap.py [candidates, default 2200]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from record import command_target, quantiles, write

from orchestrator.events import TrialEnded, TrialStarted
from orchestrator.journal import Journal

CONFIG = """
name: gap
target: {{repo: target, editable: [value.txt], command: "echo METRIC loss=$((1000 + REGATTA_SEED % 7))"}}
objective: {{metric: loss}}
proposers: [{{kind: replay, path: proposals.jsonl}}]
limits: {{candidates: {candidates}}}
cluster: {{address: local, cpu_slots: 2}}
metrics: {{port: 0}}
"""


def main(candidates: int) -> None:
    with tempfile.TemporaryDirectory(prefix="regatta-gap-") as temporary:
        folder = Path(temporary)
        command_target(folder / "target", {"value.txt": "0\n"})
        with (folder / "proposals.jsonl").open("w") as file:
            for number in range(1, candidates + 1):
                line = {"description": f"value {number}", "edits": [{"path": "value.txt", "content": f"{number}\n"}]}
                file.write(json.dumps(line) + "\n")
        (folder / "gap.yaml").write_text(CONFIG.format(candidates=candidates))
        command = [sys.executable, "-m", "orchestrator.cli", "run", "gap.yaml"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        gaps, overheads = _measure(folder / "runs/gap/journal.sqlite")
    found: dict[str, object] = {"gap_all_ms": quantiles([gap for _, gap in gaps])}
    for name, pairs in (("gap", gaps), ("worker_overhead", overheads)):
        early = quantiles([value for number, value in pairs if 2 <= number <= 60])
        late = quantiles([value for number, value in pairs if number >= candidates - 200])
        found |= {f"{name}_early_ms": early, f"{name}_late_ms": late}
        found[f"{name}_late_over_early_median"] = late["median"] / early["median"]
    claim = (
        f"gap between trials, 2 workers, early against behind {candidates - 200} candidates: median <= 100 ms, p95 <= 250 ms"
    )
    write("trial_gap", claim, found, {"gaps_ms": [[n, round(gap, 2)] for n, gap in gaps]})


def _measure(journal: Path) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """(candidates proposed by then, gap in ms) for each pair of trials in a row, and the overhead of each trial in ms."""
    ended_at: dict[str, float] = {}
    gaps, overheads = [], []
    newest = 0
    for entry in Journal.read_only(journal).entries():
        event = entry.event
        if isinstance(event, TrialStarted) and event.candidates:
            newest = max(newest, int(event.candidates[0][1:]))
        if isinstance(event, TrialEnded):
            before = ended_at.get(event.worker)
            if before is not None:
                gaps.append((newest, 1e3 * (event.started_at - before)))
            ended_at[event.worker] = event.ended_at
            overheads.append((newest, 1e3 * (event.wall_s - event.measured["wall_s"])))
    return gaps, overheads


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2200)
