"""What this GPU reaches with simple work of ours: a copy of a large buffer, square products. Timed as implementations are."""

from __future__ import annotations

import time
from typing import Any

import torch

_COPIED_BYTES = 1 << 30
_SIZE = 8192  # of the products' matrices
_SMALL_BYTES, _SMALL_SIZE = 1 << 16, 32  # where there is no GPU, so that the protocol can be tried
_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


class Ceiling:
    """`copy`, or a product's type. A replay is `work` bytes (read and written) or operations."""

    def __init__(self, name: str, device: str, *, small: bool) -> None:
        self._device = device
        self.outputs: list[Any] = []
        if name == "copy":
            size = _SMALL_BYTES if small else _COPIED_BYTES
            self._into, self._out_of = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
            self.work, self._once = 2 * size, self._copy
        else:
            size = _SMALL_SIZE if small else _SIZE
            self._left, self._right = (torch.randn(size, size, device=device).to(_DTYPES[name]) for _ in range(2))
            self._product = torch.empty_like(self._left)
            self.work, self._once = 2 * size**3, self._multiply
        for _ in range(3):
            self._once()
        self._synchronize()

    def replay(self, times: int) -> tuple[float, list[float]]:
        began = time.perf_counter()
        for _ in range(times):
            self._once()
        self._synchronize()
        return time.perf_counter() - began, []

    def control(self, times: int) -> tuple[float, list[float]]:
        return 0.0 * times, []

    def _copy(self) -> None:
        self._into.copy_(self._out_of)

    def _multiply(self) -> None:
        torch.mm(self._left, self._right, out=self._product)

    def _synchronize(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()
