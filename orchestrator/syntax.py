"""Source text as Python sees it: whether it compiles, and a normal form in which comments and formatting vanish.

Pure: nothing is imported, run or read. In the normal form of a `.py` file comments, formatting and docstrings are dropped,
numbers are their values (`1e-3` is `0.001`, and `1.0` is not `1`), and names stay; of any other file, and of Python that cannot
be parsed or is nested absurdly deep, only trailing whitespace is dropped.
"""

from __future__ import annotations

import ast
import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

Changes = Mapping[str, tuple[str | None, str | None]]
"""Path to (text before, text after); None where there is no such file."""


def syntax_problem(path: str, text: str) -> str | None:
    """Why `text` cannot be the content of `path`; None when it can."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"{path}: character {error.start} cannot be written as UTF-8"
    if not path.endswith(".py"):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape sequence is no reason to refuse
            compile(text, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"{path}:{error.lineno or 1}: does not compile: {error.msg}"
    except (RecursionError, MemoryError):
        return f"{path}: does not compile: nested too deeply"
    except (ValueError, OverflowError) as error:
        return f"{path}: does not compile: {error}"
    return None


@lru_cache(maxsize=32)  # every gate asks for the same few texts
def normalise(path: str, text: str | None) -> str | None:
    """The normal form of a file's text; None stays None. Equal forms do the same."""
    if text is None:
        return None
    if path.endswith(".py"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return "python " + _dump(_without_docstrings(ast.parse(text)))
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            pass  # compared as text; whether it may stay is the syntax gate's question
    return "text " + "\n".join(line.rstrip() for line in text.split("\n")).rstrip("\n")


Statement = tuple[str, str, tuple[str, ...]]
"""What stands around it (names and kinds), its form with every constant left open, and the constants in their order."""


@lru_cache(maxsize=32)
def statements(path: str, text: str) -> tuple[Statement, ...]:
    """The statements of a file in their order, each without the statements inside of it. Of what is not Python, each line."""
    if path.endswith(".py"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return tuple(_statements(_without_docstrings(ast.parse(text)).body, ""))
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            pass
    return tuple(("", line.rstrip(), ()) for line in text.rstrip().split("\n"))


_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def _statements(block: Sequence[ast.AST], scope: str) -> Iterator[Statement]:
    for node in block:
        constants: list[str] = []
        form = _dump(node, without=_BLOCKS, constants=constants)
        yield scope, form, tuple(constants)
        inside = f"{scope}/{getattr(node, 'name', None) or type(node).__name__}"
        for name in _BLOCKS:
            inner = getattr(node, name, None)
            if inner:
                yield inside, name, ()
                yield from _statements(inner, inside)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            node.body
            and isinstance(node.body[0], ast.Expr)
            and isinstance(node.body[0].value, ast.Constant)
            and isinstance(node.body[0].value.value, str)
        ):
            del node.body[0]
    return tree


def _dump(node: object, without: tuple[str, ...] = (), constants: list[str] | None = None) -> str:
    """As `ast.dump`, without what is empty, so that it says the same under every Python that reads the same program.

    `without`: fields of the outermost node that are left out; `constants`: where constants go, instead of into the text.
    """
    if isinstance(node, list):
        return f"[{','.join(_dump(each, constants=constants) for each in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if constants is not None and isinstance(node, ast.Constant):
        constants.append(repr(node.value))
        return "Constant"
    fields = [
        f"{name}={_dump(value, constants=constants)}"
        for name, value in ast.iter_fields(node)
        if not (value is None or value == [] or name in ("kind", "ctx") or name in without)
    ]
    return f"{type(node).__name__}({','.join(fields)})"


def syntax_fingerprint(changes: Changes) -> str:
    """SHA-256 (hex) of what `changes` result in: equal for two candidates on one base that come to the same program.

    Files that stay the same in their normal form do not count, so a comment in a second file does not make an edit new.
    """
    forms = _changed_forms(changes)
    return hashlib.sha256(json.dumps(sorted(forms.items())).encode()).hexdigest()


def is_no_op(changes: Changes) -> bool:
    """True when nothing but comments, docstrings and formatting changes."""
    return not _changed_forms(changes)


def _changed_forms(changes: Changes) -> dict[str, str | None]:
    forms = {}
    for path, (old, new) in changes.items():
        if old == new:
            continue
        form = normalise(path, new)
        if form != normalise(path, old):
            forms[path] = form
    return forms
