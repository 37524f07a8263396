"""Proposals shift towards those whose candidates are kept, per dollar, and nobody is starved."""

from __future__ import annotations

import pytest
from llm_support import Night

from orchestrator.events import Verdict
from orchestrator.proposers.bandit import LEAST, WINDOW, accounts, recently, shares

EVEN = {"llm": 1.0, "knobs": 1.0}


def test_without_evidence_the_weights_decide() -> None:
    assert shares(Night().ledger, {"llm": 3.0, "knobs": 1.0}) == {"llm": 0.75, "knobs": 0.25}


def test_who_is_kept_more_often_gets_more() -> None:
    night = Night()
    for _ in range(10):
        night.keep("llm")
        night.decide(Verdict.DISCARD, 0.1, "knobs")
    found = shares(night.ledger, EVEN)
    assert found["llm"] > 0.6
    assert sum(found.values()) == pytest.approx(1.0)


def test_who_costs_more_for_the_same_gets_less() -> None:
    night = Night()
    for _ in range(20):
        night.decide(Verdict.DISCARD, 0.1, "llm", usd=1.0)
        night.decide(Verdict.DISCARD, 0.1, "knobs")
    assert shares(night.ledger, EVEN)["llm"] < 0.4


def test_nobody_is_starved() -> None:
    night = Night()
    for _ in range(60):
        night.decide(Verdict.DISCARD, 0.1, "llm", usd=50.0)
        night.keep("knobs")
    assert shares(night.ledger, EVEN)["llm"] >= LEAST / 2


def test_a_lucky_start_decides_little() -> None:
    night = Night()
    night.keep("llm")
    assert 0.5 < shares(night.ledger, EVEN)["llm"] < 0.7


def test_accounts_hold_dollars_of_models_and_of_trials() -> None:
    night = Night()
    night.keep("llm", usd=0.5)
    night.propose("llm", usd=0.25)
    account = accounts(night.ledger, usd_per_gpu_hour=12.0)["llm"]
    assert (account.candidates, account.decided, account.kept, account.usd) == (2, 1, 1, 0.75)
    assert account.trial_usd == pytest.approx(1.0)  # 300 s of one GPU


def test_turns_are_counted_over_the_latest_proposals() -> None:
    night = Night()
    for _ in range(WINDOW + 10):
        night.propose("llm")
    night.propose("knobs")
    assert recently(night.ledger) == {"llm": WINDOW - 1, "knobs": 1}
