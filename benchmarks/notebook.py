"""What the notebook costs a head with 5,000 candidates: the time of one digest, and its size whatever the history.

The ledger is real, the campaign in it made up: every fate, 40 families, three proposers with expectations, logs of 8 KiB. Each
digest is timed twice: of a head that goes on (`digest`, as for every proposal), and of a fresh process's first
(`first_digest`). Folding the journal is not in it: `journal.py` measures that.

    python benchmarks/notebook.py [candidates, default 5000]
"""

from __future__ import annotations

import random
import sys
import time

from record import quantiles, write

from orchestrator import events as ev
from orchestrator.edits import Edit
from orchestrator.events import Purpose, Verdict
from orchestrator.ledger import Ledger
from orchestrator.notebook import Notebook, tokens
from workers.trial import Outcome

REPEATS = 50
BUDGETS = (200, 2_000, 6_000, 20_000)
KNOBS = tuple(f"KNOB_{n}" for n in range(100))
LOG = "".join(f"step {n:05d} loss {3 + 1 / (n + 1):.4f}\n" for n in range(330)) + "Traceback:\nRuntimeError: a shape\n"


def main(candidates: int) -> None:
    ledger = played(candidates)
    goes_on = Notebook(ledger)
    goes_on.digest(most_tokens=6_000, log_tail=lambda _: LOG, knobs=KNOBS)
    first = [_timed(Notebook(ledger), 6_000)[0] for _ in range(REPEATS)]
    again = {budget: [_timed(goes_on, budget) for _ in range(REPEATS)] for budget in BUDGETS}
    sizes = {
        count: tokens(Notebook(played(count)).digest(most_tokens=6_000, log_tail=lambda _: LOG, knobs=KNOBS))
        for count in (0, 10, 100, 1_000, candidates)
    }
    found = {
        "candidates": candidates,
        "first_digest_ms": quantiles(first),
        "digest_ms": {budget: quantiles([ms for ms, _ in timed]) for budget, timed in again.items()},
        "tokens": {budget: timed[0][1] for budget, timed in again.items()},
        "tokens_of_a_budget_of_6000_by_candidates": sizes,
    }
    raw = {"first_digest_ms": first, "digest_ms": {budget: [ms for ms, _ in timed] for budget, timed in again.items()}}
    write("notebook", "a digest of 5,000 candidates < 50 ms, its size bounded whatever the history", found, raw)


def _timed(notebook: Notebook, budget: int) -> tuple[float, int]:
    began = time.perf_counter()
    text = notebook.digest(most_tokens=budget, log_tail=lambda _: LOG, knobs=KNOBS)
    return (time.perf_counter() - began) * 1e3, tokens(text)


def played(candidates: int) -> Ledger:
    """The ledger of a campaign in which every third fate comes up, and one candidate of 25 is kept."""
    ledger, rng = Ledger("val_bpb"), random.Random(0)
    tell = _Teller(ledger)
    tell(ev.CampaignOpened("a long night", "base", "nanotrain", "train", 0, candidates), ev.HeadStarted(1, "h", 0, "none"))
    for value in (1.0, 1.001, 0.999, 1.0):
        tell.trial(Purpose.BASELINE, "base", (), value)
    for number in range(1, candidates + 1):
        _candidate(tell, rng, number)
    return ledger


def _candidate(tell: _Teller, rng: random.Random, number: int) -> None:
    name, champion = f"c{number:04d}", tell.ledger.champion
    assert champion is not None
    knob = f"KNOB_{number % 90}"
    edits = (Edit("train.py", search=f"{knob} = {number}\n", replace=f"{knob} = {number + 1}\n"),)
    text = (
        f"{knob} from {number} to {number + 1}: the schedule seems too short for this width; a longer one should help the tail"
    )
    by, expected = rng.choice([("knobs", None), ("llm", rng.gauss(-0.003, 0.001)), ("other", rng.gauss(-0.01, 0.01))])
    family = None if by == "knobs" else f"family {number % 40}"
    tell(ev.Proposed(name, by, text, edits, model=None, family=family, expected_effect=expected))
    if number % 11 == 0:
        tell(ev.Rejected(name, "duplicate", f"comes to the same program as c{number - 7:04d}"))
        return
    base = champion.commit
    tell(ev.Admitted(name, f"{name}@{base}", base, 2, name, name))
    if number % 13 == 0:
        tell.trial(Purpose.RACE, f"{name}@{base}", (name,), None)
        tell(ev.CandidateDecided(name, Verdict.CRASH, f"exit status 1: RuntimeError: shape {number} in {knob}"))
        return
    effect = rng.gauss(0.002, 0.003)
    tell.trial(Purpose.RACE, f"{name}@{base}", (name,), 1 + effect)
    verdict = Verdict.WON if number % 25 == 0 else Verdict.INCONCLUSIVE if number % 5 == 0 else Verdict.DISCARD
    evidence = ev.Evidence(1 + effect, 2, 1.0, 4, effect, 0.0007, 0.001, 99, 1.0, 1e4, rng.random(), 0.02, "calibrated")
    tell(ev.CandidateDecided(name, verdict, "as measured", evidence))
    if verdict is Verdict.WON:
        tip = f"tip-{name}"
        tell(ev.StackBuilt(f"s-{name}", base, tip, (name,), (tip,)))
        tell.trial(Purpose.FINAL, tip, (name,), 1 + effect)
        tell(ev.StackDecided(f"s-{name}", True, "yes", evidence))
        tell(ev.ChampionMoved(f"champion-{name}", base, (name,), (f"champion-{name}",), 1 + effect, None, 1, f"s-{name}"))


class _Teller:
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._at = 0.0

    def __call__(self, *events: ev.Event) -> None:
        for event in events:
            self._at += 1.0
            self.ledger.apply(event, self._at)

    def trial(self, purpose: Purpose, commit: str, names: tuple[str, ...], value: float | None) -> None:
        trial = f"t{len(self.ledger.trials) + 1:06d}"
        outcome = Outcome.CRASH if value is None else Outcome.OK
        measured = {} if value is None else {"val_bpb": value}
        self(ev.TrialStarted(trial, purpose, commit, names, 1, "w0"))
        self(ev.TrialEnded(trial, 1, outcome, None, measured, {}, 300.0, None, "w0", "gpu", 0.0, 300.0, "f"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
