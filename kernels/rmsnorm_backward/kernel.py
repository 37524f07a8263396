"""Gradient of RMSNorm: each program takes every so-manieth row and keeps its share of dweight in registers; then the shares
are added up. Two launches, no atomics: the answer is the same every time."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# ---- knobs ----------------------------------------------------------------------------------------------------------
PROGRAMS = 264  # that share the rows, 1..2048
LEAST_ROWS = 2  # of a program: with few rows the shares would be as large as the data, 1..64
ELEMENTS_PER_WARP = 512  # 128..2048, a power of two
MOST_WARPS = 16  # of a program, 4..32, a power of two
SUM_BLOCK_R = 32  # shares at a time, 8..128, a power of two
SUM_BLOCK_C = 64  # columns a program, 16..256, a power of two
# ---------------------------------------------------------------------------------------------------------------------


@triton.jit
def rmsnorm_backward_kernel(
    dy_ptr, x_ptr, weight_ptr, dx_ptr, shares_ptr, R, C, eps, BLOCK: tl.constexpr
):  # fmt: skip
    """dx of some rows of [R, C], and their share of dweight: one row of shares [programs, C], fp32. C <= BLOCK."""
    pid = tl.program_id(0)
    cols = tl.arange(0, BLOCK)
    inside = cols < C
    weight = tl.load(weight_ptr + cols, mask=inside, other=0.0).to(tl.float32)
    dweight = tl.zeros((BLOCK,), dtype=tl.float32)
    for row in range(pid, R, tl.num_programs(0)):
        offsets = tl.cast(row, tl.int64) * C + cols
        dy = tl.load(dy_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
        x = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
        rstd = 1.0 / tl.sqrt(tl.sum(x * x, axis=0) / C + eps)
        xhat = x * rstd
        g = dy * weight
        dx = (g - xhat * (tl.sum(g * xhat, axis=0) / C)) * rstd
        tl.store(dx_ptr + offsets, dx.to(dx_ptr.dtype.element_ty), mask=inside)
        dweight += dy * xhat
    tl.store(shares_ptr + pid * C + cols, dweight, mask=inside)


@triton.jit
def column_sums_kernel(shares_ptr, sums_ptr, R, C, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr):
    """[R, C] in fp32 to [C]."""
    cols = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    rows = tl.arange(0, BLOCK_R)
    sums = tl.zeros((BLOCK_R, BLOCK_C), dtype=tl.float32)
    for start in range(0, R, BLOCK_R):
        there = (start + rows[:, None] < R) & (cols[None, :] < C)
        sums += tl.load(shares_ptr + (start + rows[:, None]) * C + cols[None, :], mask=there, other=0.0)
    tl.store(sums_ptr + cols, tl.sum(sums, axis=0).to(sums_ptr.dtype.element_ty), mask=cols < C)


def kernel_fn(
    dy: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """dy, x [R, C], weight [C] -> dx [R, C], dweight [C], in x's type."""
    R, C = x.shape
    programs = min(PROGRAMS, triton.cdiv(R, LEAST_ROWS))
    dx = torch.empty_like(x)
    dweight = torch.empty_like(weight)
    shares = torch.empty((programs, C), device=x.device, dtype=torch.float32)
    block = triton.next_power_of_2(C)
    num_warps = max(1, min(MOST_WARPS, block // ELEMENTS_PER_WARP))
    rmsnorm_backward_kernel[(programs,)](dy, x, weight, dx, shares, R, C, eps, BLOCK=block, num_warps=num_warps)
    column_sums_kernel[(triton.cdiv(C, SUM_BLOCK_C),)](
        shares, dweight, programs, C, BLOCK_R=SUM_BLOCK_R, BLOCK_C=SUM_BLOCK_C
    )  # fmt: skip
    return dx, dweight
