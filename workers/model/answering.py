"""A model's operations answered by champions: the two modes that a model is called under. The process of `replacing` alone.

Operations are caught where the dispatcher has them, below autograd and after decomposition (`addmm`, `native_layer_norm`), so
it does not matter how a model spells them. RMSNorm and cross-entropy are decomposed by then: these two are caught where they
are called, as `torch.nn.functional` functions. Only without gradients: what the backward pass would need, kernels do not give.

A champion is written for contiguous tensors. A parameter that is not (the transposed weight of a Linear) is laid out once and
kept; what is computed is copied in each call, and the copy counts in the time.
"""

from __future__ import annotations

import inspect
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  its name everywhere
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from workers.model.operations import DTYPES, Argument, Fit, NoFit, Operand, fit, target_of

Kernel = Callable[..., Any]
INTERPRETER_S = 240.0  # of calls under Triton's interpreter, in one run of the model


class ChampionFailedError(Exception):
    """A champion raised, or answered something of another form."""

    def __init__(self, target: str, why: str) -> None:
        super().__init__(f"{target}: {why}")
        self.target, self.why = target, why


@dataclass(slots=True)
class Tally:
    """What became of the calls that a champion's target stands for."""

    replaced: int = 0
    copied: int = 0  # operands that had to be laid out first
    left: Counter[str] = field(default_factory=Counter)  # why not, and how often


class Champions:
    """The kernels, how they are called, and what became of the calls."""

    def __init__(self, kernels: Mapping[str, Kernel], model: torch.nn.Module, *, interpreted: bool) -> None:
        self.kernels = kernels
        self.tallies = {target: Tally() for target in kernels}
        self._interpreted = interpreted
        self._spent_s = 0.0
        self._parameters = {each.untyped_storage().data_ptr() for each in model.parameters()}
        self._laid_out: dict[tuple[object, ...], torch.Tensor] = {}

    def for_call(self, operation: str, arguments: Sequence[object]) -> str | None:
        """The target whose champion is to answer; None where none does, which is on record."""
        target = target_of(operation)
        if target not in self.kernels:
            return None
        assert target is not None
        found = fit(operation, [described(one) for one in arguments])
        why = found.why if isinstance(found, NoFit) else self._refusal(found)
        if why is not None:
            self.tallies[target].left[why] += 1
            return None
        return target

    def _refusal(self, found: Fit) -> str | None:
        if self._interpreted and found.dtype != "fp32":
            return f"{found.dtype}: Triton's interpreter is right in fp32 alone"
        if self._interpreted and self._spent_s > INTERPRETER_S:
            return f"Triton's interpreter had had its {INTERPRETER_S:.0f} s"
        return None

    def leave(self, target: str, why: str) -> None:
        if target in self.tallies:
            self.tallies[target].left[why] += 1

    def done(self, target: str) -> None:
        self.tallies[target].replaced += 1

    def call(self, target: str, due: Sequence[int], *arguments: Any) -> torch.Tensor:
        """One answer of the kernel, of the shape `due`. Raises `ChampionFailedError`."""
        laid = [self._contiguous(target, one) if isinstance(one, torch.Tensor) else one for one in arguments]
        began = time.monotonic()
        try:
            answer = self.kernels[target](*laid)
        except Exception as error:
            shapes = ", ".join("×".join(map(str, one.shape)) for one in laid if isinstance(one, torch.Tensor))
            said = " ".join(str(error).split())[:300]
            raise ChampionFailedError(target, f"kernel_fn raised {type(error).__name__} on {shapes}: {said}") from error
        self._spent_s += time.monotonic() - began
        if type(answer) is not torch.Tensor or tuple(answer.shape) != tuple(due) or answer.dtype != laid[0].dtype:
            raise ChampionFailedError(target, f"kernel_fn did not return a tensor of {list(due)} in {laid[0].dtype}")
        return answer

    def _contiguous(self, target: str, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_contiguous():
            return tensor
        if tensor.untyped_storage().data_ptr() not in self._parameters:
            self.tallies[target].copied += 1
            return tensor.contiguous()
        key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if key not in self._laid_out:
            self._laid_out[key] = tensor.contiguous()
        return self._laid_out[key]


def described(one: object) -> Argument:
    """An argument as `fit` takes it."""
    if isinstance(one, torch.Tensor):
        return Operand(tuple(one.shape), DTYPES.get(str(one.dtype), str(one.dtype)))
    if isinstance(one, torch.dtype):
        return str(one)
    return one if isinstance(one, int | float | bool | str | list | tuple) else None


# ------------------------------------------------------------------------------------------------ by the dispatcher


class Answering(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answers what reaches the dispatcher. `quiet`: something around it has been told of already."""

    def __init__(self, champions: Champions) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.champions, self.quiet = champions, False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        if name == "_log_softmax" and not self.quiet:
            self.champions.leave("cross_entropy", "log_softmax and nll_loss apart: only F.cross_entropy can be replaced")
        if name not in _ANSWERS or func._schema.overload_name not in ("", "dim_IntList"):
            return func(*args, **given)
        arguments = _all_arguments(func._schema, args, given)
        target = self.champions.for_call(name, arguments)
        if target is None:
            return func(*args, **given)
        answer = _ANSWERS[name](self.champions, target, arguments)
        self.champions.done(target)
        returns = func._schema.returns
        if len(returns) == 1:
            return answer
        return (answer, *(answer.new_empty(0) if str(each.type) == "Tensor" else 0 for each in returns[1:]))


def _all_arguments(schema: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """As the schema lists them, defaults included."""
    found = []
    for nth, argument in enumerate(schema.arguments):
        given = args[nth] if nth < len(args) and not argument.kwarg_only else kwargs.get(argument.name, argument.default_value)
        found.append(given)
    return found


def _mm(champions: Champions, target: str, given: Sequence[Any]) -> torch.Tensor:
    a, b = given[0], given[1]
    return champions.call(target, (a.shape[0], b.shape[1]), a, b)


def _addmm(champions: Champions, target: str, given: Sequence[Any]) -> torch.Tensor:
    return _mm(champions, target, given[1:3]).add_(given[0])


def _bmm(champions: Champions, target: str, given: Sequence[Any]) -> torch.Tensor:
    return torch.stack([_mm(champions, target, pair) for pair in zip(given[0], given[1], strict=True)])


def _as_rows(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(-1, x.shape[-1])


def _softmax(champions: Champions, target: str, given: Sequence[Any]) -> torch.Tensor:
    rows = _as_rows(given[0])
    return champions.call(target, rows.shape, rows).view(given[0].shape)


def _layer_norm(champions: Champions, target: str, given: Sequence[Any]) -> torch.Tensor:
    rows = _as_rows(given[0])
    return champions.call(target, rows.shape, rows, given[2], given[3], given[4]).view(given[0].shape)


def _attention(champions: Champions, target: str, given: Sequence[Any]) -> torch.Tensor:
    return champions.call(target, given[0].shape, *given[:3])


def _sum(champions: Champions, target: str, given: Sequence[Any]) -> torch.Tensor:
    rows = _as_rows(given[0])
    sums = champions.call(target, (rows.shape[0],), rows).view(given[0].shape[:-1])
    return sums.unsqueeze(-1) if given[2] else sums


_ANSWERS: Mapping[str, Callable[[Champions, str, Sequence[Any]], torch.Tensor]] = {
    "mm": _mm, "addmm": _addmm, "bmm": _bmm, "_softmax": _softmax, "native_layer_norm": _layer_norm, "sum": _sum,
    "_scaled_dot_product_flash_attention_for_cpu": _attention, "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention, "_scaled_dot_product_cudnn_attention": _attention,
}  # fmt: skip


# ------------------------------------------------------------------------------------------------ where it is called


class AnsweringCalls(TorchFunctionMode):
    """Answers the two functions that the dispatcher sees in pieces only."""

    def __init__(self, below: Answering) -> None:
        super().__init__()
        self._below, self._champions = below, below.champions

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        answer = _CALLS.get(func)
        if answer is None:
            return func(*args, **given)
        with _disable_current_modes():  # what a kernel's wrapper does is no operation of the model's
            found = answer(self._champions, args, given)
        if found is not None:
            return found
        self._below.quiet, before = True, self._below.quiet
        try:
            return func(*args, **given)
        finally:
            self._below.quiet = before


def _cross_entropy(champions: Champions, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    bound = inspect.signature(F.cross_entropy).bind(*args, **kwargs)
    bound.apply_defaults()
    call = bound.arguments
    logits, targets, ignored = call["input"], call["target"], call["ignore_index"]
    told = [logits, targets, call["weight"], call["reduction"], ignored, call["label_smoothing"]]
    target = champions.for_call("cross_entropy_loss", told)
    if target is None:
        return None
    inside = targets.clamp(0, logits.shape[1] - 1)  # what is ignored lies outside, and the kernel would read there
    losses = champions.call(target, targets.shape, logits, inside).masked_fill(targets == ignored, 0.0)
    champions.done(target)
    if call["reduction"] == "none":
        return losses
    return losses.sum() / (targets != ignored).sum() if call["reduction"] == "mean" else losses.sum()


def _rms_norm(champions: Champions, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    x, dims, weight, eps = (
        args[nth] if nth < len(args) else kwargs.get(name)
        for nth, name in enumerate(("input", "normalized_shape", "weight", "eps"))
    )  # fmt: skip
    target = champions.for_call("rms_norm", [x, dims, weight, eps])
    if target is None or x is None:
        return None
    rows = _as_rows(x)
    wanted = torch.finfo(x.dtype).eps if eps is None else eps
    answer = champions.call(target, rows.shape, rows, weight, wanted).view(x.shape)
    champions.done(target)
    return answer


_CALLS: Mapping[Any, Callable[[Champions, Sequence[Any], Mapping[str, Any]], torch.Tensor | None]] = {
    F.cross_entropy: _cross_entropy, F.rms_norm: _rms_norm, torch.rms_norm: _rms_norm
}  # fmt: skip
