"""A worker's end of the socket, written from docs/train-protocol.md and not from nanotrain/wire.py, so that the two check
each other."""

from __future__ import annotations

import array
import contextlib
import json
import math
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SUBJECT = Path(__file__).parents[2] / "nanotrain"


def environment(**extra: str) -> dict[str, str]:
    """One thread, no cache of the user's, nothing of ours on the path."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **extra}


@dataclass
class Subject:
    """A running `python train.py` and our end of its socket."""

    process: subprocess.Popen[bytes]
    sock: socket.socket
    progress: list[dict[str, Any]] = field(default_factory=list)

    def send(self, header: Mapping[str, Any], payload: bytes = b"", fd: int | None = None) -> None:
        if payload:
            header = {**header, "payload_bytes": len(payload)}
        body = json.dumps(header).encode()
        rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        data = struct.pack(">I", len(body)) + body
        sent = self.sock.sendmsg([data], rights)
        self.sock.sendall(data[sent:] + payload)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        (length,) = struct.unpack(">I", self._read(4))
        header = json.loads(self._read(length))
        return header, self._read(header.get("payload_bytes", 0))

    def expect(self, type_: str) -> tuple[dict[str, Any], bytes]:
        """The next message that is no progress, which must be of this type."""
        while True:
            header, payload = self.receive()
            if header["type"] == "progress":
                self.progress.append(header)
                continue
            assert header["type"] == type_, header
            return header, payload

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            block = self.sock.recv(count - len(data))
            if not block:
                raise EOFError(f"the subject hung up; exit status {self.process.wait(60)}")
            data += block
        return data


@contextlib.contextmanager
def subject(phase: str, folder: Path = SUBJECT) -> Iterator[Subject]:
    """A `python train.py` in this phase; ended at the end, whatever happened."""
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    with ours, theirs:
        env = environment(REGATTA_SOCKET_FD=str(theirs.fileno()), REGATTA_PHASE=phase)
        process = subprocess.Popen([sys.executable, "train.py"], cwd=folder, env=env, pass_fds=[theirs.fileno()])
        theirs.close()
        try:
            yield Subject(process, ours)
        finally:
            ours.close()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def hello(phase: str, meta: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "hello", "protocol": 1, "phase": phase, "device": "cpu", "meta": meta, **more}


@dataclass
class Trained:
    checkpoint: bytes
    summary: dict[str, float]
    elapsed_s: float
    progress: list[dict[str, Any]]
    returncode: int
    budget_s: float

    @property
    def step_s(self) -> float:
        return self.elapsed_s / self.summary["num_steps"]


def train(data: Path, meta: Mapping[str, Any], budget_s: float, seed: int, folder: Path = SUBJECT) -> Trained:
    """Phase `train`, whole."""
    with subject("train", folder) as it:
        it.send(hello("train", meta, budget_s=budget_s))
        it.expect("ready")
        fd = os.open(data / "train.bin", os.O_RDONLY)
        began = time.monotonic()
        it.send({"type": "start", "seed": seed}, fd=fd)
        os.close(fd)
        header, checkpoint = it.expect("submit")
        elapsed_s = time.monotonic() - began
        returncode = it.process.wait(60)
    return Trained(checkpoint, header["summary"], elapsed_s, it.progress, returncode, budget_s)


class Scorer:
    """Phase `score`: a loaded subject that answers questions."""

    def __init__(self, it: Subject, meta: Mapping[str, Any], checkpoint: bytes) -> None:
        self.subject, self.asked = it, 0
        with tempfile.TemporaryFile() as file:
            file.write(checkpoint)
            file.seek(0)
            it.send(hello("score", meta), fd=file.fileno())
        it.expect("loaded")

    def ask(
        self, tokens: np.ndarray, row: np.ndarray, position: np.ndarray, token: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """logprob and lse, float32 [n] each."""
        self.asked += 1
        payload = b"".join(np.ascontiguousarray(part, dtype="<i4").tobytes() for part in (tokens, row, position, token))
        shape = {"rows": tokens.shape[0], "cols": tokens.shape[1], "count": len(row)}
        self.subject.send({"type": "ask", "id": self.asked, **shape}, payload)
        header, answer = self.subject.expect("answer")
        assert header["id"] == self.asked
        values = np.frombuffer(answer, "<f4")
        assert len(values) == 2 * len(row)
        return values[: len(row)], values[len(row) :]

    def everything(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """logprob and lse of every target of packed rows [R, T + 1], as [R, T]."""
        R, T = rows.shape[0], rows.shape[1] - 1
        row, position = (index.ravel() for index in np.indices((R, T)))
        logprob, lse = self.ask(rows[:, :-1], row, position, rows[:, 1:].ravel())
        return logprob.reshape(R, T), lse.reshape(R, T)


@contextlib.contextmanager
def scorer(meta: Mapping[str, Any], checkpoint: bytes, folder: Path = SUBJECT) -> Iterator[Scorer]:
    with subject("score", folder) as it:
        yield Scorer(it, meta, checkpoint)


def read_rows(data: Path, split: str, seq_len: int) -> np.ndarray:
    return np.fromfile(data / f"{split}.bin", "<u2").reshape(-1, seq_len + 1).astype(np.int64)


def bits_per_byte(logprob: np.ndarray, lse: np.ndarray, targets: np.ndarray, token_bytes: np.ndarray) -> float:
    counted = token_bytes[targets] > 0
    nats = (lse.astype(np.float64) - logprob.astype(np.float64))[counted].sum()
    return float(nats / (math.log(2) * token_bytes[targets].astype(np.int64).sum()))
