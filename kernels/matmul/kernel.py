"""C = A·B: one tile of C a program, fp32 sums, tiles in groups so that neighbours share what L2 holds."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# ---- knobs, 16-bit inputs: 96 KiB of shared memory, which every GPU since the A100 has ------------------------------
BLOCK_M = 128  # rows of a tile, 16..256, a power of two
BLOCK_N = 256  # columns of a tile, 16..256, a power of two
BLOCK_K = 32  # of the shared dimension at a time, 16..128, a power of two
NUM_WARPS = 8  # 1..16, a power of two
NUM_STAGES = 4  # loads under way ahead of their use, 1..6
# ---- knobs, fp32 inputs: no tensor cores, twice the bytes -----------------------------------------------------------
FP32_BLOCK_M = 64  # 16..128, a power of two
FP32_BLOCK_N = 64  # 16..128, a power of two
FP32_BLOCK_K = 32  # 16..64, a power of two
FP32_NUM_WARPS = 4  # 1..16, a power of two
FP32_NUM_STAGES = 3  # 1..6
# ---- knobs, both ----------------------------------------------------------------------------------------------------
GROUP_M = 8  # rows of tiles that go together, 1..32
# ---------------------------------------------------------------------------------------------------------------------


@triton.jit
def tile_of_program(M, N, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, GROUP_M: tl.constexpr):
    """Row and column of this program's tile. Programs go down GROUP_M rows of tiles before they turn to the next column."""
    pid = tl.program_id(0)
    tiles_m = tl.cdiv(M, BLOCK_M)
    in_group = GROUP_M * tl.cdiv(N, BLOCK_N)
    first_m = pid // in_group * GROUP_M
    height = min(tiles_m - first_m, GROUP_M)
    return first_m + pid % in_group % height, pid % in_group // height


@triton.jit
def matmul_kernel(
    a_ptr, b_ptr, c_ptr, M, N, K, stride_am, stride_ak, stride_bk, stride_bn,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    """One [BLOCK_M, BLOCK_N] tile of C [M, N], which is contiguous."""
    tile_m, tile_n = tile_of_program(M, N, BLOCK_M, BLOCK_N, GROUP_M)
    rows = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    cols = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    ks = tl.arange(0, BLOCK_K)
    # rows and columns past the end wrap around: the loads need no mask for them, and the store drops them
    a_ptrs = a_ptr + (rows % M).to(tl.int64)[:, None] * stride_am + ks[None, :] * stride_ak
    b_ptrs = b_ptr + ks[:, None] * stride_bk + (cols % N).to(tl.int64)[None, :] * stride_bn
    acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for k in range(0, K, BLOCK_K):
        a = tl.load(a_ptrs, mask=ks[None, :] < K - k, other=0.0)
        b = tl.load(b_ptrs, mask=ks[:, None] < K - k, other=0.0)
        acc = tl.dot(a, b, acc, input_precision="ieee")  # for fp32: the default, tf32, is further off than eager
        a_ptrs += BLOCK_K * stride_ak
        b_ptrs += BLOCK_K * stride_bk
    c_ptrs = c_ptr + rows.to(tl.int64)[:, None] * N + cols[None, :]
    tl.store(c_ptrs, acc.to(c_ptr.dtype.element_ty), mask=(rows[:, None] < M) & (cols[None, :] < N))


def kernel_fn(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a [M, K], b [K, N] -> [M, N], in their type."""
    (M, K), N = a.shape, b.shape[1]
    c = torch.empty((M, N), device=a.device, dtype=a.dtype)
    block_m, block_n, block_k, num_warps, num_stages = (
        (FP32_BLOCK_M, FP32_BLOCK_N, FP32_BLOCK_K, FP32_NUM_WARPS, FP32_NUM_STAGES)
        if a.dtype == torch.float32
        else (BLOCK_M, BLOCK_N, BLOCK_K, NUM_WARPS, NUM_STAGES)
    )
    grid = (triton.cdiv(M, block_m) * triton.cdiv(N, block_n),)
    matmul_kernel[grid](
        a, b, c, M, N, K, a.stride(0), a.stride(1), b.stride(0), b.stride(1),
        BLOCK_M=block_m, BLOCK_N=block_n, BLOCK_K=block_k, GROUP_M=GROUP_M, num_warps=num_warps, num_stages=num_stages,
    )  # fmt: skip
    return c
