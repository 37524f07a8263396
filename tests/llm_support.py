"""A ledger told candidate by candidate, and a desk over it: what the `llm` proposer looks at, without git or GPUs."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator import events as ev
from orchestrator.config import Llm, parse_config
from orchestrator.edits import Edit
from orchestrator.events import Purpose, Verdict
from orchestrator.ledger import Ledger
from orchestrator.proposers.base import Brief, Delivery
from orchestrator.proposers.ideas import Steering
from orchestrator.proposers.llm.calls import Models, check
from orchestrator.proposers.llm.desk import Desk
from orchestrator.proposers.llm.money import Purse
from orchestrator.proposers.llm.proposer import LlmProposer
from orchestrator.proposers.redaction import Redaction
from orchestrator.scope import Scope
from orchestrator.tournament import limits
from orchestrator.tournament.settings import Prices
from workers.trial import Outcome

BASE = "b" * 40
KEY = "sk-scripted-key-of-the-tests-31337"
TEXTS = {"train.py": "LR = 0.1\nDEPTH = 4\nWIDTH = 64\n"}
CONFIG = """
name: night
target: {repo: target, editable: [train.py], command: python measure.py, runner: command}
objective: {metric: loss, constraints: {peak_vram_mb: {max: 75000}}}
proposers: [{kind: llm, model: openai/scripted, api_base: 'http://127.0.0.1:9/v1'}]
limits: {candidates: 1000, usd: %s}
"""


def evidence(effect: float, stderr: float = 0.01) -> ev.Evidence:
    return ev.Evidence(1 + effect, 4, 1.0, 4, effect, stderr, 0.01, 9, 1.0, 400.0, 0.5, 0.02, "calibrated")


@dataclass
class Night:
    """Tell one candidate after another."""

    ledger: Ledger = field(default_factory=lambda: Ledger("loss"))
    at: float = 0.0

    def __post_init__(self) -> None:
        self.tell(ev.CampaignOpened("night", BASE, "target", "command", 0, 100))
        self.tell(ev.HeadStarted(1, "here", 0, "none"))
        self.tell(ev.WorkerChanged("w0", "n", "d", ev.WorkerState.IDLE))

    def tell(self, event: ev.Event) -> None:
        self.at += 1.0
        self.ledger.apply(event, self.at)

    def propose(self, proposer: str = "llm", **more: Any) -> str:
        """A candidate that the gates have passed."""
        name = f"c{len(self.ledger.candidates) + 1:04d}"
        edits = (Edit("train.py", search="LR = 0.1", replace="LR = 0.2"),)
        self.tell(ev.Proposed(name, proposer, more.pop("description", f"idea {name}"), edits, **more))
        self.tell(ev.Admitted(name, name * 8, self.champion, 2, f"syntax {name}"))
        return name

    @property
    def champion(self) -> str:
        assert self.ledger.champion is not None
        return self.ledger.champion.commit

    def trial(self, name: str, value: float | None, outcome: Outcome = Outcome.OK, reason: str | None = None) -> None:
        trial = f"t{len(self.ledger.trials) + 1:06d}"
        self.tell(ev.TrialStarted(trial, Purpose.RACE, name * 8, (name,), 1, "w0", 1.0))
        measured = {} if value is None else {"loss": value}
        self.tell(ev.TrialEnded(trial, 1, outcome, reason, measured, {}, 300.0, None, "w0", "d", 0.0, 300.0, "f"))

    def crash(self, reason: str, proposer: str = "llm", **more: Any) -> str:
        name = self.propose(proposer, **more)
        self.trial(name, None, Outcome.CRASH, reason)
        self.tell(ev.CandidateDecided(name, Verdict.CRASH, reason))
        return name

    def decide(self, verdict: Verdict, effect: float, proposer: str = "llm", **more: Any) -> str:
        name = self.propose(proposer, **more)
        self.trial(name, 1 + effect)
        self.tell(ev.CandidateDecided(name, verdict, "said so", evidence(effect)))
        return name

    def keep(self, proposer: str = "llm", **more: Any) -> str:
        name = self.decide(Verdict.WON, -0.1, proposer, **more)
        stack, tip = f"s{name}", f"tip{name}" * 5
        self.tell(ev.StackBuilt(stack, self.champion, tip, (name,), (tip,)))
        self.tell(ev.StackDecided(stack, True, "won", evidence(-0.1)))
        self.tell(ev.ChampionMoved(f"champion {name}", self.champion, (name,), (tip,), 0.9, 0.01, 2, stack))
        return name

    def conflict(self, proposer: str = "llm", **more: Any) -> str:
        name = self.propose(proposer, **more)
        self.tell(ev.Conflicted(name, self.champion, "its search text is gone"))
        return name


def desk_of(night: Night, folder: Path, texts: dict[str, str] | None = None, usd: float | None = None, **more: Any) -> Desk:
    texts = TEXTS if texts is None else texts
    config = parse_config(CONFIG % ("null" if usd is None else usd), "test")
    given: dict[str, Any] = {
        "config": config,
        "ledger": night.ledger,
        "scope": Scope(("train.py", "*.py", "docs/*"), frozenset({"prepare.py"})),
        "files": lambda commit: (*texts, "prepare.py"),
        "read": lambda commit, path: texts.get(path),
        "exchanges": folder / "exchanges",
        "steering": Steering([folder], "the committed program"),
        "purse": Purse(usd, lambda: limits.usd(night.ledger, Prices())),
        "notebook": lambda: "the notebook",
        "log_tail": lambda name: "",
    }
    return Desk(**{**given, **more})


class Deliveries:
    """The campaign's end of a proposer: what it delivers, and its candidates into the ledger."""

    def __init__(self, night: Night, proposer: LlmProposer) -> None:
        self.night = night
        self.proposer = proposer
        self.arrivals: queue.SimpleQueue[Delivery] = queue.SimpleQueue()

    def begin(self) -> int:
        return self.proposer.begin(self.arrivals.put)

    def request(self, wanted: int = 1) -> int:
        return self.proposer.request(Brief(self.night.champion, TEXTS.get, tuple(TEXTS), (), 0, wanted=wanted))

    def next(self, *, record: bool = True) -> Delivery:
        found = self.arrivals.get(timeout=60)
        if record:
            for each in found.proposals:
                of = getattr(each, "stands_for", each)
                name = f"c{len(self.night.ledger.candidates) + 1:04d}"
                self.night.tell(
                    ev.Proposed(
                        name, found.proposer, of.description, of.edits, of.parents, of.token, of.usd, of.against, of.model,
                        of.family, of.expected_effect,
                    )
                )  # fmt: skip
        self.proposer.taken(found)
        return found


def proposer_of(url: str, desk: Desk, **more: Any) -> LlmProposer:
    given = {"model": "openai/scripted", "price": {"input_per_mtok": 10.0, "output_per_mtok": 20.0}, "retries": 0}
    entry = Llm.model_validate({"kind": "llm", "api_base": url, "backoff_s": 0.05, **given, **more})
    redaction = Redaction({"OPENAI_API_KEY": KEY})
    checked = check(entry, "proposers[0]", {"OPENAI_API_KEY": KEY})
    make: Callable[[], Models] = lambda: Models(entry, checked.prices, redaction)  # noqa: E731
    made = LlmProposer(entry, name="llm", seed=0, caller=make, prices=checked.prices, redaction=redaction)
    made.attach(desk)
    return made
