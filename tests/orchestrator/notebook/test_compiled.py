"""What the compiler made of kernels stands in the notebook of a kernel campaign, and of no other."""

from __future__ import annotations

from orchestrator import events as ev
from orchestrator.events import Purpose
from orchestrator.ledger import Ledger
from orchestrator.notebook.compiled import compiled_entries
from workers.trial import Outcome

BASE = "b" * 40


def ledger(runner: str, outcome: Outcome = Outcome.OK) -> Ledger:
    found = Ledger("static_cost")
    found.apply(ev.CampaignOpened("night", BASE, "kernels/matmul", runner, 0, 10), 0.0)
    found.apply(ev.WorkerChanged("w0", "n", "CPU", ev.WorkerState.IDLE), 1.0)
    found.apply(ev.TrialStarted("t000001", Purpose.BASELINE, BASE, (), 1, "w0", 0.0), 2.0)
    metrics = {"static_cost": 12.5, "registers": 184.0, "spill_bytes": 16.0, "shared_bytes": 98304.0, "instructions": 900.0}
    ended = ev.TrialEnded("t000001", 1, outcome, None, metrics, {}, 3.0, None, "w0", "CPU", 2.0, 5.0, "f")
    found.apply(ended, 5.0)
    return found


def test_the_starters_registers_and_spills_are_told() -> None:
    ((line,),) = compiled_entries(ledger("kernel"))
    assert line == (
        "- the starter: static_cost 12.5, 184 registers, 16 bytes spilt, 98304 bytes of shared memory, 900 instructions"
    )


def test_what_did_not_come_to_an_end_is_not_told() -> None:
    assert list(compiled_entries(ledger("kernel", Outcome.CRASH))) == []


def test_other_campaigns_have_nothing_compiled() -> None:
    assert list(compiled_entries(ledger("command"))) == []
