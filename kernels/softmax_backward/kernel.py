"""Gradient of softmax along the last dimension: a row stays in registers where it fits, and is read twice where it does not."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# ---- knobs ----------------------------------------------------------------------------------------------------------
LONGEST_WHOLE_ROW = 16384  # elements that one program holds in registers, 1024..32768, a power of two
LONG_ROW_BLOCK = 8192  # elements at a time of a longer row, 512..16384, a power of two
ELEMENTS_PER_WARP = 512  # 128..2048, a power of two
# ---------------------------------------------------------------------------------------------------------------------


@triton.jit
def softmax_backward_kernel(dy_ptr, y_ptr, dx_ptr, C, BLOCK: tl.constexpr):
    """One whole row of [R, C]; C <= BLOCK."""
    cols = tl.arange(0, BLOCK)
    offsets = tl.program_id(0).to(tl.int64) * C + cols
    dy = tl.load(dy_ptr + offsets, mask=cols < C, other=0.0).to(tl.float32)
    y = tl.load(y_ptr + offsets, mask=cols < C, other=0.0).to(tl.float32)
    dx = y * (dy - tl.sum(dy * y, axis=0))
    tl.store(dx_ptr + offsets, dx.to(dx_ptr.dtype.element_ty), mask=cols < C)


@triton.jit
def softmax_backward_long_kernel(dy_ptr, y_ptr, dx_ptr, C, BLOCK: tl.constexpr):
    """One row of [R, C] of any length: the sum in one pass, then the answer."""
    row = tl.program_id(0).to(tl.int64)
    sums = tl.zeros((BLOCK,), dtype=tl.float32)
    for start in range(0, C, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        dy = tl.load(dy_ptr + row * C + cols, mask=cols < C, other=0.0).to(tl.float32)
        y = tl.load(y_ptr + row * C + cols, mask=cols < C, other=0.0).to(tl.float32)
        sums += dy * y
    total = tl.sum(sums, axis=0)
    for start in range(0, C, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        dy = tl.load(dy_ptr + row * C + cols, mask=cols < C, other=0.0).to(tl.float32)
        y = tl.load(y_ptr + row * C + cols, mask=cols < C, other=0.0).to(tl.float32)
        dx = y * (dy - total)
        tl.store(dx_ptr + row * C + cols, dx.to(dx_ptr.dtype.element_ty), mask=cols < C)


def kernel_fn(dy: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """dy [R, C], y = softmax(x) [R, C] -> dx [R, C], in y's type."""
    R, C = y.shape
    dx = torch.empty_like(y)
    if C <= LONGEST_WHOLE_ROW:
        block = triton.next_power_of_2(C)
        softmax_backward_kernel[(R,)](dy, y, dx, C, BLOCK=block, num_warps=warps_for(block))
    else:
        softmax_backward_long_kernel[(R,)](dy, y, dx, C, BLOCK=LONG_ROW_BLOCK, num_warps=warps_for(LONG_ROW_BLOCK))
    return dx


def warps_for(elements: int) -> int:
    return max(1, min(32, elements // ELEMENTS_PER_WARP))
