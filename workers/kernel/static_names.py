"""What a kernel's source may call by name, and what its names stand for. Pure: lists, and questions about syntax.

Everything here is a list of what is allowed. A list of what is not would have to know all of Python.
"""

from __future__ import annotations

import ast
import collections.abc
import math
import typing
from collections.abc import Iterator
from dataclasses import dataclass

IMPORTS = frozenset({"__future__", "math", "torch", "triton", "triton.language", "typing", "collections.abc"})
# Of torch, outside of a kernel: memory, and what is asked about it.
MAKERS = frozenset({"empty", "empty_like", "empty_strided", "zeros", "zeros_like", "full", "full_like"})
MEMORY = MAKERS | {
    "Tensor", "Size", "device", "dtype", "float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8",
    "uint8", "bool", "float8_e4m3fn", "float8_e5m2", "is_tensor", "finfo", "iinfo",
}  # fmt: skip
# Of a tensor: its form, and views of it. A `contiguous` copies; it is the caller's layout that decides whether it must.
FORMS = frozenset({
    "shape", "dtype", "device", "ndim", "is_cuda", "stride", "size", "numel", "dim", "element_size", "is_contiguous",
    "nelement", "itemsize", "requires_grad",
})  # fmt: skip
VIEWS = FORMS | {
    "contiguous", "view", "reshape", "flatten", "unflatten", "transpose", "permute", "t", "T", "mT", "squeeze",
    "unsqueeze", "expand", "expand_as", "view_as", "detach", "new_empty", "new_zeros", "as_strided", "narrow", "select",
    "chunk", "split", "unbind", "movedim",
}  # fmt: skip
# Of anything else around a kernel: lists and dicts of a call, and facts about numbers, types and devices.
PLAIN = frozenset({
    "append", "extend", "items", "keys", "values", "get", "bit_length", "is_integer", "is_floating_point", "eps",
    "tiny", "bits", "smallest_normal",
})  # fmt: skip
KINDS = frozenset({"type", "index"})  # of a device; called, the first converts a tensor and the second compares contents
EXTREMES = frozenset({"max", "min"})  # of torch.finfo and torch.iinfo
TRITON = frozenset({
    "cdiv", "next_power_of_2", "Config", "autotune", "heuristics", "jit", "set_allocator", "language",
})  # fmt: skip
DECORATORS = frozenset({"triton.jit", "triton.autotune", "triton.heuristics"})
# What a decorator or a Config may be given. Hooks, benchmarks of one's own and names that are made up run where nobody looks.
SETTINGS = frozenset({
    "noinline", "do_not_specialize", "do_not_specialize_on_alignment", "debug", "configs", "key", "values", "warmup",
    "rep", "reset_to_zero", "restore_value", "prune_configs_by", "kwargs", "num_warps", "num_stages", "num_ctas",
    "maxnreg", "cache_results",
})  # fmt: skip
PYTHON = frozenset({
    "len", "min", "max", "range", "int", "float", "bool", "abs", "sum", "tuple", "list", "dict", "set", "zip",
    "enumerate", "isinstance", "round", "sorted", "reversed", "all", "any", "divmod", "pow", "slice", "map", "filter",
    "ValueError", "TypeError", "AssertionError", "NotImplementedError", "RuntimeError", "KeyError", "IndexError",
})  # fmt: skip
PYTHON_IN_KERNELS = frozenset({
    "range", "min", "max", "abs", "int", "float", "bool", "len", "tuple", "slice", "sum",
})  # fmt: skip
# Triton's language, by its own page (triton-lang.org: triton.language), less what prints and what asks which GPU it is.
LANGUAGE = frozenset({
    "constexpr", "tensor", "dtype", "pointer_type", "block_type", "tensor_descriptor", "tuple", "const", "void", "int1",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float8e5", "float8e5b16", "float8e4nv",
    "float8e4b8", "float8e4b15", "float16", "bfloat16", "float32", "float64", "pi32_t", "program_id", "num_programs",
    "arange", "cat", "full", "zeros", "zeros_like", "cast", "to_tensor", "broadcast", "broadcast_to", "expand_dims",
    "interleave", "join", "permute", "ravel", "reshape", "split", "trans", "view", "squeeze", "unsqueeze", "dot",
    "dot_scaled", "load", "store", "make_block_ptr", "advance", "make_tensor_descriptor", "load_tensor_descriptor",
    "store_tensor_descriptor", "flip", "gather", "where", "swizzle2d", "abs", "cdiv", "ceil", "clamp", "cos", "div_rn",
    "erf", "exp", "exp2", "fdiv", "floor", "fma", "log", "log2", "maximum", "minimum", "mul", "rsqrt", "sigmoid", "sin",
    "softmax", "sqrt", "sqrt_rn", "umulhi", "add", "sub", "argmax", "argmin", "max", "min", "reduce", "sum", "xor_sum",
    "reduce_or", "associative_scan", "cumprod", "cumsum", "histogram", "sort", "topk", "bitonic_merge", "atomic_add",
    "atomic_and", "atomic_cas", "atomic_max", "atomic_min", "atomic_or", "atomic_xchg", "atomic_xor", "randint4x",
    "randint", "rand", "randn", "philox", "rand4x", "randn4x", "range", "static_range", "inline_asm_elementwise",
    "map_elementwise", "assume", "debug_barrier", "max_constancy", "max_contiguous", "multiple_of", "static_assert",
    "device_assert", "math", "PropagateNan",
})  # fmt: skip
# Of a value inside a kernel: types, forms, and the language's functions as methods.
VALUES = LANGUAGE | {
    "to", "dtype", "type", "scalar", "element_ty", "shape", "T", "primitive_bitwidth", "numel", "nbytes", "is_floating",
    "is_fp16", "is_fp32", "is_fp64", "is_bf16", "is_fp8", "is_int", "is_int8", "is_int16", "is_int32", "is_int64",
    "is_int_signed", "is_ptr", "is_block", "int_bitwidth", "block_shape", "strides", "base", "logical_and",
    "logical_or", "ALL", "NONE",
}  # fmt: skip
# Submodules of the language that are Python's own or the compiler's stay closed; of math, what both have by that name.
LANGUAGE_MATH = frozenset({
    "abs", "ceil", "cos", "div_rn", "erf", "exp", "exp2", "fdiv", "floor", "fma", "log", "log2", "rsqrt", "sin", "sqrt",
    "sqrt_rn", "umulhi",
})  # fmt: skip
_PUBLIC = {
    "math": frozenset(name for name in dir(math) if not name.startswith("_")),
    "typing": frozenset(typing.__all__),
    "collections.abc": frozenset(collections.abc.__all__),
    "torch": MEMORY,
    "triton": TRITON,
    "triton.language": LANGUAGE,
    "__future__": frozenset({"annotations"}),
}


@dataclass(frozen=True, slots=True)
class Names:
    """What the names of a module stand for."""

    modules: dict[str, str]  # as they are called here: what they are
    members: dict[str, str]  # imported from a module: their full name
    functions: frozenset[str]
    kernels: frozenset[str]
    others: frozenset[str]  # constants

    @property
    def imported(self) -> frozenset[str]:
        return frozenset((*self.modules, *self.members))

    def full(self, node: ast.AST) -> str | None:
        """What a dotted name is in full, by the imports; None for anything that does not begin at one."""
        path = dotted(node)
        if path is None:
            return None
        first, dot, rest = path.partition(".")
        known = self.modules.get(first) or self.members.get(first)
        return None if known is None else f"{known}{dot}{rest}"


def names_of(tree: ast.Module) -> Names:
    """By the imports, wherever they stand, and the definitions at the top."""
    modules: dict[str, str] = {}
    members: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                modules[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                (modules if whole in IMPORTS else members)[alias.asname or alias.name] = whole
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    before = Names(modules, members, frozenset(), frozenset(), frozenset())
    kernels = frozenset(name for name, node in functions.items() if is_kernel(node, before))
    others = frozenset(node.id for top in tree.body if isinstance(top, ast.Assign | ast.AnnAssign)
                       for node in ast.walk(top) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))  # fmt: skip
    return Names(modules, members, frozenset(functions) - kernels, kernels, others)


def is_kernel(function: ast.FunctionDef, names: Names) -> bool:
    return any(names.full(called(each)) == "triton.jit" for each in function.decorator_list)


def is_public(module: str, member: str) -> bool:
    """Whether a module that may be imported may be asked for this."""
    return member in _PUBLIC.get(module, frozenset())


def bound(function: ast.AST) -> frozenset[str]:
    """The names that a function binds, and those that are bound in it."""
    return frozenset(_bound(function))


def _bound(function: ast.AST) -> Iterator[str]:
    for node in ast.walk(function):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield name
            case ast.FunctionDef(name=name) if node is not function:
                yield name


def called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def dotted(node: ast.AST) -> str | None:
    """`a.b.c` as text; None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return None if before is None else f"{before}.{node.attr}"
    return None
