"""What the vendor has for this operation, where the reference is written out: PyTorch's fused attention (flash, cuDNN)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere


def baselines() -> dict[str, Callable[..., torch.Tensor]]:
    return {"sdpa": sdpa}


def sdpa(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """As reference_fn."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=q.size(1) != k.size(1))
