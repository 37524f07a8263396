"""Content is fresh where it should be and the same where it should be; adversarial content has its four corners."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from workers.kernel.cases import Case, decode
from workers.kernel.inputs import build

ROWS = {"shape": [8, 16]}
WEIGHT = {"shape": [16], "varies": False}
INDEX = {"shape": [64], "fill": "index", "below": 5}


def case(*inputs: dict[str, Any], name: str = "one", dtype: str = "fp32") -> Case:
    (decoded,) = decode([{
        "name": name, "role": "odd", "dtype": dtype, "inputs": list(inputs), "flops": 1, "bytes": 1, "small": True,
    }])  # fmt: skip
    return decoded


def tensors(of: Case, seed: int = 0, **options: Any) -> list[torch.Tensor]:
    return [one for one in build(of, seed, "cpu", **options) if isinstance(one, torch.Tensor)]


def one(of: dict[str, Any], **options: Any) -> torch.Tensor:
    return tensors(case(of), **options)[0]


def test_arguments_come_in_order_with_shape_type_and_numbers() -> None:
    x, weight, eps, index = build(case(ROWS, WEIGHT, {"value": 1e-5}, INDEX, dtype="bf16"), 0, "cpu")
    assert isinstance(x, torch.Tensor)
    assert isinstance(weight, torch.Tensor)
    assert isinstance(index, torch.Tensor)
    assert (x.shape, x.dtype, weight.dtype, index.dtype) == ((8, 16), torch.bfloat16, torch.bfloat16, torch.int64)
    assert eps == 1e-5
    assert all(each.is_contiguous() for each in (x, weight, index))


def test_a_seed_repeats_and_another_one_does_not() -> None:
    both = case(ROWS, WEIGHT)
    for a, b, other in zip(tensors(both), tensors(both), tensors(both, seed=1), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, other)


def test_each_call_is_fresh_but_for_what_does_not_vary() -> None:
    (x, weight), (y, same) = tensors(case(ROWS, WEIGHT)), tensors(case(ROWS, WEIGHT), call=1)
    assert not torch.equal(x, y)
    assert torch.equal(weight, same)


def test_two_inputs_and_two_cases_have_content_of_their_own() -> None:
    x, y = tensors(case(ROWS, ROWS))
    assert not torch.equal(x, y)
    assert not torch.equal(x, tensors(case(ROWS, ROWS, name="other"))[0])


def test_fills_are_what_their_names_say() -> None:
    shape = [64, 256]
    normal = one({"shape": shape, "scale": 3.0})
    assert 2.9 < normal.std() < 3.1
    uniform = one({"shape": shape, "fill": "uniform", "scale": 2.0})
    assert -2 <= uniform.min() < -1.9
    assert 1.9 < uniform.max() <= 2
    softmax = one({"shape": shape, "fill": "softmax", "scale": 2.0})
    torch.testing.assert_close(softmax.sum(-1), torch.ones(64))
    index = one({"shape": [4096], "fill": "index", "below": 3, "dtype": "int32"})
    assert index.dtype == torch.int32
    assert set(index.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("seed", range(5))
def test_adversarial_rows_are_large_zero_repeated_and_infinite(seed: int) -> None:
    x = one({"shape": [4, 8, 16], "large": 1000.0}, seed=seed, adversarial=True).view(32, 16)
    assert x.isposinf().sum() == 1
    assert not x.isnan().any()
    assert (x == 0).all(1).sum() in (1, 2)  # two where the zeros are what is repeated
    assert len(x.unique(dim=0)) == 31
    largest = x.where(x.isfinite(), 0).abs().amax(1)
    assert 8 <= (largest > 100).sum() <= 10


def test_an_infinity_has_the_sign_that_the_case_says_or_is_none() -> None:
    assert one({**ROWS, "inf": "negative"}, adversarial=True).isneginf().sum() == 1
    assert one({**ROWS, "inf": "none"}, adversarial=True).isfinite().all()


def test_a_single_row_has_one_corner_which_the_seed_draws() -> None:
    plain = [one({"shape": [1, 16]}, seed=seed) for seed in range(40)]
    hard = [one({"shape": [1, 16]}, seed=seed, adversarial=True) for seed in range(40)]
    assert any((x == 0).all() for x in hard)
    assert any(x.isinf().any() for x in hard)
    assert any(torch.allclose(y, 64 * x) for x, y in zip(plain, hard, strict=True))


def test_adversarial_indices_reach_both_ends_and_repeat() -> None:
    index = one({"shape": [8, 16], "fill": "index", "below": 50000}, adversarial=True)
    assert index.min() == 0
    assert index.max() == 49999
    assert len(index[-1].unique()) == 1


def test_weights_are_plain_in_an_adversarial_call() -> None:
    _, weight = tensors(case(ROWS, WEIGHT), adversarial=True)
    assert torch.equal(weight, tensors(case(ROWS, WEIGHT))[1])


def test_adversarial_content_is_fresh_too() -> None:
    hard = [one(ROWS, adversarial=True, call=call) for call in range(2)]
    assert not torch.equal(*hard)
    assert torch.equal(hard[0], one(ROWS, adversarial=True, call=0))
