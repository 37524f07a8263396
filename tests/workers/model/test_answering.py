"""A model's operations answered by kernels: what is answered, what is left, and what is said of either. Kernels here are
torch's own references, so that a difference is the modes' fault.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from orchestrator.target import shipped_subjects
from workers.model.answering import Answering, AnsweringCalls, ChampionFailedError, Champions


def reference(target: str) -> Any:
    path = Path(shipped_subjects()[f"kernels/{target}"], "reference.py")
    spec = importlib.util.spec_from_file_location(f"reference_of_{target}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.reference_fn


def answered(call: Any, *targets: str, interpreted: bool = True, **kernels: Any) -> tuple[Any, Champions]:
    """What `call` returns under the modes, which is what it returns without them."""
    torch.manual_seed(0)
    known = {**{target: reference(target) for target in targets}, **kernels}
    champions = Champions(known, torch.nn.Identity(), interpreted=interpreted)
    with torch.no_grad():
        due = call()
        with Answering(champions) as below, AnsweringCalls(below):
            found = call()
    assert found.shape == due.shape
    assert torch.allclose(found, due, atol=1e-6)
    return found, champions


X = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(1))
W = torch.randn(8, generator=torch.Generator().manual_seed(2))
CLASSES = torch.tensor([1, 0, -100, 7, 2, 2])


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ("matmul", lambda: F.linear(X, X[0], W[:6])),
        ("matmul", lambda: X[0] @ X[1].T),
        ("matmul", lambda: X @ X.transpose(1, 2)),
        ("softmax", lambda: X.softmax(-1)),
        ("layernorm", lambda: F.layer_norm(X, (8,), W, W, 1e-3)),
        ("rmsnorm", lambda: F.rms_norm(X, (8,), W)),
        ("rmsnorm", lambda: F.rms_norm(X, (8,), W, 1e-3)),
        ("reduce", lambda: X.sum(-1)),
        ("reduce", lambda: X.sum(2, keepdim=True)),
        ("flash_attention", lambda: F.scaled_dot_product_attention(X[None], X[None], X[None], is_causal=True)),
        ("cross_entropy", lambda: F.cross_entropy(X[0], CLASSES)),
        ("cross_entropy", lambda: F.cross_entropy(X[0], CLASSES, reduction="none")),
        ("cross_entropy", lambda: torch.nn.CrossEntropyLoss(reduction="sum", ignore_index=2)(X[0], CLASSES.clamp(min=0))),
    ],
)
def test_a_call_is_answered_by_its_targets_kernel(target: str, call: Any) -> None:
    _, champions = answered(call, target)
    assert champions.tallies[target].replaced == 1
    assert not champions.tallies[target].left


@pytest.mark.parametrize(
    ("target", "call", "why"),
    [
        ("softmax", lambda: X.softmax(1), "not along the last dimension"),
        ("matmul", lambda: (X[0].bfloat16() @ X[1].bfloat16().T).float(), "bf16: Triton's interpreter is right in fp32 alone"),
        ("cross_entropy", lambda: F.cross_entropy(X[0], CLASSES, label_smoothing=0.1), "smoothed labels"),
        ("cross_entropy", lambda: F.nll_loss(F.log_softmax(X[0], -1), CLASSES), "log_softmax and nll_loss apart"),
        ("rmsnorm", lambda: F.rms_norm(X, (8,)), "without weight"),
    ],
)
def test_a_call_that_no_kernel_is_written_for_is_left_and_told_once(target: str, call: Any, why: str) -> None:
    _, champions = answered(call, target)
    tally = champions.tallies[target]
    assert tally.replaced == 0
    assert sum(tally.left.values()) == 1
    assert why in next(iter(tally.left))


def test_kernels_get_contiguous_operands_and_copies_are_counted() -> None:
    seen: list[bool] = []

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen.append(a.is_contiguous() and b.is_contiguous())
        return a @ b

    _, champions = answered(lambda: X[0] @ X[1].T, matmul=kernel)
    assert seen == [True]
    assert champions.tallies["matmul"].copied == 1


def test_the_transposed_weight_of_a_linear_is_laid_out_once() -> None:
    linear = torch.nn.Linear(8, 8)
    seen: list[int] = []

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen.append(b.data_ptr())
        return a @ b

    champions = Champions({"matmul": kernel}, linear, interpreted=True)
    with torch.no_grad(), Answering(champions) as below, AnsweringCalls(below):
        linear(X)
        linear(X)
    assert len(seen) == 2
    assert len(set(seen)) == 1
    assert champions.tallies["matmul"].copied == 0


@pytest.mark.parametrize("kernel", [lambda x: x.double(), lambda x: x[:1], lambda x: 1 / 0], ids=["type", "shape", "raises"])
def test_a_kernel_that_fails_or_answers_in_another_form_is_named(kernel: Any) -> None:
    with pytest.raises(ChampionFailedError, match="softmax: kernel_fn"):
        answered(lambda: X.softmax(-1), softmax=kernel)
