"""The speed of light for one case on one GPU: no call can be faster, so one that seems to be was not measured. Pure.

A call must do its operations and move its bytes: floor = max(flops / rate, bytes / bandwidth). A rate is the larger of the
data sheet's (peaks.py, at the card's highest clock) and a measured one (a copy of a large buffer, square products), so that
a true record never looks like a lie. Where a baseline, which nobody doubts, is faster, the case claims more than it needs
and the floor gives way.

Two things make an honest call faster than bytes / bandwidth: inputs that are still in the L2 cache, for which slots of inputs
take turns (`missed_share` says what they may hide all the same); and fp32 products put together from three 16-bit ones, which
the oracle may accept, so a third of the 16-bit rate counts for fp32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from workers.kernel.cases import Case, DType
from workers.kernel.peaks import Peaks

COPY = "copy"  # names of the measured ceilings
PRODUCTS = ("fp16", "bf16", "fp32")
_SURE = 0.97  # of the floor: below it nothing honest is, where a data sheet bounds the rates; clocks and figures are rounded
_UNSURE = 0.6  # where only measured ceilings are known: cuBLAS has been seen to miss a third of the peak


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What was measured on this GPU, by the worker's clock. None: not measured."""

    copy_gb_s: float | None = None  # read and written
    fp16_tflops: float | None = None
    bf16_tflops: float | None = None
    fp32_tflops: float | None = None


@dataclass(frozen=True, slots=True)
class Light:
    """The best rates that are known of one GPU."""

    dram_gb_s: float
    tflops: Mapping[DType, float]
    is_sure: bool  # a data sheet bounds them
    l2_bytes: int = 0

    def floor_us(self, case: Case, rotated_bytes: int) -> float:
        """Microseconds below which no call is. `rotated_bytes`: of all slots of inputs and outputs that take turns."""
        moved_s = case.bytes / (self.dram_gb_s * 1e9) * missed_share(rotated_bytes, self.l2_bytes)
        return 1e6 * max(case.flops / (self.tflops[case.dtype] * 1e12), moved_s)

    def is_impossible(self, latency_us: float, floor_us: float, clock_error_us: float) -> bool:
        """Whether a latency is so far below its floor that it was none."""
        return latency_us + clock_error_us < (_SURE if self.is_sure else _UNSURE) * floor_us


def light(sheet: Peaks | None, highest_mhz: float | None, measured: Ceilings, l2_bytes: int) -> Light | None:
    """The larger of the data sheet's and the measured rates; None where neither knows one."""
    best = Peaks(0.0, 0.0, 0.0, 0.0, 0.0, 1.0) if sheet is None else sheet.at_clock(highest_mhz)
    fp16 = max(best.fp16_tflops, measured.fp16_tflops or 0.0)
    bf16 = max(best.bf16_tflops, measured.bf16_tflops or 0.0)
    fp32 = max(best.fp32_tflops, measured.fp32_tflops or 0.0, fp16 / 3, bf16 / 3)
    dram = max(best.dram_gb_s, measured.copy_gb_s or 0.0)
    if not all((fp16, bf16, fp32, dram)):
        return None
    return Light(dram, {DType.FP16: fp16, DType.BF16: bf16, DType.FP32: fp32}, sheet is not None, l2_bytes)


def missed_share(rotated_bytes: int, l2_bytes: int) -> float:
    """The share of bytes that DRAM must deliver when so many are used in turn, over and over. 0 where all fit.

    Of a cache that replaces at random, a line is found again with h = exp(-(1 - h) · rotated / cache): each miss until its
    turn comes puts it out with 1 / cache. One that replaced the oldest would find none.
    """
    if l2_bytes <= 0:
        return 1.0
    ratio = rotated_bytes / l2_bytes
    if ratio <= 1.0:
        return 0.0
    found = 0.0
    for _ in range(200):  # rises to the smaller solution; the larger one is 1
        found = math.exp(-(1.0 - found) * ratio)
    return 1.0 - found
