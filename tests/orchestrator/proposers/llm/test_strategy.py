"""What kind of idea is asked for, by what the campaign has learnt."""

from __future__ import annotations

from collections import Counter

import pytest
from llm_support import Night

from orchestrator.events import Verdict
from orchestrator.proposers.llm.strategy import Choice, Kind, best_family, choose, is_slip, near_misses


def chosen(night: Night, nth: int = 1, **more: object) -> Choice:
    return choose(night.ledger, "llm", minimize=True, wanted=5, nth=nth, seed=0, **more)  # type: ignore[arg-type]


def kinds(night: Night, of: int = 200) -> Counter[Kind]:
    return Counter(chosen(night, nth).kind for nth in range(of))


def test_a_persons_idea_comes_first() -> None:
    night = Night()
    night.crash("NameError: name 'x' is not defined")
    assert chosen(night, ideas=["try this"]) == Choice(Kind.IDEA, idea="try this")


def test_a_slip_is_repaired_and_its_parent_noted() -> None:
    night = Night()
    crashed = night.crash("exit status 1: NameError: name 'x' is not defined", token="x000001.0.explore")
    assert chosen(night) == Choice(Kind.REPAIR, 1, (crashed,), about=crashed)
    assert chosen(night, busy_with={("repair", crashed)}).kind is not Kind.REPAIR


def test_a_slip_gets_two_attempts_and_no_more() -> None:
    night = Night()
    first = night.crash("NameError", token="x000001.0.explore")
    second = night.crash("NameError", token="x000002.0.repair", parents=(first,))
    assert chosen(night).parents == (second,)
    night.crash("NameError", token="x000003.0.repair", parents=(second,))
    assert chosen(night).kind is not Kind.REPAIR


@pytest.mark.parametrize(
    "reason",
    [
        "exit status 1: NameError: name 'foo' is not defined",
        "RuntimeError: The size of tensor a (64) must match the size of tensor b (32)",
        "ModuleNotFoundError: No module named 'apex'",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20 GiB",
        "mat1 and mat2 shapes cannot be multiplied",
    ],
)
def test_names_shapes_imports_and_memory_are_slips(reason: str) -> None:
    assert is_slip(reason)


@pytest.mark.parametrize("reason", [None, "", "loss is nan", "not over after timeout_s = 900"])
def test_a_bad_idea_is_no_slip(reason: str | None) -> None:
    assert not is_slip(reason)


def test_another_proposers_crash_is_not_ours_to_repair() -> None:
    night = Night()
    night.crash("NameError", proposer="knobs")
    assert chosen(night).kind is not Kind.REPAIR


def test_a_clash_with_the_champion_is_ported_once() -> None:
    night = Night()
    clashed = night.conflict(token="x000001.0.explore")
    assert chosen(night) == Choice(Kind.PORT, 1, (clashed,), about=clashed)
    night.decide(Verdict.DISCARD, 0.1, token="x000002.0.port", parents=(clashed,))
    assert chosen(night).kind is not Kind.PORT


def test_a_campaign_that_knows_nothing_explores() -> None:
    assert set(kinds(Night())) <= {Kind.EXPLORE, Kind.SIMPLIFY}


def test_near_misses_are_combined_best_first() -> None:
    night = Night()
    small = night.decide(Verdict.INCONCLUSIVE, -0.02)
    large = night.decide(Verdict.INCONCLUSIVE, -0.05)
    night.decide(Verdict.DISCARD, 0.05)
    assert [each.id for each in near_misses(night.ledger, minimize=True)] == [large, small]
    assert kinds(night)[Kind.COMBINE] > 0
    pair = next(chosen(night, nth) for nth in range(200) if chosen(night, nth).kind is Kind.COMBINE)
    assert pair.parents == (large, small)


def test_what_has_paid_is_gone_further_in_and_later_taken_out_again() -> None:
    night = Night()
    for _ in range(3):
        night.keep(family="schedule")
    night.decide(Verdict.DISCARD, 0.1, family="architecture")
    drawn = kinds(night)
    assert drawn[Kind.EXPLOIT] > 0
    assert drawn[Kind.ABLATE] > 0
    assert best_family(night.ledger) == "schedule"
    exploit = next(chosen(night, nth) for nth in range(200) if chosen(night, nth).kind is Kind.EXPLOIT)
    assert exploit.about == "schedule"


def test_a_campaign_that_is_stuck_explores_more() -> None:
    night = Night()
    night.keep()
    fresh = kinds(night)[Kind.EXPLORE]
    for _ in range(50):
        night.decide(Verdict.DISCARD, 0.1)
    assert kinds(night)[Kind.EXPLORE] > fresh


def test_the_same_state_asks_for_the_same() -> None:
    assert [chosen(Night(), nth) for nth in range(20)] == [chosen(Night(), nth) for nth in range(20)]


def test_never_more_is_asked_for_than_is_wanted() -> None:
    night = Night()
    assert all(choose(night.ledger, "llm", minimize=True, wanted=1, nth=n, seed=0).count == 1 for n in range(50))
