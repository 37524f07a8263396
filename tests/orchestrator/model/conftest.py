"""One profiled model for all that looks at what is made of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_model import BLOCK

from orchestrator.model.profile import profile
from orchestrator.model.shares import Profile


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with block.py in it, and own/, what `regatta profile` wrote of it."""
    folder = tmp_path_factory.mktemp("models") / "mine"
    folder.mkdir()
    (folder / "block.py").write_text(BLOCK)
    return folder


@pytest.fixture(scope="session")
def profiled(place: Path) -> Profile:
    before, os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS"), "1"
    try:
        return profile("block.py", place, name="own", device="cpu", steps=5, backward=False)
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
