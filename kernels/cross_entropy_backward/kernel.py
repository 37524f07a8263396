"""Gradient of cross-entropy with respect to the logits: the sum of exponentials in one pass, the answer in a second one."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# ---- knobs ----------------------------------------------------------------------------------------------------------
LARGEST_BLOCK = 8192  # logits at a time, 256..16384, a power of two
ELEMENTS_PER_WARP = 512  # 128..2048, a power of two
# ---------------------------------------------------------------------------------------------------------------------


@triton.jit
def cross_entropy_backward_kernel(dloss_ptr, logits_ptr, targets_ptr, dlogits_ptr, V, BLOCK: tl.constexpr):
    """One row of [N, V]: (softmax(x) - onehot(target)) · dloss, by the online sum of Milakov & Gimelshein 2018."""
    row = tl.program_id(0).to(tl.int64)
    logits_ptr += row * V
    dlogits_ptr += row * V
    largest = -float("inf")
    total = 0.0
    for start in range(0, V, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        x = tl.load(logits_ptr + cols, mask=cols < V, other=-float("inf")).to(tl.float32)
        new = tl.maximum(largest, tl.max(x, axis=0))
        shift = tl.where(new == -float("inf"), 0.0, new)  # nothing but -inf so far: the sum stays 0
        total = total * tl.exp(largest - shift) + tl.sum(tl.exp(x - shift), axis=0)
        largest = new
    dloss = tl.load(dloss_ptr + row).to(tl.float32)
    target = tl.load(targets_ptr + row)
    for start in range(0, V, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        x = tl.load(logits_ptr + cols, mask=cols < V, other=-float("inf")).to(tl.float32)
        p = tl.exp(x - largest) / total
        dlogits = tl.where(cols == target, p - 1.0, p) * dloss
        tl.store(dlogits_ptr + cols, dlogits.to(dlogits_ptr.dtype.element_ty), mask=cols < V)


def kernel_fn(dloss: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """dloss [N], logits [N, V], targets int64 [N] in 0..V-1 -> dlogits [N, V], in the logits' type."""
    N, V = logits.shape
    dlogits = torch.empty_like(logits)
    block = min(LARGEST_BLOCK, triton.next_power_of_2(V))
    num_warps = max(1, min(32, block // ELEMENTS_PER_WARP))
    cross_entropy_backward_kernel[(N,)](dloss, logits, targets, dlogits, V, BLOCK=block, num_warps=num_warps)
    return dlogits
