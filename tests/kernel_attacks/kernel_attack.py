"""What an attack on the kernel track is: data. A candidate's kernel.py, what stops it, and what would if that did not."""

from __future__ import annotations

from dataclasses import dataclass

IN_VAIN = "in vain"  # outcome ok, and nothing was gained: measured for what it is

HONEST = """
from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def norm(x_ptr, weight_ptr, y_ptr, C, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK)
    inside = cols < C
    x = tl.load(x_ptr + row * C + cols, mask=inside, other=0.0).to(tl.float32)
    rstd = 1.0 / tl.sqrt(tl.sum(x * x, axis=0) / C + eps)
    weight = tl.load(weight_ptr + cols, mask=inside, other=0.0).to(tl.float32)
    y = x * rstd * weight
    tl.store(y_ptr + row * C + cols, y.to(y_ptr.dtype.element_ty), mask=inside)


def kernel_fn(x, weight, eps):
    R, C = x.shape
    y = torch.empty_like(x)
    norm[(R,)](x, weight, y, C, eps, BLOCK=triton.next_power_of_2(C), num_warps=4)
    return y
"""
LAUNCH = "    norm[(R,)](x, weight, y, C, eps, BLOCK=triton.next_power_of_2(C), num_warps=4)\n"
STORE = "    tl.store(y_ptr"
IMPORTS = "import torch\n"
# The same kernel with a face more: EMPTY, it reads and writes one row for all.
TWO_FACED = HONEST.replace("BLOCK: tl.constexpr", "BLOCK: tl.constexpr, EMPTY: tl.constexpr").replace(
    "    row = tl.program_id(0).to(tl.int64)\n", "    row = tl.program_id(0).to(tl.int64)\n    if EMPTY:\n        return\n"
)
BY_FACE = "    norm[(R,)](x, weight, y, C, eps, BLOCK=triton.next_power_of_2(C), EMPTY=is_compiled, num_warps=4)\n"


@dataclass(frozen=True)
class KernelAttack:
    """One kernel.py that breaks a rule, and the words that the rule has on it.

    `rule`: words of the reason; where the outcome is `in vain`, what it came up against. `behind`: outcome and words where the
    static check is left out; None where it is not the static check that stops it.
    """

    name: str
    source: str
    outcome: str
    rule: str
    behind: tuple[str, str] | None = None
    target: str = "rmsnorm"
    timeout_s: float = 60.0

    def __str__(self) -> str:
        return self.name


def edited(*pairs: tuple[str, str], of: str = HONEST) -> str:
    """The honest kernel with other texts in it, each of which must be there."""
    for old, new in pairs:
        assert old in of, old
        of = of.replace(old, new)
    return of


def first(lines: str, *pairs: tuple[str, str], of: str = HONEST) -> str:
    """With these lines at the beginning of `kernel_fn`."""
    return edited(("    R, C = x.shape\n", lines + "    R, C = x.shape\n"), *pairs, of=of)


def top(lines: str, *pairs: tuple[str, str], of: str = HONEST) -> str:
    """With these lines after the imports."""
    return edited(("import triton.language as tl\n", "import triton.language as tl\n" + lines), *pairs, of=of)


def inside(lines: str, *pairs: tuple[str, str], of: str = HONEST) -> str:
    """With these lines at the beginning of the kernel."""
    return edited(("    cols = tl.arange", lines + "    cols = tl.arange"), *pairs, of=of)
