"""Gradient of RMSNorm (Zhang & Sennrich 2019) along the last dimension."""

from __future__ import annotations

import torch


def reference_fn(
    dy: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """dy, x [R, C], weight [C] -> dx [R, C], dweight [C]; in fp32 at least, and then in x's type."""
    wide = torch.promote_types(x.dtype, torch.float32)
    rstd = torch.rsqrt(x.to(wide).square().mean(dim=-1, keepdim=True) + eps)
    xhat = x.to(wide) * rstd
    g = dy.to(wide) * weight.to(wide)
    dx = (g - xhat * (g * xhat).mean(dim=-1, keepdim=True)) * rstd
    dweight = (dy.to(wide) * xhat).sum(dim=0)
    return dx.to(x.dtype), dweight.to(weight.dtype)
