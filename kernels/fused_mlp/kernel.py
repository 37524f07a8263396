"""SwiGLU MLP in two kernels: gate, up and their product in one pass over x; then the product with w_down."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# ---- knobs, gate and up, 16-bit inputs ------------------------------------------------------------------------------
UP_BLOCK_M = 128  # tokens of a tile, 16..256, a power of two
UP_BLOCK_N = 128  # hidden units of a tile, 16..256, a power of two
UP_BLOCK_K = 32  # of the width at a time, 16..128, a power of two
UP_NUM_WARPS = 8  # 1..16, a power of two
UP_NUM_STAGES = 4  # loads under way ahead of their use, 1..6
# ---- knobs, down, 16-bit inputs -------------------------------------------------------------------------------------
DOWN_BLOCK_M = 128  # tokens of a tile, 16..256, a power of two
DOWN_BLOCK_N = 256  # columns of a tile, 16..256, a power of two
DOWN_BLOCK_K = 32  # hidden units at a time, 16..128, a power of two
DOWN_NUM_WARPS = 8  # 1..16, a power of two
DOWN_NUM_STAGES = 4  # 1..6
# ---- knobs, fp32 inputs: no tensor cores, twice the bytes -----------------------------------------------------------
FP32_BLOCK = 64  # rows and columns of a tile, 16..128, a power of two
FP32_BLOCK_K = 32  # 16..64, a power of two
FP32_NUM_WARPS = 4  # 1..16, a power of two
FP32_NUM_STAGES = 2  # 1..6
# ---- knobs, all -----------------------------------------------------------------------------------------------------
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
def gate_up_kernel(
    x_ptr, w_gate_ptr, w_up_ptr, h_ptr, N, D, F,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    """One tile of h = silu(x·w_gateᵀ) ⊙ (x·w_upᵀ) [N, F]; x [N, D], weights [F, D]."""
    tile_m, tile_n = tile_of_program(N, F, BLOCK_M, BLOCK_N, GROUP_M)
    rows = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    units = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    ks = tl.arange(0, BLOCK_K)
    # rows and units past the end wrap around: the loads need no mask for them, and the store drops them
    x_ptrs = x_ptr + (rows % N).to(tl.int64)[:, None] * D + ks[None, :]
    w_offsets = (units % F).to(tl.int64)[None, :] * D + ks[:, None]
    gate = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    up = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for k in range(0, D, BLOCK_K):
        x = tl.load(x_ptrs + k, mask=ks[None, :] < D - k, other=0.0)
        w_gate = tl.load(w_gate_ptr + w_offsets + k, mask=ks[:, None] < D - k, other=0.0)
        w_up = tl.load(w_up_ptr + w_offsets + k, mask=ks[:, None] < D - k, other=0.0)
        gate = tl.dot(x, w_gate, gate, input_precision="ieee")  # for fp32: the default, tf32, is further off than eager
        up = tl.dot(x, w_up, up, input_precision="ieee")
    h = gate * tl.sigmoid(gate) * up
    h_ptrs = h_ptr + rows.to(tl.int64)[:, None] * F + units[None, :]
    tl.store(h_ptrs, h.to(h_ptr.dtype.element_ty), mask=(rows[:, None] < N) & (units[None, :] < F))


@triton.jit
def down_kernel(
    h_ptr, w_ptr, y_ptr, N, D, F,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    """One tile of y = h·w_downᵀ [N, D]; h [N, F], w_down [D, F]."""
    tile_m, tile_n = tile_of_program(N, D, BLOCK_M, BLOCK_N, GROUP_M)
    rows = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    cols = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    ks = tl.arange(0, BLOCK_K)
    h_ptrs = h_ptr + (rows % N).to(tl.int64)[:, None] * F + ks[None, :]
    w_ptrs = w_ptr + (cols % D).to(tl.int64)[None, :] * F + ks[:, None]
    acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for k in range(0, F, BLOCK_K):
        h = tl.load(h_ptrs + k, mask=ks[None, :] < F - k, other=0.0)
        w = tl.load(w_ptrs + k, mask=ks[:, None] < F - k, other=0.0)
        acc = tl.dot(h, w, acc, input_precision="ieee")
    y_ptrs = y_ptr + rows.to(tl.int64)[:, None] * D + cols[None, :]
    tl.store(y_ptrs, acc.to(y_ptr.dtype.element_ty), mask=(rows[:, None] < N) & (cols[None, :] < D))


def kernel_fn(x: torch.Tensor, w_gate: torch.Tensor, w_up: torch.Tensor, w_down: torch.Tensor) -> torch.Tensor:
    """x [N, D], w_gate and w_up [F, D], w_down [D, F] -> [N, D], in x's type."""
    (N, D), F = x.shape, w_gate.shape[0]
    h = torch.empty((N, F), device=x.device, dtype=x.dtype)
    y = torch.empty_like(x)
    if x.dtype == torch.float32:
        up = down = {
            "BLOCK_M": FP32_BLOCK, "BLOCK_N": FP32_BLOCK, "BLOCK_K": FP32_BLOCK_K,
            "num_warps": FP32_NUM_WARPS, "num_stages": FP32_NUM_STAGES,
        }  # fmt: skip
    else:
        up = {
            "BLOCK_M": UP_BLOCK_M, "BLOCK_N": UP_BLOCK_N, "BLOCK_K": UP_BLOCK_K,
            "num_warps": UP_NUM_WARPS, "num_stages": UP_NUM_STAGES,
        }  # fmt: skip
        down = {
            "BLOCK_M": DOWN_BLOCK_M, "BLOCK_N": DOWN_BLOCK_N, "BLOCK_K": DOWN_BLOCK_K,
            "num_warps": DOWN_NUM_WARPS, "num_stages": DOWN_NUM_STAGES,
        }  # fmt: skip
    gate_up_kernel[tiles(N, F, up)](x, w_gate, w_up, h, N, D, F, GROUP_M=GROUP_M, **up)
    down_kernel[tiles(N, D, down)](h, w_down, y, N, D, F, GROUP_M=GROUP_M, **down)
    return y


def tiles(rows: int, cols: int, blocks: dict[str, int]) -> tuple[int]:
    return (triton.cdiv(rows, blocks["BLOCK_M"]) * triton.cdiv(cols, blocks["BLOCK_N"]),)
