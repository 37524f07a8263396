"""How tests share what is dear to make, also where two processes run them side by side (`make test`)."""

from __future__ import annotations

from pathlib import Path

import pytest

ATTACKS = Path(__file__).with_name("attacks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file stay together, for their fixtures; those of all attacks too, for the table that they make."""
    for item in items:
        together = ATTACKS if ATTACKS in item.path.parents else item.path
        item.add_marker(pytest.mark.xdist_group(str(together)))


@pytest.fixture(scope="session")
def data_root(pytestconfig: pytest.Config) -> Path:
    """Where prepared data lie from one run to the next: a folder there is named by its content."""
    return pytestconfig.cache.mkdir("regatta-data")
