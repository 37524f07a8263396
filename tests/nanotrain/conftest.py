"""The subject's own modules on the path, and its data, prepared once by the real command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from nanotrain_data import Data, prepare
from nanotrain_worker import SUBJECT, Trained, train

sys.path.insert(0, str(SUBJECT))


@pytest.fixture(scope="session")
def data(data_root: Path) -> Data:
    answer = json.loads(prepare(data_root).stdout.splitlines()[-1])
    folder = Path(answer["data_dir"])
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["sha256"] == answer["sha256"]
    return Data(data_root, folder, meta)


@pytest.fixture(scope="session")
def trained(data: Data) -> Trained:
    """A checkpoint of the real train.py after four seconds of one thread: some steps also where others have the cores."""
    return train(data.folder, data.meta, budget_s=4.0, seed=7)
