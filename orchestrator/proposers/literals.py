"""Knobs: numbers and switches that a Python file names in capitals at its top level, and edits that turn them. Pure.

A knob is `NAME = literal` (annotated or not, `2**k` included) that the file assigns once: an int, a float or a bool. Text,
tuples and names that hold a seed are none: a seed is drawn by the worker, and choosing one is choosing noise. A range in the
comment behind it (`# tokens a step, 2^15..2^20`) is kept to.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.edits import Edit

SPAN = 4.0  # a float moves by at most this factor, either way
INT_SPAN = 2.0  # and a whole number by this one
ZERO_SPAN = 0.1  # a float that is zero moves by at most this, either way

_NAME = re.compile(r"[A-Z][A-Z0-9_]*\Z")
_SEED = re.compile(r"(?:^|_)SEEDS?(?:_|$)")
_POWER = re.compile(r"2\s*\*\*\s*(\d{1,2})\Z")
_LINE_END = re.compile(r"\r\n|\r|\n")
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?:\^\d{1,3})?)"
_RANGE = re.compile(rf"#.*?(?<![\w.]){_NUMBER}\.\.{_NUMBER}(?!\w)")


@dataclass(frozen=True, slots=True)
class Knob:
    path: str
    name: str
    value: int | float | bool
    literal: str  # as the source writes it
    start: int  # characters before the literal
    low: float = -math.inf  # the range that its comment allows
    high: float = math.inf
    doubles: bool = False  # a power of two, by its size or by its comment: it is doubled or halved

    @property
    def key(self) -> str:
        return f"{self.path}:{self.name}"


def find_knobs(path: str, text: str) -> tuple[Knob, ...]:
    """The knobs of one file, in its order; none where it cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        assigned = Counter(_names_assigned(tree.body))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    starts = [0, *(end.end() for end in _LINE_END.finditer(text))]
    knobs = []
    for statement in tree.body:
        name, node = _named_value(statement)
        if name is None or node is None or assigned[name] != 1 or _SEED.search(name) or not _NAME.match(name):
            continue
        literal, start = _source(text, starts, node)
        value = _value(literal)
        if value is not None:
            rest = text[start : _line_end(text, start)]
            knobs.append(Knob(path, name, value, literal, start, *_range(rest, value), _doubles(rest, literal, value)))
    return tuple(knobs)


def _named_value(statement: ast.stmt) -> tuple[str | None, ast.expr | None]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, value
        case ast.AnnAssign(target=ast.Name(id=name), value=value):
            return name, value
    return None, None


def _names_assigned(body: Sequence[ast.AST]) -> Iterator[str]:
    """Every name that module-level code binds, once for each time, and those that a function declares global."""
    for node in body:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Global):
                yield from inner.names
        yield from _bound_here(node)


def _bound_here(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
        yield node.id
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif not isinstance(node, ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _bound_here(child)


def _source(text: str, starts: Sequence[int], node: ast.expr) -> tuple[str, int]:
    """The characters of `node`, and how many lie before it; nothing where it spans lines. (ast counts in bytes.)"""
    if node.lineno != node.end_lineno or node.end_col_offset is None or node.lineno > len(starts):
        return "", 0
    begin = starts[node.lineno - 1]
    end = starts[node.lineno] if node.lineno < len(starts) else len(text)
    line = text[begin:end].encode()
    before = len(line[: node.col_offset].decode(errors="replace"))
    return line[node.col_offset : node.end_col_offset].decode(errors="replace"), begin + before


def _value(literal: str) -> int | float | bool | None:
    """The value of a literal that can be turned; None for any other expression."""
    power = _POWER.match(literal)
    if power:
        return 1 << int(power[1])
    try:
        value = ast.literal_eval(literal)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else None
    if isinstance(value, float):
        return value if value == 0 or 1e-100 < abs(value) < 1e100 else None
    return None


def _line_end(text: str, start: int) -> int:
    end = _LINE_END.search(text, start)
    return end.start() if end else len(text)


def _range(rest_of_line: str, value: float) -> tuple[float, float]:
    """The range `low..high` in a comment; without bounds where there is none, or where the value itself lies outside."""
    found = _RANGE.search(rest_of_line)
    if found:
        low, high = _number(found[1]), _number(found[2])
        if low <= value <= high:
            return low, high
    return -math.inf, math.inf


def _number(text: str) -> float:
    base, _, exponent = text.partition("^")
    try:
        return math.pow(float(base), int(exponent or 1))
    except (OverflowError, ValueError):
        return math.nan  # inside no range


def turned(knob: Knob, ratio: float) -> str | None:
    """The literal after turning `knob` by `ratio` in [-1, 1] of its span; None where that changes nothing.

    Relative to the value as it is, so that a ratio means the same after the champion has moved. Floats move on a log scale
    (those in (0, 1) by their odds, and so stay inside), powers of two from 8 on to the next one, other whole numbers
    by at least one, and switches flip.
    """
    value = knob.value
    if isinstance(value, bool):
        return repr(not value)
    if isinstance(value, float):
        new = _turned_float(value, abs(ratio) if value == 0 and knob.low >= 0 else ratio)
        new = min(max(new, knob.low), knob.high)
        return None if new == value else repr(new)
    power = _POWER.match(knob.literal)
    whole = _next_power(value, ratio) if knob.doubles else _turned_int(value, ratio)
    if knob.doubles:
        if not (whole >= 1 and knob.low <= whole <= knob.high):
            return None
        return f"2**{whole.bit_length() - 1}" if power else repr(whole)
    if not knob.low <= whole <= knob.high:
        whole = math.floor(knob.high) if whole > value else math.ceil(knob.low)
    return None if whole == value else repr(whole)


def _doubles(rest_of_line: str, literal: str, value: int | float | bool) -> bool:
    """Whether other values than powers of two make no sense: as for the warps of a kernel, which are 4 or 8."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1 or value & (value - 1):
        return False
    return value >= 8 or _POWER.match(literal) is not None or "power of two" in rest_of_line.partition("#")[2]


def _next_power(value: int, ratio: float) -> int:
    return value * 2 if ratio >= 0 else value // 2


def _turned_int(value: int, ratio: float) -> int:
    if value == 0:
        return 1 if ratio < 0 else 2
    if value < 0:
        return -_turned_int(-value, ratio)
    new = min(max(round(value * math.pow(INT_SPAN, ratio)), math.ceil(value / INT_SPAN)), round(value * INT_SPAN))
    if new == value:
        new = value + 1 if ratio >= 0 or value == 1 else value - 1
    return new


def _turned_float(value: float, ratio: float) -> float:
    if value == 0:
        return _rounded(ZERO_SPAN * ratio, abs(ZERO_SPAN * ratio))
    factor = math.pow(SPAN, ratio)
    if not 0 < value < 1:
        return _rounded(value * factor, abs(value))
    odds = value / (1 - value) * factor
    new = odds / (1 + odds)
    rounded = _rounded(new, min(new, 1 - new))  # three digits of the distance to the nearer end
    return rounded if 0 < rounded < 1 else value


def _rounded(value: float, scale: float) -> float:
    """`value` to three significant digits of `scale`."""
    if scale == 0:
        return 0.0
    return round(value, 2 - math.floor(math.log10(scale)))


def edits_for(turns: Sequence[tuple[Knob, str]], read: Callable[[str], str | None]) -> tuple[Edit, ...]:
    """Search/replace edits that put a new literal into each knob, to be applied in their order; each is found once."""
    edits: list[Edit] = []
    texts: dict[str, str] = {}
    for knob, literal in sorted(turns, key=lambda turn: (turn[0].path, -turn[0].start)):  # last first: offsets hold
        text = texts[knob.path] if knob.path in texts else read(knob.path) or ""
        stop = knob.start + len(knob.literal)
        begin, end = _unique_lines(text, knob.start, stop)
        replace = text[begin : knob.start] + literal + text[stop:end]
        edits.append(Edit(knob.path, search=text[begin:end], replace=replace))
        texts[knob.path] = text[:begin] + replace + text[end:]
    return tuple(edits)


def _unique_lines(text: str, start: int, stop: int) -> tuple[int, int]:
    """The line around `text[start:stop]`, grown by its neighbours until it is found nowhere else."""
    begin = text.rfind("\n", 0, start) + 1
    end = text.find("\n", stop)
    end = len(text) if end < 0 else end
    while True:
        lines = text[begin:end]
        if text.find(lines) == begin and text.find(lines, begin + 1) < 0:
            return begin, end
        begin = text.rfind("\n", 0, max(begin - 1, 0)) + 1
        end = text.find("\n", end + 1) if end < len(text) else end
        end = len(text) if end < 0 else end
