"""Every attack on the protocol, the clock and the answers ends as its rule says."""

from __future__ import annotations

import pytest
from arena import Arena, judged
from attack import Attack
from attacks_on_training import CHAPTERS
from trust_table import Notes

from workers.trial import Measurement

ATTACKS = [(chapter, attack) for chapter, attacks in CHAPTERS.items() for attack in attacks]


@pytest.fixture(scope="module")
def honest(counting: Arena) -> Measurement:
    return counting.honest()


@pytest.mark.parametrize(("chapter", "attack"), ATTACKS, ids=[attack.name for _, attack in ATTACKS])
def test_an_attack_ends_as_its_rule_says(
    counting: Arena, honest: Measurement, notes: Notes, chapter: str, attack: Attack
) -> None:
    happened = counting.face(attack)
    outcome, rule = judged(attack, happened, honest, "val_bpb")
    notes.take(chapter, attack.name, outcome, rule, attack.elsewhere)
    assert (outcome, rule) == (attack.outcome, attack.rule), (happened.reason, happened.log[-1500:])
