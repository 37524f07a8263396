"""How much one program of a compiled kernel does, counted in Triton's own intermediate text (TTIR). Pure.

TTIR is what is left of the source when everything is inlined and no GPU has been thought of yet: each operation names the
shape of its tensors, and loops keep their bounds. With the launch's whole numbers put in for the arguments, most bounds can
be worked out; where one cannot (it was loaded from memory, say), the loop counts once and `is_whole` says so. Lanes that a
mask leaves out are counted: they take their turn, whatever becomes of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Scalars = Mapping[str, int]

SLOW = 4.0  # turns of an exp, a root or a division: a quarter of the rate of a product (CUDA programming guide, throughput)


@dataclass(frozen=True, slots=True)
class Work:
    """Of one program, or the mean of several."""

    loaded_bytes: float = 0.0
    stored_bytes: float = 0.0
    tensor_macs: float = 0.0  # multiply-adds for tensor cores
    plain_macs: float = 0.0  # of a product that needs every bit of fp32
    lane_ops: float = 0.0  # one element through one arithmetic operation, slow ones `SLOW` times
    burst_bytes: float = 0.0  # loads that can be under way together: outside of loops, and of one turn of the busiest loop
    is_whole: bool = True  # every loop's length was known

    def plus(self, other: Work, times: float = 1.0) -> Work:
        """With `other` done so many times. A loop's loads come turn by turn, so they do not add up to one burst."""
        burst = self.burst_bytes + other.burst_bytes if times == 1.0 else max(self.burst_bytes, other.burst_bytes)
        return Work(
            self.loaded_bytes + times * other.loaded_bytes,
            self.stored_bytes + times * other.stored_bytes,
            self.tensor_macs + times * other.tensor_macs,
            self.plain_macs + times * other.plain_macs,
            self.lane_ops + times * other.lane_ops,
            burst,
            self.is_whole and other.is_whole,
        )


def work_of(ttir: str, scalars: Scalars, grid: tuple[int, int, int]) -> Work:
    """The mean work of a launch's programs: its first, its middle and its last one stand for all. `scalars`: the launch's
    whole-number arguments by their names."""
    places = dict.fromkeys(_places(grid))
    body = _kernel(ttir.splitlines())
    total = Work()
    for place in places:
        total = total.plus(_Program(scalars, place, grid).count(body), 1 / len(places))
    return total


def _places(grid: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
    for share in (0.0, 0.5, 1.0):
        x, y, z = (min(size - 1, int(share * size)) for size in grid)
        yield x, y, z


# ---------------------------------------------------------------------------------------------------- the text

_RESULT = re.compile(r"(%[\w$.-]+)(?::\d+)? = (.*)")
_OP = re.compile(r'"?([a-z_]+\.[a-z_.0-9]+)"?')
_TENSOR = re.compile(r"tensor<((?:\d+x)+)(!tt\.ptr<)?([a-z]+\d*(?:E\dM\d\w*)?)")
_FOR = re.compile(r"scf\.for (%[\w$.-]+) = (%[\w$.-]+) to (%[\w$.-]+) step (%[\w$.-]+)")
_VALUE = re.compile(r"%[\w$.-]+(?:#\d+)?")
_LOCATION = re.compile(r" loc\(.*?\)+$")
_BITS = re.compile(r"\d+")
_FREE = frozenset({
    "tt.splat", "tt.broadcast", "tt.expand_dims", "tt.make_range", "arith.constant", "tt.reshape", "tt.trans", "scf.yield",
    "tt.return", "tt.get_program_id", "tt.get_num_programs", "tt.bitcast", "tt.reduce.return", "tt.scan.return", "ub.poison",
    "tt.assert", "scf.condition", "tt.make_tensor_descriptor", "tt.unsplat", "tt.split", "tt.join", "tt.cat",
})  # fmt: skip
_SLOW_OPS = ("math.", "arith.div", "arith.rem", "tt.precise_", "tt.extern_elementwise")


@dataclass(slots=True)
class _Line:
    """One operation, and what is nested in it."""

    text: str
    inner: list[_Line]
    otherwise: list[_Line]  # of an `scf.if`


def _kernel(lines: Sequence[str]) -> list[_Line]:
    """The body of the function that is launched, as a tree."""
    start = next((n for n, line in enumerate(lines) if "tt.func public" in line), None)
    if start is None:
        return []
    body, _ = _block(lines, start + 1)
    return body


def _block(lines: Sequence[str], at: int) -> tuple[list[_Line], int]:
    """The operations from `at` to the brace that closes their block, and the number of that line."""
    found: list[_Line] = []
    while at < len(lines):
        text = _LOCATION.sub("", lines[at].strip())
        if text.startswith("}"):
            return found, at
        opened = text.endswith("{")
        inner: list[_Line] = []
        otherwise: list[_Line] = []
        if opened:
            inner, at = _block(lines, at + 1)
            if re.match(r"\} (else|do) \{", lines[at].strip()):
                otherwise, at = _block(lines, at + 1)
            text += " " + _LOCATION.sub("", lines[at].strip())  # a reduction's types stand behind its body
        if text and not text.startswith(("^", "#", "//")):
            found.append(_Line(text, inner, otherwise))
        at += 1
    return found, at


def _elements(text: str) -> list[tuple[tuple[int, ...], float]]:
    """Shape and bytes an element of each tensor type in a line; of a tensor of pointers, the bytes that they point to."""
    found = []
    for sizes, _, kind in _TENSOR.findall(text):
        bits = _BITS.search(kind)
        size = max(1.0, int(bits[0]) / 8) if bits else 4.0
        found.append((tuple(int(each) for each in sizes.rstrip("x").split("x")), 1.0 if kind.startswith("f8") else size))
    return found


# ---------------------------------------------------------------------------------------------------- one program


class _Program:
    """Goes through the text once, with the numbers of one program in hand."""

    def __init__(self, scalars: Scalars, place: tuple[int, int, int], grid: tuple[int, int, int]) -> None:
        self._place, self._grid = place, grid
        self._known: dict[str, int] = {f"%{name}": value for name, value in scalars.items()}

    def count(self, lines: Sequence[_Line]) -> Work:
        total = Work()
        for line in lines:
            total = self._with(total, line)
        return total

    def _with(self, total: Work, line: _Line) -> Work:
        result = _RESULT.match(line.text)
        name, said = (result[1], result[2]) if result else (None, line.text)
        operation = _OP.match(said)
        op = operation[1] if operation else ""
        if op == "scf.for":
            return self._loop(total, line, said)
        if op == "scf.if":
            return self._branch(total, line, said)
        if op == "scf.while":
            once = self.count(line.inner).plus(self.count(line.otherwise))
            return total.plus(Work(is_whole=False)).plus(once)
        tensors = _elements(said)
        if not tensors:
            value = self._scalar(op, said)
            if name is not None and value is not None:
                self._known[name] = value
            return total
        return total if op in _FREE else total.plus(_one(op, said, tensors))

    def _loop(self, total: Work, line: _Line, said: str) -> Work:
        bounds = _FOR.match(said)
        assert bounds is not None
        counter, low, high, step = bounds[1], *(self._known.get(bounds[n]) for n in (2, 3, 4))
        if low is None or high is None or not step:
            return total.plus(Work(is_whole=False)).plus(self.count(line.inner))
        turns = max(0, math.ceil((high - low) / step))
        self._known[counter] = low + turns // 2 * step  # an inner loop may depend on it
        return total.plus(self.count(line.inner), turns) if turns else total

    def _branch(self, total: Work, line: _Line, said: str) -> Work:
        asked = _VALUE.search(said)
        met = self._known.get(asked[0]) if asked else None
        if met is not None:
            return total.plus(self.count(line.inner if met else line.otherwise))
        then, otherwise = self.count(line.inner), self.count(line.otherwise)
        return total.plus(
            then if then.lane_ops + then.loaded_bytes >= otherwise.lane_ops + otherwise.loaded_bytes else otherwise
        )

    def _scalar(self, op: str, said: str) -> int | None:
        """The value of an operation on whole numbers; None where it is not known."""
        if op == "arith.constant":
            number = re.match(r"arith\.constant (-?\d+|true|false)\b", said)
            return (
                None if number is None else {"true": 1, "false": 0}.get(number[1]) if number[1][0] in "tf" else int(number[1])
            )
        if op in ("tt.get_program_id", "tt.get_num_programs"):
            axis = "xyz".index(said.split()[1][0])
            return self._place[axis] if op == "tt.get_program_id" else self._grid[axis]
        values = [self._known.get(each) for each in _VALUE.findall(said.partition(" : ")[0])]
        if not values or None in values:
            return None
        numbers = [value for value in values if value is not None]
        if op in ("arith.extsi", "arith.extui", "arith.trunci", "arith.index_cast"):
            return numbers[0]
        if op == "arith.cmpi":
            compare = _COMPARISONS.get(said.split()[1].rstrip(","))
            return None if compare is None else int(compare(*numbers[:2]))
        if op == "arith.select":
            return numbers[1] if numbers[0] else numbers[2]
        compute = _ARITHMETIC.get(op)
        try:
            return None if compute is None else compute(*numbers[:2])
        except (ZeroDivisionError, ValueError):
            return None


def _one(op: str, said: str, tensors: Sequence[tuple[tuple[int, ...], float]]) -> Work:
    """What one operation on tensors costs."""
    shape, element_bytes = max(tensors, key=lambda each: math.prod(each[0]))
    lanes = float(math.prod(shape))
    moved = lanes * element_bytes
    if op in ("tt.load", "tt.descriptor_load", "tt.descriptor_gather"):
        return Work(loaded_bytes=moved, burst_bytes=moved)
    if op in ("tt.store", "tt.descriptor_store", "tt.descriptor_scatter"):
        return Work(stored_bytes=moved)
    if op.startswith(("tt.atomic", "tt.descriptor_reduce")):
        return Work(loaded_bytes=moved, stored_bytes=moved)
    if op in ("tt.dot", "tt.dot_scaled"):
        (rows, depth), width = tensors[0][0][-2:], tensors[1][0][-1]
        macs = float(rows * depth * width * math.prod(tensors[0][0][:-2]))
        is_plain = tensors[0][1] == 4 and "inputPrecision = tf32" not in said
        return Work(plain_macs=macs) if is_plain else Work(tensor_macs=macs)
    return Work(lane_ops=lanes * (SLOW if op.startswith(_SLOW_OPS) else 1.0))


def _truncated(a: int, b: int) -> int:
    """C's quotient, as arith.divsi has it."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "arith.addi": lambda a, b: a + b,
    "arith.subi": lambda a, b: a - b,
    "arith.muli": lambda a, b: a * b,
    "arith.divsi": _truncated,
    "arith.divui": _truncated,
    "arith.ceildivsi": lambda a, b: -(-a // b),
    "arith.floordivsi": lambda a, b: a // b,
    "arith.remsi": lambda a, b: a - b * _truncated(a, b),
    "arith.remui": lambda a, b: a % b,
    "arith.minsi": min,
    "arith.minui": min,
    "arith.maxsi": max,
    "arith.maxui": max,
    "arith.shli": lambda a, b: a << b,
    "arith.shrsi": lambda a, b: a >> b,
    "arith.shrui": lambda a, b: a >> b,
    "arith.andi": lambda a, b: a & b,
    "arith.ori": lambda a, b: a | b,
    "arith.xori": lambda a, b: a ^ b,
}
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "slt": lambda a, b: a < b,
    "sle": lambda a, b: a <= b,
    "sgt": lambda a, b: a > b,
    "sge": lambda a, b: a >= b,
    "ult": lambda a, b: a < b,
    "ule": lambda a, b: a <= b,
    "ugt": lambda a, b: a > b,
    "uge": lambda a, b: a >= b,
}
