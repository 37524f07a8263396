"""What each proposer, model and family has cost and brought."""

from __future__ import annotations

from pathlib import Path

import pytest
from llm_support import Night

from orchestrator.earnings import by_family, by_model
from orchestrator.events import Verdict
from orchestrator.proposers.llm.record import Exchanges, Reply, Task, tokens_used


def test_each_model_has_its_own_line_with_dollars_a_keep() -> None:
    night = Night()
    night.keep(model="big", usd=0.5)
    night.decide(Verdict.DISCARD, 0.1, model="big", usd=0.25)
    night.decide(Verdict.DISCARD, 0.1, model="small", usd=0.01)
    night.decide(Verdict.DISCARD, 0.1, "knobs")
    big, small, knobs = by_model(night.ledger, {("llm", "big"): (1000, 500)})
    assert (big.model, big.candidates, big.kept, big.usd, big.usd_per_kept) == ("big", 2, 1, 0.75, 0.75)
    assert (big.prompt_tokens, big.completion_tokens) == (1000, 500)
    assert (small.model, small.usd_per_kept, small.prompt_tokens) == ("small", None, None)
    assert (knobs.name, knobs.model, knobs.usd) == ("knobs", None, 0.0)


def test_families_are_counted_the_largest_first() -> None:
    night = Night()
    for family in ("schedule", "schedule", "data", None):
        night.decide(Verdict.DISCARD, 0.1, family=family, usd=0.1)
    assert [(each.name, each.candidates) for each in by_family(night.ledger)] == [("schedule", 2), ("data", 1)]


def test_tokens_add_up_over_every_answer(tmp_path: Path) -> None:
    for proposer in ("llm", "llm-2"):
        exchanges = Exchanges(tmp_path / proposer)
        for _ in range(2):
            exchange = exchanges.new()
            exchange.begin(Task("explore", "c"))
            exchange.answer(1, Reply("x", "big", 100, 50, 0.1, 1.0))
            exchange.answer(2, Reply("x", "big", 100, 50, 0.0, 1.0), played=True)
    with (tmp_path / "llm/usage.jsonl").open("ab") as file:
        file.write(b'{"model": "big", "se')
    assert tokens_used(tmp_path) == {("llm", "big"): (200, 100), ("llm-2", "big"): (200, 100)}
    assert tokens_used(tmp_path / "none") == {}


def test_dollars_are_those_of_the_journal() -> None:
    night = Night()
    night.propose(usd=0.125)
    night.propose(usd=0.25)
    assert sum(each.usd for each in by_model(night.ledger)) == pytest.approx(night.ledger.proposer_usd)
