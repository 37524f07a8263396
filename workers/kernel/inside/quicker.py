"""Triton's interpreter without what it does again for each call. Nothing that it computes changes.

At each launch, and each call of a function within one (`tl.sum` is one), it searches `triton.language` for what to replace by
its own. What that comes to is worked out here once, before anything of a candidate's is known, and set from then on.

What is replaced is Triton's own, so a release that this was not tried with stays as it is: slower, and as right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import triton
import triton.language as tl
from triton.runtime import interpreter
from triton.runtime.interpreter import InterpretedFunction

_TRIED_WITH = "3.7."
_MODULES = {"language": tl, "core": tl.core}  # by which a kernel may know the language
_Replacement = tuple[Any, str, Any]  # of an attribute: whose, which, by what


def fits() -> bool:
    """Whether this is a Triton whose inner parts are those that this and linking.py know."""
    return bool(triton.__version__.startswith(_TRIED_WITH))


def install() -> None:
    """In a process that has not launched anything yet."""
    if not fits():
        return
    replaced = {name: _replacements(name) for name in _MODULES}
    interpreter._patch_lang = _Patching(replaced).patch
    interpreter._get_np_dtype = _Dtypes(interpreter._get_np_dtype).of
    options = interpreter.interpreter_builder.options
    # Whole numbers are computed a second time to see whether they overflow, and without `debug` nobody is told.
    interpreter.interpreter_builder.options = replace(options, sanitize_overflow=options.debug)
    for function in list(vars(tl.standard).values()):
        if isinstance(function, InterpretedFunction):
            function.rewrite()  # reads and compiles its source; Triton keeps what comes of it


def _replacements(name: str) -> list[_Replacement]:
    """What Triton sets for a function that knows one of the modules. It sets some attributes twice; the last one counts."""
    scope = interpreter._patch_lang(SimpleNamespace(__globals__={name: _MODULES[name]}))
    places = {(id(place), attribute): (place, attribute) for place, attribute, _ in scope._changes}
    found = [(place, attribute, getattr(place, attribute)) for place, attribute in places.values()]
    scope.restore()
    return found


class _Patching:
    """In place of Triton's `_patch_lang`. What calls within a launch need beside what that has stays until it is over."""

    def __init__(self, replaced: dict[str, list[_Replacement]]) -> None:
        self._replaced = replaced
        self._launch: Any = None
        self._done: set[str] = set()

    def patch(self, function: Any) -> Any:
        names = _known_to(function.__globals__.values())
        assert names, "triton.language must be visible from within jit'd function"
        scope = interpreter._LangPatchScope()
        if self._launch is None:
            self._launch = _Launch(self)
            scope = self._launch
        for name in names - self._done:
            for place, attribute, value in self._replaced[name]:
                self._launch.set_attr(place, attribute, value)
        self._done |= names
        return scope

    def over(self) -> None:
        self._launch, self._done = None, set()


class _Launch(interpreter._LangPatchScope):  # type: ignore[misc]  # triton has no types
    """What a launch has replaced, until it is restored."""

    def __init__(self, patching: _Patching) -> None:
        super().__init__()
        self._patching = patching

    def restore(self) -> None:
        super().restore()
        self._patching.over()


def _known_to(values: Iterable[Any]) -> set[str]:
    return {name for value in values for name, module in _MODULES.items() if value is module}


class _Dtypes:
    """In place of Triton's `_get_np_dtype`, which makes a table of all types each time."""

    def __init__(self, find: Any) -> None:
        self._find = find
        self._found: dict[str, Any] = {}

    def of(self, dtype: Any) -> Any:
        element = dtype.element_ty if isinstance(dtype, tl.block_type) else dtype
        if isinstance(element, tl.pointer_type):
            return np.dtype(np.uint64)
        if element.name not in self._found:
            self._found[element.name] = self._find(element)
        return self._found[element.name]
