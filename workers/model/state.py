"""What a model holds: whether two processes have made the same one, and its buffers as they were."""

from __future__ import annotations

import torch

from workers.model.loading import Loaded


def mark(loaded: Loaded) -> list[float]:
    """Sums of all parameters, buffers and inputs: equal where the content is, for all that matters here."""
    state = [*loaded.model.parameters(), *loaded.model.buffers(), *loaded.inputs]
    tensors = [one.detach() for one in state if isinstance(one, torch.Tensor)]
    return [float(one.sum(dtype=torch.float64)) for one in tensors if not one.is_complex()]


class Buffers:
    """Running statistics and the like, which a call may change: they are put back before the next one."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._kept = [(each, each.detach().clone()) for each in model.buffers()]

    def restore(self) -> None:
        with torch.no_grad():
            for buffer, kept in self._kept:
                buffer.copy_(kept)
