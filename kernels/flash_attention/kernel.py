"""Causal attention that never writes the scores: online softmax over blocks of keys (Dao 2023), fp32 sums."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl

# ---- knobs, 16-bit inputs -------------------------------------------------------------------------------------------
BLOCK_M = 128  # queries a program, 16..256, a power of two, a multiple of BLOCK_N
BLOCK_N = 64  # keys at a time, 16..128, a power of two
NUM_WARPS = 8  # 1..16, a power of two
NUM_STAGES = 2  # blocks of keys and values under way ahead of their use, 1..4
# ---- knobs, fp32 inputs: no tensor cores, twice the bytes -----------------------------------------------------------
FP32_BLOCK_M = 32  # 16..128, a power of two, a multiple of FP32_BLOCK_N
FP32_BLOCK_N = 32  # 16..64, a power of two
FP32_NUM_WARPS = 4  # 1..16, a power of two
# ---------------------------------------------------------------------------------------------------------------------

LOG2_E = math.log2(math.e)  # exp(x) = exp2(x · log2(e)), and the GPU has an instruction for exp2 alone


@triton.jit
def attend(
    q, acc, total, largest, k_ptr, v_ptr, rows, first, last, T, D, scale,
    DIM: tl.constexpr, BLOCK_N: tl.constexpr, DIAGONAL: tl.constexpr,
):  # fmt: skip
    """Take in the keys [first, last), a multiple of BLOCK_N. DIAGONAL: some lie behind a query, or past the end."""
    dims = tl.arange(0, DIM)
    for start in range(first, last, BLOCK_N):
        keys = start + tl.arange(0, BLOCK_N)
        there = dims[None, :] < D
        if DIAGONAL:
            there = there & (keys[:, None] < T)
        offsets = keys[:, None] * D + dims[None, :]
        k = tl.load(k_ptr + offsets, mask=there, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        if DIAGONAL:
            scores = tl.where(keys[None, :] <= rows[:, None], scores, -float("inf"))
        new = tl.maximum(largest, tl.max(scores, axis=1))
        p = tl.exp2(scores - new[:, None])
        shrink = tl.exp2(largest - new)
        total = total * shrink + tl.sum(p, axis=1)
        v = tl.load(v_ptr + offsets, mask=there, other=0.0)
        acc = tl.dot(p.to(v.dtype), v, acc * shrink[:, None], input_precision="ieee")
        largest = new
    return acc, total, largest


@triton.jit
def flash_attention_kernel(
    q_ptr, k_ptr, v_ptr, o_ptr, T, D, H, H_KV, scale, DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr
):  # fmt: skip
    """BLOCK_M queries of one head. q, o [B, H, T, D]; k, v [B, H_KV, T, D]; DIM >= D."""
    # the last queries have the most keys: they begin first
    block = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)
    head_kv = head // H * H_KV + head % H // (H // H_KV)
    q_ptr += head * T * D
    o_ptr += head * T * D
    k_ptr += head_kv * T * D
    v_ptr += head_kv * T * D

    begin = block * BLOCK_M
    rows = begin + tl.arange(0, BLOCK_M)
    dims = tl.arange(0, DIM)
    there = (rows[:, None] < T) & (dims[None, :] < D)
    offsets = rows[:, None] * D + dims[None, :]
    q = tl.load(q_ptr + offsets, mask=there, other=0.0)
    acc = tl.zeros((BLOCK_M, DIM), dtype=tl.float32)
    total = tl.zeros((BLOCK_M,), dtype=tl.float32)
    largest = tl.full((BLOCK_M,), -float("inf"), dtype=tl.float32)

    # every query sees key 0, so `largest` is a number from the first block on
    acc, total, largest = attend(
        q, acc, total, largest, k_ptr, v_ptr, rows, 0, begin, T, D, scale, DIM, BLOCK_N, DIAGONAL=False
    )  # fmt: skip
    end = min(begin + BLOCK_M, T)
    acc, total, largest = attend(
        q, acc, total, largest, k_ptr, v_ptr, rows, begin, end, T, D, scale, DIM, BLOCK_N, DIAGONAL=True
    )  # fmt: skip
    o = acc / total[:, None]
    tl.store(o_ptr + offsets, o.to(o_ptr.dtype.element_ty), mask=there)


def kernel_fn(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """q [B, H, T, D], k and v [B, H_KV, T, D] -> [B, H, T, D]; H is a multiple of H_KV; scores are divided by sqrt(D)."""
    B, H, T, D = q.shape
    o = torch.empty_like(q)
    block_m, block_n, num_warps = (
        (FP32_BLOCK_M, FP32_BLOCK_N, FP32_NUM_WARPS) if q.dtype == torch.float32 else (BLOCK_M, BLOCK_N, NUM_WARPS)
    )
    if D > 128:  # keys and values of wide heads would not fit the shared memory of most GPUs
        block_m, block_n = max(16, block_m // 2), max(16, block_n // 2)
    grid = (triton.cdiv(T, block_m), B * H)
    flash_attention_kernel[grid](
        q, k, v, o, T, D, H, k.shape[1], D**-0.5 * LOG2_E,
        DIM=max(16, triton.next_power_of_2(D)), BLOCK_M=block_m, BLOCK_N=block_n, num_warps=num_warps, num_stages=NUM_STAGES,
    )  # fmt: skip
    return o
