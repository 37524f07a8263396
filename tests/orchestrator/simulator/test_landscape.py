"""The landscape file: what it may say, what it means when it says nothing, and what a mistake is answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config_text import ConfigError
from orchestrator.simulator.landscape import Landscape, load_landscape, parse_landscape

ROOT = Path(__file__).parents[3]
EFFECTS = "effects: [{share: 1.0, kind: constant, scale: 1e-3, sign: better}]\n"


def test_the_shipped_landscape_is_the_default_but_for_its_bad_gpu() -> None:
    shipped = load_landscape(ROOT / "configs/landscape.yaml")
    assert [bad.gpu for bad in shipped.gpus.bad] == [3]
    assert shipped.model_copy(update={"gpus": shipped.gpus.model_copy(update={"bad": ()})}) == Landscape()


def test_a_section_without_lines_is_its_default() -> None:
    assert parse_landscape(EFFECTS + "noise:\ngpus:\n", "l").noise == Landscape().noise


def test_fewer_gpus_leave_out_the_bad_ones_that_are_not_among_them() -> None:
    told = parse_landscape("gpus: {count: 8, bad: [{gpu: 1, offset: 0.1}, {gpu: 7, offset: 0.1}]}", "l")
    assert [bad.gpu for bad in told.with_gpus(2).gpus.bad] == [1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("effects: [{share: 0.5, kind: constant, scale: 1, sign: better}]", "l:1: effects: given shares that add up to 0.5"),
        ("effects: [{share: 1, kind: uniform, scale: 1, sign: better}]", "effects[0].kind: given 'uniform'; 'halfnormal'"),
        ("effects: [{share: 1, kind: constant, scale: 1, sign: up}]", "effects[0].sign: given 'up'; 'better' or 'worse'"),
        ("effects: [{share: 1, kind: constant, size: 1, sign: worse}]", "effects[0].size: unknown key"),
        ("effects: []", "effects: given shares that add up to 0"),
        ("\nnoise: {knd: 1}", "l:2: noise.knd: unknown key; did you mean kind? allowed here: kind, sd, df"),
        ("noise: {sd: -1}", "noise.sd: given -1; at least 0"),
        ("noise: {kind: student_t}", "noise.df: is missing"),
        ("noise: {df: 3}", "noise.df: given 3 with kind: normal"),
        ("noise: {kind: student_t, df: 2}", "noise.df: given 2; a number above 2"),
        ("gpus: {count: 0}", "gpus.count: given 0; at least 1"),
        ("gpus:\n  count: 2\n  bad:\n    - {gpu: 2, offset: 0.1}", "l:4: gpus.bad[0].gpu: given 2; GPUs are 0 to 1"),
        ("gpus: {bad: [{gpus: 2, offset: 0.1}]}", "gpus.bad[0].gpus: unknown key; did you mean gpu?"),
        ("rates: {crash: 1.5}", "rates.crash: given 1.5; at most 1"),
        ("durations: {trial_s: 0}", "durations.trial_s: given 0; a number above 0"),
        ("weather: {}", "weather: unknown key; allowed here: effects, interactions"),
        ("", "l: is empty"),
        ("[1]", "l:1: given [1]; a mapping"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_landscape(text, "l")
    assert said in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read"):
        load_landscape(tmp_path / "gone.yaml")
