"""The cases.py and program.md of a target with a model's own shapes in place of the shipped real ones. Pure: text to text.

A shipped cases.py lists one `case(...)` a line; its real ones are taken out, those of the model put there, and everything else
stays as it is: odd, edge and held-out cases, so that the gates work, and a small real one where the model has none itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

from orchestrator.model.shares import Shape
from workers.model.operations import SIZES

_CASE = re.compile(r'^        case\("(?P<name>\w+)", "(?P<role>\w+)", .*\),.*$')
_LETTERS = {"H_KV": "kv"}


class NoCasesError(Exception):
    """A shipped cases.py is not written one case a line: a defect of Regatta."""


def with_shapes_of(text: str, target: str, shapes: Sequence[Shape], model: str) -> str:
    """`text`, a shipped cases.py, with these real cases in place of its own."""
    lines = text.split("\n")
    real = [nth for nth, line in enumerate(lines) if (case := _CASE.match(line)) and case["role"] == "real"]
    if not real:
        raise NoCasesError(f"kernels/{target}/cases.py has no real case on a line of its own")
    own = [f"        # {model}, by their part of its time"]
    for shape in shapes:
        own.append(f"        {_case(target, shape)}  # {_calls(shape.calls)}, {_percent(shape.share)} of the time")
    if not any(shape.dtype == "fp32" and is_small(target, shape.sizes) for shape in shapes):
        kept = [lines[nth] for nth in real if "small=True" in lines[nth]][:1]
        own += ["        # none of the model's: a small one in fp32, which can be checked without a GPU", *kept]
    whole = lines[: real[0]] + own + [line for nth, line in enumerate(lines) if nth > real[0] and nth not in real]
    return "\n".join(whole)


def about_shapes(text: str, target: str, shapes: Sequence[Shape], model: str) -> str:
    """`text`, a shipped program.md, whose section on shapes tells of the model's."""
    names = " × ".join(SIZES[target])
    rows = [f"- {_sizes(each)} {each.dtype}: {_calls(each.calls)}, {_percent(each.share)} of the time" for each in shapes]
    said = f"Those of {model} ({names}), measured; the others in `cases.py` keep a kernel honest:\n\n" + "\n".join(rows)
    return re.sub(r"(?ms)^(## Which shapes matter\n\n).*?(?=^## )", lambda found: f"{found[1]}{said}\n\n", text)


def is_small(target: str, sizes: Sequence[int]) -> bool:
    """Whether Triton's interpreter takes a second at most, by what the starters do."""
    return _IS_SMALL[target](sizes)


def _of_rows(sizes: Sequence[int]) -> bool:
    return sizes[0] <= 64 and math.prod(sizes) <= 150_000


def _of_product(sizes: Sequence[int]) -> bool:
    M, N, K = sizes
    return math.ceil(M / 64) * math.ceil(N / 64) * math.ceil(K / 32) <= 200


def _of_attention(sizes: Sequence[int]) -> bool:
    B, H, _, T, D = sizes
    return B * H * math.ceil(T / 32) ** 2 <= 250 and D <= 128


_IS_SMALL: Mapping[str, Callable[[Sequence[int]], bool]] = {
    **dict.fromkeys(SIZES, _of_rows), "matmul": _of_product, "flash_attention": _of_attention
}  # fmt: skip


def _case(target: str, shape: Shape) -> str:
    letters = [_LETTERS.get(name, name.lower()) for name in SIZES[target]]
    parts = [f"{letter}{size}" for letter, size in zip(letters, shape.sizes, strict=True)]
    name = "_".join(("model", *parts, shape.dtype))
    small = ", small=True" if shape.dtype == "fp32" and is_small(target, shape.sizes) else ""
    return f'case("{name}", "real", "{shape.dtype}", {", ".join(map(str, shape.sizes))}{small}),'


def _sizes(shape: Shape) -> str:
    return " × ".join(map(str, shape.sizes))


def _calls(calls: int) -> str:
    return f"{calls} {'call' if calls == 1 else 'calls'}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
