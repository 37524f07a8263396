"""What the source of a kernel may not do, told from its syntax alone. Pure: nothing is imported, compiled or run.

A target must be computed by Triton kernels that `kernel_fn` launches. Outside of `@triton.jit` functions memory is made and
looked at: what torch computes is the baseline, not a candidate. Nothing is remembered from call to call, nothing of Python's,
torch's or Triton's is replaced, and no error is caught: a launch that fails is a crash, not a reason to call something else.

Names are allowed by list (static_names.py): around the kernels (static_host.py), and in them (static_kernel.py). The check
knows names, not values, so it is no proof: the measurement's own defences hold where this one is got round. What it refuses
would not be an honest kernel in any case, so it costs a proposer a line of reason instead of a trial.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from workers.kernel.static_host import expressions, host
from workers.kernel.static_kernel import kernel
from workers.kernel.static_names import DECORATORS, IMPORTS, Names, bound, called, dotted, is_public, names_of

ENTRY = "kernel_fn"
_DECEITFUL = frozenset({
    "eval", "exec", "compile", "open", "globals", "locals", "vars", "getattr", "setattr", "delattr", "__import__", "input",
    "breakpoint", "id", "hash", "memoryview", "super", "type", "object",
})  # fmt: skip
_IDENTITY = frozenset({"data_ptr", "untyped_storage", "storage", "set_", "resize_"})


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
        names = names_of(tree)
        found = [*_structure(tree, names), *_imports(tree), *_everywhere(tree), *_top(tree), *_state(tree, names)]
        found += _bodies(tree, names)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return (Finding("syntax", getattr(error, "lineno", None) or 1, f"is no Python: {error}"),)
    return tuple(sorted(set(found), key=lambda each: (each.line, each.rule, each.reason)))


# -- what there must be


def _structure(tree: ast.Module, names: Names) -> Iterator[Finding]:
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    kernels = names.kernels & set(functions)
    if ENTRY not in functions or ENTRY in kernels:
        yield Finding("entry", 1, f"defines no function {ENTRY}(*inputs)")
        return
    if not kernels:
        yield Finding("no kernel", 1, "has no @triton.jit function: nothing in it is a kernel")
        return
    reached = _reachable(functions, ENTRY)
    used = {node.id for function in reached for node in ast.walk(function) if isinstance(node, ast.Name)}
    if not used & kernels or not any(_launches(function) for function in reached):
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


def _launches(function: ast.FunctionDef) -> bool:
    """Whether anything is launched: `name[grid](…)`."""
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Subscript) and isinstance(node.func.value, ast.Name)
        for node in ast.walk(function)
    )


# -- what there may not be, wherever


def _imports(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            members = [alias.name for alias in node.names]
            names = [f"{module}.{each}" for each in members if not (module in IMPORTS and is_public(module, each))]
        else:
            continue
        for name in names:
            if name not in IMPORTS:
                yield Finding("import", node.lineno, f"imports {name}; allowed: {', '.join(sorted(IMPORTS))}")


def _everywhere(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 1)
        match node:
            case _ if (path := dotted(node)) is not None and path.startswith(("torch.cuda.", "torch.backends.")):
                yield Finding("machine", line, f"uses {path}: streams, clocks and settings are the worker's")
            case ast.Try() | ast.TryStar():
                yield Finding("caught errors", line, "catches errors: a launch that fails must be seen to fail")
            case ast.Call(func=ast.Name(id=name)) if name in _DECEITFUL:
                yield Finding("reflection", line, f"calls {name}()")
            case ast.Attribute(attr=name) | ast.Name(id=name) if name.startswith("__"):
                yield Finding("reflection", line, f"reaches for {name}")
            case ast.Attribute(attr=name) if name in _IDENTITY:
                yield Finding("identity", line, f"uses .{name}: a call must not know which memory it was given")
            case ast.Attribute(ctx=ast.Store() | ast.Del()):
                what = dotted(node) or f".{node.attr}"
                yield Finding("replaced", line, f"changes {what}: nothing outside may be replaced")
            case ast.AsyncFunctionDef() | ast.Await() | ast.Yield() | ast.YieldFrom() | ast.AsyncWith() | ast.AsyncFor():
                yield Finding("deferred work", line, "defers work beyond the call")
            case ast.ClassDef(name=name):
                yield Finding("state", line, f"defines a class, {name}: tensors of its own kind, or what is remembered in it")


def _top(tree: ast.Module) -> Iterator[Finding]:
    """Nothing but imports, functions and constants stands at the top of the module."""
    for node in tree.body:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.ClassDef() | ast.Expr(value=ast.Constant()):
                pass
            case ast.Assign(targets=targets, value=value) if not all(map(_is_binding, targets)) or not _is_constant(value):
                yield Finding("state", node.lineno, "keeps something other than a constant at the top of the module")
            case ast.AnnAssign(target=target, value=value) if not _is_binding(target) or not (
                value is None or _is_constant(value)
            ):
                yield Finding("state", node.lineno, "keeps something other than a constant at the top of the module")
            case ast.Assign() | ast.AnnAssign():
                pass
            case _:
                yield Finding("state", node.lineno, "does something when it is imported")


def _state(tree: ast.Module, names: Names) -> Iterator[Finding]:
    """What would outlive a call, or run when the module is imported."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 1)
        if isinstance(node, ast.Global | ast.Nonlocal):
            yield Finding("state", line, f"changes what is outside of the call: {', '.join(node.names)}")
        if isinstance(node, ast.FunctionDef):
            defaults = [each for each in (*node.args.defaults, *node.args.kw_defaults) if each is not None]
            if not all(_is_constant(each) for each in defaults):
                yield Finding("state", line, f"{node.name} has a default that is made once and shared by all calls")
            for decorator in node.decorator_list:
                if node.name not in names.kernels or names.full(called(decorator)) not in DECORATORS:
                    reason = f"{node.name} is decorated by something other than {', '.join(sorted(DECORATORS))}"
                    yield Finding("state", decorator.lineno, reason)
            rebound = sorted(names.imported & bound(node))
            if rebound:
                yield Finding("replaced", line, f"{node.name} gives another meaning to {', '.join(rebound)}")
        annotations = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if not all(_is_type(each) for each in annotations if isinstance(each, ast.expr)):
            yield Finding("state", line, "has an annotation that runs code")


def _is_binding(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) or (isinstance(target, ast.Tuple) and all(map(_is_binding, target.elts)))


def _is_constant(node: ast.expr) -> bool:
    """A number, a text, or what is worked out of them; names of dtypes and of other constants too."""
    return all(
        isinstance(
            each,
            ast.Constant | ast.Name | ast.Attribute | ast.Tuple | ast.UnaryOp | ast.BinOp | ast.operator | ast.unaryop
            | ast.expr_context | ast.Subscript | ast.keyword,
        )
        or (isinstance(each, ast.Call) and _makes_a_constant(dotted(each.func) or ""))
        for each in ast.walk(node)
    )  # fmt: skip


def _is_type(node: ast.expr) -> bool:
    allowed = (
        ast.Constant,
        ast.Name,
        ast.Attribute,
        ast.Tuple,
        ast.List,
        ast.BinOp,
        ast.BitOr,
        ast.Subscript,
        ast.expr_context,
    )
    return all(isinstance(each, allowed) for each in ast.walk(node))


def _makes_a_constant(path: str) -> bool:
    return path.startswith("math.") or path.rpartition(".")[2] in ("constexpr", "float", "int")


# -- what the functions say


def _bodies(tree: ast.Module, names: Names) -> Iterator[Finding]:
    top = [node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    top += [each for node in functions for each in (*node.args.defaults, *node.args.kw_defaults) if each is not None]
    for found in expressions(top, names, frozenset(), frozenset()):
        yield Finding(*found)
    for function in functions:
        if function.name in names.kernels:
            # A decorator runs when the module is imported, and again whenever the kernel is launched.
            around = [
                found for each in function.decorator_list for found in expressions([each], names, bound(each), frozenset())
            ]
            for found in (*around, *kernel(function, names)):
                yield Finding(*found)
        else:
            outer = (other for other in functions if other is not function and function in ast.walk(other))
            outside = frozenset(name for other in outer for name in bound(other))
            inputs = frozenset(each.arg for each in function.args.args) if function.name == ENTRY else frozenset()
            for found in host(function, names, inputs, outside):
                yield Finding(*found)
