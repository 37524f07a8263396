"""Softmax along the last dimension: a row stays in registers where it fits, and is read twice where it does not."""

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
def softmax_kernel(x_ptr, y_ptr, C, BLOCK: tl.constexpr):
    """One whole row of [R, C]; C <= BLOCK."""
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * C + cols, mask=cols < C, other=-float("inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, axis=0))  # at most 1: large logits cannot overflow
    y = e / tl.sum(e, axis=0)
    tl.store(y_ptr + row * C + cols, y.to(y_ptr.dtype.element_ty), mask=cols < C)


@triton.jit
def softmax_long_kernel(x_ptr, y_ptr, C, BLOCK: tl.constexpr):
    """One row of [R, C] of any length: maximum and sum in one pass (Milakov & Gimelshein 2018), then the answer."""
    row = tl.program_id(0).to(tl.int64)
    x_ptr += row * C
    y_ptr += row * C
    largest = -float("inf")
    total = 0.0
    for start in range(0, C, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + cols, mask=cols < C, other=-float("inf")).to(tl.float32)
        new = tl.maximum(largest, tl.max(x, axis=0))
        shift = tl.where(new == -float("inf"), 0.0, new)  # nothing but -inf so far: the sum stays 0
        total = total * tl.exp(largest - shift) + tl.sum(tl.exp(x - shift), axis=0)
        largest = new
    for start in range(0, C, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + cols, mask=cols < C, other=-float("inf")).to(tl.float32)
        y = tl.exp(x - largest) / total
        tl.store(y_ptr + cols, y.to(y_ptr.dtype.element_ty), mask=cols < C)


def kernel_fn(x: torch.Tensor) -> torch.Tensor:
    """x [R, C] -> [R, C], in its type; each row adds up to 1."""
    R, C = x.shape
    y = torch.empty_like(x)
    if C <= LONGEST_WHOLE_ROW:
        block = triton.next_power_of_2(C)
        softmax_kernel[(R,)](x, y, C, BLOCK=block, num_warps=warps_for(block))
    else:
        softmax_long_kernel[(R,)](x, y, C, BLOCK=LONG_ROW_BLOCK, num_warps=warps_for(LONG_ROW_BLOCK))
    return y


def warps_for(elements: int) -> int:
    return max(1, min(32, elements // ELEMENTS_PER_WARP))
