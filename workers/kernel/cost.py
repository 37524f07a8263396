"""A stand-in for time where there is no GPU: what a launch would take by a simple model of the chip. Pure.

**It is no measurement.** It turns facts that are known without a GPU (work.py: bytes, products and operations of a program;
compiled.py: registers, spills, shared memory, warps) into microseconds of a chip that reaches its data sheet's rates when it
is full, so that a campaign on a laptop can find a kernel that wastes less. What it does not know: caches, bank conflicts,
clocks, the scheduler's skill. An edit that it likes is an idea for a GPU, not a result.

One launch takes as long as its slowest part (tensor cores, arithmetic, traffic between the SMs and L2, DRAM), over the share
of the chip that is busy: programs come in waves, and the last one is seldom full. Loads wait for memory unless enough of
them are under way at a time (Little's law).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workers.kernel.arch import Arch
from workers.kernel.compiled import Compiled
from workers.kernel.work import Work

LAUNCH_US = 2.0  # of one kernel after another on a stream, as CUDA users see it
L2_RATE = 2.5  # of DRAM's: A100 and H100 microbenchmarks find 2 to 3 (Chips and Cheese, 2022, 2023)
LATENCY_S = 700e-9  # of a load that misses L2, A100 and H100 alike
REGISTER_UNIT = 256  # registers are given out to a warp by so many
PROGRAM_SHARED_BYTES = 1024  # the system's part of a program's shared memory


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel launched once."""

    compiled: Compiled
    work: Work  # of one program
    programs: int


def case_us(launches: Sequence[Launch], least_bytes: int, arch: Arch) -> float:
    """One call: its launches one after another. `least_bytes`: of the whole call's inputs and outputs, each once."""
    return sum(launch_us(each, least_bytes, arch) for each in launches)


def launch_us(launch: Launch, least_bytes: int, arch: Arch) -> float:
    """Microseconds of the model for one launch. What it moves beyond `least_bytes` is found in L2."""
    work, programs = launch.work, launch.programs
    beside = resident_programs(launch.compiled, arch)
    places = arch.sms * beside
    full = programs / (math.ceil(programs / places) * places) if programs > places else min(1.0, programs / arch.sms)
    spilt = 2.0 * launch.compiled.spill_bytes * launch.compiled.warps * arch.warp_threads
    moved = programs * (work.loaded_bytes + work.stored_bytes + spilt)
    compute_s = programs * (
        2e-12 * work.tensor_macs / arch.tensor_tflops
        + 2e-12 * work.plain_macs / arch.fp32_tflops
        + 2e-12 * work.lane_ops / arch.fp32_tflops  # a multiply-add counts two, an operation takes as long
    )
    dram = max(min(moved, least_bytes), moved / L2_RATE)
    traffic_s = dram / (arch.dram_gb_s * 1e9) / _hidden(launch, beside, arch)
    return LAUNCH_US + 1e6 * max(compute_s, traffic_s) / full


def resident_programs(compiled: Compiled, arch: Arch) -> int:
    """How many programs an SM holds at a time: at least one, as what does not fit at all is refused before."""
    a_warp = math.ceil(max(compiled.registers, 1) * arch.warp_threads / REGISTER_UNIT) * REGISTER_UNIT
    by_registers = arch.registers_an_sm // (a_warp * compiled.warps)
    by_shared = arch.shared_bytes_an_sm // (compiled.shared_bytes + PROGRAM_SHARED_BYTES)
    return max(1, min(arch.warps_an_sm // compiled.warps, by_registers, by_shared, arch.programs_an_sm))


def floor_us(flops: int, least_bytes: int, on_tensor_cores: bool, arch: Arch) -> float:
    """The speed of light of the data sheet: no kernel can be faster."""
    rate = arch.tensor_tflops if on_tensor_cores else arch.fp32_tflops
    return max(flops / rate * 1e-6, least_bytes / arch.dram_gb_s * 1e-3)


def _hidden(launch: Launch, beside: int, arch: Arch) -> float:
    """Which share of the bandwidth the loads under way can use: loads ahead of their use wait in shared memory or registers."""
    in_registers = 4.0 * launch.compiled.registers * launch.compiled.warps * arch.warp_threads / 2
    ahead = max(launch.compiled.shared_bytes, min(launch.work.burst_bytes, in_registers))
    needed = arch.dram_gb_s * 1e9 * LATENCY_S / arch.sms
    return min(1.0, max(beside * ahead, 1.0) / needed)
