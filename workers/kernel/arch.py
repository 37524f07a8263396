"""The kinds of GPU that a kernel is compiled for: what one program may take, and what the whole chip gives. Pure.

`target.arch` names one. The figures are those of the kind's best-known card, from its maker's data sheet (dense rates, no
sparsity), and serve the gates and the stand-in cost alone: what is measured on a GPU is compared with that very GPU's
ceilings (peaks.py), never with these.
"""

from __future__ import annotations

from dataclasses import dataclass

_KIB = 1024


class UnknownArchError(Exception):
    """No such kind of GPU: what was given and what is allowed."""


@dataclass(frozen=True, slots=True)
class Arch:
    """One kind of GPU."""

    name: str  # as in target.arch
    card: str  # whose figures these are
    backend: str  # triton's: cuda or hip
    capability: int | str  # triton's: 90, or "gfx942"
    warp_threads: int
    shared_bytes_a_program: int  # at most; more compiles, and fails when it is launched
    shared_bytes_an_sm: int
    sms: int  # streaming multiprocessors, or compute units
    registers_an_sm: int  # of 32 bits
    warps_an_sm: int
    programs_an_sm: int
    tensor_tflops: float  # 16-bit inputs, fp32 sums
    fp32_tflops: float
    dram_gb_s: float


# NVIDIA: the architectures' white papers and the CUDA programming guide's table of technical specifications per compute
# capability; AMD: the CDNA 3 white paper (a compute unit has four register files of 512 × 64 lanes).
_ALL = (
    Arch("sm_80", "A100 SXM 80 GB", "cuda", 80, 32, 163 * _KIB, 164 * _KIB, 108, 65536, 64, 32, 312.0, 19.5, 2039.0),
    Arch("sm_86", "A40", "cuda", 86, 32, 99 * _KIB, 100 * _KIB, 84, 65536, 48, 16, 149.7, 37.4, 696.0),
    Arch("sm_89", "L40S", "cuda", 89, 32, 99 * _KIB, 100 * _KIB, 142, 65536, 48, 24, 362.0, 91.6, 864.0),
    Arch("sm_90", "H100 SXM", "cuda", 90, 32, 227 * _KIB, 228 * _KIB, 132, 65536, 64, 32, 989.4, 66.9, 3350.0),
    Arch("sm_100", "B200", "cuda", 100, 32, 227 * _KIB, 228 * _KIB, 148, 65536, 64, 32, 2250.0, 75.0, 8000.0),
    Arch("sm_120", "GeForce RTX 5090", "cuda", 120, 32, 99 * _KIB, 100 * _KIB, 170, 65536, 48, 24, 209.5, 104.8, 1792.0),
    Arch("gfx942", "MI300X", "hip", "gfx942", 64, 64 * _KIB, 64 * _KIB, 304, 131072, 32, 32, 1307.4, 163.4, 5300.0),
)
ARCHS = {each.name: each for each in _ALL}
DEFAULT = "sm_90"


def arch(name: str) -> Arch:
    """The kind of GPU with this name. Raises `UnknownArchError`."""
    if name not in ARCHS:
        raise UnknownArchError(f"given {name!r}; allowed: {', '.join(ARCHS)}")
    return ARCHS[name]


def of_capability(capability: tuple[int, int] | None) -> str:
    """The name of the kind of GPU that NVML tells a compute capability of: itself, or else the newest kind before it, whose
    limits it keeps to. `DEFAULT` where nothing is known."""
    if capability is None:
        return DEFAULT
    number = 10 * capability[0] + capability[1]
    older = [each for each in _ALL if isinstance(each.capability, int) and each.capability <= number]
    return max(older, key=lambda each: int(each.capability)).name if older else DEFAULT
