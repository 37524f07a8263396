"""The section `objective`: one number decides, a metric or a product; a front names several metrics with their directions."""

from __future__ import annotations

import pytest

from orchestrator.config import Config, ConfigError, dump_config, parse_config
from workers.trial import Product

TEXT = """name: demo
target: {repo: nanotrain, editable: [train.py]}
objective: {OBJECTIVE}
proposers: [{kind: knobs}]
"""


def config(objective: str) -> Config:
    return parse_config(TEXT.replace("{OBJECTIVE}", objective), "c.yaml")


def test_a_product_stands_in_place_of_a_metric() -> None:
    objective = config("{product: {latency_us: 2, energy_mj: 1, tokens_per_s: -0.5}}").objective
    assert objective.as_product == Product((("latency_us", 2.0), ("energy_mj", 1.0), ("tokens_per_s", -0.5)))
    assert objective.name == "latency_us^2*energy_mj*tokens_per_s^-0.5"
    assert objective.parts == ("latency_us", "energy_mj", "tokens_per_s")
    assert objective.direction == "minimize"


def test_a_metric_is_its_own_only_part() -> None:
    objective = config("{metric: val_bpb}").objective
    assert (objective.name, objective.parts, objective.as_product) == ("val_bpb", ("val_bpb",), None)


def test_a_front_has_a_direction_for_each_metric() -> None:
    objective = config("{metric: latency_us, front: [latency_us, {tokens_per_s: maximize}, {energy_mj: minimize}]}").objective
    assert objective.front_metrics == (("latency_us", "minimize"), ("tokens_per_s", "maximize"), ("energy_mj", "minimize"))


@pytest.mark.parametrize(
    "objective",
    [
        "{product: {latency_us: 1, energy_mj: 1}}",
        "{product: {z: -0.1, a: 3}, direction: maximize, front: [a, {z: maximize}]}",
        "{metric: t, constraints: {energy_mj: {max_ratio: 1.02}}, front: [t, u, v]}",
    ],
)
def test_what_is_written_into_a_run_reads_the_same(objective: str) -> None:
    given = config(objective)
    assert parse_config(dump_config(given), "config.yaml") == given
    assert parse_config(dump_config(given), "config.yaml").objective.name == given.objective.name


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ("{direction: maximize}", "objective.metric: is missing; the metric that decides, or in its place product: {lat"),
        ("{metric: t, product: {a: 1, b: 1}}", "objective.product: given beside objective.metric, t; only one can decide"),
        ("{product: {a: 1}}", "objective.product: given {'a': 1.0}; two metrics or more"),
        ("{product: {}}", "objective.product: given {}; two metrics or more"),
        ("{product: {a: 1, b: 0}}", "objective.product.b: given 0; a power other than 0"),
        ("{product: {a: 1, b: .inf}}", "objective.product.b: given inf; a finite number"),
        ("{product: {a: 1, b: much}}", "objective.product.b: given 'much'; a number"),
        ("{product: [a, b]}", "objective.product: given ['a', 'b']; a mapping of keys to values"),
        ("{metric: t, front: [a]}", "objective.front: given a alone; two metrics or more"),
        ("{metric: t, front: a}", "objective.front: given 'a'; a list"),
        ("{metric: t, front: [a, a]}", "objective.front[1]: given a twice; each metric once"),
        ("{metric: t, front: [a, {b: most}]}", "objective.front[1].b: given 'most'; 'minimize' or 'maximize'"),
        (
            "{metric: t, front: [a, {b: minimize, c: minimize}]}",
            "objective.front[1]: given {'b': 'minimize', 'c': 'minim",
        ),
        ("{metric: t, front: [a, 3]}", "objective.front[1]: given 3; a metric, or one with its direction"),
        (
            "{metric: t, direction: maximize, front: [t, a]}",
            "objective.front[0]: given t, to minimize; objective.direction is maximize; write {t: maximize}",
        ),
    ],
)
def test_what_cannot_decide_is_refused_with_what_can(objective: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(objective)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"c.yaml:3: {said}"), caught.value.problems
