"""The gate against weights that are smuggled in as source text: how much a candidate of the `train` runner may carry. Pure.

A program that learns needs code, not data. Whatever form data takes in a text (literals, comments, names, the order of
lines), it cannot tell more than the text takes up compressed, so `ADDED_COMPRESSED_BYTES` bounds it; the other limits catch
the plain forms early, and say so in plain words. All is measured against the campaign's base commit, so that nothing gets in
by instalments.
"""

from __future__ import annotations

import ast
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from orchestrator.gates import Refusal
from orchestrator.syntax import Changes

# nanotrain's whole train.py is 15 KiB, 5.3 KiB compressed. Three complete rewrites of it fit; of the weights of the smallest
# model that is worth anything (a million parameters at one bit), an eighth.
ADDED_COMPRESSED_BYTES = 16 * 1024
GROWTH_BYTES = 64 * 1024  # of all editable texts together: several programs of that size
LITERAL_CHARACTERS = 2_048  # of one string or bytes; a page of help fits. Docstrings count in the compressed size alone
LITERAL_BITS = 8 * LITERAL_CHARACTERS  # of one integer
DISPLAY_CONSTANTS = 512  # in one list, tuple, set or dict, what is nested in it included; a schedule or a table of shapes fits

_Display = ast.List | ast.Tuple | ast.Set | ast.Dict


def check_payload(changes: Changes) -> Refusal | None:
    """Refuse texts that carry data. `changes`: every editable file that differs from the campaign's base commit."""
    reason = _size_problem(changes) or next(
        (problem for path, (old, new) in changes.items() if new is not None and (problem := _literal_problem(path, old, new))),
        None,
    )
    return None if reason is None else Refusal("scope", reason)


def added_text(changes: Changes) -> str:
    """The lines that the base does not have; each of its lines may be used as often as it is there, in any file."""
    there = Counter(line for old, _ in changes.values() for line in (old or "").splitlines())
    added = []
    for _, new in changes.values():
        for line in (new or "").splitlines():
            if there[line] > 0:
                there[line] -= 1
            else:
                added.append(line)
    return "\n".join(added)


def _size_problem(changes: Changes) -> str | None:
    growth = sum(_size(new) - _size(old) for old, new in changes.values())
    if growth > GROWTH_BYTES:
        return (
            f"the editable files grow by {_kib(growth)} over the campaign's base; allowed: {_kib(GROWTH_BYTES)} in all. "
            "Delete what is no longer needed; data has no place in the edit"
        )
    compressed = len(zlib.compress(_encoded(added_text(changes)), 9))
    if compressed > ADDED_COMPRESSED_BYTES:
        return (
            f"the text that the campaign's base does not have is {_kib(compressed)} when compressed; allowed: "
            f"{_kib(ADDED_COMPRESSED_BYTES)}. Compute what can be computed; what was learnt elsewhere may not be carried in"
        )
    return None


def _literal_problem(path: str, old: str | None, new: str) -> str | None:
    """What of one Python file looks like data rather than program, and was not there before."""
    if not path.endswith(".py"):
        return None
    there = {found.content for found in _data_literals(old or "")}
    for found in _data_literals(new):
        if found.content not in there:
            return (
                f"{path}:{found.line}: {found.told}; allowed: {found.allowed}. "
                "Compute it instead: weights and other data have no place in the edit"
            )
    return None


class _Found(NamedTuple):
    content: object  # equal for equal literals
    line: int
    told: str
    allowed: str


def _data_literals(text: str) -> Iterator[_Found]:
    """Literals beyond the limits. Text that is not Python has none: the syntax gate speaks about it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield from _long_constant(node)
        elif isinstance(node, _Display):
            constants = [(type(each.value), each.value) for each in ast.walk(node) if isinstance(each, ast.Constant)]
            if len(constants) > DISPLAY_CONSTANTS:
                told = f"one literal collection holds {len(constants):,} constants"
                yield _Found(tuple(constants), node.lineno, told, f"{DISPLAY_CONSTANTS}")


def _long_constant(node: ast.Constant) -> Iterator[_Found]:
    value = node.value
    if isinstance(value, str | bytes) and len(value) > LITERAL_CHARACTERS:
        told = f"a literal of {len(value):,} {'characters' if isinstance(value, str) else 'bytes'}"
        yield _Found(value, node.lineno, told, f"{LITERAL_CHARACTERS:,}")
    elif isinstance(value, int) and value.bit_length() > LITERAL_BITS:
        yield _Found(value, node.lineno, f"an integer of {value.bit_length():,} bits", f"{LITERAL_BITS:,}")


def _size(text: str | None) -> int:
    return len(_encoded(text or ""))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _kib(size: int) -> str:
    return f"{size / 1024:.1f} KiB"
