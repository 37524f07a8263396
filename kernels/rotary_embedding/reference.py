"""Rotary position embedding (Su et al. 2021), halves paired, as Llama's."""

from __future__ import annotations

import torch


def reference_fn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """x [B, H, T, D], cos and sin [T, D/2] -> [B, H, T, D]."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
