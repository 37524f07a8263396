"""How tests share what is dear to make, also where two processes run them side by side (`make test`)."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# The same examples in every run of one state of the code: what fails, fails again. REGATTA_FUZZ=1 draws fresh ones.
# How long an example takes, or is drawn, is no verdict: other processes have the cores too.
hypothesis.settings.register_profile(
    "house",
    derandomize=not os.environ.get("REGATTA_FUZZ"),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("house")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command has it; before anything imports numpy

ATTACKS = Path(__file__).with_name("attacks")
KERNEL_ATTACKS = Path(__file__).with_name("kernel_attacks")
END_TO_END = Path(__file__).with_name("end_to_end")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes and long texts are numbered, not spelled out: an archive bears the second it was made in, and processes that name
    a test differently run none."""
    return argname if isinstance(val, bytes) or (isinstance(val, str) and len(val) > 100) else None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file stay together, for their fixtures; those of all attacks too, for the table that they make, and those
    of all kernel attacks, for theirs and their machine. Whole campaigns come first: at the end each process would wait for the
    last of them."""
    items.sort(key=lambda item: not {ATTACKS, KERNEL_ATTACKS, END_TO_END}.intersection(item.path.parents))
    for item in items:
        together = next((each for each in (ATTACKS, KERNEL_ATTACKS) if each in item.path.parents), item.path)
        item.add_marker(pytest.mark.xdist_group(str(together)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Ungrouped, every campaign that a file's tests share would run on each worker: said at once rather than paid for."""
    if getattr(session.config.option, "loadgroup", False):
        assert all("@" in item.nodeid for item in session.items), "pytest-xdist has not taken the groups"


@pytest.fixture(scope="session")
def data_root(pytestconfig: pytest.Config) -> Path:
    """Where prepared data lie from one run to the next: a folder there is named by its content."""
    return pytestconfig.cache.mkdir("regatta-data")
