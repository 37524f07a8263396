"""What the right answer is, and whether a candidate's answer is as good as the field's own.

The oracle is the target's `reference_fn` in fp64. The same function in the case's own type is the eager implementation, and
its distance from the oracle is the measure: a candidate may be `error_factor` times as far away, plus a floor for the type.
A tolerance written by hand is either too lax for one shape or unfair to another; this one follows shape, type and content.

Three errors of each output, over the entries that are finite, must each keep to `error_factor × eager's + floor`, where an
eager implementation that is off by more than `CREDIBLE` floors (it overflows, say, or cancels) counts as that far off:

- `worst`: the largest |c - o| / max(|o|, rms(o)). One wrong entry is seen, whatever the rest is.
- `norm`: ‖c - o‖ / ‖o‖. Steady enough to tell a sum in bf16 from one in fp32.
- `typical`: the geometric mean of |c - o| / |o| (each raised by the floor, as an entry may be exact). Many small entries
  count beside few large ones, as in a gradient of logits, and one that is nearly 0 does not outweigh them.

Where the oracle, rounded to the output's type, is NaN or ±inf, the candidate must be the same, and finite elsewhere.
Values within a few roundings of the type's largest may go either way.

An output must be a plain contiguous tensor with the shape, type and device of the eager one: fp64 where fp16 is due is
refused, for it costs four times the bytes and would win any comparison of errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Added to the allowed error. In 16 bits one rounding of the result, so that the correctly rounded answer always passes. In
# fp32 256 roundings: sound programs differ in the order of sums and in how they take exp, and where terms cancel one of them
# is luckier by a factor. What makes fp32 cheaper (tf32, 16-bit products or sums) is off by 2^-12 at least.
FLOORS = {"float32": 2.0**-16, "float16": 2.0**-11, "bfloat16": 2.0**-8}
CREDIBLE = 8.0  # floors; on the targets here sound answers mostly lie within 4, while eager ones reach 200
_NEAR_OVERFLOW = 2.0**-5  # relative distance from the largest number within which rounding decides between it and inf


class ReferenceFlawError(Exception):
    """The target's reference cannot serve as an oracle: the target's fault, never a candidate's."""


@dataclass(frozen=True, slots=True)
class OutputError:
    """How far one output is from the oracle; 0 where both agree."""

    worst: float
    norm: float
    typical: float


@dataclass(frozen=True, slots=True)
class Expected:
    """One output as it should be."""

    oracle: torch.Tensor  # fp64; whole numbers as they are
    dtype: torch.dtype  # of the eager output, as everything below
    device: torch.device
    eager_error: OutputError
    limit: OutputError


@dataclass(frozen=True, slots=True)
class Expectation:
    """All outputs of one call."""

    outputs: tuple[Expected, ...]
    is_tuple: bool  # the reference returns a tuple rather than a tensor


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one answer."""

    reason: str | None  # one line for a person; None when it is accepted
    errors: tuple[OutputError, ...]  # one an output, as far as they were compared

    @property
    def accepted(self) -> bool:
        return self.reason is None


def expect(
    reference_fn: Callable[..., object], inputs: Sequence[torch.Tensor | float | int], error_factor: float
) -> Expectation:
    """Run the reference twice, on copies of `inputs`: in fp64 and as it is. Raises `ReferenceFlawError`."""
    import torch

    oracle = reference_fn(*(_raised(one) for one in inputs))
    eager = reference_fn(*(one.clone() if isinstance(one, torch.Tensor) else one for one in inputs))
    pairs = list(zip(_tensors(oracle), _tensors(eager), strict=True))
    for raised, own in pairs:
        if own.is_floating_point() and raised.dtype != torch.float64:
            raise ReferenceFlawError(
                f"reference_fn answers fp64 inputs in {_name(raised.dtype)}: it must compute in the type of its inputs "
                "(torch.promote_types(x.dtype, torch.float32) raises 16 bits and keeps fp64)"
            )
    return Expectation(tuple(_expected(*pair, error_factor) for pair in pairs), isinstance(eager, tuple))


def judge(expectation: Expectation, answer: object) -> Verdict:
    """Compare a candidate's answer, as it was returned, with what is expected."""
    due = len(expectation.outputs)
    if not expectation.is_tuple:
        answer = (answer,)
    elif type(answer) is not tuple or len(answer) != due:
        return Verdict(f"kernel_fn returned {_described(answer)}; due is a tuple of {due} tensors", ())
    errors: list[OutputError] = []
    for nth, (output, expected) in enumerate(zip(answer, expectation.outputs, strict=True)):
        try:
            _check_form(output, expected)
            _check_pattern(output, expected.oracle)
            errors.append(output_error(output, expected.oracle))
            _check_error(errors[-1], expected)
        except _RefusedError as refusal:
            return Verdict(f"{f'output {nth}' if expectation.is_tuple else 'the output'}: {refusal}", tuple(errors))
    return Verdict(None, tuple(errors))


def output_error(output: torch.Tensor, oracle: torch.Tensor) -> OutputError:
    """The three errors over the entries where both are finite."""
    import torch

    both = torch.isfinite(output) & torch.isfinite(oracle)
    if not bool(both.any()):
        return OutputError(0.0, 0.0, 0.0)
    is_whole = bool(both.all())
    due = (oracle if is_whole else oracle[both]).double()
    off = ((output if is_whole else output[both]).double() - due).abs_()
    size = due.abs()
    rms = float(size.square().mean().sqrt())
    tiny = torch.finfo(output.dtype).tiny if output.is_floating_point() else 1.0
    floor = _floor(output.dtype) or 1.0
    return OutputError(
        worst=float((off / size.clamp(min=max(rms, tiny))).max()),
        norm=float(off.square().mean().sqrt()) / max(rms, tiny),
        typical=floor * math.expm1(float((off / size.clamp(min=tiny)).div_(floor).log1p_().mean())),
    )


def _expected(oracle: torch.Tensor, eager: torch.Tensor, error_factor: float) -> Expected:
    floor = _floor(eager.dtype)
    own = output_error(eager, oracle)
    limit = OutputError(*(error_factor * min(error, CREDIBLE * floor) + floor for error in astuple(own)))
    return Expected(oracle.detach(), eager.dtype, eager.device, own, limit)


def _raised(one: torch.Tensor | float | int) -> torch.Tensor | float | int:
    import torch

    if not isinstance(one, torch.Tensor):
        return one
    return one.to(torch.float64, copy=True) if one.is_floating_point() else one.clone()


def _tensors(answer: object) -> tuple[torch.Tensor, ...]:
    import torch

    outputs = answer if isinstance(answer, tuple) else (answer,)
    if not outputs or not all(isinstance(output, torch.Tensor) for output in outputs):
        raise ReferenceFlawError(f"reference_fn returned {_described(answer)}; allowed: a tensor, or a tuple of tensors")
    return outputs


class _RefusedError(Exception):
    """Why one output is not accepted."""


def _check_form(output: torch.Tensor, expected: Expected) -> None:
    """Whether it can be compared at all. A subclass of tensor may answer anything to any question, so it is none."""
    import torch

    if type(output) is not torch.Tensor:
        raise _RefusedError(f"it is {_described(output)}; due is a plain torch.Tensor")
    if output.dtype != expected.dtype:
        raise _RefusedError(f"its type is {_name(output.dtype)}; due is {_name(expected.dtype)}")
    if output.shape != expected.oracle.shape:
        raise _RefusedError(f"its shape is {list(output.shape)}; due is {list(expected.oracle.shape)}")
    if output.device != expected.device:
        raise _RefusedError(f"it is on {output.device}; due is {expected.device}")
    if output.layout != torch.strided or not output.is_contiguous():
        raise _RefusedError("it is not contiguous")


def _check_pattern(output: torch.Tensor, oracle: torch.Tensor) -> None:
    """No entry is NaN, inf or finite where it should be something else."""
    import torch

    if not output.is_floating_point():
        return
    due = oracle.to(output.dtype)
    same = torch.isfinite(output) & torch.isfinite(due)
    same |= output.isnan() & due.isnan()
    same |= output.isinf() & (output == due)
    same |= (oracle.abs() / torch.finfo(output.dtype).max - 1).abs() < _NEAR_OVERFLOW
    if bool(same.all()):
        return
    wrong = (~same).nonzero()
    place = tuple(wrong[0].tolist())
    example = f"{float(output[place])} at {list(place)}, due is {float(due[place])}"
    raise _RefusedError(f"{len(wrong)} of {output.numel()} entries are not NaN, inf or finite as they should be: {example}")


def _check_error(error: OutputError, expected: Expected) -> None:
    for field in fields(OutputError):
        found, limit, own = (getattr(each, field.name) for each in (error, expected.limit, expected.eager_error))
        if not found <= limit:
            raise _RefusedError(f"its {field.name} error is {found:.2e}, allowed are {limit:.2e} (eager's own: {own:.2e})")


def _floor(dtype: torch.dtype) -> float:
    """0 for types in which everything is exact."""
    return FLOORS.get(_name(dtype), 0.0)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _described(answer: object) -> str:
    if isinstance(answer, tuple | list):
        return f"a {type(answer).__name__} of {len(answer)}"
    return f"a {type(answer).__qualname__}"
