"""The data of a `train` subject on this node: prepared by the subject's sealed prepare.py, read by the worker alone.

prepare.py is run from the *base* commit, so that no file of a candidate can stand in for a module that it imports. Its
answer is remembered for each combination of sealed files and corpus.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.output import CappedLog
from workers.process import Command, ContainedProcess
from workers.session import Session, candidate_environment
from workers.waiting import DeadlinePassedError

PREPARE_TIMEOUT_S = 3600.0  # a download, perhaps; not counted as the trial's time
_PASSED_ON = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "HF_ENDPOINT")


class DataError(Exception):
    """The data are not to be had on this machine, or damaged."""


@dataclass(frozen=True, slots=True)
class SubjectData:
    """One prepared data folder, as docs/train-protocol.md describes it."""

    folder: Path
    sha256: str
    meta: dict[str, Any]

    @property
    def train_file(self) -> Path:
        return self.folder / "train.bin"

    def rows(self, split: str) -> NDArray[np.uint16]:
        """The rows of `val` or `test`: [rows, seq_len + 1], mapped from the disk."""
        shape = (int(self.meta[f"{split}_rows"]), int(self.meta["seq_len"]) + 1)
        return np.memmap(self._whole(f"{split}.bin", shape[0] * shape[1]), dtype="<u2", mode="r", shape=shape)

    def token_bytes(self) -> NDArray[np.uint16]:
        """The UTF-8 length of each token, 0 for special ones."""
        size = int(self.meta["vocab_size"])
        return np.fromfile(self._whole("token_bytes.bin", size), dtype="<u2")

    def _whole(self, name: str, values: int) -> Path:
        path = self.folder / name
        if not path.exists() or path.stat().st_size != 2 * values:
            raise DataError(f"{path} should have {2 * values} bytes: delete {self.folder} and run `regatta prepare` again")
        return path


_known: dict[object, SubjectData] = {}


def subject_data(session: Session, corpus: str | None) -> SubjectData:
    """Where the data of the session's trial are, prepared now if need be."""
    spec, machine = session.spec, session.machine
    blobs = machine.repository.sealed_blobs(spec.base_commit, spec.sealed)
    key = (frozenset(blobs.items()), corpus, machine.data_root)
    known = _known.get(key)
    if known is None or not (known.folder / "meta.json").exists():
        session.begin("prepare")
        known = _known[key] = _read(_prepare(session, corpus))
    return known


def _prepare(session: Session, corpus: str | None) -> dict[str, Any]:
    """Run prepare.py; the JSON object on its last line."""
    spec, machine = session.spec, session.machine
    options = () if corpus is None else ("--corpus", corpus)
    answer, log = CappedLog(), CappedLog()
    with machine.repository.workspace(spec.base_commit, spec.base_commit, spec.sealed) as workspace:
        environment = candidate_environment(spec, machine, workspace) | {"REGATTA_DATA": str(machine.data_root)}
        environment |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        command = Command(("python", "prepare.py", *options), workspace.path, environment, workspace.folder)
        with ContainedProcess(command, log, answer.append) as process:
            try:
                exited = process.wait(time.monotonic() + PREPARE_TIMEOUT_S, session.cancel)
            except DeadlinePassedError:
                raise DataError(f"prepare.py was not ready after {PREPARE_TIMEOUT_S:g} s: run `regatta prepare`") from None
    said = log.last_line() or "it printed nothing"
    if not exited.succeeded:
        raise DataError(f"`{' '.join(command.argv)}` failed: {exited}: {said}. Try it by hand")
    try:
        found = json.loads(answer.value().decode().strip().splitlines()[-1])
        return {"folder": Path(found["data_dir"]), "sha256": str(found["sha256"])}
    except (ValueError, IndexError, KeyError, TypeError):
        raise DataError(
            f'prepare.py should end with a line {{"data_dir": …, "sha256": …}}; its last line was: {said}'
        ) from None


def _read(found: dict[str, Any]) -> SubjectData:
    try:
        meta = json.loads((found["folder"] / "meta.json").read_bytes())
        data = SubjectData(found["folder"], found["sha256"], meta)
        data.rows("val")
        data.token_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the data folder {found['folder']} cannot be read: {error}") from None
    if meta.get("sha256") != data.sha256 or meta.get("format") != 1:
        raise DataError(f"{data.folder}/meta.json is not of the data that prepare.py named ({data.sha256[:12]}, format 1)")
    return data
