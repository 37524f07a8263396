"""Which proposers a config makes, what they are called, and whose turn it is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from orchestrator.config import ConfigError, Knobs, Replay
from orchestrator.proposers import Brief, build, build_all, choose, exhausted_reason, names

KNOBS = Knobs(kind="knobs")
REPLAY = Replay(kind="replay", path="p.jsonl")


def test_every_proposer_has_a_name_of_its_own() -> None:
    assert names([KNOBS, REPLAY, KNOBS, KNOBS, REPLAY]) == ("knobs", "replay", "knobs-2", "knobs-3", "replay-2")


def test_proposers_are_built_in_the_order_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text("{}\n")
    built = build_all([REPLAY, KNOBS, KNOBS], seed=0, working_dir=tmp_path)
    assert [each.name for each in built] == ["replay", "knobs", "knobs-2"]
    assert [each.planned() for each in built] == [1, None, None]


def test_two_of_a_kind_do_not_propose_the_same(tmp_path: Path) -> None:
    brief = Brief("c", {"a.py": "LR = 0.1\n"}.get, ("a.py",), (), 0)
    one, two = build_all([KNOBS, KNOBS], seed=0, working_dir=tmp_path)
    assert one.propose(brief) != two.propose(brief)


def test_a_missing_file_is_named_with_the_key_that_asks_for_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"proposers\[3\]\.path: given 'p\.jsonl'"):
        build(REPLAY, index=3, seed=0, working_dir=tmp_path)


def test_what_is_wrong_with_each_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        build_all([REPLAY, KNOBS, REPLAY], seed=0, working_dir=tmp_path)
    assert [problem.split(":")[0] for problem in error.value.problems] == ["proposers[0].path", "proposers[2].path"]


def test_why_a_proposer_has_nothing_more_can_be_asked(tmp_path: Path) -> None:
    proposer = build(KNOBS, index=0, seed=0, working_dir=tmp_path)
    assert exhausted_reason(proposer) is None
    proposer.propose(Brief("c", dict[str, str]().get, (), (), 0))
    assert "no knobs" in str(exhausted_reason(proposer))


def test_turns_are_shared_by_weight_from_the_start() -> None:
    given = [0, 0]
    order = []
    for _ in range(8):
        index = choose([3, 1], given)
        assert index is not None
        order.append(index)
        given[index] += 1
    assert Counter(order) == {0: 6, 1: 2}
    assert order[:2] == [0, 1]


def test_one_that_has_nothing_more_is_passed_over() -> None:
    assert choose([1, 1, 1], [0, 5, 4], exhausted={0}) == 2
    assert choose([1, 1], [0, 0], exhausted={0, 1}) is None
    assert choose([], []) is None
