"""A ledger told event by event, in as few words as a test needs. Used by tests only."""

from __future__ import annotations

from orchestrator import events as ev
from orchestrator.edits import Edit
from orchestrator.events import Purpose, Verdict, WorkerState
from orchestrator.ledger import Ledger
from workers.trial import Outcome

BASE = "base"


class Story:
    """Starts with an open campaign, a head and `workers` idle workers."""

    def __init__(self, workers: int = 1) -> None:
        self.ledger = Ledger("m")
        self.now = 0.0
        self.tell(ev.CampaignOpened("story", BASE, "nowhere", "command", 0, 20))
        self.tell(ev.HeadStarted(1, "here", 0, "none"))
        for i in range(workers):
            self.worker(f"w{i}")

    def tell(self, event: ev.Event) -> Story:
        self.ledger.apply(event, self.now)
        return self

    def worker(self, name: str, state: WorkerState = WorkerState.IDLE) -> Story:
        return self.tell(ev.WorkerChanged(name, "here", "virtual", state))

    def candidate(self, name: str, base: str = BASE, usd: float = 0.0) -> str:
        """Proposed and admitted; its commit."""
        self.tell(ev.Proposed(name, "replay", name, (Edit("x", content=name),), usd=usd))
        commit = f"{name}@{base}"
        self.tell(ev.Admitted(name, commit, base, 1, commit))
        return commit

    def start(
        self,
        commit: str,
        *names: str,
        purpose: Purpose = Purpose.RACE,
        worker: str = "w0",
        seed: int = 0,
        gpus: float = 0.0,
        stack: str | None = None,
    ) -> str:
        trial = f"t{len(self.ledger.trials) + 1:06d}"
        self.tell(ev.TrialStarted(trial, purpose, commit, names, seed, worker, gpus, stack))
        return trial

    def end(
        self,
        trial: str,
        value: float | None = None,
        outcome: Outcome = Outcome.OK,
        wall_s: float = 1.0,
        energy_j: float | None = None,
        **metrics: float,
    ) -> Story:
        measured = {"m": value, **metrics} if value is not None else {}
        reason = None if outcome is Outcome.OK else f"because {outcome}"
        open_trial = self.ledger.open_trials[trial]
        return self.tell(
            ev.TrialEnded(
                trial, open_trial.attempt, outcome, reason, measured, {}, wall_s, energy_j,
                open_trial.worker, "virtual", 0.0, 1.0, "f",
            )
        )  # fmt: skip

    def measure(self, commit: str, *values: float, names: tuple[str, ...] = (), purpose: Purpose = Purpose.RACE) -> Story:
        """One ended trial a value."""
        for value in values:
            self.end(self.start(commit, *names, purpose=purpose), value)
        return self

    def baseline(self, *values: float) -> Story:
        return self.measure(BASE, *values, purpose=Purpose.BASELINE)

    def wins(self, name: str) -> Story:
        """`name` won its race (without numbers)."""
        return self.tell(ev.CandidateDecided(name, Verdict.WON, "better"))

    def stack(self, name: str, *candidates: str, base: str = BASE) -> str:
        below = tuple(f"{name}-{each}" for each in candidates[:-1])
        self.tell(ev.StackBuilt(name, base, name, candidates, (*below, name)))
        return name

    def keeps(self, name: str, champion: str) -> Story:
        """The open stack's final is won and the champion moves."""
        built = self.ledger.stacks[name].built
        self.tell(ev.StackDecided(name, True, "better"))
        samples = self.ledger.samples(name)
        kept = built.candidates
        return self.tell(ev.ChampionMoved(champion, built.base, kept, (champion,), samples.mean, None, samples.n, name))
