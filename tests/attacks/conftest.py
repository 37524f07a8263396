"""The places where attacks are faced, and the notes of what happened."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from arena import HERE, Arena
from attack import BUDGET_S
from trust_table import Notes

from workers.trial import CommandPlan, TrainPlan

sys.path.append(str(HERE.parent / "end_to_end"))  # place.py: campaigns through the installed command


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The table is compared when everything else has happened."""
    items.sort(key=lambda item: item.path.name == "test_trust_table.py")


@pytest.fixture(scope="session")
def notes() -> Notes:
    return Notes()


@pytest.fixture(scope="session")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The `train` runner on a subject that starts in a tenth of a second."""
    folder = tmp_path_factory.mktemp("counting")
    files = {path.name: path.read_bytes() for path in (HERE / "counting").glob("*.py")}
    arena = Arena.open(folder, files, ("train.py",), TrainPlan(BUDGET_S), "val_bpb", data_root=folder / "data")
    yield arena
    arena.close()


@pytest.fixture(scope="session")
def measuring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The `command` runner."""
    folder = tmp_path_factory.mktemp("measuring")
    files = {path.name: path.read_bytes() for path in (HERE / "measuring").glob("*.py")}
    plan = CommandPlan("python measure.py")
    arena = Arena.open(folder, files, ("work.py",), plan, "loss", data_root=folder / "data")
    yield arena
    arena.close()


@pytest.fixture(scope="session")
def nanotrain(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Iterator[Arena]:
    """Real training on real text, a second at a time."""
    folder = tmp_path_factory.mktemp("nanotrain")
    subject = HERE.parents[1] / "nanotrain"
    files = {path.name: path.read_bytes() for path in subject.iterdir() if path.suffix in (".py", ".md")}
    plan = TrainPlan(1.0, corpus="embedded")
    arena = Arena.open(folder, files, ("train.py",), plan, "val_bpb", data_root=data_root)
    yield arena
    arena.close()
