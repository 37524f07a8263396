"""Runs to look at: one with everything that can happen to a candidate, written with the real journal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "tournament"))  # virtual.py: the tournament itself, on virtual time

from views_support import EventfulRun

from orchestrator.run_directory import RunDirectory
from orchestrator.views.loading import Record, load


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A campaign in which everything has happened; its head was killed while one trial ran."""
    return EventfulRun(tmp_path / "eventful").write()


@pytest.fixture
def record(run: RunDirectory) -> Record:
    return load(run)


@pytest.fixture
def running(run: RunDirectory) -> Iterator[Record]:
    """The same campaign while its head still runs."""
    with run.locked(EventfulRun.START):
        yield load(run)
