"""The `knobs` proposer: what it proposes, that it learns, and that a resumed one goes on as if nothing had happened."""

from __future__ import annotations

import dataclasses
import json
import random
import time

import pytest

from orchestrator.edits import apply_edits
from orchestrator.proposers import knobs as module
from orchestrator.proposers.base import Brief, Proposal, Result
from orchestrator.proposers.knobs import KnobsProposer

TRAIN = """\
DEPTH = 2  # layers
MATRIX_LR = 0.02
BATCH = 64
MOMENTUM: float = 0.95
FLASH = False
NAME = "adam"
"""


def brief(proposed: int, text: str = TRAIN, champion: str = "c0", outstanding: tuple[str, ...] = ()) -> Brief:
    return Brief(champion, {"train.py": text}.get, ("train.py", "program.md"), (), proposed, outstanding)


def result(token: str | None, effect: float | None, status: str = "discard") -> Result:
    return Result("c0001", token, status, effect, {})


def ask(proposer: KnobsProposer, given: Brief) -> Proposal:
    proposal = proposer.propose(given)
    assert proposal is not None, proposer.exhausted_reason
    return proposal


def test_a_proposal_turns_one_or_two_knobs_and_says_from_what_to_what() -> None:
    proposer = KnobsProposer(seed=0)
    counts = set()
    for given in range(30):
        proposal = ask(proposer, brief(given))
        after = apply_edits(proposal.edits, {"train.py": TRAIN}.get)["train.py"]
        assert after is not None
        changed = [(old, new) for old, new in zip(TRAIN.splitlines(), after.splitlines(), strict=True) if old != new]
        told = proposal.description.split("; ")
        counts.add(len(changed))
        assert len(told) == len(changed)
        for words, (old, new) in zip(told, changed, strict=True):
            name, before, _, now = words.split()
            assert old.startswith(name)
            assert new == old.replace(before, now)
    assert counts == {1, 2}


def test_the_same_values_are_never_proposed_twice_on_one_champion() -> None:
    proposer = KnobsProposer(seed=0)
    told = [ask(proposer, brief(given)).description for given in range(60)]
    assert len(set(told)) == 60


def test_a_small_space_is_used_up_with_a_reason_and_opens_again_with_a_new_champion() -> None:
    text = "FLASH = False\nBATCH = 64\n"
    proposer = KnobsProposer(seed=0)
    told: list[str] = []
    while (proposal := proposer.propose(brief(len(told), text))) is not None:
        told.append(proposal.description)
    assert sorted(told) == sorted(
        [
            "FLASH False -> True",
            "BATCH 64 -> 32",
            "BATCH 64 -> 128",
            "FLASH False -> True; BATCH 64 -> 32",
            "FLASH False -> True; BATCH 64 -> 128",
        ]
    )
    assert "already seen" in str(proposer.exhausted_reason)
    assert proposer.propose(brief(len(told), text, champion="c1")) is not None


@pytest.mark.parametrize("text", ["", "x = 3\n", "A = 'b'\n", "A = (\n"])
def test_without_knobs_there_is_nothing_to_propose_and_the_reason_says_so(text: str) -> None:
    proposer = KnobsProposer(seed=0)
    assert proposer.propose(brief(0, text)) is None
    assert "no knobs" in str(proposer.exhausted_reason)


def test_knobs_of_the_same_name_are_told_apart_by_their_file() -> None:
    files = {"a.py": "LR = 0.1\n", "b.py": "LR = 0.2\n"}
    proposer = KnobsProposer(seed=0)
    seen = " ".join(ask(proposer, Brief("c", files.get, ("a.py", "b.py"), (), given)).description for given in range(10))
    assert "a.py:LR 0.1 ->" in seen
    assert "b.py:LR 0.2 ->" in seen


def test_a_new_champion_s_values_are_the_ones_that_turn() -> None:
    proposer = KnobsProposer(seed=0)
    ask(proposer, brief(0, "LR = 0.02\n"))
    assert ask(proposer, brief(1, "LR = 0.5\n", champion="c1")).description.startswith("LR 0.5 -> ")


def campaign(proposer: KnobsProposer, steps: int, in_flight: int = 3) -> tuple[list[Proposal], list[Result]]:
    """`steps` proposals, results lagging by `in_flight`, the champion moving every 20."""
    noise = random.Random(0)
    proposals: list[Proposal] = []
    results: list[Result] = []
    for step in range(steps):
        proposals.append(ask(proposer, brief(step, champion=f"c{step // 20}")))
        if step >= in_flight:
            status = noise.choice(["discard", "discard", "keep", "crash", "rejected", "inconclusive"])
            effect = None if status in ("crash", "rejected") else noise.gauss(0, 1)
            results.append(result(proposals[step - in_flight].token, effect, status))
            proposer.learn(results[-1])
    return proposals, results


@pytest.mark.parametrize("steps", [5, 19, 45, 90])
@pytest.mark.parametrize("history", [300, 8])
def test_a_resumed_proposer_gives_the_next_proposal_that_the_first_would_have(
    monkeypatch: pytest.MonkeyPatch, steps: int, history: int
) -> None:
    monkeypatch.setattr(module, "HISTORY", history)
    first = KnobsProposer(seed=7)
    proposals, results = campaign(first, steps)
    resumed = KnobsProposer(seed=7)
    for told in results:
        resumed.learn(told)
    left = tuple(str(proposal.token) for proposal in proposals[len(results) :])

    for further in range(10):
        now = brief(steps + further, champion=f"c{steps // 20}", outstanding=left)
        expected = ask(first, now)
        assert ask(resumed, now) == expected
        left = (*left, str(expected.token))


def test_another_seed_gives_other_proposals() -> None:
    assert campaign(KnobsProposer(seed=(7, 0)), 5) != campaign(KnobsProposer(seed=(7, 1)), 5)


def test_it_learns_from_the_results_which_way_to_turn() -> None:
    """One knob whose true optimum is three times its value: later proposals come closer than early ones."""
    proposer = KnobsProposer(seed=0)
    far = []
    for given in range(60):
        proposal = ask(proposer, brief(given, "LR = 100.0\n"))
        value = float(proposal.description.split()[-1])
        far.append(abs(value - 300))
        proposer.learn(result(proposal.token, (value - 300) ** 2))
    assert sum(far[-15:]) < 0.5 * sum(far[:15])


def test_values_that_crash_are_avoided() -> None:
    proposer = KnobsProposer(seed=0)
    values = []
    for given in range(60):
        proposal = ask(proposer, brief(given, "LR = 100.0\n"))
        values.append(float(proposal.description.split()[-1]))
        crashed = values[-1] > 100
        proposer.learn(result(proposal.token, None if crashed else 0.0, "crash" if crashed else "discard"))
    assert sum(value > 100 for value in values[-30:]) < 8


@pytest.mark.parametrize("token", [None, "", "x", "[]", "3", '{"champion": 1}', '{"ratios": {"a": "x"}}'])
def test_a_result_that_is_not_its_own_teaches_nothing(token: str | None) -> None:
    one, other = KnobsProposer(seed=0), KnobsProposer(seed=0)
    one.learn(result(token, 1.0))
    assert ask(one, brief(0)) == ask(other, brief(0))


@pytest.mark.parametrize("effect", [float("nan"), float("inf"), float("-inf")])
def test_an_effect_that_is_no_number_never_looks_like_a_record(effect: float) -> None:
    def learned(value: float, status: str) -> str:
        proposer = KnobsProposer(seed=0)
        for given in range(30):
            proposal = ask(proposer, brief(given, "LR = 100.0\n"))
            proposer.learn(result(proposal.token, value, status))
        return ask(proposer, brief(30, "LR = 100.0\n")).description

    assert learned(effect, "discard") == learned(1.0, "crash")


def test_the_token_is_json_with_the_ratio_of_each_knob() -> None:
    told = json.loads(str(ask(KnobsProposer(seed=0), brief(0, "LR = 1.0\n")).token))
    assert told["champion"] == "c0"
    assert list(told["ratios"]) == ["train.py:LR"]
    assert -1 <= told["ratios"]["train.py:LR"] <= 1


def test_a_proposal_stays_cheap_however_many_results_there_are() -> None:
    proposer = KnobsProposer(seed=0)
    started = time.process_time()
    for given in range(400):
        proposal = ask(proposer, dataclasses.replace(brief(given), champion=f"c{given // 50}"))
        proposer.learn(result(proposal.token, float(given % 7)))
    assert (time.process_time() - started) / 400 < 0.030


def test_only_the_knobs_that_the_config_names_are_turned() -> None:
    proposer = KnobsProposer(seed=0, only=["CPU_*"])
    text = "DEPTH = 8\nCPU_DEPTH = 2\nCPU_LR = 0.1\n"
    brief = Brief("champion", lambda path: text, ("train.py",), (), 0)
    proposals = [proposer.propose(dataclasses.replace(brief, proposed=n)) for n in range(10)]
    assert all("CPU_" in p.description for p in proposals if p is not None)
    assert not any(p.description.startswith("DEPTH") for p in proposals if p is not None)


def test_a_pattern_that_no_knob_matches_ends_the_proposer_with_its_reason() -> None:
    proposer = KnobsProposer(seed=0, only=["NOTHING_*"])
    brief = Brief("champion", lambda path: "DEPTH = 8\n", ("train.py",), (), 0)
    assert proposer.propose(brief) is None
    assert "NOTHING_*" in (proposer.exhausted_reason or "")
