"""Gradient of the SwiGLU MLP (Shazeer 2020), as Llama's, from what the forward pass kept."""

from __future__ import annotations

import torch


def reference_fn(
    dy: torch.Tensor, x: torch.Tensor, gate: torch.Tensor, up: torch.Tensor,
    w_gate: torch.Tensor, w_up: torch.Tensor, w_down: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """dy, x [N, D], gate = x·w_gateᵀ and up = x·w_upᵀ [N, F], w_gate and w_up [F, D], w_down [D, F]
    -> dx [N, D], dw_gate [F, D], dw_up [F, D], dw_down [D, F]."""
    s = torch.sigmoid(gate)
    silu = gate * s
    dh = dy @ w_down
    dup = dh * silu
    dgate = dh * up * (s + silu * (1 - s))
    return dgate @ w_gate + dup @ w_up, dgate.T @ x, dup.T @ x, dy.T @ (silu * up)
