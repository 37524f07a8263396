"""The stand-in for time: it falls with what makes a kernel faster, and never below the speed of light."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.kernel.arch import ARCHS, UnknownArchError, arch
from workers.kernel.compiled import Compiled
from workers.kernel.cost import LAUNCH_US, Launch, case_us, floor_us, launch_us, resident_programs
from workers.kernel.work import Work

H100 = arch("sm_90")
TILE = Compiled("k", warps=8, registers=128, spill_bytes=0, shared_bytes=64 << 10, instructions=500, tensor_core_instructions=8)
WORK = Work(loaded_bytes=1e6, stored_bytes=1e5, tensor_macs=1e8, lane_ops=1e5, burst_bytes=5e4)
LAUNCH = Launch(TILE, WORK, programs=132 * 3 * 4)
CALL = 10_000_000  # bytes


@pytest.mark.parametrize("name", ARCHS)
def test_every_kind_holds_a_program_that_fits(name: str) -> None:
    assert resident_programs(replace(TILE, shared_bytes=arch(name).shared_bytes_a_program), arch(name)) >= 1


def test_an_unknown_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnknownArchError, match=r"given 'sm_75'; allowed: sm_80, .*gfx942"):
        arch("sm_75")


@pytest.mark.parametrize(
    "worse",
    [
        replace(LAUNCH, compiled=replace(TILE, spill_bytes=4096)),
        replace(LAUNCH, work=replace(WORK, tensor_macs=1e9)),
        replace(LAUNCH, work=replace(WORK, loaded_bytes=1e8)),
        replace(LAUNCH, programs=LAUNCH.programs + 1),  # a last wave with one program in it
        replace(LAUNCH, work=replace(WORK, tensor_macs=0.0, plain_macs=1e8)),  # the products leave the tensor cores
    ],
)
def test_more_work_or_waste_costs_more(worse: Launch) -> None:
    assert launch_us(worse, CALL, H100) > launch_us(LAUNCH, CALL, H100)


def test_loads_that_nothing_hides_cost_more() -> None:
    alone = replace(
        LAUNCH, compiled=replace(TILE, shared_bytes=0, registers=16), work=replace(WORK, tensor_macs=0.0, burst_bytes=512)
    )
    hidden = replace(alone, work=replace(alone.work, burst_bytes=5e4))
    assert launch_us(alone, CALL, H100) > launch_us(hidden, CALL, H100)


def test_two_launches_cost_more_than_one() -> None:
    assert case_us([LAUNCH, LAUNCH], CALL, H100) == pytest.approx(2 * launch_us(LAUNCH, CALL, H100))


@given(
    st.builds(Work, *(st.floats(0, 1e9) for _ in range(6))),
    st.integers(1, 10_000),
    st.integers(1, 32).filter(lambda warps: warps & (warps - 1) == 0),
    st.integers(16, 255),
)
def test_no_launch_is_faster_than_light(work: Work, programs: int, warps: int, registers: int) -> None:
    launch = Launch(replace(TILE, warps=warps, registers=registers), work, programs)
    products = int(2 * programs * work.tensor_macs)
    moved = int(programs * (work.loaded_bytes + work.stored_bytes))
    assert launch_us(launch, moved, H100) >= max(LAUNCH_US, floor_us(products, moved, True, H100) * (1 - 1e-9))


def test_a_program_that_needs_more_shared_memory_than_the_gpu_gives_one_is_refused_with_both_numbers() -> None:
    large = replace(TILE, shared_bytes=arch("sm_89").shared_bytes_a_program + 1)
    assert large.too_large_for(arch("sm_89")) == (
        "k needs 101377 bytes of shared memory; allowed on sm_89 are 101376: make the blocks smaller, or num_stages"
    )
    assert large.too_large_for(H100) is None
