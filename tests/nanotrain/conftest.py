"""The subject's own modules on the path, and its data, prepared once by the real command."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nanotrain_worker import SUBJECT, Trained, environment, train

sys.path.insert(0, str(SUBJECT))


@dataclass
class Data:
    root: Path
    folder: Path
    meta: dict[str, Any]


def prepare(root: Path, *arguments: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    """`python prepare.py`, as a user types it."""
    command = [sys.executable, str(SUBJECT / "prepare.py"), "--data-root", str(root), *arguments]
    return subprocess.run(command, env=environment(**env), capture_output=True, text=True, check=check, cwd="/")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    root = tmp_path_factory.mktemp("data")
    answer = json.loads(prepare(root).stdout.splitlines()[-1])
    folder = Path(answer["data_dir"])
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["sha256"] == answer["sha256"]
    return Data(root, folder, meta)


@pytest.fixture(scope="session")
def trained(data: Data) -> Trained:
    """A checkpoint of the real train.py after two seconds of one thread."""
    return train(data.folder, data.meta, budget_s=2.0, seed=7)
