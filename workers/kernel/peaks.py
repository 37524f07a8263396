"""What a GPU can do at most, by its maker's figures, under the exact name that NVML gives it. Pure.

Dense rates without sparsity, at the boost clock that the figure was worked out with; a card that may clock higher is scaled
up (`at_clock`), so that the figures bound what it can do. A card that is not here has no figures: then measured ceilings
count alone (floor.py), which bound nothing with certainty.

Sources: NVIDIA's architecture white papers (A100 2020, GA102 2020, Ada and L40S 2022/23, H100 2022, Blackwell RTX 2025) and
data sheets of A10, A30, A40, L4, L40, L40S, H100 (SXM, PCIe, NVL), H200 (SXM, NVL), GH200 and B200; where a data sheet gives
the rate with sparsity, half of it. Clocks are those at which (SMs × operations a clock) gives the figure. GeForce cards
multiply fp16 twice as fast when they also add in fp16, and a kernel may, so that figure stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Peaks:
    """Rates of one card."""

    fp16_tflops: float  # tensor cores
    bf16_tflops: float
    tf32_tflops: float
    fp32_tflops: float  # no tensor cores
    dram_gb_s: float
    boost_mhz: float  # the SM clock of these rates

    def at_clock(self, mhz: float | None) -> Peaks:
        """At the highest clock that the card allows, where that is above the boost clock. Memory has a clock of its own."""
        faster = max(1.0, (mhz or 0.0) / self.boost_mhz)
        return replace(
            self,
            fp16_tflops=self.fp16_tflops * faster,
            bf16_tflops=self.bf16_tflops * faster,
            tf32_tflops=self.tf32_tflops * faster,
            fp32_tflops=self.fp32_tflops * faster,
            boost_mhz=self.boost_mhz * faster,
        )


def _tensor(tensor: float, tf32: float, fp32: float, dram_gb_s: float, boost_mhz: float) -> Peaks:
    return Peaks(tensor, tensor, tf32, fp32, dram_gb_s, boost_mhz)


_HOPPER_SXM = _tensor(989.4, 494.7, 66.9, 3350.0, 1830.0)
_HOPPER_NVL = _tensor(835.5, 417.7, 60.3, 3938.0, 1545.0)

PEAKS: Mapping[str, Peaks] = {
    "NVIDIA A100-SXM4-40GB": _tensor(312.0, 156.0, 19.5, 1555.0, 1410.0),
    "NVIDIA A100-SXM4-80GB": _tensor(312.0, 156.0, 19.5, 2039.0, 1410.0),
    "NVIDIA A100-PCIE-40GB": _tensor(312.0, 156.0, 19.5, 1555.0, 1410.0),
    "NVIDIA A100 80GB PCIe": _tensor(312.0, 156.0, 19.5, 1935.0, 1410.0),
    "NVIDIA A30": _tensor(165.2, 82.6, 10.3, 933.0, 1440.0),
    "NVIDIA A10": _tensor(125.0, 62.5, 31.2, 600.0, 1695.0),
    "NVIDIA A40": _tensor(149.7, 74.8, 37.4, 696.0, 1740.0),
    "NVIDIA RTX A6000": _tensor(154.8, 77.4, 38.7, 768.0, 1800.0),
    "NVIDIA L4": _tensor(121.0, 60.5, 30.3, 300.0, 2040.0),
    "NVIDIA L40": _tensor(181.1, 90.5, 90.5, 864.0, 2490.0),
    "NVIDIA L40S": _tensor(362.1, 183.0, 91.6, 864.0, 2490.0),
    "NVIDIA RTX 6000 Ada Generation": _tensor(364.2, 182.1, 91.1, 960.0, 2505.0),
    "NVIDIA H100 80GB HBM3": _HOPPER_SXM,
    "NVIDIA H100 PCIe": _tensor(756.4, 378.2, 51.2, 2039.0, 1620.0),
    "NVIDIA H100 NVL": _HOPPER_NVL,
    "NVIDIA H200": replace(_HOPPER_SXM, dram_gb_s=4800.0),
    "NVIDIA H200 NVL": replace(_HOPPER_NVL, dram_gb_s=4800.0),
    "NVIDIA GH200 480GB": replace(_HOPPER_SXM, dram_gb_s=4000.0),
    "NVIDIA GH200 144G HBM3e": replace(_HOPPER_SXM, dram_gb_s=4900.0),
    "NVIDIA B200": _tensor(2250.0, 1125.0, 80.0, 8000.0, 1855.0),
    "NVIDIA GeForce RTX 3090": Peaks(142.3, 71.2, 35.6, 35.6, 936.2, 1695.0),
    "NVIDIA GeForce RTX 4090": Peaks(330.3, 165.2, 82.6, 82.6, 1008.0, 2520.0),
    "NVIDIA GeForce RTX 5090": Peaks(419.0, 209.5, 104.8, 104.8, 1792.0, 2407.0),
}


def peaks(name: str | None) -> Peaks | None:
    """The figures of the card with this name; None where none are known."""
    return None if name is None else PEAKS.get(name)
