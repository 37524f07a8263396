"""What is to be computed, in plain PyTorch: any function of tensors and numbers. Sealed: candidates cannot change it."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere


def reference_fn(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """x [R, C], bias [C] -> GELU(x + bias) [R, C]. Computed in the type of its inputs: in fp64 it is the oracle."""
    return F.gelu(x + bias)
