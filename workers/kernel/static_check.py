"""What the source of a kernel may not do, told from its syntax alone. Pure: nothing is imported, compiled or run.

A target must be computed by Triton kernels that `kernel_fn` launches. Outside of `@triton.jit` functions memory is made and
looked at: what torch computes is the baseline, not a candidate. Nothing is remembered from call to call, nothing of Python's,
torch's or Triton's is replaced, and no error is caught: a launch that fails is a crash, not a reason to call something else.

The check knows names, not values, so it is no proof: the measurement's own defences hold where this one is got round. What it
refuses would not be an honest kernel in any case, so it costs a proposer a line of reason instead of a trial.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ENTRY = "kernel_fn"
IMPORTS = frozenset({"__future__", "math", "torch", "triton", "triton.language", "typing", "collections.abc"})
# Of torch, outside of a kernel: memory, and what is asked about it.
MEMORY = frozenset({
    "empty", "empty_like", "empty_strided", "zeros", "zeros_like", "full", "full_like", "Tensor", "Size", "device", "dtype",
    "float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool", "float8_e4m3fn",
    "float8_e5m2", "is_tensor", "finfo", "iinfo",
})  # fmt: skip
# Of a tensor: its form, and views of it. A `contiguous` copies; it is the caller's layout that decides whether it must.
VIEWS = frozenset({
    "shape", "dtype", "device", "ndim", "is_cuda", "stride", "size", "numel", "dim", "element_size", "is_contiguous",
    "contiguous", "view", "reshape", "flatten", "unflatten", "transpose", "permute", "t", "T", "mT", "squeeze", "unsqueeze",
    "expand", "expand_as", "view_as", "detach", "new_empty", "new_zeros", "as_strided", "narrow", "select", "chunk", "split",
    "unbind", "movedim", "nelement", "itemsize", "requires_grad",
})  # fmt: skip
_DECEITFUL = frozenset({
    "eval", "exec", "compile", "open", "globals", "locals", "vars", "getattr", "setattr", "delattr", "__import__", "input",
    "breakpoint", "id", "hash", "memoryview", "super", "type", "object",
})  # fmt: skip
_REMEMBERING = frozenset({"cache", "lru_cache", "cached_property"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a kernel's source may not do."""

    rule: str  # in one word or two, as the table of rules names it
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.rule}: line {self.line}: {self.reason}"


def check(source: str) -> tuple[Finding, ...]:
    """All that is wrong with the text of a `kernel.py`, in the order of its lines; empty where nothing is.

    Text that is no Python is one finding: whether it compiles is asked before.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return (Finding("syntax", getattr(error, "lineno", None) or 1, f"is no Python: {error}"),)
    found = [*_structure(tree), *_imports(tree), *_everywhere(tree), *_state(tree)]
    for function in _host_functions(tree):
        found += _host(function)
    return tuple(sorted(set(found), key=lambda each: (each.line, each.rule, each.reason)))


# -- what there must be


def _structure(tree: ast.Module) -> Iterator[Finding]:
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    kernels = {name for name, node in functions.items() if _is_kernel(node)}
    if ENTRY not in functions or ENTRY in kernels:
        yield Finding("entry", 1, f"defines no function {ENTRY}(*inputs)")
        return
    if not kernels:
        yield Finding("no kernel", 1, "has no @triton.jit function: nothing in it is a kernel")
        return
    launched = {name for function in _reachable(functions, ENTRY) for name in _launches(function)}
    if not launched & kernels:
        yield Finding("no kernel", functions[ENTRY].lineno, f"{ENTRY} launches none of {', '.join(sorted(kernels))}")


def _reachable(functions: dict[str, ast.FunctionDef], start: str) -> list[ast.FunctionDef]:
    """The functions of the module that a call of `start` may come to, itself included."""
    names, seen = [start], []
    while names:
        function = functions[names.pop()]
        if function in seen:
            continue
        seen.append(function)
        names += [node.id for node in ast.walk(function) if isinstance(node, ast.Name) and node.id in functions]
    return seen


def _launches(function: ast.FunctionDef) -> set[str]:
    """Names that are launched: `name[grid](…)`, or `name.run(…)` and `name.warmup(…)` as Triton has them."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Subscript) and isinstance(node.func.value, ast.Name):
            found.add(node.func.value.id)
    return found


def _is_kernel(function: ast.FunctionDef) -> bool:
    return any(_dotted(_called(each)) in ("triton.jit", "jit") for each in function.decorator_list)


def _host_functions(tree: ast.Module) -> list[ast.FunctionDef]:
    """Every function that runs in Python, methods and inner ones included."""
    inside = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and _is_kernel(node)
              for inner in ast.walk(node)}  # fmt: skip
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and id(node) not in inside]


# -- what there may not be, wherever


def _imports(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
            if node.module == "torch" or (node.module or "").startswith(("torch.", "triton.runtime", "triton.compiler")):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name not in IMPORTS:
                yield Finding("import", node.lineno, f"imports {name}; allowed: {', '.join(sorted(IMPORTS))}")


def _everywhere(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 1)
        match node:
            case ast.Try() | ast.TryStar():
                yield Finding("caught errors", line, "catches errors: a launch that fails must be seen to fail")
            case ast.Call(func=ast.Name(id=name)) if name in _DECEITFUL:
                yield Finding("reflection", line, f"calls {name}()")
            case ast.Attribute(attr=name) if name.startswith("__") and name.endswith("__"):
                yield Finding("reflection", line, f"reaches for {name}")
            case ast.Name(id=name) if name.startswith("__") and name.endswith("__"):
                yield Finding("reflection", line, f"reaches for {name}")
            case ast.Attribute(attr=("data_ptr" | "untyped_storage" | "storage" | "set_" | "resize_") as name):
                yield Finding("identity", line, f"uses .{name}: a call must not know which memory it was given")
            case ast.AsyncFunctionDef() | ast.Await() | ast.Yield() | ast.YieldFrom():
                yield Finding("deferred work", line, "defers work beyond the call")
            case ast.ClassDef():
                yield Finding(
                    "state", line, f"defines a class, {node.name}: tensors of its own kind, or what is remembered in it"
                )
            case _ if (dotted := _dotted(node)) is not None and dotted.startswith(("torch.cuda.", "torch.backends.")):
                yield Finding("machine", line, f"uses {dotted}: streams, clocks and settings are the worker's")


def _state(tree: ast.Module) -> Iterator[Finding]:
    """What would outlive a call."""
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            yield Finding("state", node.lineno, "does something when it is imported")
        elif value is not None and not _is_constant(value):
            yield Finding("state", node.lineno, "keeps something other than a constant at the top of the module")
        elif isinstance(node, ast.For | ast.While | ast.With | ast.If | ast.AugAssign | ast.Delete):
            yield Finding("state", node.lineno, "does something when it is imported")
    for inner in ast.walk(tree):
        line = getattr(inner, "lineno", 1)
        if isinstance(inner, ast.Global | ast.Nonlocal):
            yield Finding("state", line, f"changes what is outside of the call: {', '.join(inner.names)}")
        if isinstance(inner, ast.FunctionDef):
            defaults = [each for each in (*inner.args.defaults, *inner.args.kw_defaults) if each is not None]
            if not all(_is_constant(each) for each in defaults):
                yield Finding("state", line, f"{inner.name} has a default that is made once and shared by all calls")
            for decorator in inner.decorator_list:
                if (_dotted(_called(decorator)) or "").rpartition(".")[2] in _REMEMBERING:
                    yield Finding("state", decorator.lineno, f"{inner.name} remembers its answers")
        targets = inner.targets if isinstance(inner, ast.Assign | ast.Delete) else []
        if isinstance(inner, ast.AugAssign | ast.AnnAssign):
            targets = [inner.target]
        for target in targets:
            if isinstance(target, ast.Attribute):
                yield Finding(
                    "replaced", line, f"changes {_dotted(target) or '.' + target.attr}: nothing outside may be replaced"
                )


def _is_constant(node: ast.expr) -> bool:
    """A number, a text, or what is worked out of them; names of dtypes and of other constants too."""
    return all(
        isinstance(
            each,
            ast.Constant | ast.Name | ast.Attribute | ast.Tuple | ast.UnaryOp | ast.BinOp | ast.operator | ast.unaryop
            | ast.expr_context | ast.Subscript | ast.keyword,
        )
        or (isinstance(each, ast.Call) and _makes_a_constant(_dotted(each.func) or ""))
        for each in ast.walk(node)
    )  # fmt: skip


def _makes_a_constant(called: str) -> bool:
    return called.startswith("math.") or called.rpartition(".")[2] in ("constexpr", "float", "int")


# -- what Python around the kernels may not do


def _host(function: ast.FunctionDef) -> Iterator[Finding]:
    tensors = _tensors(function)
    # Of a scalar among the inputs no attribute is asked.
    inputs = {argument.arg for argument in function.args.args} if function.name == ENTRY else set()
    for node in ast.walk(function):
        line = getattr(node, "lineno", function.lineno)
        dotted = _dotted(node) if isinstance(node, ast.Attribute) else None
        if dotted is not None and dotted.startswith("torch.") and dotted.split(".")[1] not in (*MEMORY, "cuda", "backends"):
            yield Finding("torch computes", line, f"uses {dotted}: outside of a kernel only memory is made")
        elif isinstance(node, ast.Attribute) and _is_tensor(node.value, tensors | inputs) and node.attr not in VIEWS:
            if not node.attr.startswith("__"):
                yield Finding("torch computes", line, f"uses .{node.attr} of a tensor; allowed are its form and views of it")
        elif isinstance(node, ast.BinOp | ast.Compare | ast.UnaryOp | ast.AugAssign) and any(
            _is_tensor(each, tensors) for each in _operands(node)
        ):
            yield Finding("torch computes", line, "does arithmetic on a tensor")
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and _is_tensor(node.value, tensors):
            yield Finding("torch computes", line, "writes into a tensor outside of a kernel")


def _operands(node: ast.BinOp | ast.Compare | ast.UnaryOp | ast.AugAssign) -> Sequence[ast.expr]:
    match node:
        case ast.BinOp():
            return (node.left, node.right)
        case ast.Compare():
            if all(isinstance(each, ast.Is | ast.IsNot) for each in node.ops):
                return ()
            return (node.left, *node.comparators)
        case ast.UnaryOp():
            return (node.operand,)
        case ast.AugAssign():
            return (node.target, node.value)


def _tensors(function: ast.FunctionDef) -> frozenset[str]:
    """Names that hold tensors, as far as their use tells: what torch made, views, and inputs that are asked for a form."""
    held = {
        node.value.id
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in VIEWS
    } - {"torch", "triton", "tl", "math"}
    grown = True
    while grown:
        before = len(held)
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and _is_tensor(node.value, frozenset(held)):
                held |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        grown = len(held) > before
    return frozenset(held)


_FORMS = frozenset({
    "shape", "dtype", "device", "ndim", "is_cuda", "stride", "size", "numel", "dim", "element_size", "is_contiguous",
    "nelement", "itemsize", "requires_grad",
})  # fmt: skip
_MAKERS = frozenset({"empty", "empty_like", "empty_strided", "zeros", "zeros_like", "full", "full_like"})


def _is_tensor(node: ast.AST, tensors: frozenset[str]) -> bool:
    match node:
        case ast.Name(id=name):
            return name in tensors
        case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr=name)):
            return name in _MAKERS
        case ast.Call(func=ast.Attribute(value=value, attr=name)):
            return name not in _FORMS and _is_tensor(value, tensors)
        case ast.Attribute(value=value, attr=name):
            return name in ("T", "mT") and _is_tensor(value, tensors)
        case ast.Subscript(value=value):
            return _is_tensor(value, tensors)
    return False


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _dotted(node: ast.AST) -> str | None:
    """`a.b.c` as text; None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return None if before is None else f"{before}.{node.attr}"
    return None
