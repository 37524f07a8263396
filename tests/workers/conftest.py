"""A repository to edit and a machine to measure on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from workers_support import Repository

from workers.run import this_machine
from workers.session import Machine


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "target")
    made.path.mkdir()
    made.git("init", "--quiet")
    made.write({"bench.sh": "echo METRIC t=1.5\n", "code.py": "x = 1\n", "data/cases.txt": "1 2 3\n"})
    (made.path / "bench.sh").chmod(0o755)
    made.git("branch", "base", made.record())
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "node"


@pytest.fixture
def machine(root: Path, tmp_path: Path) -> Iterator[Machine]:
    made = this_machine(root, data_root=tmp_path / "data")
    yield made
    made.lender.close()
    made.repository.close()
