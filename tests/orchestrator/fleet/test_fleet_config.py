"""The config of a fleet: what is read, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import ConfigError
from orchestrator.fleet.config import FleetConfig, dump_fleet, names_of, names_several_targets, parse_fleet

SMALL = """\
name: kernels
targets:
  - {repo: kernels/a, share: 0.2}
  - {repo: kernels/b, share: 0.6, editable: [b.py]}
target: {editable: [kernel.py], command: sh bench.sh}
objective: {metric: latency_us}
proposers: [{kind: knobs}]
"""


def parsed(text: str = SMALL, *overrides: str) -> FleetConfig:
    return parse_fleet(text, "f.yaml", overrides)


def refused(text: str, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parsed(text, *overrides)
    return caught.value.problems


def test_every_member_is_an_ordinary_campaign_with_what_all_have_in_common_and_its_own() -> None:
    fleet = parsed()
    a, b = fleet.members
    assert (a.name, a.config.name, a.config.target.repo, a.config.target.editable) == (
        "a",
        "kernels-a",
        "kernels/a",
        ("kernel.py",),
    )
    assert (b.config.target.editable, b.config.target.command) == (("b.py",), "sh bench.sh")
    assert (fleet.turn.candidates, fleet.turn.patience) == (6, 3)


def test_shares_add_up_to_one_and_are_equal_where_none_is_given() -> None:
    assert parsed().shares == pytest.approx({"a": 0.25, "b": 0.75})
    without = SMALL.replace(", share: 0.2", "").replace(", share: 0.6", "")
    assert parsed(without).shares == {"a": 0.5, "b": 0.5}


def test_a_config_as_resolved_reads_as_the_same_config() -> None:
    fleet = parsed(SMALL, "turn.patience=5", "limits.hours=0.08")
    assert parse_fleet(dump_fleet(fleet), "fleet.yaml") == fleet


def test_names_are_the_last_parts_of_the_targets_made_unique() -> None:
    assert names_of(["kernels/a", "other/a/", "a-2", "x/a b", ".", "lock"]) == ("a", "a-2", "a-2-2", "a-b", "target", "lock-2")


def test_a_file_is_a_fleets_by_its_targets(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    for text, is_one in ((SMALL, True), (SMALL.replace("targets:", "others:"), False), ("a: [", False)):
        path.write_text(text)
        assert names_several_targets(path) is is_one
    assert not names_several_targets(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "target: {",
            "target: {repo: x, ",
            "f.yaml:5: target.repo: given beside targets; each of targets names its own repo: remove this one",
        ),
        (
            "share: 0.6, ",
            "",
            "f.yaml:4: targets[1].share: is missing; give a share to every target, or to none",
        ),
        ("share: 0.2", "share: 0", "f.yaml:3: targets[0].share: given 0; a number above 0.0"),
        ("repo: kernels/a, ", "", "f.yaml:3: targets[0].repo: is missing; it is required"),
        ("editable: [b.py]", "editable: b.py", "f.yaml:4: targets[1].editable: given 'b.py'; a list, for instance [a, b]"),
        (
            "objective: {metric: latency_us}",
            "objective: {metric: latency_us}\nturn: {candidates: 0}",
            "f.yaml:7: turn.candidates: given 0; at least 1",
        ),
        (
            "objective: {metric: latency_us}",
            "objective: {metric: latency_us}\nlimits: {candidates: 1}",
            "f.yaml:7: limits.candidates: given 1; at least 2: each target has a first turn",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line_what_was_given_and_what_is_allowed(old: str, new: str, said: str) -> None:
    assert refused(SMALL.replace(old, new)) == (said,)


def test_an_unknown_key_of_a_target_is_named_with_those_that_are_allowed() -> None:
    (said,) = refused(SMALL.replace("editable: [b.py]", "editible: [b.py]"))
    assert said.startswith("f.yaml:4: targets[1].editible: unknown key; did you mean editable? allowed here: repo, editable")
    assert "share" in said


def test_an_unknown_key_of_the_fleet_is_named_with_those_that_are_allowed() -> None:
    (said,) = refused(SMALL + "turns: {candidates: 5}\n")
    assert said.startswith("f.yaml:8: turns: unknown key; did you mean turn?")
    assert "targets" in said


def test_what_is_wrong_with_a_key_of_all_is_said_once() -> None:
    assert refused(SMALL + "seed: -1\n") == ("f.yaml:8: seed: given -1; at least 0",)


@pytest.mark.parametrize("targets", ["[]", "5", "{repo: a}"])
def test_targets_are_a_list_with_something_in_it(targets: str) -> None:
    text = f"name: x\ntargets: {targets}\nobjective: {{metric: t}}\nproposers: [{{kind: knobs}}]\n"
    (said,) = refused(text)
    assert said.startswith("f.yaml:2: targets: given")


def test_an_override_is_named_when_it_is_wrong() -> None:
    assert refused(SMALL, "targets.0.share=-1") == ("--set targets.0.share=-1: targets[0].share: given -1; a number above 0.0",)
    assert parsed(SMALL, "targets.0.share=1.8").shares["a"] == pytest.approx(0.75)
