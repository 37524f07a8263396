"""Which operation of a model which target can take over: the one table, used by `profile` and by `verify`. Pure: no torch.

An operation is named as the dispatcher names it (`addmm`, `native_layer_norm`) and comes with its arguments in the order of
its schema: tensors as `Operand`, numbers, lists of numbers, None for what is unknown or absent. `fit` says which target's
kernel computes it and with which sizes (those of the target's own `case(...)`), or why none does.

What is recognised is what PyTorch names. RMSNorm counts where `torch.nn.functional.rms_norm` (or `nn.RMSNorm`) is called,
whatever that is decomposed into; one that is written by hand, of `pow`, `mean` and `rsqrt`, is several operations like any
others and is not recognised. Attention counts where `scaled_dot_product_attention` is called; by hand it is two products and a
softmax, which are recognised as such.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

FLOATS = ("fp32", "fp16", "bf16")
# As the profiler writes types, and as torch does.
DTYPES: Mapping[str, str] = {
    "float": "fp32", "c10::Half": "fp16", "c10::BFloat16": "bf16", "double": "fp64", "long int": "int64", "int": "int32",
    "bool": "bool", "torch.float32": "fp32", "torch.float16": "fp16", "torch.bfloat16": "bf16", "torch.float64": "fp64",
    "torch.int64": "int64", "torch.int32": "int32", "torch.bool": "bool",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor argument."""

    shape: tuple[int, ...]
    dtype: str  # of DTYPES, or the foreign name


Argument = Operand | float | int | bool | str | Sequence[float] | None


@dataclass(frozen=True, slots=True)
class Fit:
    """A kernel of `target` computes this."""

    target: str
    sizes: tuple[int, ...]  # as the target's `case` takes them
    dtype: str
    calls: int = 1  # of kernel_fn for one of the operation; 0 where another operation's call does this one's work too


@dataclass(frozen=True, slots=True)
class NoFit:
    """None does, and why."""

    why: str


Found = Fit | NoFit
_Rule = Callable[["_Arguments"], Found]

# The sizes of each target that an operation can be mapped to, by the names that its cases.py has.
SIZES: Mapping[str, tuple[str, ...]] = {
    "matmul": ("M", "N", "K"),
    "softmax": ("R", "C"),
    "softmax_backward": ("R", "C"),
    "layernorm": ("R", "C"),
    "layernorm_backward": ("R", "C"),
    "rmsnorm": ("R", "C"),
    "rmsnorm_backward": ("R", "C"),
    "flash_attention": ("B", "H", "H_KV", "T", "D"),
    "cross_entropy": ("N", "V"),
    "cross_entropy_backward": ("N", "V"),
    "reduce": ("R", "C"),
}


def fit(operation: str, arguments: Sequence[Argument]) -> Found:
    """The target for one operation, by its name without `aten::`."""
    if operation not in _RULES:
        return NoFit("no target does this")
    return _RULES[operation][1](_Arguments(arguments))


def target_of(operation: str) -> str | None:
    """The target that does such operations, where their arguments fit."""
    return _RULES[operation][0] if operation in _RULES else None


class _Arguments:
    """Arguments by place; what is not there is None."""

    def __init__(self, given: Sequence[Argument]) -> None:
        self._given = given

    def __getitem__(self, place: int) -> Argument:
        return self._given[place] if place < len(self._given) else None

    def tensor(self, place: int) -> Operand | None:
        one = self[place]
        return one if isinstance(one, Operand) else None

    def tensors(self, *places: int) -> list[Operand]:
        """Those that are there, of these places."""
        return [one for one in map(self.tensor, places) if one is not None]


def _float_type(operands: Sequence[Operand]) -> str | NoFit:
    kinds = {one.dtype for one in operands}
    if len(kinds) != 1:
        return NoFit(f"types are mixed: {', '.join(sorted(kinds))}")
    dtype = kinds.pop()
    return dtype if dtype in FLOATS else NoFit(f"the type is {dtype}; targets have {', '.join(FLOATS)}")


def _made(target: str, operands: Sequence[Operand], sizes: Sequence[int], calls: int = 1) -> Found:
    dtype = _float_type(operands)
    if isinstance(dtype, NoFit):
        return dtype
    return Fit(target, tuple(sizes), dtype, calls) if all(size > 0 for size in sizes) else NoFit("there is nothing to compute")


def _unknown() -> NoFit:
    return NoFit("its shapes are not known")


# ------------------------------------------------------------------------------------------------ the rules


def _product(a_place: int, *, batched: bool = False, scales: tuple[int, int] | None = None) -> _Rule:
    """A·B of arguments `a_place` and the next one; `scales`: where factors are that must be one."""

    def rule(given: _Arguments) -> Found:
        operands = given.tensors(a_place, a_place + 1)
        if len(operands) < 2 or any(len(one.shape) != 2 + batched for one in operands):
            return _unknown()
        if scales is not None and any(given[place] not in (None, 1) for place in scales):
            return NoFit("its terms are scaled")
        (M, K), N = operands[0].shape[-2:], operands[1].shape[-1]
        return _made("matmul", operands, (M, N, K), operands[0].shape[0] if batched else 1)

    return rule


def _rows(target: str, places: tuple[int, ...], dim_place: int | None = None) -> _Rule:
    """Rows of the last dimension of the first of `places`; argument `dim_place` must say that dimension."""

    def rule(given: _Arguments) -> Found:
        operands = given.tensors(*places)
        if len(operands) < len(places) or not operands[0].shape:
            return _unknown()
        shape = operands[0].shape
        if dim_place is not None and given[dim_place] not in (-1, len(shape) - 1):
            return NoFit("not along the last dimension")
        return _made(target, operands, (math.prod(shape[:-1]), shape[-1]))

    return rule


def _softmax(given: _Arguments) -> Found:
    return NoFit("it changes the type on its way") if given[2] is True else _rows("softmax", (0,), 1)(given)


def _norm(target: str, x_place: int, dims_place: int, weights: tuple[int, ...], what: str) -> _Rule:
    """A norm over the last dimension alone, with all of its `weights`."""

    def rule(given: _Arguments) -> Found:
        dims = given[dims_place]
        if given.tensor(x_place) is None:
            return _unknown()
        if isinstance(dims, Sequence) and len(dims) != 1:
            return NoFit("over more than the last dimension")
        if len(given.tensors(*weights)) < len(weights):
            return NoFit(f"without {what}")
        return _rows(target, (x_place, *weights))(given)

    return rule


def _attention(mask: int | None, dropout: int, causal: int, scale: int) -> _Rule:
    def rule(given: _Arguments) -> Found:
        operands = given.tensors(0, 1, 2)
        if len(operands) < 3 or any(len(one.shape) != 4 for one in operands):
            return _unknown()
        (B, H, T, D), (_, H_KV, T_KV, _) = operands[0].shape, operands[1].shape
        if given[causal] is not True:
            return NoFit("the attention is not causal")
        if mask is not None and given[mask] is not None:
            return NoFit("the attention has a mask of its own")
        if given[dropout] not in (None, 0, 0.0):
            return NoFit("the attention has dropout")
        wanted = given[scale]
        if isinstance(wanted, int | float) and not math.isclose(wanted, D**-0.5, rel_tol=1e-6):
            return NoFit("the attention has a scale of its own")
        if T != T_KV or operands[1].shape != operands[2].shape or H % H_KV:
            return NoFit("queries and keys are not equally many, or keys and values not equally wide")
        return _made("flash_attention", operands, (B, H, H_KV, T, D))

    return rule


def _cross_entropy(given: _Arguments) -> Found:
    logits, targets = given.tensor(0), given.tensor(1)
    if logits is None or targets is None:
        return _unknown()
    if len(logits.shape) != 2 or targets.dtype != "int64" or len(targets.shape) != 1:
        return NoFit("not rows of logits with one class each")
    if given[2] is not None or given[5] not in (None, 0, 0.0):
        return NoFit("with weights of classes or smoothed labels")
    return _made("cross_entropy", [logits], logits.shape)


def _of_log_softmax(target: str, place: int, *, leads: bool) -> _Rule:
    """One half of a cross-entropy; `leads`: the half whose calls count."""

    def rule(given: _Arguments) -> Found:
        operand = given.tensor(place)
        if operand is None or len(operand.shape) != 2:
            return NoFit("not rows of logits with one class each")
        return _made(target, [operand], operand.shape, 1 if leads else 0)

    return rule


def _sum(given: _Arguments) -> Found:
    x, dims, dtype = given.tensor(0), given[1], given[3]
    if x is None or not x.shape:
        return _unknown()
    if dtype is not None:
        return NoFit("it changes the type on its way")
    if not isinstance(dims, Sequence) or isinstance(dims, str) or len(dims) != 1 or dims[0] not in (-1, len(x.shape) - 1):
        return NoFit("not along the last dimension")
    return _rows("reduce", (0,))(given)


_RULES: Mapping[str, tuple[str, _Rule]] = {
    "mm": ("matmul", _product(0)),
    "addmm": ("matmul", _product(1, scales=(3, 4))),  # the addition stays torch's
    "bmm": ("matmul", _product(0, batched=True)),  # one product after another
    "_softmax": ("softmax", _softmax),
    "_softmax_backward_data": ("softmax_backward", _rows("softmax_backward", (0, 1), 2)),
    "native_layer_norm": ("layernorm", _norm("layernorm", 0, 1, (2, 3), "weight and bias")),
    "native_layer_norm_backward": ("layernorm_backward", _norm("layernorm_backward", 1, 2, (5, 6), "weight and bias")),
    "rms_norm": ("rmsnorm", _norm("rmsnorm", 0, 1, (2,), "weight")),
    "_fused_rms_norm": ("rmsnorm", _norm("rmsnorm", 0, 1, (2,), "weight")),
    "_fused_rms_norm_backward": ("rmsnorm_backward", _norm("rmsnorm_backward", 1, 2, (4,), "weight")),
    "scaled_dot_product_attention": ("flash_attention", _attention(mask=3, dropout=4, causal=5, scale=6)),
    "_scaled_dot_product_flash_attention_for_cpu": ("flash_attention", _attention(mask=5, dropout=3, causal=4, scale=6)),
    "_scaled_dot_product_flash_attention": ("flash_attention", _attention(mask=None, dropout=3, causal=4, scale=6)),
    "_scaled_dot_product_efficient_attention": ("flash_attention", _attention(mask=3, dropout=5, causal=6, scale=7)),
    "_scaled_dot_product_cudnn_attention": ("flash_attention", _attention(mask=3, dropout=5, causal=6, scale=8)),
    "cross_entropy_loss": ("cross_entropy", _cross_entropy),
    "_log_softmax": ("cross_entropy", _of_log_softmax("cross_entropy", 0, leads=True)),
    "nll_loss_forward": ("cross_entropy", _of_log_softmax("cross_entropy", 0, leads=False)),
    "_log_softmax_backward_data": ("cross_entropy_backward", _of_log_softmax("cross_entropy_backward", 1, leads=True)),
    "nll_loss_backward": ("cross_entropy_backward", _of_log_softmax("cross_entropy_backward", 1, leads=False)),
    "sum": ("reduce", _sum),
}
