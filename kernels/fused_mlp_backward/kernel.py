"""Gradient of the SwiGLU MLP: the gradients of both branches in the epilogue of one product, then one launch for each of the
four answers. dx adds two products in registers."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# ---- knobs, gradients of the branches, 16-bit inputs ----------------------------------------------------------------
HIDDEN_BLOCK_M = 128  # tokens of a tile, 16..256, a power of two
HIDDEN_BLOCK_N = 64  # hidden units of a tile, 16..256, a power of two
HIDDEN_BLOCK_K = 32  # of the width at a time, 16..128, a power of two
HIDDEN_NUM_WARPS = 8  # 1..16, a power of two
HIDDEN_NUM_STAGES = 4  # loads under way ahead of their use, 1..6
# ---- knobs, the four answers, 16-bit inputs -------------------------------------------------------------------------
BLOCK_M = 128  # rows of a tile, 16..256, a power of two
BLOCK_N = 256  # columns of a tile, 16..256, a power of two
BLOCK_K = 32  # of the shared dimension at a time, 16..128, a power of two
NUM_WARPS = 8  # 1..16, a power of two
NUM_STAGES = 4  # 1..6
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
def add_product(
    acc, a_ptr, b_ptr, rows, cols, M, N, K, stride_am, stride_ak, stride_bk, stride_bn, BLOCK_K: tl.constexpr
):  # fmt: skip
    """acc + A·B for some rows of A [M, K] and columns of B [K, N]; those past the end wrap around."""
    ks = tl.arange(0, BLOCK_K)
    a_ptrs = a_ptr + (rows % M).to(tl.int64)[:, None] * stride_am + ks.to(tl.int64)[None, :] * stride_ak
    b_ptrs = b_ptr + ks.to(tl.int64)[:, None] * stride_bk + (cols % N).to(tl.int64)[None, :] * stride_bn
    for k in range(0, K, BLOCK_K):
        a = tl.load(a_ptrs, mask=ks[None, :] < K - k, other=0.0)
        b = tl.load(b_ptrs, mask=ks[:, None] < K - k, other=0.0)
        acc = tl.dot(a, b, acc, input_precision="ieee")  # for fp32: the default, tf32, is further off than eager
        a_ptrs += BLOCK_K * stride_ak
        b_ptrs += BLOCK_K * stride_bk
    return acc


@triton.jit
def branches_kernel(
    dy_ptr, w_down_ptr, gate_ptr, up_ptr, h_ptr, dgate_ptr, dup_ptr, N, D, F,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    """One tile of dh = dy·w_down [N, F], never written; from it and gate, up [N, F]: h, dgate and dup [N, F]."""
    tile_m, tile_n = tile_of_program(N, F, BLOCK_M, BLOCK_N, GROUP_M)
    rows = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    units = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    dh = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    dh = add_product(dh, dy_ptr, w_down_ptr, rows, units, N, F, D, D, 1, F, 1, BLOCK_K)
    there = (rows[:, None] < N) & (units[None, :] < F)
    offsets = rows.to(tl.int64)[:, None] * F + units[None, :]
    gate = tl.load(gate_ptr + offsets, mask=there, other=0.0).to(tl.float32)
    up = tl.load(up_ptr + offsets, mask=there, other=0.0).to(tl.float32)
    s = tl.sigmoid(gate)
    silu = gate * s
    tl.store(h_ptr + offsets, (silu * up).to(h_ptr.dtype.element_ty), mask=there)
    tl.store(dup_ptr + offsets, (dh * silu).to(dup_ptr.dtype.element_ty), mask=there)
    dgate = dh * up * (s + silu * (1.0 - s))  # silu' = s + gate·s·(1 - s)
    tl.store(dgate_ptr + offsets, dgate.to(dgate_ptr.dtype.element_ty), mask=there)


@triton.jit
def product_kernel(
    a_ptr, b_ptr, a2_ptr, b2_ptr, c_ptr, M, N, K, stride_am, stride_ak, stride_bk, stride_bn, TWO: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    """One tile of A·B [M, N], or with TWO of A·B + A2·B2, which lie as A and B do."""
    tile_m, tile_n = tile_of_program(M, N, BLOCK_M, BLOCK_N, GROUP_M)
    rows = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    cols = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    acc = add_product(acc, a_ptr, b_ptr, rows, cols, M, N, K, stride_am, stride_ak, stride_bk, stride_bn, BLOCK_K)
    if TWO:
        acc = add_product(acc, a2_ptr, b2_ptr, rows, cols, M, N, K, stride_am, stride_ak, stride_bk, stride_bn, BLOCK_K)
    c_ptrs = c_ptr + rows.to(tl.int64)[:, None] * N + cols[None, :]
    tl.store(c_ptrs, acc.to(c_ptr.dtype.element_ty), mask=(rows[:, None] < M) & (cols[None, :] < N))


def kernel_fn(
    dy: torch.Tensor, x: torch.Tensor, gate: torch.Tensor, up: torch.Tensor,
    w_gate: torch.Tensor, w_up: torch.Tensor, w_down: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """dy, x [N, D], gate = x·w_gateᵀ and up = x·w_upᵀ [N, F], w_gate and w_up [F, D], w_down [D, F]
    -> dx [N, D], dw_gate [F, D], dw_up [F, D], dw_down [D, F], in x's type."""
    (N, D), F = x.shape, gate.shape[1]
    if x.dtype == torch.float32:
        hidden = blocks = {
            "BLOCK_M": FP32_BLOCK, "BLOCK_N": FP32_BLOCK, "BLOCK_K": FP32_BLOCK_K,
            "num_warps": FP32_NUM_WARPS, "num_stages": FP32_NUM_STAGES,
        }  # fmt: skip
    else:
        hidden = {
            "BLOCK_M": HIDDEN_BLOCK_M, "BLOCK_N": HIDDEN_BLOCK_N, "BLOCK_K": HIDDEN_BLOCK_K,
            "num_warps": HIDDEN_NUM_WARPS, "num_stages": HIDDEN_NUM_STAGES,
        }  # fmt: skip
        blocks = {
            "BLOCK_M": BLOCK_M, "BLOCK_N": BLOCK_N, "BLOCK_K": BLOCK_K, "num_warps": NUM_WARPS, "num_stages": NUM_STAGES,
        }  # fmt: skip

    h, dgate, dup = torch.empty_like(gate), torch.empty_like(gate), torch.empty_like(gate)
    branches_kernel[tiles(N, F, hidden)](dy, w_down, gate, up, h, dgate, dup, N, D, F, GROUP_M=GROUP_M, **hidden)

    dx = torch.empty_like(x)
    product_kernel[tiles(N, D, blocks)](
        dgate, w_gate, dup, w_up, dx, N, D, F, F, 1, D, 1, TWO=True, GROUP_M=GROUP_M, **blocks
    )  # fmt: skip
    # the gradient of a weight [rows, cols] is aᵀ·b, with the tokens as the shared dimension
    dw_gate, dw_up, dw_down = torch.empty_like(w_gate), torch.empty_like(w_up), torch.empty_like(w_down)
    for a, b, dw in ((dgate, x, dw_gate), (dup, x, dw_up), (dy, h, dw_down)):
        rows, cols = dw.shape
        product_kernel[tiles(rows, cols, blocks)](
            a, b, a, b, dw, rows, cols, N, 1, rows, cols, 1, TWO=False, GROUP_M=GROUP_M, **blocks
        )  # fmt: skip
    return dx, dw_gate, dw_up, dw_down


def tiles(rows: int, cols: int, blocks: dict[str, int]) -> tuple[int]:
    return (triton.cdiv(rows, blocks["BLOCK_M"]) * triton.cdiv(cols, blocks["BLOCK_N"]),)
