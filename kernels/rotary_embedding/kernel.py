"""Rotary position embedding: a block of positions of one head a program, both halves of it at once."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# ---- knobs ----------------------------------------------------------------------------------------------------------
BLOCK_T = 32  # positions a program, 1..128, a power of two
NUM_WARPS = 4  # 1..16, a power of two
# ---------------------------------------------------------------------------------------------------------------------


@triton.jit
def rotary_kernel(x_ptr, cos_ptr, sin_ptr, y_ptr, T, HALF_DIM, BLOCK_T: tl.constexpr, HALF: tl.constexpr):
    """BLOCK_T positions of one head of x [B·H, T, 2·HALF_DIM]; cos, sin [T, HALF_DIM]; HALF >= HALF_DIM."""
    head = tl.program_id(0).to(tl.int64)  # the fastest: neighbours share their rows of cos and sin
    positions = tl.program_id(1) * BLOCK_T + tl.arange(0, BLOCK_T)[:, None]
    dims = tl.arange(0, HALF)[None, :]
    there = (positions < T) & (dims < HALF_DIM)
    table = positions * HALF_DIM + dims
    cos = tl.load(cos_ptr + table, mask=there, other=0.0).to(tl.float32)
    sin = tl.load(sin_ptr + table, mask=there, other=0.0).to(tl.float32)
    first = (head * T + positions) * (2 * HALF_DIM) + dims
    second = first + HALF_DIM
    a = tl.load(x_ptr + first, mask=there, other=0.0).to(tl.float32)
    b = tl.load(x_ptr + second, mask=there, other=0.0).to(tl.float32)
    tl.store(y_ptr + first, (a * cos - b * sin).to(y_ptr.dtype.element_ty), mask=there)
    tl.store(y_ptr + second, (b * cos + a * sin).to(y_ptr.dtype.element_ty), mask=there)


def kernel_fn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """x [B, H, T, D], D even, cos and sin [T, D/2] -> [B, H, T, D], in x's type."""
    B, H, T, D = x.shape
    y = torch.empty_like(x)
    rotary_kernel[(B * H, triton.cdiv(T, BLOCK_T))](
        x, cos, sin, y, T, D // 2, BLOCK_T=BLOCK_T, HALF=triton.next_power_of_2(D // 2), num_warps=NUM_WARPS
    )
    return y
