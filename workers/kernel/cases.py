"""What a target's cases.py says, decoded strictly into frozen values. Pure: no torch, no files.

`cases(seed)` is the subject's code and runs in the subject's process; what it returns crosses to the worker as plain data
(dicts, lists, text, numbers) and is believed only as far as `decode` has checked it. The format, for people who write a
target, is described in kernels/README.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

ERROR_FACTOR = 2.0  # how many times the eager implementation's own error is allowed, where a case does not say
LARGE = 64.0  # how many times larger the adversarial rows are, where an input does not say

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_E = TypeVar("_E", bound=StrEnum)


class CasesError(Exception):
    """The cases cannot be used: one line with the place, what was given and what is allowed."""


class Role(StrEnum):
    """Why a case is there."""

    REAL = "real"  # a shape of a model that people train or serve
    ODD = "odd"  # not a multiple of any block: primes, length 1
    EDGE = "edge"  # one row, very wide, very long
    HELD_OUT = "held_out"  # drawn from the seed: no edit can be written for it


class DType(StrEnum):
    """The types that a case may be measured in."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"


class InputDType(StrEnum):
    """The types that one input may have."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT32 = "int32"
    INT64 = "int64"

    @property
    def is_integer(self) -> bool:
        return self in (InputDType.INT32, InputDType.INT64)


class Fill(StrEnum):
    """How fresh content is drawn."""

    NORMAL = "normal"  # scale × N(0, 1)
    UNIFORM = "uniform"  # scale × U(-1, 1)
    SOFTMAX = "softmax"  # rows that add up to 1, of N(0, scale²) logits
    INDEX = "index"  # whole numbers, 0 ≤ i < below


class Infinity(StrEnum):
    """The infinity that an input's adversarial content holds, once."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    NONE = "none"  # for inputs where an infinity makes the answer depend on the order of evaluation


@dataclass(frozen=True, slots=True)
class TensorInput:
    """One tensor argument, contiguous."""

    shape: tuple[int, ...]  # each at least 1
    dtype: InputDType
    fill: Fill = Fill.NORMAL
    scale: float = 1.0
    below: int | None = None  # of an index alone
    varies: bool = True  # fresh content in every call, adversarial content among it; False: as weights, the same throughout
    inf: Infinity = Infinity.POSITIVE
    large: float = LARGE

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class ScalarInput:
    """One argument that is a number, the same in every call."""

    value: float | int


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a target's table: arguments for `kernel_fn` and `reference_fn`, and what they cost at least."""

    name: str
    role: Role
    dtype: DType
    inputs: tuple[TensorInput | ScalarInput, ...]
    flops: int  # operations that the result needs, each counted once
    bytes: int  # inputs read once, outputs written once
    small: bool  # cheap enough for Triton's interpreter on a CPU
    error_factor: float = ERROR_FACTOR


def decode(raw: object) -> tuple[Case, ...]:
    """What `cases(seed)` returned, as cases, in its order. Raises `CasesError` at the first thing that is not allowed."""
    rows = _list(raw, "cases(seed)")
    decoded = tuple(_case(row, f"cases(seed)[{nth}]") for nth, row in enumerate(rows))
    names: set[str] = set()
    for nth, case in enumerate(decoded):
        if case.name in names:
            raise _wrong(f"cases(seed)[{nth}].name", case.name, "a name that no case before it has")
        names.add(case.name)
    return decoded


def _case(raw: object, where: str) -> Case:
    allowed = ("name", "role", "dtype", "inputs", "flops", "bytes", "small", "error_factor")
    fields = _Fields(raw, where, allowed)
    dtype = fields.required("dtype", _enum(DType))
    inputs = fields.required("inputs", _list)
    case = Case(
        name=fields.required("name", _name),
        role=fields.required("role", _enum(Role)),
        dtype=dtype,
        inputs=tuple(_input(row, f"{where}.inputs[{nth}]", InputDType(dtype)) for nth, row in enumerate(inputs)),
        flops=fields.required("flops", _count),
        bytes=fields.required("bytes", _count),
        small=fields.required("small", _bool),
        error_factor=fields.optional("error_factor", _positive, ERROR_FACTOR),
    )
    if not any(isinstance(one, TensorInput) and one.varies for one in case.inputs):
        raise CasesError(f"{where}.inputs: no tensor varies; at least one must, or one answer would do for every call")
    return case


def _input(raw: object, where: str, default: InputDType) -> TensorInput | ScalarInput:
    if isinstance(raw, dict) and "value" in raw:
        return ScalarInput(_Fields(raw, where, ("value",)).required("value", _number))
    fields = _Fields(raw, where, ("shape", "dtype", "fill", "scale", "below", "varies", "inf", "large"))
    fill = fields.optional("fill", _enum(Fill), Fill.NORMAL)
    is_index = fill is Fill.INDEX
    found = TensorInput(
        shape=fields.required("shape", _shape),
        dtype=fields.optional("dtype", _enum(InputDType), InputDType.INT64 if is_index else default),
        fill=fill,
        scale=fields.optional("scale", _positive, 1.0),
        below=fields.optional("below", _count, None),
        varies=fields.optional("varies", _bool, True),
        inf=fields.optional("inf", _enum(Infinity), Infinity.NONE if is_index else Infinity.POSITIVE),
        large=fields.optional("large", _positive, LARGE),
    )
    if found.dtype.is_integer != is_index:
        kinds = [each.value for each in InputDType if each.is_integer == is_index]
        raise _wrong(f"{where}.dtype", found.dtype.value, f"{_or(kinds)} with the fill {found.fill.value}")
    if is_index != (found.below is not None):
        raise _wrong(f"{where}.below", found.below, "a whole number with the fill index, and nothing with any other")
    if is_index and found.inf is not Infinity.NONE:
        raise _wrong(f"{where}.inf", found.inf.value, "none with the fill index")
    return found


_T = TypeVar("_T")
_D = TypeVar("_D")


class _Fields:
    """A dict whose keys are all known."""

    def __init__(self, raw: object, where: str, allowed: Sequence[str]) -> None:
        if not isinstance(raw, dict):
            raise _wrong(where, raw, "a dict")
        for key in raw:
            if key not in allowed:
                raise CasesError(f"{where}: the key {_shown(key)} is not known; allowed: {', '.join(allowed)}")
        self._raw, self._where = raw, where

    def required(self, key: str, read: Callable[[object, str], _T]) -> _T:
        if key not in self._raw:
            raise CasesError(f"{self._where}: the key {key!r} is missing")
        return read(self._raw[key], f"{self._where}.{key}")

    def optional(self, key: str, read: Callable[[object, str], _T], default: _D) -> _T | _D:
        return self.required(key, read) if key in self._raw else default


def _wrong(where: str, given: object, allowed: str) -> CasesError:
    return CasesError(f"{where}: {_shown(given)} is not allowed; allowed: {allowed}")


def _shown(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 80 else text[:79] + "…"


def _or(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + " or " + words[-1]


def _list(raw: object, where: str) -> Sequence[object]:
    if not isinstance(raw, list | tuple) or not raw:
        raise _wrong(where, raw, "a list with at least one entry")
    return raw


def _name(raw: object, where: str) -> str:
    if not isinstance(raw, str) or not _NAME.match(raw):
        raise _wrong(where, raw, "lower-case letters, digits and _, a letter first")
    return raw


def _enum(kind: type[_E]) -> Callable[[object, str], _E]:
    def read(raw: object, where: str) -> _E:
        if not isinstance(raw, str) or raw not in list(kind):
            raise _wrong(where, raw, _or(list(kind)))
        return kind(raw)

    return read


def _bool(raw: object, where: str) -> bool:
    if not isinstance(raw, bool):
        raise _wrong(where, raw, "True or False")
    return raw


def _count(raw: object, where: str) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or raw < 1:
        raise _wrong(where, raw, "a whole number, at least 1")
    return raw


def _number(raw: object, where: str) -> float | int:
    if not isinstance(raw, int | float) or isinstance(raw, bool) or not math.isfinite(raw):
        raise _wrong(where, raw, "a finite number")
    return raw


def _positive(raw: object, where: str) -> float:
    value = float(_number(raw, where))
    if value <= 0:
        raise _wrong(where, raw, "a number above 0")
    return value


def _shape(raw: object, where: str) -> tuple[int, ...]:
    return tuple(_count(size, f"{where}[{nth}]") for nth, size in enumerate(_list(raw, where)))
