"""Which operation of a model which target can take over."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.target import shipped_subjects
from workers.model.operations import SIZES, Argument, Fit, NoFit, Operand, fit, target_of


def of(*shape: int, dtype: str = "bf16") -> Operand:
    return Operand(shape, dtype)


HEADS = of(2, 8, 128, 64)
KEYS = of(2, 2, 128, 64)


@pytest.mark.parametrize(
    ("operation", "arguments", "target", "sizes"),
    [
        ("mm", [of(48, 32), of(32, 96)], "matmul", (48, 96, 32)),
        ("addmm", [of(96), of(48, 32), of(32, 96), 1, 1], "matmul", (48, 96, 32)),
        ("_softmax", [of(2, 4, 24, 24), -1, False], "softmax", (192, 24)),
        ("_softmax", [of(6, 24), 1, False], "softmax", (6, 24)),
        ("_softmax_backward_data", [of(6, 24), of(6, 24), -1, 15], "softmax_backward", (6, 24)),
        ("native_layer_norm", [of(2, 24, 32), [32], of(32), of(32), 1e-5], "layernorm", (48, 32)),
        (
            "native_layer_norm_backward",
            [of(2, 24, 32), of(2, 24, 32), [32], of(2, 24, 1), of(2, 24, 1), of(32), of(32)],
            "layernorm_backward",
            (48, 32),
        ),
        ("rms_norm", [of(2, 24, 32), [32], of(32), None], "rmsnorm", (48, 32)),
        ("_fused_rms_norm", [of(48, 32), [32], of(32), 1e-6], "rmsnorm", (48, 32)),
        ("_fused_rms_norm_backward", [of(48, 32), of(48, 32), [32], of(48, 1), of(32)], "rmsnorm_backward", (48, 32)),
        ("scaled_dot_product_attention", [HEADS, KEYS, KEYS, None, 0.0, True, None], "flash_attention", (2, 8, 2, 128, 64)),
        ("_scaled_dot_product_flash_attention", [HEADS, KEYS, KEYS, 0.0, True], "flash_attention", (2, 8, 2, 128, 64)),
        (
            "_scaled_dot_product_efficient_attention",
            [HEADS, HEADS, HEADS, None, False, 0.0, True, 0.125],
            "flash_attention",
            (2, 8, 8, 128, 64),
        ),
        ("cross_entropy_loss", [of(48, 50), of(48, dtype="int64"), None, 1, -100, 0.0], "cross_entropy", (48, 50)),
        ("_log_softmax_backward_data", [of(48, 50), of(48, 50), 1, 15], "cross_entropy_backward", (48, 50)),
        ("sum", [of(2, 24, 32), [-1], False, None], "reduce", (48, 32)),
    ],
)
def test_an_operation_is_mapped_to_its_target_with_the_sizes_of_its_case(
    operation: str, arguments: list[Argument], target: str, sizes: tuple[int, ...]
) -> None:
    assert fit(operation, arguments) == Fit(target, sizes, "bf16")
    assert target_of(operation) == target


def test_a_batch_of_products_is_so_many_calls() -> None:
    assert fit("bmm", [of(8, 24, 16), of(8, 16, 24)]) == Fit("matmul", (24, 24, 16), "bf16", calls=8)


def test_the_loss_that_follows_a_log_softmax_is_no_further_call() -> None:
    assert fit("nll_loss_forward", [of(48, 50), of(48, dtype="int64")]) == Fit("cross_entropy", (48, 50), "bf16", calls=0)


@pytest.mark.parametrize(
    ("operation", "arguments", "why"),
    [
        ("gelu", [of(48, 32)], "no target"),
        ("mm", [of(48, 32, dtype="fp64"), of(32, 96, dtype="fp64")], "the type is fp64"),
        ("mm", [of(48, 32), of(32, 96, dtype="fp32")], "mixed"),
        ("mm", [None, of(32, 96)], "not known"),
        ("mm", [of(0, 32), of(32, 96)], "nothing to compute"),
        ("addmm", [of(96), of(48, 32), of(32, 96), 0.5, 1], "scaled"),
        ("_softmax", [of(6, 24), 0, False], "last dimension"),
        ("_softmax", [of(6, 24), -1, True], "changes the type"),
        ("native_layer_norm", [of(48, 32), [32], None, None, 1e-5], "without weight and bias"),
        ("native_layer_norm", [of(2, 48, 32), [48, 32], of(48, 32), of(48, 32), 1e-5], "more than the last"),
        ("scaled_dot_product_attention", [HEADS, HEADS, HEADS, None, 0.0, False, None], "not causal"),
        ("scaled_dot_product_attention", [HEADS, HEADS, HEADS, of(128, 128), 0.0, True, None], "mask"),
        ("scaled_dot_product_attention", [HEADS, HEADS, HEADS, None, 0.1, True, None], "dropout"),
        ("scaled_dot_product_attention", [HEADS, HEADS, HEADS, None, 0.0, True, 1.0], "scale"),
        ("scaled_dot_product_attention", [of(2, 8, 1, 64), KEYS, KEYS, None, 0.0, True, None], "equally many"),
        ("cross_entropy_loss", [of(48, 50), of(48, 50), None, 1, -100, 0.0], "one class each"),
        ("cross_entropy_loss", [of(48, 50), of(48, dtype="int64"), of(50), 1, -100, 0.0], "weights of classes"),
        ("cross_entropy_loss", [of(48, 50), of(48, dtype="int64"), None, 1, -100, 0.1], "smoothed"),
        ("sum", [of(48, 32), [0], False, None], "last dimension"),
        ("sum", [of(48, 32), None, False, None], "last dimension"),
    ],
)
def test_what_no_target_is_written_for_says_why(operation: str, arguments: list[Argument], why: str) -> None:
    found = fit(operation, arguments)
    assert isinstance(found, NoFit)
    assert why in found.why


def test_every_target_of_the_table_ships_and_takes_these_sizes() -> None:
    for target, sizes in SIZES.items():
        source = Path(shipped_subjects()[f"kernels/{target}"], "cases.py").read_text()
        assert f"dtype: str, {', '.join(f'{name}: int' for name in sizes)}, small: bool = False" in source
