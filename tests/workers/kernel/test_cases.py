"""A target's cases are believed only as far as they were checked, and a mistake is told with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workers.kernel.cases import CasesError, DType, Fill, Infinity, InputDType, Role, ScalarInput, TensorInput, decode


def row(**changes: Any) -> dict[str, Any]:
    plain = {
        "name": "square",
        "role": "real",
        "dtype": "bf16",
        "inputs": [{"shape": [4, 8]}, {"value": 1e-5}],
        "flops": 32,
        "bytes": 128,
        "small": False,
    }
    return {key: value for key, value in {**plain, **changes}.items() if value is not ...}


def with_input(**changes: Any) -> dict[str, Any]:
    return row(inputs=[{"shape": [4]}, {"shape": [4], **changes}])


def test_a_row_is_decoded_with_the_defaults_of_the_format() -> None:
    (case,) = decode([row()])
    assert (case.name, case.role, case.dtype, case.flops, case.bytes, case.small) == (
        "square", Role.REAL, DType.BF16, 32, 128, False,
    )  # fmt: skip
    assert case.error_factor == 2.0
    tensor, scalar = case.inputs
    assert tensor == TensorInput((4, 8), InputDType.BF16, Fill.NORMAL, 1.0, None, True, Infinity.POSITIVE, 64.0)
    assert tensor.elements == 32
    assert scalar == ScalarInput(1e-5)


def test_everything_that_may_be_said_is_kept() -> None:
    given = {"shape": [3], "dtype": "fp32", "fill": "uniform", "scale": 2, "varies": False, "inf": "negative", "large": 5}
    index = {"shape": [3], "fill": "index", "below": 7}
    (case,) = decode([row(role="held_out", error_factor=1, inputs=[{"shape": [1]}, given, index])])
    assert case.role is Role.HELD_OUT
    assert case.error_factor == 1.0
    _, tensor, numbers = case.inputs
    assert tensor == TensorInput((3,), InputDType.FP32, Fill.UNIFORM, 2.0, None, False, Infinity.NEGATIVE, 5.0)
    assert numbers == TensorInput((3,), InputDType.INT64, Fill.INDEX, 1.0, 7, True, Infinity.NONE, 64.0)


def test_plain_data_survives_the_way_to_the_worker() -> None:
    assert decode(json.loads(json.dumps([row()]))) == decode([row()])


def test_rows_keep_their_order() -> None:
    assert [case.name for case in decode([row(name="b"), row(name="a")])] == ["b", "a"]


@pytest.mark.parametrize(
    ("raw", "place", "told"),
    [
        (None, "cases(seed)", "a list with at least one entry"),
        ([], "cases(seed)", "[] is not allowed"),
        (["square"], "cases(seed)[0]", "'square' is not allowed; allowed: a dict"),
        ([row(), row()], "cases(seed)[1].name", "a name that no case before it has"),
        ([row(name="Square 1")], "cases(seed)[0].name", "lower-case letters"),
        ([row(name="square\n")], "cases(seed)[0].name", "lower-case letters"),
        ([row(role="train")], "cases(seed)[0].role", "real, odd, edge or held_out"),
        ([row(dtype="float16")], "cases(seed)[0].dtype", "fp32, fp16 or bf16"),
        ([row(dtype=["fp16"])], "cases(seed)[0].dtype", "fp32, fp16 or bf16"),
        ([row(flops=...)], "cases(seed)[0]", "the key 'flops' is missing"),
        ([row(flops=1e9)], "cases(seed)[0].flops", "a whole number, at least 1"),
        ([row(bytes=0)], "cases(seed)[0].bytes", "a whole number, at least 1"),
        ([row(small=1)], "cases(seed)[0].small", "True or False"),
        ([row(error_factor=0)], "cases(seed)[0].error_factor", "a number above 0"),
        ([row(error_factor=float("inf"))], "cases(seed)[0].error_factor", "a finite number"),
        ([row(atol=1e4)], "cases(seed)[0]", "the key 'atol' is not known; allowed: name, role"),
        ([row(inputs=[])], "cases(seed)[0].inputs", "a list with at least one entry"),
        ([row(inputs=[{"shape": [4], "varies": False}])], "cases(seed)[0].inputs", "no tensor varies"),
        ([row(inputs=[{"value": 3}])], "cases(seed)[0].inputs", "no tensor varies"),
        ([row(inputs=[4])], "cases(seed)[0].inputs[0]", "a dict"),
        ([row(inputs=[{}])], "cases(seed)[0].inputs[0]", "the key 'shape' is missing"),
        ([row(inputs=[{"shape": []}])], "cases(seed)[0].inputs[0].shape", "a list with at least one entry"),
        ([row(inputs=[{"shape": [4, 0]}])], "cases(seed)[0].inputs[0].shape[1]", "a whole number, at least 1"),
        ([row(inputs=[{"shape": [True]}])], "cases(seed)[0].inputs[0].shape[0]", "a whole number, at least 1"),
        ([row(inputs=[{"shape": "44"}])], "cases(seed)[0].inputs[0].shape", "a list with at least one entry"),
        ([with_input(fill="gaussian")], "cases(seed)[0].inputs[1].fill", "normal, uniform, softmax or index"),
        ([with_input(fill="index")], "cases(seed)[0].inputs[1].below", "a whole number with the fill index"),
        ([with_input(below=4)], "cases(seed)[0].inputs[1].below", "nothing with any other"),
        ([with_input(dtype="int64")], "cases(seed)[0].inputs[1].dtype", "fp32, fp16 or bf16 with the fill normal"),
        ([with_input(fill="index", below=4, dtype="fp32")], "cases(seed)[0].inputs[1].dtype", "int32 or int64"),
        ([with_input(fill="index", below=4, inf="positive")], "cases(seed)[0].inputs[1].inf", "none with the fill index"),
        ([with_input(inf="+")], "cases(seed)[0].inputs[1].inf", "positive, negative or none"),
        ([with_input(scale=-1)], "cases(seed)[0].inputs[1].scale", "a number above 0"),
        ([with_input(value=3)], "cases(seed)[0].inputs[1]", "the key 'shape' is not known; allowed: value"),
        ([row(inputs=[{"shape": [4]}, {"value": True}])], "cases(seed)[0].inputs[1].value", "a finite number"),
        ([row(inputs=[{"shape": [4]}, {"value": float("nan")}])], "cases(seed)[0].inputs[1].value", "a finite number"),
        ([row(inputs=[{"shape": [4]}, {"value": "1"}])], "cases(seed)[0].inputs[1].value", "a finite number"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_is_allowed(raw: object, place: str, told: str) -> None:
    with pytest.raises(CasesError) as caught:
        decode(raw)
    assert str(caught.value).startswith(f"{place}: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
