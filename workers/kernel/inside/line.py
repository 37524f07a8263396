"""The subject's end of the socket to the worker, framed as in docs/train-protocol.md; and files of a subject by their path."""

from __future__ import annotations

import importlib.util
import json
import socket
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any


class Line:
    """One socket. `receive` raises EOFError when the worker has hung up."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self.handed: int | None = None  # the descriptor that came with the latest message; whoever takes it closes it

    def send(self, header: dict[str, Any], payload: Iterable[bytes | memoryview] = ()) -> None:
        pieces = list(payload)
        if pieces:
            header = header | {"payload_bytes": sum(len(piece) for piece in pieces)}
        text = json.dumps(header).encode()
        self._socket.sendall(struct.pack(">I", len(text)) + text)
        for piece in pieces:
            self._socket.sendall(piece)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        (length,) = struct.unpack(">I", self._beginning(4))
        header = json.loads(self._exactly(length))
        return header, self._exactly(header.get("payload_bytes", 0))

    def _beginning(self, size: int) -> bytes:
        """The first bytes of a message, and the descriptor that rides on them."""
        first, handed, _, _ = socket.recv_fds(self._socket, size, 1)
        self.handed = handed[0] if handed else None
        if not first:
            raise EOFError
        return first + self._exactly(size - len(first))

    def _exactly(self, size: int) -> bytes:
        whole = bytearray(size)
        view = memoryview(whole)
        while view:
            got = self._socket.recv_into(view)
            if not got:
                raise EOFError
            view = view[got:]
        return bytes(whole)


def load(name: str) -> ModuleType:
    """`NAME.py` of the working folder, by itself: the folder is on no import path."""
    return _load(name, Path.cwd() / f"{name}.py")


def load_source(text: str) -> ModuleType:
    """A candidate's kernel.py. As a file: Triton reads the source of a kernel again."""
    with tempfile.NamedTemporaryFile("w", suffix="_kernel.py", delete=False) as file:
        file.write(text)
    return _load("kernel", Path(file.name))


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
