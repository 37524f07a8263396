"""A scripted campaign with one candidate of every fate, and hostile texts; and any list of events as a run directory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestrator import events as ev
from orchestrator.config import dump_config, parse_config
from orchestrator.edits import Edit
from orchestrator.events import Purpose, Verdict, WorkerState
from orchestrator.journal import Journal
from orchestrator.run_directory import RunDirectory
from workers.trial import Outcome

HOSTILE = '<script>alert(1)</script>\x1b[31mred\x1b[0m\x1b]0;title\x07\ttab\nnewline \u202eesrever & "quoted"'
HOSTILE += "\x9b2J\x1b]52;c;cm0gLXJm\x07[/] [bold]x[/bold] $\\frac{ \U000e0049\U000e0047\u200b\nCandidate: c9999\n| [end]"
CONFIG = """
name: eventful
target: {repo: nanotrain, editable: [train.py], runner: train}
objective: {metric: val_bpb}
proposers: [{kind: replay, path: proposals.jsonl}]
limits: {trials: 100, hours: 8}
prices: {usd_per_gpu_hour: 2.0, usd_per_kwh: 0.5}
"""


def commit_id(name: str) -> str:
    return hashlib.sha1(name.encode()).hexdigest()


BASE = commit_id("base")


def write_run(path: Path, told: Iterable[tuple[float, ev.Event]], config: str = CONFIG) -> RunDirectory:
    """A run directory whose journal holds these events."""
    with RunDirectory.creating(path) as draft:
        draft.config.write_text(dump_config(parse_config(config, "test")))
        journal = Journal.create(draft.journal)
        journal._connection.execute("PRAGMA synchronous = OFF")
        journal._connection.execute("BEGIN")
        for at, event in told:
            journal.append(event, at)
        journal._connection.execute("COMMIT")
        journal.close()
    return RunDirectory.existing(path)


def evidence(
    effect: float, stderr: float = 0.004, samples: int = 4, rule: str = "calibrated", e_value: float = 12_300.0
) -> ev.Evidence:
    final = rule == "final"
    return ev.Evidence(
        mean=1.6 + effect,
        samples=samples,
        reference_mean=1.6,
        reference_samples=4,
        effect=effect,
        stderr=stderr,
        noise_sd=0.006,
        noise_df=9,
        e_value=e_value,
        e_value_needed=None if final else 400.0,
        p_null=0.0004,
        p_null_allowed=None if final else 0.025,
        rule=rule,
    )


class EventfulRun:
    """Tell events one after another; `write` makes the run directory."""

    START = 1_790_000_000.0

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at = self.START
        self.told: list[tuple[float, ev.Event]] = []
        self.trials = 0

    def tell(self, event: ev.Event) -> None:
        self.at += 1.0
        self.told.append((self.at, event))

    def propose(
        self, name: str, description: str, *, admitted: bool = True, usd: float = 0.0, model: str | None = None
    ) -> None:
        edits = (Edit("train.py", search="LR = 0.02", replace="LR = 0.04"),)
        self.tell(ev.Proposed(name, "replay" if model is None else "llm", description, edits, usd=usd, model=model))
        if admitted:
            self.tell(ev.Admitted(name, commit_id(name), BASE, 2, f"syntax {name}"))

    def trial(
        self,
        purpose: Purpose,
        commit: str,
        candidates: Sequence[str] = (),
        value: float | None = None,
        *,
        outcome: Outcome = Outcome.OK,
        reason: str | None = None,
        stack: str | None = None,
        end: bool = True,
    ) -> str:
        self.trials += 1
        name = f"t{self.trials:06d}"
        worker = f"w{self.trials % 2}"
        self.tell(ev.TrialStarted(name, purpose, commit, tuple(candidates), 1000 + self.trials, worker, 1.0, stack))
        if end:
            began, self.at = self.at, self.at + 300.0
            measured = {} if value is None else {"val_bpb": value, "peak_vram_mb": 2048.0}
            self.tell(
                ev.TrialEnded(
                    name,
                    1,
                    outcome,
                    reason,
                    measured,
                    {"loss": 2.5},
                    300.0,
                    36_000.0,
                    worker,
                    "NVIDIA H100",
                    began,
                    self.at,
                    "f00d",
                )
            )
        return name

    def race(self, name: str, *values: float) -> None:
        for value in values:
            self.trial(Purpose.RACE, commit_id(name), (name,), value)

    def keep(self, name: str, value: float) -> None:
        """Its final, and the champion's move."""
        tip, stack = commit_id(f"stack {name}"), f"s-{name}"
        self.tell(ev.StackBuilt(stack, BASE, tip, (name,), (tip,)))
        for _ in range(2):
            self.trial(Purpose.FINAL, tip, (name,), value, stack=stack)
        self.tell(ev.StackDecided(stack, True, "-0.0300 ± 0.004 over 2 trials", evidence(-0.03, samples=2, rule="final")))
        moved = commit_id(f"champion {name}")
        self.tell(ev.ChampionMoved(moved, BASE, (name,), (moved,), value, 0.004, 2, stack))

    def open(self, sandbox: str = "none") -> None:
        self.tell(ev.CampaignOpened("eventful", BASE, "nanotrain", "train", 0, 100))
        self.tell(ev.HeadStarted(4242, "here", 9464, sandbox))
        for worker in ("w0", "w1", "w2", "w3"):
            self.tell(ev.WorkerChanged(worker, "node-1", "NVIDIA H100", WorkerState.IDLE))
        self.tell(ev.WorkerChanged("w2", "node-1", "NVIDIA H100", WorkerState.LOST, "its process died"))
        self.tell(ev.WorkerChanged("w3", "node-1", "NVIDIA L4", WorkerState.SET_ASIDE, "another device"))
        for value in (1.594, 1.606, 1.599, 1.601):
            self.trial(Purpose.BASELINE, BASE, (), value)

    def everything(self) -> None:
        self.open()
        self.propose("c0001", "MATRIX_LR 0.02 → 0.04", usd=0.01)
        self.race("c0001", 1.571, 1.566, 1.574, 1.569)
        self.tell(ev.CandidateDecided("c0001", Verdict.WON, "better: -0.03 ± 0.004 over 4 trials", evidence(-0.03)))
        self.propose("c0002", HOSTILE)
        self.race("c0002", 1.62)
        self.tell(ev.CandidateDecided("c0002", Verdict.DISCARD, "not better: +0.02", evidence(0.02, samples=1, e_value=0.01)))
        self.propose("c0003", "outside its scope", admitted=False)
        self.tell(ev.Rejected("c0003", "scope", f"prepare.py is sealed {HOSTILE}"))
        self.propose("c0004", "divide by zero")
        self.trial(Purpose.RACE, commit_id("c0004"), ("c0004",), outcome=Outcome.CRASH, reason=f"exit status 1: {HOSTILE}")
        self.tell(ev.CandidateDecided("c0004", Verdict.CRASH, f"exit status 1: {HOSTILE}"))
        self.propose("c0005", "train longer than allowed")
        self.trial(Purpose.RACE, commit_id("c0005"), ("c0005",), outcome=Outcome.VIOLATION, reason="trained 312 s of 300 s")
        self.tell(ev.CandidateDecided("c0005", Verdict.VIOLATION, "trained 312 s of 300 s"))
        self.propose("c0006", "a near miss")
        self.trial(Purpose.RACE, commit_id("c0006"), ("c0006",), outcome=Outcome.INFRA, reason="node died")
        self.race("c0006", 1.592, 1.595)
        self.tell(ev.CandidateDecided("c0006", Verdict.INCONCLUSIVE, "near miss", evidence(-0.0065, samples=2, e_value=3.2)))
        self.propose("c0007", "clashes")
        self.keep("c0001", 1.57)
        self.tell(ev.Conflicted("c0007", commit_id("champion c0001"), "its search text is gone"))
        self.propose("c0008", "takes too long")
        self.trial(Purpose.RACE, commit_id("c0008"), ("c0008",), outcome=Outcome.TIMEOUT, reason="ran past 900 s")
        self.tell(ev.CandidateDecided("c0008", Verdict.CRASH, "ran past 900 s"))
        self.tell(ev.Note("port 9464 was taken", "warning"))
        self.propose("c0009", "still running")
        self.trial(Purpose.RACE, commit_id("c0009"), ("c0009",), end=False)

    def write(self) -> RunDirectory:
        self.everything()
        return write_run(self.path, self.told)


def nearly(left: float | None, right: float) -> bool:
    return left is not None and math.isclose(left, right, rel_tol=1e-9)
