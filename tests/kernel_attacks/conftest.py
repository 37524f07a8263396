"""One machine for all kernels that are faced here, and the notes of what happened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kernel_arena import KernelArena
from kernel_trust_table import KernelNotes


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The table is compared when everything else has happened."""
    items.sort(key=lambda item: item.path.name == "test_kernel_trust_table.py")


@pytest.fixture(scope="session")
def kernel_notes() -> KernelNotes:
    return KernelNotes()


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelArena]:
    with KernelArena.open(tmp_path_factory.mktemp("kernels")) as arena:
        yield arena
