"""Sums along the last dimension: one row a program, block after block into one block of fp32 sums."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# ---- knobs ----------------------------------------------------------------------------------------------------------
LARGEST_BLOCK = 8192  # elements at a time, 256..16384, a power of two
ELEMENTS_PER_WARP = 1024  # 128..2048, a power of two
# ---------------------------------------------------------------------------------------------------------------------


@triton.jit
def reduce_kernel(x_ptr, y_ptr, C, BLOCK: tl.constexpr):
    """One row of [R, C] to one number."""
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK)
    sums = tl.zeros((BLOCK,), dtype=tl.float32)
    for start in range(0, C, BLOCK):
        sums += tl.load(x_ptr + row * C + start + cols, mask=start + cols < C, other=0.0).to(tl.float32)
    tl.store(y_ptr + row, tl.sum(sums, axis=0).to(y_ptr.dtype.element_ty))


def kernel_fn(x: torch.Tensor) -> torch.Tensor:
    """x [R, C] -> [R], in its type."""
    R, C = x.shape
    y = torch.empty((R,), device=x.device, dtype=x.dtype)
    block = min(LARGEST_BLOCK, triton.next_power_of_2(C))
    reduce_kernel[(R,)](x, y, C, BLOCK=block, num_warps=max(1, block // ELEMENTS_PER_WARP))
    return y
