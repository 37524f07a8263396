"""C = A·B."""

from __future__ import annotations

import torch


def reference_fn(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a [M, K], b [K, N] -> [M, N]."""
    return a @ b
