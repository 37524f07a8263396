"""Last of the folder: docs/trust.md says what happened to the kernels, honest ones and others."""

from __future__ import annotations

import os

import kernel_trust_table
from kernel_trust_table import KernelNotes


def test_the_page_shows_what_happened_to_the_kernels(kernel_notes: KernelNotes) -> None:
    text = kernel_trust_table.PAGE.read_text()
    if os.environ.get(kernel_trust_table.WRITE):
        text = kernel_trust_table.written(kernel_notes, text)
        kernel_trust_table.PAGE.write_text(text)
    assert kernel_trust_table.drifted(kernel_notes, text) == [], f"type: {kernel_trust_table.COMMAND}"
