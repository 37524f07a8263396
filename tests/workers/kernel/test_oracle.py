"""An answer as good as the field's own is accepted; a cheaper, a wrong or an odd one is refused, and told why."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workers.kernel.oracle import Expectation, ReferenceFlawError, expect, judge, output_error

HALF = [torch.float16, torch.bfloat16]


def rows(dtype: torch.dtype, shape: tuple[int, ...] = (64, 512), seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a @ b


def matrices(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    return rows(dtype, (32, 4096)), rows(dtype, (4096, 24), seed=1)


def in_blocks(a: torch.Tensor, b: torch.Tensor, sums: torch.dtype, block: int = 32) -> torch.Tensor:
    """As a kernel adds: exact products of a block, the running sum in `sums`."""
    total = torch.zeros(a.shape[0], b.shape[1], dtype=sums)
    for k in range(0, a.shape[1], block):
        total += (a[:, k : k + block].double() @ b[k : k + block].double()).to(sums)
    return total.to(a.dtype)


def refusal(expectation: Expectation, answer: object) -> str:
    verdict = judge(expectation, answer)
    assert not verdict.accepted
    assert verdict.reason is not None
    return verdict.reason


@pytest.mark.parametrize("dtype", [torch.float32, *HALF])
def test_eager_itself_and_a_sum_in_fp32_are_accepted(dtype: torch.dtype) -> None:
    a, b = matrices(dtype)
    expectation = expect(product, (a, b), 2.0)
    assert judge(expectation, a @ b).accepted
    verdict = judge(expectation, in_blocks(a, b, torch.float32))
    assert verdict.accepted
    assert len(verdict.errors) == 1


@pytest.mark.parametrize("dtype", HALF)
def test_a_sum_in_16_bits_is_refused(dtype: torch.dtype) -> None:
    a, b = matrices(dtype)
    expectation = expect(product, (a, b), 2.0)
    assert "error is" in refusal(expectation, in_blocks(a, b, dtype))
    (error,) = judge(expectation, in_blocks(a, b, dtype)).errors
    assert error.norm > 1.5 * expectation.outputs[0].limit.norm  # the steady one of the three tells it too


@pytest.mark.parametrize("cheaper", HALF)
def test_16_bit_products_in_fp32_are_refused(cheaper: torch.dtype) -> None:
    a, b = matrices(torch.float32)
    assert "error is" in refusal(expect(product, (a, b), 2.0), in_blocks(a.to(cheaper), b.to(cheaper), torch.float32).float())


def test_tf32_products_in_fp32_are_refused() -> None:
    a, b = matrices(torch.float32)

    def tf32(x: torch.Tensor) -> torch.Tensor:  # 10 bits of fraction, rounded
        return ((x.view(torch.int32) + (1 << 12)) & -(1 << 13)).view(torch.float32)

    assert "error is" in refusal(expect(product, (a, b), 2.0), in_blocks(tf32(a), tf32(b), torch.float32))


def causal(x: torch.Tensor) -> torch.Tensor:
    """A running mean: row i from the columns up to i."""
    return x.cumsum(-1) / torch.arange(1, x.size(-1) + 1)


@pytest.mark.parametrize("dtype", [torch.float32, *HALF])
@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: (x.cumsum(-1) / torch.arange(1, x.size(-1) + 1)).roll(-1, -1),  # sees one column ahead
        lambda x: torch.zeros_like(x),
        lambda x: causal(x) * 1.05,
        lambda x: torch.cat((causal(x)[:-1], x[-1:] * 0), 0),  # the last row forgotten
        lambda x: causal(x).index_fill(1, torch.tensor([511]), 0.0),  # the last column forgotten
    ],
    ids=["off_by_one", "zeros", "scaled", "last_row", "last_column"],
)
def test_wrong_answers_are_refused(dtype: torch.dtype, wrong: Callable[[torch.Tensor], torch.Tensor]) -> None:
    x = rows(dtype)
    assert "error is" in refusal(expect(causal, (x,), 2.0), wrong(x.float()).to(dtype))


def test_many_small_entries_count_beside_few_large_ones() -> None:
    """A gradient of logits that is right at the targets alone."""

    def gradient(x: torch.Tensor) -> torch.Tensor:
        p = torch.softmax(x, -1)
        return p - torch.nn.functional.one_hot(torch.arange(64), 512)

    x = rows(torch.bfloat16)
    expectation = expect(gradient, (x,), 2.0)
    right = gradient(x.float())
    assert judge(expectation, right.bfloat16()).accepted
    assert "typical error" in refusal(expectation, right.where(right.abs() > 0.004, right * 0.98).bfloat16())


def test_one_entry_near_zero_does_not_outweigh_the_others() -> None:
    due = torch.linspace(0.1, 1, 1000, dtype=torch.float64)
    due[500] = 1e-12
    assert output_error((due + 1e-9).float(), due).typical < 1e-6


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda y: y.double(), "its type is float64; due is float16"),
        (lambda y: y.float(), "its type is float32; due is float16"),
        (lambda y: y[:-1], "its shape is [63, 512]; due is [64, 512]"),
        (lambda y: y[None], "its shape is [1, 64, 512]"),
        (lambda y: y.to("meta"), "it is on meta; due is cpu"),
        (lambda y: y.T.contiguous().T, "it is not contiguous"),
        (lambda y: torch.nn.Parameter(y), "it is a Parameter; due is a plain torch.Tensor"),
        (lambda y: None, "it is a NoneType"),
        (lambda y: (y,), "it is a tuple of 1; due is a plain torch.Tensor"),
    ],
)
def test_an_answer_of_another_kind_is_refused(answer: Callable[[torch.Tensor], object], told: str) -> None:
    x = rows(torch.float16)
    assert told in refusal(expect(causal, (x,), 2.0), answer(causal(x.float()).half()))


def both(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x.sum(-1), x.argmax(-1)


def test_several_outputs_are_each_judged() -> None:
    x = rows(torch.float32)
    expectation = expect(both, (x,), 2.0)
    sums, places = both(x)
    assert len(judge(expectation, (sums, places)).errors) == 2
    assert "due is a tuple of 2 tensors" in refusal(expectation, sums)
    assert "returned a list of 2" in refusal(expectation, [sums, places])
    assert "returned a tuple of 3" in refusal(expectation, (sums, places, places))
    assert refusal(expectation, (sums, places.int())).startswith("output 1: its type is int32")
    wrong = places.clone()
    wrong[3] += 1
    assert refusal(expectation, (sums, wrong)).startswith("output 1: its worst error")
    assert refusal(expectation, (sums * 1.01, places)).startswith("output 0: its worst error")


def softmax(x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x, -1)


def test_nan_and_infinity_are_due_where_the_oracle_has_them_and_nowhere_else() -> None:
    x = rows(torch.float16)
    x[3, 5], x[7, 0] = torch.inf, -torch.inf
    expectation = expect(softmax, (x,), 2.0)
    right = softmax(x)
    assert right[3].isnan().all()
    assert judge(expectation, right).accepted
    assert "512 of 32768 entries are not NaN" in refusal(expectation, right.nan_to_num())
    assert "32256 of 32768 entries" in refusal(expectation, torch.full_like(right, torch.nan))
    assert "nan at [9, 9]" in refusal(
        expectation, right.index_put((torch.tensor(9), torch.tensor(9)), torch.tensor(torch.nan).half())
    )


def test_nan_for_infinity_and_infinity_of_the_other_sign_are_refused() -> None:
    x = rows(torch.float32)
    x[0, 0] = torch.inf
    expectation = expect(lambda x: x.sum(-1), (x,), 2.0)
    right = x.sum(-1)
    assert judge(expectation, right).accepted
    for instead in (torch.nan, -torch.inf, 3e38):
        answer = right.clone()
        answer[0] = instead
        assert "at [0], due is inf" in refusal(expectation, answer)


def test_what_overflows_the_type_is_infinite_and_near_it_either_way_will_do() -> None:
    x = torch.tensor([1000.0, 32000.0, 32759.0, 40000.0]).half()
    expectation = expect(lambda x: x * 2, (x,), 2.0)
    right = (x.float() * 2).half()
    assert judge(expectation, right).accepted
    assert judge(expectation, right.index_fill(0, torch.tensor([2]), torch.inf)).accepted
    assert "[3], due is inf" in refusal(expectation, right.nan_to_num(posinf=65504.0))


def test_an_honest_sum_of_squares_passes_where_eager_overflows() -> None:
    """An oracle in the input's own type would be wrong here, and would refuse the answer that is right."""

    def rms(x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True))

    x = rows(torch.float16) * 1000
    assert (rms(x) == 0).all()
    expectation = expect(rms, (x,), 2.0)
    assert judge(expectation, rms(x.float()).half()).accepted
    assert "error is" in refusal(expectation, rms(x))  # as wrong as eager is, and yet wrong


def test_zeros_are_due_exactly_where_all_is_zero() -> None:
    x = torch.zeros(4, 4)
    expectation = expect(causal, (x,), 2.0)
    assert judge(expectation, x.clone()).accepted
    assert "error is" in refusal(expectation, x + 1e-6)


def test_the_factor_is_what_the_case_allows() -> None:
    a, b = matrices(torch.bfloat16)
    worse = in_blocks(a, b, torch.bfloat16, block=512)
    assert not judge(expect(product, (a, b), 1.0), worse).accepted
    assert judge(expect(product, (a, b), 20.0), worse).accepted


def test_the_reference_cannot_change_the_inputs() -> None:
    x = rows(torch.float32)
    before = x.clone()
    expect(lambda x: x.mul_(2), (x,), 2.0)
    assert torch.equal(x, before)


@pytest.mark.parametrize("reference", [lambda x: x.float() * 2, lambda x: None, lambda x: (x, 1), lambda x: ()])
def test_a_reference_that_cannot_be_an_oracle_is_told_apart_from_a_wrong_candidate(
    reference: Callable[..., object],
) -> None:
    with pytest.raises(ReferenceFlawError):
        expect(reference, (rows(torch.float32),), 2.0)
