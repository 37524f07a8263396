"""Work counted in TTIR: loops by their bounds, products by their shapes, and what cannot be known is said."""

from __future__ import annotations

import pytest

from workers.kernel.work import Work, work_of

LOOP = """
#loc = loc("k.py":1:0)
module {
  tt.func public @k(%a_ptr: !tt.ptr<f16> {tt.divisibility = 16 : i32} loc("a"(#loc)), %K: i32 loc("K"(#loc))) {
    %acc = arith.constant dense<0.000000e+00> : tensor<64x32xf32> loc(#loc)
    %c0_i32 = arith.constant 0 : i32 loc(#loc)
    %c16_i32 = arith.constant 16 : i32 loc(#loc)
    %end = %END% loc(#loc)
    %r = scf.for %k = %c0_i32 to %end step %c16_i32 iter_args(%sum = %acc) -> (tensor<64x32xf32>)  : i32 {
      %x = tt.load %p : tensor<64x16x!tt.ptr<f16>> loc(#loc)
      %y = tt.load %q : tensor<16x32x!tt.ptr<f16>> loc(#loc)
      %d = tt.dot %x, %y, %sum : tensor<64x16xf16> * tensor<16x32xf16> -> tensor<64x32xf32> loc(#loc)
      scf.yield %d : tensor<64x32xf32> loc(#loc)
    } loc(#loc)
    %e = math.exp %r : tensor<64x32xf32> loc(#loc)
    tt.store %o, %e : tensor<64x32x!tt.ptr<f32>> loc(#loc)
    tt.return loc(#loc)
  } loc(#loc)
} loc(#loc)
"""


def counted(end: str, **scalars: int) -> Work:
    return work_of(LOOP.replace("%END%", end), scalars, (1, 1, 1))


def test_a_loop_counts_as_often_as_it_turns() -> None:
    work = counted("arith.muli %K, %c16_i32 : i32", K=10)  # to 160 by 16
    assert work.is_whole
    assert work.tensor_macs == 10 * 64 * 16 * 32
    assert work.plain_macs == 0
    assert work.loaded_bytes == 10 * 2 * (64 * 16 + 16 * 32)
    assert work.stored_bytes == 4 * 64 * 32
    assert work.lane_ops == 4 * 64 * 32  # an exp is four
    assert work.burst_bytes == 2 * (64 * 16 + 16 * 32)


def test_a_last_turn_that_is_not_full_counts_whole() -> None:
    assert counted("arith.addi %K, %c0_i32 : i32", K=17).tensor_macs == 2 * 64 * 16 * 32


def test_a_loop_of_unknown_length_counts_once_and_says_so() -> None:
    work = counted("tt.load %lengths : !tt.ptr<i32>", K=10)
    assert not work.is_whole
    assert work.tensor_macs == 64 * 16 * 32


def test_programs_with_different_work_are_averaged() -> None:
    text = LOOP.replace(
        "%end = %END%", "%pid = tt.get_program_id x : i32 loc(#loc)\n    %end = arith.muli %pid, %c16_i32 : i32"
    )
    assert work_of(text, {}, (11, 1, 1)).tensor_macs == pytest.approx((0 + 5 + 10) / 3 * 64 * 16 * 32)


@pytest.mark.parametrize(("precision", "tensor", "plain"), [("tf32", 1, 0), ("ieee", 0, 1)])
def test_products_in_full_fp32_are_not_for_tensor_cores(precision: str, tensor: int, plain: int) -> None:
    line = "%d = tt.dot %x, %y, %s, inputPrecision = PRECISION : tensor<16x16xf32> * tensor<16x16xf32> -> tensor<16x16xf32>"
    text = f"tt.func public @k() {{\n{line.replace('PRECISION', precision)}\n}}"
    work = work_of(text, {}, (1, 1, 1))
    assert (work.tensor_macs, work.plain_macs) == (tensor * 16**3, plain * 16**3)


def test_of_two_branches_the_one_that_is_taken_counts_and_else_the_longer() -> None:
    text = """tt.func public @k(%n: i32) {
      %c1 = arith.constant 1 : i32
      %met = arith.cmpi sgt, %n, %c1 : i32
      scf.if %met {
        %a = arith.addf %x, %y : tensor<128xf32>
      } else {
        %b = math.exp %x : tensor<128xf32>
      }
    }"""
    assert work_of(text, {"n": 2}, (1, 1, 1)).lane_ops == 128
    assert work_of(text, {"n": 1}, (1, 1, 1)).lane_ops == 512
    assert work_of(text, {}, (1, 1, 1)).lane_ops == 512
