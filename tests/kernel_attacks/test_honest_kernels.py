"""Honest kernels that come near a rule pass the whole path, and are told a cost."""

from __future__ import annotations

import pytest
from honest_kernels import HONEST_KERNELS, HonestKernel
from kernel_arena import KERNELS, KernelArena
from kernel_trust_table import KernelNotes


@pytest.mark.parametrize("honest", HONEST_KERNELS, ids=str)
def test_an_honest_kernel_is_measured(kernels: KernelArena, kernel_notes: KernelNotes, honest: HonestKernel) -> None:
    source = honest.source or (KERNELS / honest.target / "kernel.py").read_text()
    happened = kernels.face(honest.target, source)
    kernel_notes.take_twin(honest.name, honest.target, happened.outcome)
    assert happened.outcome == "ok", (happened.reason, happened.log[-1500:])
    assert happened.measurement is not None
    assert happened.measurement.metric("static_cost") is not None
