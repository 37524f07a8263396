"""What a model's time goes to, and the text of the cases that are made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.shares import Shape, profile_of
from orchestrator.model.written_cases import about_shapes, with_shapes_of
from orchestrator.target import shipped_subjects
from workers.kernel.cases import Role, TensorInput, decode
from workers.model.operations import SIZES


def row(operation: str, target: str | None, sizes: list[int], time_us: float, calls: int = 10) -> dict[str, Any]:
    why = None if target else "no target does this"
    return {
        "operation": operation, "target": target, "sizes": sizes, "dtype": "bf16", "why": why, "shapes": [sizes],
        "calls": calls, "time_us": time_us,
    }  # fmt: skip


def found(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"device": "cuda", "name": "a GPU", "operations": list(rows)}


def test_the_shares_of_a_target_are_those_of_all_its_operations_and_what_has_none_is_listed() -> None:
    profile = profile_of(
        found(
            row("mm", "matmul", [4, 4, 4], 300), row("bmm", "matmul", [8, 8, 8], 200, calls=40),
            row("gelu", None, [4, 4], 400), row("_softmax", "softmax", [4, 4], 100),
        ),
        steps=10,
    )  # fmt: skip
    assert [(each.name, each.share) for each in profile.operations] == [
        ("gelu", 0.4), ("mm", 0.3), ("bmm", 0.2), ("_softmax", 0.1)
    ]  # fmt: skip
    assert profile.targets == {"matmul": 0.5, "softmax": 0.1}
    assert profile.shapes["matmul"] == (Shape((4, 4, 4), "bf16", 1, 0.3), Shape((8, 8, 8), "bf16", 4, 0.2))
    assert profile.step_us == 100


def test_a_target_with_hardly_any_time_is_no_campaign() -> None:
    profile = profile_of(found(row("mm", "matmul", [4, 4, 4], 999), row("sum", "reduce", [4, 4], 1)), steps=1)
    assert list(profile.targets) == ["matmul"]


def test_a_log_softmax_is_a_cross_entropy_only_where_a_loss_of_the_same_logits_follows() -> None:
    alone = profile_of(found(row("_log_softmax", "cross_entropy", [4, 9], 10)), steps=1)
    both = profile_of(
        found(row("_log_softmax", "cross_entropy", [4, 9], 10), row("nll_loss_forward", "cross_entropy", [4, 9], 5, 0)), steps=1
    )
    assert alone.targets == {}
    assert alone.operations[0].why == "no loss of classes goes with it"
    assert both.targets == {"cross_entropy": 1.0}
    assert both.shapes["cross_entropy"] == (Shape((4, 9), "bf16", 10, 1.0),)


def cases_of(text: str) -> Any:
    space: dict[str, Any] = {}
    exec(compile(text, "cases.py", "exec"), space)
    return decode(space["cases"](3))


@pytest.mark.parametrize("target", SIZES)
def test_cases_of_a_large_model_are_its_own_with_a_small_shipped_one_and_all_that_are_not_real(target: str) -> None:
    folder = Path(shipped_subjects()[f"kernels/{target}"])
    sizes = (4, 32, 8, 1024, 128) if target == "flash_attention" else (4096, 8192, 1024)[: len(SIZES[target])]
    shapes = (Shape(sizes, "bf16", 12, 0.31),)
    shipped, text = (folder / "cases.py").read_text(), with_shapes_of((folder / "cases.py").read_text(), target, shapes, "m.py")
    mine, theirs = cases_of(text), cases_of(shipped)
    assert [each for each in mine if each.role is not Role.REAL] == [each for each in theirs if each.role is not Role.REAL]
    own, kept = (each for each in mine if each.role is Role.REAL)
    assert own.name.startswith("model_")
    assert not own.small
    assert own.name.endswith("_bf16")
    first = own.inputs[1 if target == "cross_entropy_backward" else 0]
    assert isinstance(first, TensorInput)
    assert first.shape[0] == sizes[0]
    assert kept.small
    assert kept in theirs
    assert max(map(len, text.split("\n"))) <= 128
    said = about_shapes((folder / "program.md").read_text(), target, shapes, "m.py")
    assert f"- {' × '.join(map(str, sizes))} bf16: 12 calls, 31 % of the time" in said
    assert "## Ideas" in said


def test_a_small_shape_of_the_model_in_fp32_is_checked_without_a_gpu_and_no_shipped_one_is_kept() -> None:
    text = Path(shipped_subjects()["kernels/softmax"], "cases.py").read_text()
    real = [each for each in cases_of(with_shapes_of(text, "softmax", (Shape((48, 24), "fp32", 1, 0.5),), "m.py"))
            if each.role is Role.REAL]  # fmt: skip
    assert [(each.name, each.small) for each in real] == [("model_r48_c24_fp32", True)]
