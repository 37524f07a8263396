"""Campaigns to take notes of, told in few words. Used by tests only."""

from __future__ import annotations

from orchestrator import events as ev
from orchestrator.edits import Edit
from orchestrator.events import Evidence, Purpose, Verdict
from orchestrator.ledger import Ledger
from workers.trial import Outcome


class Night:
    """A ledger that is told what became of candidates, one after another."""

    def __init__(self, name: str = "night", baseline: tuple[float, ...] = (1.0, 1.002, 0.998, 1.0)) -> None:
        self.ledger = Ledger("loss")
        self.events: list[tuple[ev.Event, float]] = []
        self.tell(ev.CampaignOpened(name, "base", "here", "train", 0, 10), ev.HeadStarted(1, "host", 0, "none"))
        for value in baseline:
            self.trial("base", (), value, purpose=Purpose.BASELINE)

    def tell(self, *events: ev.Event) -> None:
        for event in events:
            self.events.append((event, float(len(self.events))))
            self.ledger.apply(*self.events[-1])

    def retold(self) -> Ledger:
        """The same journal, read by a fresh process."""
        ledger = Ledger("loss")
        for event, at in self.events:
            ledger.apply(event, at)
        return ledger

    def trial(
        self,
        commit: str,
        names: tuple[str, ...],
        value: float | None,
        *,
        purpose: Purpose = Purpose.RACE,
        outcome: Outcome = Outcome.CRASH,
        reason: str | None = None,
        measured: dict[str, float] | None = None,
    ) -> str:
        trial = f"t{len(self.ledger.trials) + 1:06d}"
        found = measured or {}
        if value is not None:
            outcome, found = Outcome.OK, {"loss": value}
        self.tell(ev.TrialStarted(trial, purpose, commit, names, 1, "w0"))
        self.tell(ev.TrialEnded(trial, 1, outcome, reason, found, {}, 1.0, None, "w0", "gpu", 0.0, 1.0, "f"))
        return trial

    def proposed(
        self,
        description: str = "an idea",
        *,
        by: str = "llm",
        family: str | None = None,
        expected: float | None = None,
        model: str | None = None,
        edits: tuple[Edit, ...] = (Edit("train.py", search="LR = 1\n", replace="LR = 2\n"),),
        admitted: bool = True,
    ) -> str:
        name = f"c{len(self.ledger.candidates) + 1:04d}"
        self.tell(ev.Proposed(name, by, description, edits, model=model, family=family, expected_effect=expected))
        if admitted:
            assert self.ledger.champion is not None
            base = self.ledger.champion.commit
            self.tell(ev.Admitted(name, f"{name}@{base}", base, 2, name))
        return name

    def refused(self, description: str = "an idea", reason: str = "train.py: out of scope", gate: str = "scope") -> str:
        name = self.proposed(description, admitted=False)
        self.tell(ev.Rejected(name, gate, reason))
        return name

    def raced(self, name: str, verdict: Verdict, effect: float, p_null: float = 0.5, reason: str = "as measured") -> str:
        self.trial(self.ledger.candidates[name].commit or "", (name,), 1 + effect)
        evidence = Evidence(1 + effect, 2, 1.0, 4, effect, 0.001, 0.002, 9, 1.0, 400.0, p_null, 0.02, "calibrated")
        self.tell(ev.CandidateDecided(name, verdict, reason, evidence))
        return name

    def kept(self, name: str, effect: float) -> str:
        self.raced(name, Verdict.WON, effect)
        assert self.ledger.champion is not None
        base, tip = self.ledger.champion.commit, f"tip-{name}"
        self.tell(ev.StackBuilt(f"s-{name}", base, tip, (name,), (tip,)))
        self.trial(tip, (name,), 1 + effect, purpose=Purpose.FINAL)
        self.tell(ev.StackDecided(f"s-{name}", True, "yes", self.ledger.candidates[name].evidence))
        self.tell(ev.ChampionMoved(f"champion-{name}", base, (name,), (tip,), 1 + effect, None, 1, f"s-{name}"))
        return name

    def crashed(self, name: str, reason: str = "exit status 1: NameError", *, submitted: bool = False) -> str:
        """Its trial."""
        measured = {"checkpoint_mb": 1.0, "training_seconds": 3.0} if submitted else {"setup_seconds": 1.0}
        trial = self.trial(self.ledger.candidates[name].commit or "", (name,), None, reason=reason, measured=measured)
        self.tell(ev.CandidateDecided(name, Verdict.CRASH, reason))
        return trial

    def violated(self, name: str, reason: str = "clock: late") -> None:
        commit = self.ledger.candidates[name].commit or ""
        self.trial(commit, (name,), None, outcome=Outcome.VIOLATION, reason=reason)
        self.tell(ev.CandidateDecided(name, Verdict.VIOLATION, reason))


def eventful() -> Night:
    """One candidate of every fate."""
    night = Night()
    night.kept(night.proposed("a larger step", family="optimiser", expected=-0.01), -0.02)
    night.raced(night.proposed("a smaller one", family="Optimizer ", expected=-0.01), Verdict.DISCARD, 0.01)
    night.raced(night.proposed("a longer warm-up", family="schedule"), Verdict.INCONCLUSIVE, -0.002, p_null=0.12)
    night.raced(night.proposed("no warm-up", by="knobs"), Verdict.INCONCLUSIVE, 0.001)
    night.crashed(night.proposed("attention without heads", family="architecture"))
    night.violated(night.proposed("train a little longer"))
    night.refused("another prepare.py", "prepare.py: out of scope; editable: train.py")
    night.tell(ev.Conflicted(night.proposed("the same place"), "champion-c0001", "train.py: the champion has changed it"))
    night.proposed("still running")
    return night
