"""What a candidate's process says of its kernels is taken apart strictly; facts and stand-in follow from it."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from workers.kernel import gates
from workers.kernel.arch import arch
from workers.kernel.cases import Case, decode
from workers.kernel.compiled import UnreadableError, nvidia_instructions, nvidia_resources, tensor_core_instructions

TTIR = b"""tt.func public @copy(%x_ptr: !tt.ptr<f32>, %n: i32) {
  %x = tt.load %p : tensor<128x!tt.ptr<f32>>
  tt.store %q, %x : tensor<128x!tt.ptr<f32>>
}"""
USAGE = b" Function copy:\n  REG:24 STACK:8 SHARED:0 LOCAL:16 CONSTANT[0]:572"


def cubin(instructions: int) -> bytes:
    """An ELF file with one section of code, as far as it is looked at."""
    header = bytearray(64)
    struct.pack_into("<Q", header, 40, 64)
    struct.pack_into("<HH", header, 58, 64, 2)
    nothing = struct.pack("<IIQQQQIIQQ", *([0] * 10))
    code = struct.pack("<IIQQQQIIQQ", 0, 1, 0x6, 0, 0, 16 * instructions, 0, 0, 0, 0)
    return bytes(header) + nothing + code


def cases() -> tuple[Case, ...]:
    one = {
        "name": "real_fp16",
        "role": "real",
        "dtype": "fp16",
        "inputs": [{"shape": [512]}],
        "flops": 1,
        "bytes": 4096,
        "small": False,
    }
    small = one | {"name": "small_fp32", "role": "odd", "dtype": "fp32", "small": True}
    return decode([one, small])


def said(**changed: Any) -> tuple[dict[str, Any], bytes]:
    texts = [TTIR, b"wgmma.mma_async.sync x;\n@p mma.sync.y z;\n", cubin(40), USAGE]
    launch = {"name": "copy", "kernel": 0, "grid": [4, 1, 1], "scalars": {"n": 512}}
    header: dict[str, Any] = {
        "cases": [{"case": "real_fp16", "launches": [launch]}, {"case": "small_fp32", "launches": [launch | {"kernel": None}]}],
        "kernels": [{"name": "copy", "warps": 4, "shared": 256, "sizes": [len(text) for text in texts]}],
    }
    return header | changed, b"".join(texts)


def test_facts_and_stand_in_follow_from_what_was_compiled() -> None:
    built = gates.take(*said(), cases(), arch("sm_90"))
    assert built.facts(cases()) == {
        "registers": 24.0,
        "spill_bytes": 24.0,
        "shared_bytes": 256.0,
        "instructions": 40.0,
        "tensor_core_instructions": 2.0,
    }
    assert built.launched == {"real_fp16": [["copy", 4]], "small_fp32": [["copy", 4]]}
    (launch,) = built.launches["real_fp16"]
    assert launch.work.loaded_bytes == launch.work.stored_bytes == 512
    told = built.stand_in(cases(), arch("sm_90"))
    assert told is not None
    assert told["static_cost"] > 2.0
    assert 0 < told["floor_fraction"] < 1


def broken() -> list[tuple[str, dict[str, Any], bytes]]:
    header, payload = said()
    kernel, case = header["kernels"][0], header["cases"][0]
    launch = case["launches"][0]
    others = header["cases"][1:]
    return [
        ("texts cut off", header, payload[:-1]),
        ("a text too many", header, payload + b"x"),
        ("a negative size", {"kernels": [kernel | {"sizes": [-1, 0, 0, 0]}]}, payload),
        ("warps in words", {"kernels": [kernel | {"warps": "four"}]}, payload),
        ("a kernel that is not there", {"cases": [{**case, "launches": [launch | {"kernel": 7}]}, *others]}, payload),
        ("a case too few", {"cases": [case]}, payload),
        ("an endless grid", {"cases": [{**case, "launches": [launch | {"grid": [2**63, 1, 1]}]}, *others]}, payload),
        ("two dimensions", {"cases": [{**case, "launches": [launch | {"grid": [1, 1]}]}, *others]}, payload),
        ("a thousand launches", {"cases": [{**case, "launches": [launch] * 1000}, *others]}, payload),
        ("a real case that was not compiled", {"cases": [{**case, "launches": [launch | {"kernel": None}]}, *others]}, payload),
        ("nothing", {"cases": None}, payload),
    ]


@pytest.mark.parametrize(("changed", "payload"), [each[1:] for each in broken()], ids=[each[0] for each in broken()])
def test_what_does_not_fit_together_is_malformed(changed: dict[str, Any], payload: bytes) -> None:
    header, _ = said()
    with pytest.raises(gates.MalformedError):
        gates.take(header | changed, payload, cases(), arch("sm_90"))


def test_small_cases_are_checked_twice_and_compiled_only_where_they_are_real() -> None:
    assert [(check.case.name, check.adversarial) for check in gates.checks(cases())] == [
        ("small_fp32", False),
        ("small_fp32", True),
    ]
    assert [case.name for case in gates.compiled_cases(cases())] == ["real_fp16"]


def test_an_answer_is_as_long_as_its_shapes_say() -> None:
    header = {"outputs": [{"dtype": "float32", "shape": [2, 3]}, {"dtype": "int64", "shape": []}]}
    assert gates.outputs(header, 32) == header["outputs"]
    for wrong in (24, 0, 33):
        with pytest.raises(gates.MalformedError, match=f"{wrong} bytes"):
            gates.outputs(header, wrong)
    for strange in ({"dtype": "complex64", "shape": [1]}, {"dtype": "float32", "shape": [-1]}, {"dtype": "float32"}, 3):
        with pytest.raises(gates.MalformedError):
            gates.outputs({"outputs": [strange]}, 8)


def test_tools_that_say_nothing_are_not_taken_for_zero() -> None:
    with pytest.raises(UnreadableError):
        nvidia_resources("cuobjdump fatal: no such file")
    with pytest.raises(UnreadableError):
        nvidia_instructions(b"\x7fELF")
    assert tensor_core_instructions("// wgmma in a comment\nadd.f32 mma, x;") == 0
