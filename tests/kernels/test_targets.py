"""The targets that ship with Regatta: their files, their cases, their references, and starters that are right."""

from __future__ import annotations

import ast
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from broken_starters import MISTAKES, Mistake
from independent_answers import ANSWERS, consistent, flops
from interpreted_starters import load

from orchestrator.proposers.literals import find_knobs
from workers.kernel.cases import Case, Role, ScalarInput, TensorInput, decode
from workers.kernel.inputs import build, torch_dtype
from workers.kernel.oracle import expect, judge
from workers.kernel.pokes import pokes, replay_pokes

KERNELS = Path(__file__).parents[2] / "kernels"
FORWARD = {
    "matmul", "softmax", "layernorm", "rmsnorm", "flash_attention", "fused_mlp", "cross_entropy", "rotary_embedding", "reduce",
}  # fmt: skip
BACKWARD = {f"{name}_backward" for name in ("rmsnorm", "layernorm", "softmax", "cross_entropy", "fused_mlp")}
TARGETS = sorted(path.name for path in KERNELS.iterdir() if path.is_dir() and path.name != "__pycache__")

each_target = pytest.mark.parametrize("target", TARGETS)


def cases(target: str, seed: int = 0) -> tuple[Case, ...]:
    return decode(load(KERNELS / target / "cases.py").cases(seed))


def reference(target: str) -> Any:
    return load(KERNELS / target / "reference.py").reference_fn


def without_content(case: Case) -> list[Any]:
    return [
        one.value if isinstance(one, ScalarInput) else torch.empty(one.shape, dtype=torch_dtype(one.dtype), device="meta")
        for one in case.inputs
    ]


def as_tuple(answer: Any) -> tuple[torch.Tensor, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def shapes(several: Sequence[Case]) -> list[list[tuple[int, ...]]]:
    return [[one.shape for one in case.inputs if isinstance(one, TensorInput)] for case in several]


def test_all_promised_targets_are_here() -> None:
    assert set(TARGETS) == FORWARD | BACKWARD | {"template"} == set(ANSWERS)


@each_target
def test_a_target_is_four_files(target: str) -> None:
    files = {path.name for path in (KERNELS / target).iterdir()} - {"__pycache__"}
    assert files - {"baselines.py"} == {"kernel.py", "reference.py", "cases.py", "program.md"}


@each_target
def test_a_subject_runs_alone_and_its_starter_plays_by_the_rules(target: str) -> None:
    """No file imports its neighbours or ours; the kernel catches nothing and computes nothing by torch."""
    allowed = {"kernel.py": {"math", "torch", "triton"}, "reference.py": {"torch"}, "cases.py": {"random", "typing"}}
    if (KERNELS / target / "baselines.py").exists():
        allowed["baselines.py"] = {"torch", "typing", "collections"}
    for name, modules in allowed.items():
        tree = ast.parse((KERNELS / target / name).read_text())
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {module.split(".")[0] for module in imported} <= modules | {"__future__"}
        if name == "kernel.py":
            assert not any(isinstance(node, ast.Try) for node in ast.walk(tree))
            used = {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch"
            }
            assert used <= {"Tensor", "empty", "empty_like", "float32"}


@pytest.mark.parametrize("target", [each for each in TARGETS if (KERNELS / each / "baselines.py").exists()])
def test_further_baselines_are_right_too(target: str) -> None:
    offered = load(KERNELS / target / "baselines.py").baselines()
    timed = [case for case in cases(target) if case.small and case.role in (Role.REAL, Role.HELD_OUT)]
    for case in timed:
        for name, baseline in offered.items():
            inputs = build(case, 1, "cpu")
            verdict = judge(expect(reference(target), inputs, case.error_factor), baseline(*inputs))
            assert verdict.reason is None, f"{name} on {case.name}: {verdict.reason}"


@each_target
def test_an_answer_of_the_replay_before_is_refused(target: str) -> None:
    """What is poked into the inputs between two timed calls changes every target's answer by more than it may be off."""
    for case in cases(target):
        if not case.small or case.role not in (Role.REAL, Role.HELD_OUT):
            continue
        before, after = (replayed(case, times) for times in (2, 3))
        verdict = judge(expect(reference(target), after, case.error_factor), reference(target)(*before))
        assert not verdict.accepted, case.name


def replayed(case: Case, times: int) -> tuple[Any, ...]:
    inputs: tuple[Any, ...] = build(case, 3, "cpu")
    for nth, one in enumerate(case.inputs):
        if isinstance(one, TensorInput) and one.varies:
            replay_pokes(inputs[nth], pokes(case, nth, 3, 2), 0, times)
    return inputs


@each_target
def test_knobs_are_literals_with_a_range_that_holds_them(target: str) -> None:
    """What the `knobs` proposer relies on; and every capital name that is a number is one."""
    knobs = find_knobs("kernel.py", (KERNELS / target / "kernel.py").read_text())
    assert len(knobs) >= 2
    for knob in knobs:
        assert -math.inf < knob.low <= knob.value <= knob.high < math.inf, knob.key


@each_target
def test_every_role_has_a_case_and_a_small_one_in_fp32(target: str) -> None:
    found = cases(target)
    assert {case.role for case in found} == set(Role)
    assert {case.role for case in found if case.small and case.dtype == "fp32"} == set(Role)
    assert {case.dtype for case in found if case.role is Role.REAL} >= {"fp16", "bf16", "fp32"}
    assert any("nanotrain" in case.name for case in found) or target == "template"


@each_target
def test_held_out_shapes_are_fresh_for_each_seed_and_repeat_for_the_same(target: str) -> None:
    assert cases(target, 1) == cases(target, 1)
    one, other = (cases(target, seed) for seed in (1, 2))
    assert [case.name for case in one] == [case.name for case in other]
    for before, after in zip(one, other, strict=True):
        if before.role is Role.HELD_OUT:
            assert shapes([before]) != shapes([after])
        else:
            assert before == after


@each_target
@pytest.mark.parametrize("seed", [0, 7])
def test_flops_and_bytes_are_counted_once(target: str, seed: int) -> None:
    """Against another count of operations, and the sizes of what goes in and what the reference gives out."""
    reference_fn = reference(target)
    for case in cases(target, seed):
        inputs = without_content(case)
        assert case.flops == flops(target, reference_fn, inputs), case.name
        moved = [one for one in inputs if isinstance(one, torch.Tensor)] + list(as_tuple(reference_fn(*inputs)))
        assert case.bytes == sum(one.numel() * one.element_size() for one in moved), case.name


def test_the_example_of_the_readme_is_a_case_of_rmsnorm() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (KERNELS / "README.md").read_text(), flags=re.S)
    (example,) = decode([ast.literal_eval(block)])
    (shipped,) = [case for case in cases("rmsnorm") if case.name == example.name]
    assert example.inputs[0] == shipped.inputs[0]
    assert (example.flops, example.bytes, example.error_factor) == (shipped.flops, shipped.bytes, shipped.error_factor)


def test_causal_attention_is_counted_once() -> None:
    """The figure of the field: half of 4·B·H·T²·D, and not all of it."""
    (case,) = [case for case in cases("flash_attention") if case.name == "heads_32_tokens_1024_fp16"]
    assert case.flops == pytest.approx(4 * 2 * 32 * 1024**2 * 64 / 2, rel=1e-3)


@each_target
def test_the_reference_agrees_with_an_independent_answer_in_fp64(target: str) -> None:
    for case in cases(target):
        if not case.small:
            continue
        inputs = [
            one.double() if isinstance(one, torch.Tensor) and one.is_floating_point() else one for one in build(case, 3, "cpu")
        ]
        inputs = list(consistent(target, inputs))
        found, due = as_tuple(reference(target)(*inputs)), as_tuple(ANSWERS[target](*inputs))
        assert all(each.dtype == torch.float64 for each in found)
        torch.testing.assert_close(found, tuple(each.detach() for each in due), rtol=1e-10, atol=1e-12)


@pytest.fixture(scope="module")
def interpreted() -> list[dict[str, Any]]:
    """All starters' answers; they share the price of importing torch."""
    script = Path(__file__).with_name("interpreted_starters.py")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", script, KERNELS, "11"], env=environment, capture_output=True, text=True, timeout=240
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return [json.loads(line) for line in run.stdout.splitlines()]


@each_target
def test_the_starter_is_right_under_the_interpreter(target: str, interpreted: list[dict[str, Any]]) -> None:
    mine = [each for each in interpreted if each["target"] == target and each["by"] == "starter"]
    assert {(each["role"], each["adversarial"]) for each in mine} == {(role, hard) for role in Role for hard in (False, True)}
    assert [each for each in mine if each["reason"] is not None] == []


@each_target
def test_an_honest_answer_in_16_bits_is_within_the_tolerance(target: str, interpreted: list[dict[str, Any]]) -> None:
    mine = [each for each in interpreted if each["target"] == target and each["by"].endswith("rounded once")]
    assert len({each["by"] for each in mine}) == 2
    assert [each for each in mine if each["reason"] is not None] == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake.target}-{mistake.what.replace(' ', '_')}")
def test_a_starter_with_a_mistake_is_refused(mistake: Mistake, interpreted: list[dict[str, Any]]) -> None:
    """The small cases have the shapes and the content that tell it."""
    (found,) = [each for each in interpreted if each["target"] == mistake.target and each.get("mistake") == mistake.what]
    assert found["reason"] is not None
