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
        ("    print(x)", "reflection"),
        ("    t = torch\n    y = t.softmax(x, -1)", "reflection"),
        ("    y = torch.Tensor.softmax(x, -1)", "torch computes"),
        ("    y = helper(x) @ helper(x)", "torch computes"),
        ("    (y,) = (x,)\n    y = y.softmax(-1)", "torch computes"),
        ("    y = x.type(torch.float16)", "torch computes"),
        ("    for torch.allclose in (max,):\n        pass", "replaced"),
        ("    torch.allclose, y = max, min", "replaced"),
        ("    y = len(f'{x}')", "reflection"),
        ("    y = str(x)", "reflection"),
        ("    y = '%s' % (x,)", "reflection"),
        ("    y = '{0}'.format(x)", "torch computes"),
        ("    y = x is rows", "identity"),
        ("    y = softmax_kernel.fn", "launch"),
        ("    y = softmax_kernel.run", "launch"),
        ("    y = softmax_kernel[(1,)](x)", "launch"),
        ("    triton.knobs.runtime.interpret = True", "replaced"),
        ("    y = triton.knobs.runtime.interpret", "machine"),
        ("    y = triton.runtime.driver.active", "machine"),
        ("    y = triton.testing.do_bench(max)", "machine"),
        ("    from triton import knobs", "import"),
        ("    from typing import sys", "import"),
        ("    import typing\n    typing.sys.exit()", "machine"),
        ("    with torch.device('meta'):\n        pass", "machine"),
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
        (HONEST.replace("def kernel_fn", "@print\ndef kernel_fn"), "state"),
        (HONEST.replace("@triton.jit", "@triton.jit(launch_metadata=print)"), "state"),
        (HONEST.replace("@triton.jit", "@triton.constexpr_function\n@triton.jit"), "state"),
        (HONEST.replace("def kernel_fn(x):", "def kernel_fn(x: (SEEN := [])):"), "state"),
        (HONEST + "\nseen: print('loaded')\n", "state"),
        (HONEST + "\nassert print('loaded')\n", "state"),
        (HONEST + "\nARGUMENTS = softmax_kernel.arg_names\n", "launch"),
        (HONEST.replace("import torch\n", "import torch as softmax\n"), "reflection"),
        (HONEST + "\ndef helper(tl):\n    return tl.shape\n", "replaced"),
        (AUTOTUNED.replace("num_warps=warps)", "num_warps=warps, pre_hook=kernel_fn)"), "state"),
        (AUTOTUNED.replace('key=["n"]', 'key=["n"], do_bench=print'), "state"),
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


@pytest.mark.parametrize(
    "line",
    [
        "tl.core.builtins.open('/proc/self/maps')",
        "tl.target_info.is_cuda()",
        "tl.device_print('x', value)",
        "value.handle",
        "isinstance(BLOCK, tl.constexpr)",
        "BLOCK.value",
        "value is row",
        "getattr(value, 'handle')",
        "f'{value}'",
        "softmax_kernel.fn",
        "torch.exp(value)",
    ],
)
def test_a_kernel_speaks_tritons_language_and_no_other(line: str) -> None:
    assert "kernel language" in rules(HONEST.replace("    value = tl.exp", f"    other = {line}\n    value = tl.exp"))


def test_what_a_kernel_itself_computes_is_its_own() -> None:
    assert check(HONEST.replace("tl.exp(", "tl.math.exp2(1.4426950408889634 * ")) == ()


@pytest.mark.parametrize(
    "old_and_new",
    [
        ("    out = torch.empty_like(rows)", "    assert x.ndim > 0, f'{x.ndim} dimensions'\n    out = torch.empty_like(rows)"),
        ("    out = torch.empty_like(rows)", "    is_half = x.dtype is torch.float16\n    out = torch.empty_like(rows)"),
        ("    out = torch.empty_like(rows)", "    most = torch.finfo(x.dtype).max\n    out = torch.empty_like(rows)"),
        ("    out = torch.empty_like(rows)", "    is_gpu = x.device.type == 'cuda'\n    out = torch.empty_like(rows)"),
        (
            "    out = torch.empty_like(rows)",
            "    sizes = [n for n in x.shape]\n    sizes.append(1)\n    out = torch.empty_like(rows)",
        ),
        ("    softmax_kernel[", "    kernel = softmax_kernel if block > 1 else softmax_kernel\n    kernel["),
        ("import triton.language as tl", "from triton import language as tl"),
        ("@triton.jit", "@triton.jit(do_not_specialize=['columns'])"),
        (
            "    row = tl.program_id(0)",
            "    tl.static_assert(BLOCK > 0, f'{BLOCK}')\n    row = tl.program_id(axis=0).to(tl.int64)",
        ),
        ("def kernel_fn(x):", "def kernel_fn(x: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:"),
    ],
)
def test_ways_to_write_an_honest_kernel_pass(old_and_new: tuple[str, str]) -> None:
    assert old_and_new[0] in HONEST
    assert check(HONEST.replace(*old_and_new)) == ()


@pytest.mark.parametrize("target", sorted(path.parent.name for path in KERNELS.glob("*/kernel.py")))
def test_the_starters_that_ship_pass(target: str) -> None:
    assert check((KERNELS / target / "kernel.py").read_text()) == ()
