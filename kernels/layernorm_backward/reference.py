"""Gradient of LayerNorm (Ba et al. 2016) along the last dimension."""

from __future__ import annotations

import torch


def reference_fn(
    dy: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """dy, x [R, C], weight [C] -> dx [R, C], dweight [C], dbias [C]; in fp32 at least, and then in x's type."""
    wide = torch.promote_types(x.dtype, torch.float32)
    centred = x.to(wide) - x.to(wide).mean(dim=-1, keepdim=True)
    rstd = torch.rsqrt(centred.square().mean(dim=-1, keepdim=True) + eps)
    xhat = centred * rstd
    g = dy.to(wide) * weight.to(wide)
    dx = (g - g.mean(dim=-1, keepdim=True) - xhat * (g * xhat).mean(dim=-1, keepdim=True)) * rstd
    dweight, dbias = (dy.to(wide) * xhat).sum(dim=0), dy.to(wide).sum(dim=0)
    return dx.to(x.dtype), dweight.to(weight.dtype), dbias.to(weight.dtype)
