"""How much one program of a compiled kernel does, counted in Triton's own intermediate text (TTIR). Pure.

TTIR is what is left of the source when everything is inlined and no GPU has been thought of yet: each operation names the
shape of its tensors, and loops keep their bounds. With the launch's whole numbers put in for the arguments, most bounds can
be worked out, for every program of the launch where they differ. Where one cannot (it was loaded from memory, say), the loop
counts once and `is_whole` says so; so it does where work cannot be seen at all: in functions that are called, `while` loops,
assembly. Of a branch each program's own side counts; where it cannot be known, the larger of each number. Lanes that a mask
leaves out are counted: they take their turn, whatever becomes of them.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Whole = int | NDArray[np.int64]  # one for each program where they differ
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
    is_whole: bool = True  # every loop's length was known, and all work seen
    rounds_products: bool = False  # fp32 inputs of a product are rounded to tf32

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
            self.rounds_products or other.rounds_products,
        )


def work_of(ttir: str, scalars: Scalars, grid: tuple[int, int, int]) -> Work:
    """The mean work of a launch's programs. `scalars`: the launch's whole-number arguments by their names."""
    lines = ttir.splitlines()
    start = next((n for n, line in enumerate(lines) if "tt.func public" in line), None)
    if start is None:
        return Work(is_whole=False)
    arguments = set(re.findall(r"%([\w$.-]+): ", lines[start]))
    known = {name: value for name, value in scalars.items() if name in arguments and abs(value) < _LARGEST}
    return _Program(known, grid).count(_block(lines, start + 1)[0])


# ---------------------------------------------------------------------------------------------------- the text

_RESULT = re.compile(r"(%[\w$.-]+)(?::\d+)? = (.*)")
_OP = re.compile(r'"?([a-z_]+\.[a-z_.0-9]+)"?')
_TENSOR = re.compile(r"tensor<((?:\d+x)+)(!tt\.ptr<)?([a-z]+\d*(?:E\dM\d\w*)?)")
_FOR = re.compile(r"scf\.for (?:unsigned )?(%[\w$.-]+) = (%[\w$.-]+) to (%[\w$.-]+) step (%[\w$.-]+)")
_VALUE = re.compile(r"%[\w$.-]+(?:#\d+)?")
_LOCATION = re.compile(r" loc\(.*?\)+$")
_BITS = re.compile(r"\d+")
_FREE = frozenset({
    "tt.splat", "tt.broadcast", "tt.expand_dims", "tt.make_range", "arith.constant", "tt.reshape", "tt.trans", "scf.yield",
    "tt.return", "tt.get_program_id", "tt.get_num_programs", "tt.bitcast", "tt.reduce.return", "tt.scan.return", "ub.poison",
    "tt.assert", "scf.condition", "tt.make_tensor_descriptor", "tt.unsplat", "tt.split", "tt.join", "tt.cat",
})  # fmt: skip
_UNSEEN = frozenset({"tt.call", "tt.elementwise_inline_asm", "scf.while", "scf.parallel", "scf.forall", "scf.execute_region"})
_REGIONS = frozenset({"tt.reduce", "tt.scan", "tt.map_elementwise"})  # done for each element
_LARGEST = 2**31  # of a number that is followed: products of a few stay exact in 64 bits
_MOST_PROGRAMS = 1 << 20  # that are told apart
_SLOW_OPS = ("math.", "arith.div", "arith.rem", "tt.precise_", "tt.extern_elementwise")


@dataclass(slots=True)
class _Line:
    """One operation, and what is nested in it."""

    text: str
    inner: list[_Line]
    otherwise: list[_Line]  # of an `scf.if`


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
    """Goes through the text once, with the numbers of all programs in hand."""

    def __init__(self, scalars: Scalars, grid: tuple[int, int, int]) -> None:
        self._grid = grid
        self._known: dict[str, Whole] = {f"%{name}": value for name, value in scalars.items()}
        self._turning: set[str] = set()  # what follows from the turn that a loop is in

    def count(self, lines: Sequence[_Line], times: Whole = 1) -> Work:
        """The mean of the programs, each doing it so many times."""
        total = Work()
        for line in lines:
            total = self._with(total, line, times)
        return total

    def _with(self, total: Work, line: _Line, times: Whole) -> Work:
        result = _RESULT.match(line.text)
        name, said = (result[1], result[2]) if result else (None, line.text)
        operation = _OP.match(said)
        op = operation[1] if operation else ""
        if name is not None:
            self._known.pop(name, None)
            self._turning.discard(name)
        if op == "scf.for":
            return self._loop(total, line, said, times)
        if op == "scf.if":
            return total.plus(self._branch(line, said, times))
        if op in _UNSEEN or (line.inner and op not in _REGIONS):
            both = self.count(line.inner, times).plus(self.count(line.otherwise, times))
            return total.plus(Work(is_whole=False)).plus(both)
        tensors = _elements(said)
        if not tensors:
            self._note(name, op, said)
            return total.plus(_scaled(_alone(op, said), times))
        if op in _FREE:
            return total
        done = _one(op, said, tensors)
        if op in _REGIONS:  # `_one` has counted an operation an element
            each = self.count(line.inner)
            lanes = done.lane_ops
            done = replace(done, lane_ops=lanes * max(1.0, each.lane_ops), is_whole=each.is_whole)
            done = replace(done, loaded_bytes=lanes * each.loaded_bytes, stored_bytes=lanes * each.stored_bytes)
        return total.plus(_scaled(done, times))

    def _loop(self, total: Work, line: _Line, said: str, times: Whole) -> Work:
        bounds = _FOR.match(said)
        low, high, step = (self._known.get(bounds[n]) for n in (2, 3, 4)) if bounds else (None, None, None)
        if bounds is None or low is None or high is None or step is None or not np.all(np.asarray(step) > 0):
            return total.plus(Work(is_whole=False)).plus(self.count(line.inner, times))
        turns: Whole = np.maximum(0, -((low - high) // step))
        if not np.any(turns * times):
            return total
        self._known[bounds[1]] = low + turns // 2 * step  # an inner loop may depend on it
        self._turning.add(bounds[1])
        once = self.count(line.inner, turns * times)
        return total.plus(once, times=0.0).plus(replace(once, burst_bytes=0.0))

    def _branch(self, line: _Line, said: str, times: Whole) -> Work:
        asked = _VALUE.search(said)
        met = self._known.get(asked[0]) if asked else None
        if met is None:
            return _dearer(self.count(line.inner, times), self.count(line.otherwise, times))
        meets = np.asarray(met) != 0
        sides = [(line.inner, times * meets), (line.otherwise, times * ~meets)]
        done = Work()
        for body, often in sides:
            done = done.plus(self.count(body, often)) if np.any(often) else done
        return done

    def _note(self, name: str | None, op: str, said: str) -> None:
        """Remember a whole number, if it can be known."""
        value = self._scalar(op, said)
        if name is None or value is None:
            return
        turning = [each for each in _VALUE.findall(said.partition(" : ")[0]) if each in self._turning]
        if turning:
            # The middle turn stands for all only where a number grows evenly from turn to turn.
            if op not in _EVEN or (op == "arith.muli" and len(turning) > 1):
                return
            self._turning.add(name)
        if np.all(np.abs(np.asarray(value)) < _LARGEST**2 // 2):
            self._known[name] = value

    def _scalar(self, op: str, said: str) -> Whole | None:
        """The value of an operation on whole numbers; None where it is not known."""
        if op == "arith.constant":
            number = re.match(r"arith\.constant (-?\d+|true|false)(?: :|$)", said)
            return (
                None if number is None else {"true": 1, "false": 0}.get(number[1]) if number[1][0] in "tf" else int(number[1])
            )
        if op in ("tt.get_program_id", "tt.get_num_programs"):
            axis = "xyz".index(said.split()[1][0])
            return self._grid[axis] if op == "tt.get_num_programs" else self._places(axis)
        values = [self._known.get(each) for each in _VALUE.findall(said.partition(" : ")[0])]
        numbers = [value for value in values if value is not None]
        if not values or len(numbers) < len(values):
            return None
        if op in ("arith.extsi", "arith.extui", "arith.index_cast"):
            return numbers[0]
        if op == "arith.trunci":
            return numbers[0] if bool(np.all(np.abs(np.asarray(numbers[0])) < 2**31)) else None
        if op == "arith.cmpi":
            compare = _COMPARISONS.get(said.split()[1].rstrip(","))
            return None if compare is None else np.asarray(compare(*numbers[:2]), dtype=np.int64)
        if op == "arith.select":
            return np.where(np.asarray(numbers[0]) != 0, numbers[1], numbers[2])
        compute = _ARITHMETIC.get(op)
        if compute is None or (op in _DIVIDING and not np.all(np.asarray(numbers[1]))):
            return None
        if op in _SHIFTING and not np.all((np.asarray(numbers[1]) >= 0) & (np.asarray(numbers[1]) < 31)):
            return None
        return compute(*numbers[:2])

    def _places(self, axis: int) -> Whole | None:
        """The number of each program along an axis; None where there are too many to be told apart."""
        if self._grid[axis] == 1:
            return 0
        if not 0 < math.prod(self._grid) <= _MOST_PROGRAMS:
            return None
        own = [1, 1, 1]
        own[axis] = self._grid[axis]
        return np.broadcast_to(np.arange(self._grid[axis], dtype=np.int64).reshape(own), self._grid)


def _scaled(work: Work, times: Whole) -> Work:
    """Done so many times by each program, on the mean; its loads are under way together all the same."""
    return replace(Work().plus(work, float(np.mean(times))), burst_bytes=work.burst_bytes)


def _dearer(one: Work, other: Work) -> Work:
    """The larger of each number."""
    return Work(
        max(one.loaded_bytes, other.loaded_bytes),
        max(one.stored_bytes, other.stored_bytes),
        max(one.tensor_macs, other.tensor_macs),
        max(one.plain_macs, other.plain_macs),
        max(one.lane_ops, other.lane_ops),
        max(one.burst_bytes, other.burst_bytes),
        one.is_whole and other.is_whole,
        one.rounds_products or other.rounds_products,
    )


def _alone(op: str, said: str) -> Work:
    """What one operation on a single element costs. Whole numbers are addresses and counters: nothing."""
    kind = re.search(r"!tt\.ptr<([a-z]+)(\d*)", said) if op.startswith(("tt.load", "tt.store", "tt.atomic")) else None
    if kind is not None:
        return _one(op, said, [((1,), max(1.0, int(kind[2] or 32) / 8))])
    if (op.startswith("arith.") and op.endswith("f")) or op.startswith(("math.", *_SLOW_OPS)):
        return Work(lane_ops=SLOW if op.startswith(_SLOW_OPS) else 1.0)
    return Work()


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
        if tensors[0][1] < 4:
            return Work(tensor_macs=macs)
        rounds = "inputPrecision = tf32" in said and "inputPrecision = tf32x3" not in said
        return Work(tensor_macs=macs, rounds_products=True) if rounds else Work(plain_macs=macs)
    return Work(lane_ops=lanes * (SLOW if op.startswith(_SLOW_OPS) else 1.0))


def _truncated(a: Whole, b: Whole) -> Whole:
    """C's quotient, as arith.divsi has it."""
    quotient = np.abs(a) // np.abs(b) * np.sign(a) * np.sign(b)
    return int(quotient) if quotient.ndim == 0 else quotient


_EVEN = frozenset({"arith.addi", "arith.subi", "arith.muli", "arith.extsi", "arith.extui", "arith.index_cast", "arith.trunci"})
_DIVIDING = frozenset({"arith.divsi", "arith.divui", "arith.ceildivsi", "arith.floordivsi", "arith.remsi", "arith.remui"})
_SHIFTING = frozenset({"arith.shli", "arith.shrsi", "arith.shrui"})
_ARITHMETIC: dict[str, Callable[[Whole, Whole], Whole]] = {
    "arith.addi": lambda a, b: a + b,
    "arith.subi": lambda a, b: a - b,
    "arith.muli": lambda a, b: a * b,
    "arith.divsi": _truncated,
    "arith.divui": _truncated,
    "arith.ceildivsi": lambda a, b: -(-a // b),
    "arith.floordivsi": lambda a, b: a // b,
    "arith.remsi": lambda a, b: a - b * _truncated(a, b),
    "arith.remui": lambda a, b: a % b,
    "arith.minsi": np.minimum,
    "arith.minui": np.minimum,
    "arith.maxsi": np.maximum,
    "arith.maxui": np.maximum,
    "arith.shli": lambda a, b: a << b,
    "arith.shrsi": lambda a, b: a >> b,
    "arith.shrui": lambda a, b: a >> b,
    "arith.andi": lambda a, b: a & b,
    "arith.ori": lambda a, b: a | b,
    "arith.xori": lambda a, b: a ^ b,
}
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq, "ne": operator.ne, "slt": operator.lt, "sle": operator.le, "sgt": operator.gt, "sge": operator.ge,
    "ult": operator.lt, "ule": operator.le, "ugt": operator.gt, "uge": operator.ge,
}  # fmt: skip
