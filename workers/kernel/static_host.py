"""What the Python around the kernels may do: make memory, look at its form, choose blocks, launch. Pure.

A wrapper that knew whether it is compiled for, interpreted or timed could launch another kernel each time. So it is kept from
whatever tells: texts made of what it was given, identities, what a launch returns.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from workers.kernel.static_names import (
    EXTREMES,
    FORMS,
    KINDS,
    MAKERS,
    PLAIN,
    PYTHON,
    SETTINGS,
    VIEWS,
    Names,
    bound,
    dotted,
    is_public,
)

Found = Iterator[tuple[str, int, str]]  # rule, line, reason


def host(function: ast.FunctionDef, names: Names, inputs: frozenset[str], outside: frozenset[str]) -> Found:
    """Of a function that runs in Python. `inputs`: what may be tensors; `outside`: names of the functions around it."""
    known = bound(function) | outside
    tensors = _tensors(function)
    yield from expressions(function.body, names, known, tensors | inputs)
    for node in _walk(function.body):
        if isinstance(node, ast.BinOp | ast.Compare | ast.UnaryOp | ast.AugAssign):
            if any(_is_tensor(each, tensors) for each in _operands(node)):
                yield "torch computes", node.lineno, "does arithmetic on a tensor"
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and _is_tensor(node.value, tensors):
            yield "torch computes", node.lineno, "writes into a tensor outside of a kernel"


def expressions(body: Sequence[ast.AST], names: Names, known: frozenset[str], tensors: frozenset[str]) -> Found:
    """Every name, attribute and launch in these."""
    parents = {child: parent for top in body for parent in ast.walk(top) for child in ast.iter_child_nodes(parent)}
    spoken = {id(inner) for top in body for node in ast.walk(top) if isinstance(node, ast.Assert | ast.Raise)
              for inner in ast.walk(node)}  # fmt: skip
    for node in _walk(body):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                yield from _name(node, name, names, known, parents.get(node))
            case ast.Attribute():
                yield from _attribute(node, names, tensors, parents.get(node))
            case ast.JoinedStr() | ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod()) if id(node) not in spoken:
                yield "reflection", node.lineno, "makes a text of what it was given; allowed in assert and raise"
            case ast.BinOp(op=ast.MatMult()) | ast.AugAssign(op=ast.MatMult()):
                yield "torch computes", node.lineno, "multiplies matrices outside of a kernel"
            case ast.Compare() if not _is_plain_identity(node):
                yield "identity", node.lineno, "asks whether two things are one; allowed for None, dtypes and devices"
            case ast.With():
                yield "machine", node.lineno, "enters a context: devices, streams and modes are the worker's"
            case ast.Call(func=func, keywords=keywords) if (names.full(func) or "").startswith("triton."):
                for keyword in (each for each in keywords if each.arg not in SETTINGS):
                    allowed = ", ".join(sorted(SETTINGS))
                    yield (
                        "state",
                        node.lineno,
                        f"gives {names.full(func)} {keyword.arg or 'what is unpacked'}; allowed: {allowed}",
                    )
            case ast.Call(func=ast.Subscript()) if not isinstance(parents.get(node), ast.Expr):
                yield "launch", node.lineno, "uses what a launch returns: it is for its effect alone"
            case _:
                pass


def _name(node: ast.Name, name: str, names: Names, known: frozenset[str], parent: ast.AST | None) -> Found:
    if name in names.modules:
        if not isinstance(parent, ast.Attribute):
            yield "reflection", node.lineno, f"hands on the module {name}"
    elif name in names.kernels and name not in known:
        if isinstance(parent, ast.Subscript) and parent.value is node:
            return
        if isinstance(parent, ast.Attribute | ast.JoinedStr | ast.FormattedValue) or (
            isinstance(parent, ast.Call) and parent.func is node
        ):
            yield "launch", node.lineno, f"uses {name} other than by {name}[grid](…)"
    elif name not in known | names.functions | names.others | names.imported | PYTHON:
        yield "reflection", node.lineno, f"uses {name}; of Python's own allowed are {', '.join(sorted(PYTHON))}"


def _attribute(node: ast.Attribute, names: Names, tensors: frozenset[str], parent: ast.AST | None) -> Found:
    full, attr = names.full(node), node.attr
    if attr.startswith("__"):
        return  # said elsewhere
    is_called = isinstance(parent, ast.Call) and parent.func is node
    if full is not None and names.full(node.value) in names.modules.values():
        module = names.full(node.value) or ""
        if not is_public(module, attr):
            rule = "torch computes" if module == "torch" else "machine"
            yield rule, node.lineno, f"uses {full}: outside of a kernel only memory is made, and kernels are launched"
    elif (
        attr in VIEWS | PLAIN
        or (attr in KINDS and not is_called)
        or (
            attr in EXTREMES
            and isinstance(node.value, ast.Call)
            and names.full(node.value.func) in ("torch.finfo", "torch.iinfo")
        )
    ):
        return
    elif _is_tensor(node.value, tensors) or full is not None:
        yield "torch computes", node.lineno, f"uses .{attr} of a tensor; allowed are its form and views of it"
    elif isinstance(node.value, ast.Name) and node.value.id in names.kernels:
        return  # said of the name
    else:
        yield "torch computes", node.lineno, f"uses .{attr}; allowed are a tensor's form and views of it"


def _is_plain_identity(node: ast.Compare) -> bool:
    if not any(isinstance(each, ast.Is | ast.IsNot) for each in node.ops):
        return True
    sides = (node.left, *node.comparators)
    return any(
        (isinstance(each, ast.Constant) and each.value is None)
        or (isinstance(each, ast.Attribute) and (each.attr == "dtype" or (dotted(each) or "").startswith("torch.")))
        for each in sides
    )


def _walk(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """All nodes of these but annotations, which name what need not be there, and functions inside, which come by themselves."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef):
            continue
        yield node
        annotation = getattr(node, "annotation", None)
        waiting += [child for child in ast.iter_child_nodes(node) if child is not annotation]


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


def _is_tensor(node: ast.AST, tensors: frozenset[str]) -> bool:
    match node:
        case ast.Name(id=name):
            return name in tensors
        case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr=name)):
            return name in MAKERS
        case ast.Call(func=ast.Attribute(value=value, attr=name)):
            return name not in FORMS and _is_tensor(value, tensors)
        case ast.Attribute(value=value, attr=name):
            return name in ("T", "mT") and _is_tensor(value, tensors)
        case ast.Subscript(value=value):
            return _is_tensor(value, tensors)
    return False
