"""What the gates of a kernel ask, and what they make of what they are told. Pure: no process, no torch, no files.

What a candidate's process says is taken apart strictly: sizes and counts must fit before anything is believed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workers.kernel import compiled, cost
from workers.kernel.arch import Arch
from workers.kernel.cases import Case, DType, Role
from workers.kernel.compiled import Compiled
from workers.kernel.cost import Launch
from workers.kernel.work import Work, work_of
from workers.trial import CaseRow

_MOST_LAUNCHES = 256  # of one call
_LEAST_MOVED = 0.95  # of a case's bytes: the starters move all of them at least, as nothing else reads an input
_LEAST_DONE = 0.5  # of a case's operations: algebra may save some
_DTYPE_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1,
    "bool": 1,
}  # fmt: skip


class MalformedError(Exception):
    """A candidate's process said something that cannot be."""


@dataclass(frozen=True, slots=True)
class Check:
    """One call whose answer is judged."""

    case: Case
    call: int  # inputs are drawn anew for each
    adversarial: bool


@dataclass(frozen=True, slots=True)
class _Text:
    """One kernel as it was told: the facts, and the text that its work is counted in."""

    facts: Compiled
    ttir: str


@dataclass(frozen=True, slots=True)
class Built:
    """All that a candidate launches, case by case."""

    launched: Mapping[str, list[list[Any]]]  # names and programs of a call's launches, as the interpreter's half tells them too
    launches: Mapping[str, tuple[Launch, ...]]  # of the cases that were compiled

    def row(self, case: Case, chip: Arch) -> CaseRow:
        """What there is to say of one case without a GPU."""
        launches = self.launches[case.name]
        largest = compiled.most([launch.compiled for launch in launches])
        is_whole = all(launch.work.is_whole for launch in launches)
        return CaseRow(
            case.name,
            case.role.value,
            case.dtype.value,
            len(launches),
            sum(launch.programs for launch in launches),
            largest.registers,
            largest.spill_bytes,
            largest.shared_bytes,
            largest.tensor_core_instructions > 0,
            floor_us(case, chip),
            cost.case_us(launches, case.bytes, chip) if is_whole else None,
        )

    def facts(self, cases: Sequence[Case]) -> dict[str, float]:
        """The largest of each number over the kernels of the real shapes."""
        used = [launch.compiled for case in _real(cases) for launch in self.launches[case.name]]
        largest = compiled.most(used)
        return {
            "registers": float(largest.registers),
            "spill_bytes": float(largest.spill_bytes),
            "shared_bytes": float(largest.shared_bytes),
            "instructions": float(largest.instructions),
            "tensor_core_instructions": float(largest.tensor_core_instructions),
        }

    def too_little(self, cases: Sequence[Case]) -> str | None:
        """Where less work is seen than the answer needs: the rest is not done, or hidden. None where all is well."""
        for case in _real(cases):
            works = [(launch.work, launch.programs) for launch in self.launches[case.name]]
            moved = sum(programs * (work.loaded_bytes + work.stored_bytes) for work, programs in works)
            done = sum(programs * (2 * work.tensor_macs + 2 * work.plain_macs + work.lane_ops) for work, programs in works)
            if case.dtype is DType.FP32 and any(work.rounds_products for work, _ in works):
                return f"{case.name}: products of fp32 in tf32, which the interpreter cannot see; due is input_precision='ieee'"
            if moved < _LEAST_MOVED * case.bytes:
                return f"{case.name}: its kernels move {moved:.0f} bytes; inputs and outputs alone are {case.bytes}"
            if done < _LEAST_DONE * case.flops:
                return f"{case.name}: its kernels do {done:.0f} operations; the answer needs {case.flops}"
        return None

    def stand_in(self, cases: Sequence[Case], chip: Arch) -> dict[str, float] | None:
        """`static_cost` (geometric mean over the real shapes, microseconds of a model) and how near it comes to the chip's
        limits; None where a loop's length is not known."""
        real = _real(cases)
        if not all(launch.work.is_whole for case in real for launch in self.launches[case.name]):
            return None
        costs = [cost.case_us(self.launches[case.name], case.bytes, chip) for case in real]
        floors = [floor_us(case, chip) for case in real]
        return {
            "static_cost": geometric_mean(costs),
            "floor_fraction": geometric_mean([min(1.0, floor / taken) for floor, taken in zip(floors, costs, strict=True)]),
        }


def floor_us(case: Case, chip: Arch) -> float:
    """The speed of light for one case, by the chip's data sheet."""
    return cost.floor_us(case.flops, case.bytes, case.dtype is not DType.FP32, chip)


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive numbers, one at least."""
    return math.exp(sum(map(math.log, values)) / len(values))


def _real(cases: Sequence[Case]) -> list[Case]:
    """The shapes that count; where a target has none of models, all of them."""
    return [case for case in cases if case.role is Role.REAL] or list(cases)


def compiled_cases(cases: Sequence[Case]) -> list[Case]:
    """Those that a GPU would be asked for: all but the small ones that are there for the interpreter."""
    return [case for case in cases if case.role is Role.REAL or not case.small] or list(cases)


def checks(cases: Sequence[Case]) -> tuple[Check, ...]:
    """Two calls for each case that the interpreter can do: plain content, and adversarial content."""
    small = [case for case in cases if case.small and case.dtype is DType.FP32]
    return tuple(Check(case, call, call == 1) for case in small for call in (0, 1))


# ---------------------------------------------------------------------------------------------------- taken apart


def take(header: Mapping[str, Any], payload: bytes, cases: Sequence[Case], chip: Arch) -> Built:
    """What a `compiled` message says. Raises `MalformedError`."""
    try:
        kernels = _kernels(header["kernels"], payload, chip)
        by_case = {str(each["case"]): each["launches"] for each in header["cases"]}
        if set(by_case) != {case.name for case in cases}:
            raise MalformedError("`compiled` with other cases than were asked for")
        works: dict[str, Work] = {}
        names = [case.name for case in compiled_cases(cases)]
        return Built(
            {name: _launched(launches) for name, launches in by_case.items()},
            {name: _launches(by_case[name], kernels, works) for name in names},
        )
    except (KeyError, TypeError, ValueError, IndexError, UnicodeDecodeError, compiled.UnreadableError) as error:
        raise MalformedError(f"`compiled` that cannot be read: {type(error).__name__}: {error}") from None


def _kernels(told: Sequence[Mapping[str, Any]], payload: bytes, chip: Arch) -> list[_Text]:
    found, at = [], 0
    for each in told:
        sizes = [_whole(size) for size in each["sizes"]]
        texts = []
        for size in sizes:
            texts.append(payload[at : at + size])
            at += size
        found.append(_kernel(each, texts, chip))
    if at != len(payload):
        raise MalformedError("`compiled` with texts of another length than it says")
    return found


def _kernel(told: Mapping[str, Any], texts: Sequence[bytes], chip: Arch) -> _Text:
    if chip.backend == "cuda":
        ttir, ptx, cubin, usage = texts
        resources = compiled.nvidia_resources(usage.decode())
        instructions, tensor = compiled.nvidia_instructions(cubin), compiled.tensor_core_instructions(ptx.decode())
    else:
        ttir, assembly = texts
        resources = compiled.amd_resources(assembly.decode())
        instructions, tensor = compiled.amd_instructions(assembly.decode())
    facts = Compiled(
        str(told["name"])[:200],
        max(1, _whole(told["warps"])),
        resources.registers,
        resources.spill_bytes,
        _whole(told["shared"]),
        instructions,
        tensor,
    )
    return _Text(facts, ttir.decode())


def _launched(told: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    if len(told) > _MOST_LAUNCHES:
        raise MalformedError(f"{len(told)} launches in one call; allowed are {_MOST_LAUNCHES}")
    named = [[str(each["name"])[:200], math.prod(_whole(size) for size in each["grid"])] for each in told]
    return [each for each in named if each[1]]


def _launches(told: Sequence[Mapping[str, Any]], kernels: Sequence[_Text], works: dict[str, Work]) -> tuple[Launch, ...]:
    found = []
    for each in told:
        text = kernels[_whole(each["kernel"])]
        x, y, z = (_whole(size) for size in each["grid"])
        scalars = {str(name): int(value) for name, value in each["scalars"].items()}
        key = f"{each['kernel']} {x} {y} {z} {sorted(scalars.items())}"
        if key not in works:
            works[key] = work_of(text.ttir, scalars, (x, y, z))
        found.append(Launch(text.facts, works[key], x * y * z))
    return tuple(launch for launch in found if launch.programs)


def outputs(header: Mapping[str, Any], payload_bytes: int) -> list[dict[str, Any]]:
    """Types and shapes of an answer whose bytes are as many as these say. Raises `MalformedError`."""
    forms, due = forms_of(header)
    if due != payload_bytes:
        raise MalformedError(f"`answer` with {payload_bytes} bytes; its shapes and types say {due}")
    return forms


def forms_of(header: Mapping[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """Types and shapes of an answer, and how many bytes that is. Raises `MalformedError`."""
    try:
        forms = [(str(each["dtype"]), [_whole(size) for size in each["shape"]]) for each in header["outputs"]]
        due = sum(_DTYPE_BYTES[dtype] * math.prod(shape) for dtype, shape in forms)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedError(f"`answer` that cannot be read: {type(error).__name__}: {error}") from None
    if not forms:
        raise MalformedError("`answer` without an output")
    return [{"dtype": dtype, "shape": shape} for dtype, shape in forms], due


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise MalformedError(f"{value!r:.40} where a whole number was due")
    return value
