"""Do GPUs wait for proposals? And does a prompt stay cheap and short however long the night?

Real Ray, eight workers, real litellm over real HTTP to a scripted model on loopback. A proposal takes 60 s and a trial 300 s,
both divided by the same factor. A worker is idle for want of a proposal while it has no trial, no candidate waits for one, and
the campaign has neither ended nor just begun (from the moment the last worker joined and the first proposal arrived). The
prompt is built for a ledger of 5,000 candidates; a notebook is measured where it is made.

    python benchmarks/proposals.py [factor, default 30] [candidates, default 120]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from llm_support import Night, desk_of  # noqa: E402
from record import command_target, quantiles, write  # noqa: E402
from scripted_model import Reply, Say, ScriptedModel, candidate  # noqa: E402

from orchestrator.events import Verdict  # noqa: E402
from orchestrator.journal import Journal  # noqa: E402
from orchestrator.ledger import CandidateState, Ledger  # noqa: E402
from orchestrator.proposers.llm import prompts  # noqa: E402
from orchestrator.proposers.llm.strategy import choose  # noqa: E402

WORKERS = 8
PROPOSAL_S, TRIAL_S = 60.0, 300.0
MEASURE = """
import os, random, time
from values import VALUES
time.sleep({trial_s})
print(f"METRIC loss={{10 + sum(VALUES) + random.Random(int(os.environ['REGATTA_SEED'])).gauss(0, 0.05)}}")
"""
REGATTA = [sys.executable, "-m", "orchestrator.cli"]


def main(factor: float, candidates: int) -> None:
    lives = _night(factor, candidates)
    small, large = _prompts(50), _prompts(5000)
    found = {
        "workers": WORKERS,
        "proposal_s": PROPOSAL_S / factor,
        "trial_s": TRIAL_S / factor,
        **lives,
        "prompt_ms_at_5000_candidates": quantiles(large["ms"]),
        "prompt_characters_at_50_candidates": max(small["characters"]),
        "prompt_characters_at_5000_candidates": max(large["characters"]),
    }
    claim = "idle for want of a proposal < 1 %; a prompt at 5,000 candidates < 50 ms, its length bounded"
    write("proposals", claim, found, {"factor": factor, "prompt_ms": large["ms"]})


def _night(factor: float, candidates: int) -> dict[str, Any]:
    def script(_prompt: str, nth: int) -> Reply:
        return Say(
            candidate("values.py", "    0.0,", f"    0.0,\n    {(-1) ** nth * 0.001 * (nth + 1)},", f"idea {nth}"),
            delay_s=PROPOSAL_S / factor,
        )

    with tempfile.TemporaryDirectory(prefix="regatta-proposals-") as temporary, ScriptedModel(script) as model:
        folder = Path(temporary)
        values = "VALUES = (\n    0.0,\n)\n"
        command_target(folder / "target", {"measure.py": MEASURE.format(trial_s=TRIAL_S / factor), "values.py": values})
        price = {"input_per_mtok": 3.0, "output_per_mtok": 15.0}
        config = {
            "name": "night",
            "target": {"repo": "target", "editable": ["values.py"], "command": "python measure.py"},
            "objective": {"metric": "loss"},
            "proposers": [{"kind": "llm", "model": "openai/scripted", "api_base": model.url, "price": price}],
            "limits": {"candidates": candidates},
            "cluster": {"address": "local", "cpu_slots": WORKERS},
            "metrics": {"port": 0},
        }
        (folder / "night.yaml").write_text(json.dumps(config))
        environment = {**os.environ, "OPENAI_API_KEY": "none"}
        subprocess.run([*REGATTA, "run", "night.yaml"], cwd=folder, check=True, env=environment, stdout=subprocess.DEVNULL)
        return _idle(folder / "runs/night/journal.sqlite", len(model.requests))


def _idle(path: Path, requests: int) -> dict[str, Any]:
    """Worker-seconds of the night, by what its workers did."""
    ledger = Ledger("loss")
    journal = Journal.open(path)
    entries = list(journal.entries())
    journal.close()
    wanting = idle = total = 0.0
    before: float | None = None
    for entry in entries:
        begun = len(ledger.workers) == WORKERS and ledger.states[CandidateState.WAITING] + len(ledger.trials) > 0
        if before is not None and begun and ledger.candidates and ledger.limit is None:
            span, free = entry.at - before, len(ledger.free_workers())
            total += span * WORKERS
            idle += span * free
            wanting += span * free * (ledger.states[CandidateState.WAITING] == 0)
        ledger.apply(entry.event, entry.at)
        before = entry.at
    ahead = [c for c in ledger.candidates.values() if c.admitted is not None]
    return {
        "trials": len(ledger.trials),
        "candidates": len(ledger.candidates),
        "kept": len(ledger.champion.kept) if ledger.champion else 0,
        "requests": requests,
        "worker_s": total,
        "idle_share": idle / total,
        "idle_for_want_of_a_proposal_share": wanting / total,
        "admitted": len(ahead),
    }


def _prompts(candidates: int) -> dict[str, list[float]]:
    """How long it takes to choose a task and to write its prompt, in a ledger of so many candidates."""
    night = Night()
    for number in range(candidates):
        family, text = f"family {number % 7}", f"idea {number}: " + "a long description of what is changed " * 4
        more: dict[str, Any] = {"family": family, "description": text, "token": f"x{number:06d}.0.explore", "usd": 0.01}
        if number % 100 == 0:
            night.keep(**more)
        elif number % 10 == 0:
            night.crash("exit status 1: loss is nan", **more)
        elif number % 7 == 0:
            night.decide(Verdict.INCONCLUSIVE, -0.02, **more)
        else:
            night.decide(Verdict.DISCARD, 0.02, **more)
    texts = {"train.py": (ROOT / "nanotrain/train.py").read_text()}
    with tempfile.TemporaryDirectory() as folder:
        desk = desk_of(night, Path(folder), texts, notebook=lambda: "a line of the notebook\n" * 3000)
        took, characters = [], []
        for nth in range(60):
            began = time.perf_counter()
            choice = choose(night.ledger, "llm", minimize=True, wanted=9, nth=nth, seed=0)
            messages = prompts.messages(desk, choice, night.champion, texts)
            took.append(1000 * (time.perf_counter() - began))
            characters.append(float(sum(len(message.content) for message in messages)))
    return {"ms": took, "characters": characters}


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0, int(sys.argv[2]) if len(sys.argv) > 2 else 120)
