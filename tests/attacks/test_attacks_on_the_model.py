"""Attacks on real training end as their rules say, and their honest twins are measured like anything else."""

from __future__ import annotations

import pytest
from arena import Arena
from attack import Attack, Twin
from attacks_on_the_model import ATTACKS, TWINS
from honest_twins import TWINS as SMALL_TWINS
from trust_table import Notes


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack_on_the_model_ends_as_its_rule_says(nanotrain: Arena, notes: Notes, attack: Attack) -> None:
    happened = nanotrain.face(attack)
    rule = attack.rule if happened.reason.startswith(attack.rule) else happened.reason
    notes.take("The model", attack.name, happened.outcome, rule, attack.elsewhere)
    assert (happened.outcome, rule) == (attack.outcome, attack.rule), happened.log[-1500:]
    assert happened.measurement is not None
    assert "val_bpb" not in happened.measurement.measured


@pytest.mark.parametrize("twin", TWINS, ids=str)
def test_an_honest_model_is_measured(nanotrain: Arena, notes: Notes, twin: Twin) -> None:
    happened = nanotrain.face_twin(twin)
    notes.take_twin(twin.name, twin.near, happened.outcome)
    assert happened.outcome == "ok", (happened.reason, happened.log[-1500:])


@pytest.mark.parametrize("twin", SMALL_TWINS, ids=str)
def test_an_honest_subject_is_measured(counting: Arena, notes: Notes, twin: Twin) -> None:
    happened = counting.face_twin(twin)
    notes.take_twin(twin.name, twin.near, happened.outcome)
    assert happened.outcome == "ok", (happened.reason, happened.log[-1500:])
