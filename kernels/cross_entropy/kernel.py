"""Cross-entropy of each row: the log of the sum of exponentials in one pass over the logits, in fp32."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# ---- knobs ----------------------------------------------------------------------------------------------------------
LARGEST_BLOCK = 8192  # logits at a time, 256..16384, a power of two
ELEMENTS_PER_WARP = 1024  # 128..2048, a power of two
# ---------------------------------------------------------------------------------------------------------------------


@triton.jit
def cross_entropy_kernel(logits_ptr, targets_ptr, losses_ptr, V, BLOCK: tl.constexpr):
    """The loss of one row of [N, V]: log Σ exp(x) - x[target], by the online sum of Milakov & Gimelshein 2018."""
    row = tl.program_id(0).to(tl.int64)
    logits_ptr += row * V
    cols = tl.arange(0, BLOCK)
    largest = -float("inf")
    total = 0.0
    for start in range(0, V, BLOCK):
        x = tl.load(logits_ptr + start + cols, mask=start + cols < V, other=-float("inf")).to(tl.float32)
        new = tl.maximum(largest, tl.max(x, axis=0))
        shift = tl.where(new == -float("inf"), 0.0, new)  # nothing but -inf so far: the sum stays 0
        total = total * tl.exp(largest - shift) + tl.sum(tl.exp(x - shift), axis=0)
        largest = new
    due = tl.load(logits_ptr + tl.load(targets_ptr + row)).to(tl.float32)
    loss = tl.log(total) + (largest - due)
    tl.store(losses_ptr + row, loss.to(losses_ptr.dtype.element_ty))


def kernel_fn(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """logits [N, V], targets int64 [N] in 0..V-1 -> losses [N] in nats, in the logits' type."""
    N, V = logits.shape
    losses = torch.empty((N,), device=logits.device, dtype=logits.dtype)
    block = min(LARGEST_BLOCK, triton.next_power_of_2(V))
    num_warps = max(1, min(32, block // ELEMENTS_PER_WARP))
    cross_entropy_kernel[(N,)](logits, targets, losses, V, BLOCK=block, num_warps=num_warps)
    return losses
