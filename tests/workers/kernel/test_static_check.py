"""The static check: honest kernels of all styles pass, and each way round the kernel is refused by its rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.kernel.static_check import check

KERNELS = Path(__file__).parents[3] / "kernels"
HONEST = '''
"""A row-wise softmax."""
from __future__ import annotations

import torch
import triton
import triton.language as tl

BLOCK_MOST = 65536


@triton.jit
def softmax_kernel(out, x, stride, columns, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    value = tl.load(x + row * stride + at, mask=at < columns, other=-float("inf")).to(tl.float32)
    value = tl.exp(value - tl.max(value, axis=0))
    tl.store(out + row * stride + at, value / tl.sum(value, axis=0), mask=at < columns)


def kernel_fn(x):
    rows = x.reshape(-1, x.shape[-1]).contiguous()
    out = torch.empty_like(rows)
    block = triton.next_power_of_2(rows.shape[1])
    warps = 4 if block < 2048 else 8
    softmax_kernel[(rows.shape[0],)](out, rows, rows.stride(0), rows.shape[1], BLOCK=block, num_warps=warps)
    return out.view(x.shape)
'''

AUTOTUNED = """
import torch
import triton
import triton.language as tl


def configs():
    return [triton.Config({"BLOCK": size}, num_warps=warps) for size in (64, 128) for warps in (4, 8)]


@triton.autotune(configs=configs(), key=["n"])
@triton.jit
def add(out, x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + at, tl.load(x + at, mask=at < n) + tl.load(y + at, mask=at < n), mask=at < n)


def _launch(out, x, y):
    n = x.numel()
    grid = lambda meta: (triton.cdiv(n, meta["BLOCK"]),)
    add[grid](out, x, y, n)


def kernel_fn(x, y):
    out = torch.empty(x.shape, device=x.device, dtype=x.dtype)
    _launch(out, x, y)
    return out
"""

SPLIT_K = HONEST.replace("out = torch.empty_like(rows)", "out = torch.zeros(rows.shape, dtype=torch.float32, device=x.device)")


def rules(source: str) -> set[str]:
    return {found.rule for found in check(source)}


@pytest.mark.parametrize("source", [HONEST, AUTOTUNED, SPLIT_K])
def test_honest_kernels_pass(source: str) -> None:
    assert check(source) == ()


def instead(body: str) -> str:
    """The honest kernel with another `kernel_fn` body before its own."""
    return HONEST.replace("    rows = x.reshape", f"{body}\n    rows = x.reshape")


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("    return torch.softmax(x, dim=-1)", "torch computes"),
        ("    return torch.nn.functional.softmax(x, -1)", "torch computes"),
        ("    return x.softmax(-1)", "torch computes"),
        ("    x = x * 1.0", "torch computes"),
        ("    x = x.shape and x @ x", "torch computes"),
        ("    x.mul_(0)", "torch computes"),
        ("    x[0] = 0", "torch computes"),
        ("    x = x.clone()", "torch computes"),
        ("    x = -x", "torch computes"),
        ("    y = x.view(-1)\n    y += 1", "torch computes"),
        ("    if x.isinf().any():\n        return x", "torch computes"),
        ("    y = x.to(torch.float64)", "torch computes"),
        ("    try:\n        pass\n    except Exception:\n        pass", "caught errors"),
        ("    key = x.data_ptr()", "identity"),
        ("    key = id(x)", "reflection"),
        ("    torch.empty_like = None", "replaced"),
        ("    kernel_fn.answers = {}", "replaced"),
        ("    x.__class__ = object", "reflection"),
        ("    setattr(torch, 'allclose', None)", "reflection"),
        ("    with torch.cuda.stream(torch.cuda.Stream()):\n        pass", "machine"),
        ("    torch.cuda.synchronize = print", "machine"),
        ("    torch.backends.cuda.matmul.allow_tf32 = True", "machine"),
        ("    global BLOCK_MOST\n    BLOCK_MOST = 1", "state"),
        ("    import time", "import"),
        ("    import reference", "import"),
        ("    from torch.utils.cpp_extension import load_inline", "import"),
        ("    from torch import softmax", "import"),
        ("    open('/proc/self/maps')", "reflection"),
    ],
)
def test_a_way_round_the_kernel_is_refused_by_its_rule(body: str, rule: str) -> None:
    assert rule in rules(instead(body))


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        (HONEST.replace("BLOCK_MOST = 65536", "CACHE = {}"), "state"),
        (HONEST.replace("BLOCK_MOST = 65536", "CACHE = torch.empty(9)"), "state"),
        (HONEST.replace("def kernel_fn(x):", "def kernel_fn(x, seen=[]):"), "state"),
        ("import functools\n" + HONEST.replace("def kernel_fn", "@functools.lru_cache\ndef kernel_fn"), "state"),
        (HONEST + "\ntorch.allclose = lambda *a, **k: True\n", "replaced"),
        (HONEST + "\nprint('loaded')\n", "state"),
        (HONEST + "\nfor n in range(3):\n    pass\n", "state"),
        (HONEST + "\nclass Lazy(torch.Tensor):\n    pass\n", "state"),
        (HONEST.replace("softmax_kernel[", "str["), "no kernel"),
        (HONEST.replace("def kernel_fn(x):", "def kernel_fn(x, y):\n    y.zero_()\n"), "torch computes"),
        (HONEST.replace("@triton.jit", ""), "no kernel"),
        (HONEST.replace("def kernel_fn", "def forward"), "entry"),
        ("def kernel_fn(:\n", "syntax"),
        ("", "entry"),
    ],
)
def test_what_is_left_out_or_stays_between_calls_is_refused(source: str, rule: str) -> None:
    assert rule in rules(source)


def test_a_finding_says_what_where_and_what_is_allowed() -> None:
    (found,) = check(instead("    import os"))
    assert str(found).startswith("import: line ")
    assert "imports os; allowed: " in found.reason
    assert instead("    import os").splitlines()[found.line - 1] == "    import os"


def test_what_a_kernel_itself_computes_is_not_looked_at() -> None:
    assert check(HONEST.replace("tl.exp(", "tl.math.exp2(1.4426950408889634 * ")) == ()


@pytest.mark.parametrize("target", sorted(path.parent.name for path in KERNELS.glob("*/kernel.py")))
def test_the_starters_that_ship_pass(target: str) -> None:
    assert check((KERNELS / target / "kernel.py").read_text()) == ()
