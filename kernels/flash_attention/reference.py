"""Causal attention (Vaswani et al. 2017) with shared key heads (Ainslie et al. 2023), step by step."""

from __future__ import annotations

import torch


def reference_fn(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """q [B, H, T, D], k and v [B, H_KV, T, D] -> [B, H, T, D]; query i sees keys 0..i."""
    group, T = q.size(1) // k.size(1), q.size(2)
    k = k.repeat_interleave(group, dim=1)
    v = v.repeat_interleave(group, dim=1)
    scores = q @ k.transpose(-1, -2) * q.size(-1) ** -0.5
    ahead = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(diagonal=1)
    return torch.softmax(scores.masked_fill(ahead, -torch.inf), dim=-1) @ v
