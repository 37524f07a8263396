"""GELU(x + bias): one block of entries a program."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# ---- knobs ----------------------------------------------------------------------------------------------------------
BLOCK = 1024  # entries of a program, 128..8192, a power of two
NUM_WARPS = 4  # 1..16, a power of two
# ---------------------------------------------------------------------------------------------------------------------


@triton.jit
def bias_gelu_kernel(x_ptr, bias_ptr, y_ptr, N, C, BLOCK: tl.constexpr):
    """BLOCK entries of y [N], which is [R, C] in one line; x alike, bias [C]."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < N
    x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
    x += tl.load(bias_ptr + at % C, mask=inside, other=0.0).to(tl.float32)
    y = 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))
    tl.store(y_ptr + at, y.to(y_ptr.dtype.element_ty), mask=inside)


def kernel_fn(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """x [R, C], bias [C] -> [R, C], in x's type."""
    y = torch.empty_like(x)
    bias_gelu_kernel[(triton.cdiv(x.numel(), BLOCK),)](x, bias, y, x.numel(), x.shape[1], BLOCK=BLOCK, num_warps=NUM_WARPS)
    return y
