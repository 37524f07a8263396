"""Knobs in source text: which literals are knobs, how far they turn, and edits that land exactly there."""

from __future__ import annotations

import ast
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator.edits import apply_edits
from orchestrator.proposers.literals import Knob, edits_for, find_knobs, turned


def knobs(text: str) -> dict[str, int | float | bool]:
    return {knob.name: knob.value for knob in find_knobs("train.py", text)}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A = 3", 3),
        ("A = -3", -3),
        ("A: float = 1e-4  # why", 1e-4),
        ("A = 1_000", 1000),
        ("A = 0x10", 16),
        ("A = 2**19", 2**19),
        ("A = True", True),
        ("A = (0.5)", 0.5),
        ("B = 1; A = .5", 0.5),
        ("'größe'; A = 7", 7),
        ("A = \\\n  7", 7),
    ],
)
def test_a_number_or_switch_named_in_capitals_is_a_knob(line: str, value: float) -> None:
    assert knobs(line)["A"] == value


@pytest.mark.parametrize(
    "text",
    [
        "a = 3",
        "Aa = 3",
        "A = 'adam'",
        "A = (1, 2)",
        "A, B = 1, 2",
        "A = B = 3",
        "A = 3 * 4",
        "A = None",
        "A = 3j",
        "A = 1e999",
        "A: int",
        "A = 3\nA = 4",
        "A = 3\nA += 1",
        "A = 3\nif A:\n    A = 4",
        "A = 3\ndel A",
        "A = 3\ndef f():\n    global A\n    A = 4",
        "SEED = 42",
        "DATA_SEED = 42",
        "def f():\n    A = 3",
        "class C:\n    A = 3",
        "A = (",
        "A = 3\0",
    ],
)
def test_what_else_bears_a_name_in_capitals_is_none(text: str) -> None:
    assert knobs(text) == {}


def test_a_local_of_the_same_name_does_not_matter() -> None:
    assert knobs("A = 3\ndef f():\n    A = 4\n    return A") == {"A": 3}


RATIO = st.floats(-1, 1)


def turn(literal: str, ratio: float, comment: str = "") -> float | None:
    (knob,) = find_knobs("a.py", f"A = {literal}  {comment}")
    new = turned(knob, ratio)
    return None if new is None else find_knobs("a.py", f"A = {new}")[0].value


@settings(deadline=None)
@given(st.floats(1e-6, 1e6), RATIO, st.sampled_from([1, -1]))
def test_a_float_stays_within_a_factor_of_four_and_keeps_its_sign(value: float, ratio: float, sign: int) -> None:
    new = turn(repr(sign * value), ratio)
    if new is not None:
        assert value / 4 * 0.99 <= new * sign <= value * 4 * 1.01


@settings(deadline=None)
@given(st.floats(0, 1, exclude_min=True, exclude_max=True), RATIO)
def test_a_fraction_stays_between_zero_and_one(value: float, ratio: float) -> None:
    assume(value > 1e-90)
    new = turn(repr(value), ratio)
    assert new is None or 0 < new < 1


@settings(deadline=None)
@given(st.integers(1, 10**6), RATIO)
def test_a_whole_number_changes_and_stays_within_a_factor_of_two(value: int, ratio: float) -> None:
    new = turn(repr(value), ratio)
    assert new is not None
    assert new != value
    assert isinstance(new, int)
    assert max(1, math.floor(value / 2)) <= new <= value * 2


@settings(deadline=None)
@given(st.integers(3, 30), RATIO, st.booleans())
def test_a_power_of_two_goes_to_its_neighbour(exponent: int, ratio: float, as_power: bool) -> None:
    literal = f"2**{exponent}" if as_power else str(2**exponent)
    assert turn(literal, ratio) in (2 ** (exponent - 1), 2 ** (exponent + 1))


@pytest.mark.parametrize(
    ("literal", "ratio", "new"),
    [
        ("0.0", 0.5, 0.05),
        ("0.0", -0.5, -0.05),
        ("0.0", 0.0, None),
        ("True", 1.0, False),
        ("0", -1, 1),
        ("0", 1, 2),
        ("2**0", -1, None),
    ],
)
def test_zero_moves_a_little_and_a_switch_flips(literal: str, ratio: float, new: float | None) -> None:
    assert turn(literal, ratio) == new


@pytest.mark.parametrize(
    ("literal", "comment", "ratio", "new"),
    [
        ("131072", "# tokens a step, 2^15..2^17", 1, None),
        ("131072", "# tokens a step, 2^15..2^17", -1, 65536),
        ("0.95", "# Muon, 0.8..0.98", 1, 0.98),
        ("0.0", "# of the budget, 0..0.3", -1, 0.1),
        ("5", "# iterations, 2..6", 1, 6),
        ("5", "# iterations, 2..5", 1, None),
        ("100.0", "# 100..1e6", -1, None),
        ("5", "# 7..9 once", 1, 10),  # the value itself lies outside: not its range
        ("5", "# see 1.2..", 1, 10),
    ],
)
def test_the_range_in_the_comment_is_kept_to(literal: str, comment: str, ratio: float, new: float | None) -> None:
    assert turn(literal, ratio, comment) == new


# Source that makes a search ambiguous: equal lines inside strings and functions, odd line ends, several on a line.
LINE = st.sampled_from(
    [
        "A = 1",
        "B = 0.5  # why",
        "A = 1  # größe",
        "C: int = 16",
        "D = True",
        "E = -3e-4",
        "x = 1",
        "",
        "    ",
        "# A = 1",
        "F = 2**4",
        "'''\nA = 1\nB = 0.5  # why\n'''",
        "def f():\n    A = 1",
        "G = 1; H = 2",
        "I = (\n    1\n)",
        "AA = 1",
        "if x:\n    B = 0.5  # why",
    ]
)
SOURCE = st.tuples(st.lists(LINE, max_size=14), st.sampled_from(["\n", "\r\n"]), st.booleans()).map(
    lambda parts: "\n".join(["x = 0", *parts[0], *([""] if parts[2] else [])]).replace("\n", parts[1])
)


@settings(deadline=None)
@given(SOURCE, st.data())
def test_edits_of_knobs_are_found_once_and_change_those_knobs_alone(text: str, data: st.DataObject) -> None:
    found = find_knobs("a.py", text)
    assume(found)
    chosen = data.draw(st.lists(st.sampled_from(found), min_size=1, max_size=2, unique_by=lambda knob: knob.name))
    turns = [(knob, new) for knob in chosen if (new := turned(knob, data.draw(RATIO))) is not None]

    edits = edits_for(turns, {"a.py": text}.get)
    after = apply_edits(edits, {"a.py": text}.get).get("a.py", text)

    assert after is not None
    expected = text
    for knob, new in sorted(turns, key=lambda each: -each[0].start):
        expected = expected[: knob.start] + new + expected[knob.start + len(knob.literal) :]
    assert after == expected
    wanted = {knob.name: ast.literal_eval(new) if "**" not in new else 2 ** int(new[3:]) for knob, new in turns}
    assert knobs(after) == knobs(text) | wanted


def test_an_edit_shows_no_more_than_it_must() -> None:
    text = "A = 1\nB = 2\ns = '''\nB = 2\n'''\n"
    (a, b) = find_knobs("a.py", text)
    assert edits_for([(a, "3")], {"a.py": text}.get)[0].search == "A = 1"
    assert edits_for([(b, "3")], {"a.py": text}.get)[0].search == "A = 1\nB = 2\ns = '''"


def test_a_knob_knows_where_it_is() -> None:
    assert find_knobs("m/a.py", "# ü\nA = 1  # 0..4\n") == (Knob("m/a.py", "A", 1, "1", 8, 0, 4),)
