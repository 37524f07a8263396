"""What a kernel itself may say: Triton's language, and nothing by which it could tell how it is run. Pure.

The body of a kernel is read by Triton's compiler, which works out constants in Python as it goes, and run as Python by its
interpreter. Through an open name both would run any code; and what is a constant to one and a value to the other would let
a kernel be two.
"""

from __future__ import annotations

import ast

from workers.kernel.static_host import Found
from workers.kernel.static_names import LANGUAGE_MATH, PYTHON_IN_KERNELS, VALUES, Names, bound, is_public


def kernel(function: ast.FunctionDef, names: Names) -> Found:
    """Of one jit function."""
    known = bound(function)
    asserted = {id(inner) for node in ast.walk(function) if isinstance(node, ast.Assert | ast.Call)
                and (isinstance(node, ast.Assert) or (names.full(node.func) or "").endswith("_assert"))
                for inner in ast.walk(node)}  # fmt: skip
    parents = {child: parent for parent in ast.walk(function) for child in ast.iter_child_nodes(parent)}
    for top in function.body:
        for node in ast.walk(top):
            match node:
                case ast.Name(ctx=ast.Load()):
                    yield from _name(node, names, known, parents.get(node))
                case ast.Attribute():
                    yield from _attribute(node, names)
                case ast.JoinedStr() if id(node) not in asserted:
                    yield "kernel language", node.lineno, "makes a text of a value"
                case ast.Compare(ops=ops) if any(isinstance(each, ast.Is | ast.IsNot) for each in ops):
                    sides = (node.left, *node.comparators)
                    if not any(isinstance(each, ast.Constant) and each.value is None for each in sides):
                        yield "kernel language", node.lineno, "asks whether two things are one; allowed for None"
                case ast.Compare(ops=ops) if any(isinstance(each, ast.In | ast.NotIn) for each in ops):
                    yield "kernel language", node.lineno, "asks whether something is among others"
                case ast.FunctionDef() | ast.Lambda() | ast.With() | ast.Import() | ast.ImportFrom():
                    yield "kernel language", node.lineno, "holds what Triton has no word for"
                case _:
                    pass


def _name(node: ast.Name, names: Names, known: frozenset[str], parent: ast.AST | None) -> Found:
    name = node.id
    if name in names.modules:
        if not isinstance(parent, ast.Attribute):
            yield "kernel language", node.lineno, f"hands on the module {name}"
    elif name in names.members:
        if not names.members[name].startswith(("triton.language.", "math.")):
            yield "kernel language", node.lineno, f"uses {names.members[name]}"
    elif name in names.kernels and name not in known:
        if not isinstance(parent, ast.Call):
            yield "kernel language", node.lineno, f"uses {name} other than by calling it"
    elif name not in known | names.others | PYTHON_IN_KERNELS:
        allowed = ", ".join(sorted(PYTHON_IN_KERNELS))
        yield "kernel language", node.lineno, f"uses {name}; of Python's own allowed are {allowed}"


def _attribute(node: ast.Attribute, names: Names) -> Found:
    of, attr = names.full(node.value), node.attr
    if attr.startswith("__"):
        return  # said elsewhere
    if of == "triton.language.math":
        is_allowed = attr in LANGUAGE_MATH
    elif of in names.modules.values() and of is not None:
        is_allowed = (of in ("triton.language", "math") and is_public(of, attr)) or (of, attr) == ("triton", "language")
    else:
        is_allowed = attr in VALUES
    if not is_allowed:
        yield "kernel language", node.lineno, f"uses {'' if of is None else of}.{attr}, which is no part of Triton's language"
