"""Every attack on the protocol, the clock and the answers ends as its rule says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from arena import Arena, judged
from attack import Attack
from attacks_on_training import CHAPTERS, SPOILT_DATA
from trust_table import Notes

from workers.trial import Measurement

ATTACKS = [(chapter, attack) for chapter, attacks in CHAPTERS.items() for attack in attacks]


@pytest.fixture(scope="module")
def honest(counting: Arena) -> Measurement:
    return counting.honest()


@pytest.fixture
def apart(counting: Arena, tmp_path: Path) -> Iterator[Arena]:
    """With data of its own: should they be spoilt, no other attack is to meet them."""
    shared = counting.machine
    counting.machine = replace(shared, data_root=tmp_path / "data")
    yield counting
    counting.machine = shared


@pytest.mark.parametrize(("chapter", "attack"), ATTACKS, ids=[attack.name for _, attack in ATTACKS])
def test_an_attack_ends_as_its_rule_says(
    counting: Arena, honest: Measurement, notes: Notes, chapter: str, attack: Attack
) -> None:
    happened = counting.face(attack)
    outcome, rule = judged(attack, happened, honest, "val_bpb")
    notes.take(chapter, attack.name, outcome, rule, attack.elsewhere)
    assert (outcome, rule) == (attack.outcome, attack.rule), (happened.reason, happened.log[-1500:])


def test_nothing_that_a_candidate_does_with_the_training_data_lent_to_it_changes_them(apart: Arena, notes: Notes) -> None:
    honest = apart.honest()
    [train_file] = apart.machine.data_root.glob("*/train.bin")
    before = _bytes_and_mode(train_file)
    happened = apart.face(SPOILT_DATA)
    after = _bytes_and_mode(train_file)
    outcome, rule = judged(SPOILT_DATA, happened, honest, "val_bpb")
    told = outcome if after == before else "the data are spoilt"
    notes.take("Across rows and processes", SPOILT_DATA.name, told, rule, SPOILT_DATA.elsewhere)
    assert after == before, happened.log
    assert (outcome, rule) == (SPOILT_DATA.outcome, SPOILT_DATA.rule), (happened.reason, happened.log[-1500:])


def _bytes_and_mode(path: Path) -> tuple[str, str]:
    return hashlib.sha256(path.read_bytes()).hexdigest(), oct(path.stat().st_mode)
