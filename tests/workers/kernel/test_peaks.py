"""The figures of GPUs by the exact names that NVML gives them."""

from __future__ import annotations

import pytest

from workers.kernel.peaks import PEAKS, peaks


def test_cards_of_one_chip_are_told_apart_by_their_whole_name() -> None:
    sxm, pcie, nvl = (peaks(f"NVIDIA H100 {kind}") for kind in ("80GB HBM3", "PCIe", "NVL"))
    assert sxm is not None
    assert pcie is not None
    assert nvl is not None
    assert sxm.bf16_tflops > nvl.bf16_tflops > pcie.bf16_tflops
    assert (sxm.dram_gb_s, pcie.dram_gb_s) == (3350.0, 2039.0)


@pytest.mark.parametrize("name", [None, "", "H100", "NVIDIA H100", "nvidia h100 pcie", "NVIDIA A10G", "AMD Instinct MI300X"])
def test_a_name_that_is_not_there_has_no_figures(name: str | None) -> None:
    assert peaks(name) is None


@pytest.mark.parametrize("name", sorted(PEAKS))
def test_figures_of_a_card_agree_with_each_other(name: str) -> None:
    card = PEAKS[name]
    assert 1.9 <= card.bf16_tflops / card.tf32_tflops <= 2.1  # of tensor cores, twice the bits cost twice
    assert card.fp16_tflops >= card.bf16_tflops
    assert card.fp32_tflops <= card.tf32_tflops
    assert 250 <= card.dram_gb_s <= 10_000
    assert 1300 <= card.boost_mhz <= 2700


def test_a_card_that_may_clock_higher_has_higher_rates_and_the_same_memory() -> None:
    card = PEAKS["NVIDIA H100 80GB HBM3"]
    at_most = card.at_clock(1980.0)
    assert at_most.bf16_tflops == pytest.approx(989.4 * 1980 / 1830)
    assert at_most.dram_gb_s == card.dram_gb_s
    assert card.at_clock(1200.0) == card.at_clock(None) == card  # a lower limit bounds nothing: it may be raised
