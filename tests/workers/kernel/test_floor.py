"""The speed of light of a case: what bounds it, and what is too fast to be true."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workers.kernel.cases import Case, DType, InputDType, Role, TensorInput
from workers.kernel.floor import Ceilings, Light, light, missed_share
from workers.kernel.peaks import PEAKS

H100, BOOST_MHZ = PEAKS["NVIDIA H100 80GB HBM3"], 1830.0
MEASURED = Ceilings(copy_gb_s=2900.0, fp16_tflops=700.0, bf16_tflops=720.0, fp32_tflops=50.0)
L2 = 50 << 20


def case(flops: int, size: int, dtype: DType = DType.BF16) -> Case:
    one = TensorInput((1024, 1024), InputDType.BF16)
    return Case("a", Role.REAL, dtype, (one,), flops, size, small=False)


def known(measured: Ceilings = MEASURED) -> Light:
    found = light(H100, BOOST_MHZ, measured, L2)
    assert found is not None
    return found


def test_products_are_bound_by_operations_and_the_rest_by_bytes() -> None:
    matmul = case(2 * 4096**3, 3 * 2 * 4096**2)
    assert known().floor_us(matmul, 100 * L2) == pytest.approx(2 * 4096**3 / 989.4e6, rel=1e-6)  # 139 us
    rmsnorm = case(4 * 4096**2, 2 * 2 * 4096**2)
    assert known().floor_us(rmsnorm, 100 * L2) == pytest.approx(4 * 4096**2 / 3350e3, rel=1e-3)  # 20 us


def test_the_larger_of_data_sheet_and_measurement_bounds() -> None:
    assert known(replace(MEASURED, copy_gb_s=3500.0)).dram_gb_s == 3500.0
    assert known().dram_gb_s == 3350.0
    assert known(Ceilings()).tflops[DType.FP16] == 989.4


def test_fp32_products_of_three_16_bit_ones_are_possible() -> None:
    assert known().tflops[DType.FP32] == pytest.approx(989.4 / 3)


def test_a_card_without_figures_has_the_measured_ceilings_and_a_wide_margin() -> None:
    found = light(None, None, MEASURED, L2)
    assert found is not None
    assert (found.dram_gb_s, found.is_sure) == (2900.0, False)
    assert not found.is_impossible(80.0, 100.0, 0.0)
    assert found.is_impossible(50.0, 100.0, 0.0)
    assert light(None, None, replace(MEASURED, bf16_tflops=None), L2) is None


def test_faster_than_light_by_more_than_the_clock_errs_is_impossible() -> None:
    found = known()
    assert found.is_impossible(90.0, 100.0, 1.0)
    assert not found.is_impossible(90.0, 100.0, 8.0)  # a clock that coarse does not tell
    assert not found.is_impossible(98.0, 100.0, 0.0)  # figures are rounded
    assert not found.is_impossible(130.0, 100.0, 0.0)


def test_what_the_cache_may_hide_is_taken_off_the_bytes() -> None:
    assert missed_share(L2, L2) == 0.0
    assert missed_share(2 * L2, L2) == pytest.approx(0.797, abs=1e-3)
    assert missed_share(4 * L2, L2) > 0.97
    assert missed_share(1, 0) == 1.0  # no cache is known
    small = case(10, 1 << 20)
    assert known().floor_us(small, L2 // 2) < 0.001  # all of it may be in the cache: only operations bound it
