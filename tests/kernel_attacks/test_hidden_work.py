"""Work is counted wherever a kernel puts it: in few programs, in few turns, in single elements, in a reduction."""

from __future__ import annotations

import pytest

from workers.kernel.work import Work, work_of

HEAVY = "%e = math.exp %x : tensor<1024xf32>"  # four times 1024


def counted(body: str, programs: int = 1, **scalars: int) -> Work:
    constants = "%c0 = arith.constant 0 : i32\n%c1 = arith.constant 1 : i32"
    text = f"tt.func public @k(%p: !tt.ptr<f32>, %n: i32) {{\n{constants}\n{body}\n}}"
    return work_of(text, scalars, (programs, 1, 1))


@pytest.mark.parametrize("busy", [0, 1, 4999, 5000, 9999])
def test_one_program_that_does_the_work_of_all_is_found(busy: int) -> None:
    work = counted(
        f"""%pid = tt.get_program_id x : i32
        %b = arith.constant {busy} : i32
        %met = arith.cmpi eq, %pid, %b : i32
        %often = arith.extui %met : i1 to i32
        %many = arith.constant 10000 : i32
        %turns = arith.muli %often, %many : i32
        scf.for %i = %c0 to %turns step %c1 : i32 {{
          {HEAVY}
        }}""",
        programs=10_000,
    )
    assert work.is_whole
    assert work.lane_ops == pytest.approx(4 * 1024)


def test_a_branch_that_few_programs_take_counts_for_those() -> None:
    branch = f"%pid = tt.get_program_id x : i32\n%met = arith.cmpi slt, %pid, %n : i32\nscf.if %met {{\n{HEAVY}\n}}"
    assert counted(branch, programs=100, n=25).lane_ops == pytest.approx(1024)


@pytest.mark.parametrize("turn", [0, 50, 77])
def test_work_in_one_turn_of_a_loop_counts_in_all(turn: int) -> None:
    work = counted(
        f"""%b = arith.constant {turn} : i32
        scf.for %i = %c0 to %n step %c1 : i32 {{
          %met = arith.cmpi eq, %i, %b : i32
          scf.if %met {{
            {HEAVY}
          }}
        }}""",
        n=100,
    )
    assert work.lane_ops == 100 * 4 * 1024


def test_an_inner_loop_that_grows_unevenly_is_not_known() -> None:
    loops = """scf.for %i = %c0 to %n step %c1 : i32 {
          %often = OPERATION %i, %n : i32
          scf.for %j = %c0 to %often step %c1 : i32 {
            %e = math.exp %x : tensor<8xf32>
          }
        }"""
    assert not counted(loops.replace("OPERATION", "arith.minsi"), n=10).is_whole
    assert not counted(loops.replace("OPERATION", "arith.remsi"), n=10).is_whole
    assert counted(loops.replace("OPERATION", "arith.addi"), n=10).is_whole


def test_a_name_that_is_bound_again_loses_the_number_it_had() -> None:
    assert not counted("%n = tt.load %p : !tt.ptr<i32>\nscf.for %i = %c0 to %n step %c1 : i32 {\n}", n=1).is_whole
    assert not counted("%k = tt.load %p : !tt.ptr<i32>\nscf.for %i = %c0 to %k step %c1 : i32 {\n}", k=1).is_whole


def test_single_elements_count() -> None:
    work = counted(
        "scf.for %i = %c0 to %n step %c1 : i32 {\n%v = tt.load %p : !tt.ptr<f32>\n%s = arith.addf %v, %v : f32\n}", n=1000
    )
    assert (work.loaded_bytes, work.lane_ops) == (4000, 1000)


def test_what_a_reduction_does_with_each_element_counts() -> None:
    body = """%r = "tt.reduce"(%x) <{axis = 0 : i32}> ({
        ^bb0(%a: f32, %b: f32):
          %m = arith.mulf %a, %b : f32
          %e = math.exp %m : f32
          tt.reduce.return %e : f32
        }) : (tensor<1024xf32>) -> f32"""
    assert counted(body).lane_ops == 1024 * 5


@pytest.mark.parametrize(
    "line",
    [
        "%v = tt.call @helper(%p) : (!tt.ptr<f32>) -> f32",
        '%v = tt.elementwise_inline_asm "ex2 $0, $1;" {pure = true} %x : tensor<8xf32> -> tensor<8xf32>',
        "scf.while : () -> () {\n} do {\n}",
        'scf.for %"é" = %c0 to %n step %c1 : i32 {\n}',
        "%v = some.region %x ({\n%e = math.exp %x : tensor<8xf32>\n}) : tensor<8xf32>",
    ],
)
def test_what_cannot_be_seen_is_not_known(line: str) -> None:
    assert not counted(line, n=1).is_whole


def test_a_launch_of_more_programs_than_can_be_told_apart_is_known_where_they_are_alike() -> None:
    assert counted(HEAVY, programs=1 << 40).is_whole
    alike = "%pid = tt.get_program_id x : i32\nscf.for %i = %c0 to %pid step %c1 : i32 {\n}"
    assert not counted(alike, programs=1 << 40).is_whole
