"""SwiGLU MLP (Shazeer 2020), as Llama's."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere


def reference_fn(x: torch.Tensor, w_gate: torch.Tensor, w_up: torch.Tensor, w_down: torch.Tensor) -> torch.Tensor:
    """x [N, D], w_gate and w_up [F, D], w_down [D, F] -> [N, D]; weights lie as in nn.Linear."""
    return F.linear(F.silu(F.linear(x, w_gate)) * F.linear(x, w_up), w_down)
