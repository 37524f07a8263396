"""One end of the socket between a subject and the worker: messages in, messages out (docs/train-protocol.md).

A message is a 4-byte big-endian length, a JSON object of that many bytes with the key `type`, and, where that object has
`payload_bytes: N`, N raw bytes. File descriptors ride on the first bytes (SCM_RIGHTS). This file knows framing and
nothing of what the messages mean. Sealed: a candidate cannot change it.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HEADER_LIMIT = 1 << 20  # bytes; the protocol's own
MAX_FDS = 4  # no message carries more than one, room is left for none to be lost


class PeerGoneError(Exception):
    """The other end is closed. `clean` when that happened between two messages, not inside one."""

    def __init__(self, clean: bool) -> None:
        super().__init__("the other end closed the socket")
        self.clean = clean


@dataclass(frozen=True, slots=True)
class Message:
    """One received message. The receiver owns the descriptors and closes them."""

    type: str
    fields: dict[str, Any]
    payload: bytearray
    fds: tuple[int, ...]


class Wire:
    """Blocking messages over one connected Unix stream socket. Not for use by two threads at once."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(
        self, type_: str, fields: Mapping[str, object] | None = None, payload: bytes = b"", fds: Sequence[int] = ()
    ) -> None:
        """Sends all of it, or raises PeerGoneError. `fields` must be JSON; `payload_bytes` is added if there is a payload."""
        header = {"type": type_, **(fields or {}), **({"payload_bytes": len(payload)} if payload else {})}
        body = json.dumps(header).encode()
        if len(body) > HEADER_LIMIT:
            raise ValueError(f"the header of a {type_!r} message has {len(body)} bytes; allowed are {HEADER_LIMIT}")
        head = struct.pack(">I", len(body)) + body
        try:
            if fds:
                sent = self._sock.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
                head = head[sent:]
            self._sock.sendall(head)
            if payload:  # sending nothing to a peer that has what it wanted, and left, would still raise
                self._sock.sendall(payload)
        except (BrokenPipeError, ConnectionResetError):
            raise PeerGoneError(clean=False) from None

    def receive(self) -> Message:
        """The next message, whole. Raises PeerGoneError at the end of the stream, ValueError for what is no message."""
        fds: list[int] = []
        try:
            (length,) = struct.unpack(">I", self._exactly(4, fds, at_start=True))
            if length > HEADER_LIMIT:
                raise ValueError(f"a header of {length} bytes was announced; allowed are {HEADER_LIMIT}")
            fields = json.loads(self._exactly(length, fds))
            payload = self._exactly(int(fields.get("payload_bytes", 0)), fds)
            return Message(str(fields["type"]), fields, payload, tuple(fds))
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise

    def _exactly(self, count: int, fds: list[int], at_start: bool = False) -> bytearray:
        """`count` bytes, however many reads that takes; descriptors that come with them are added to `fds`."""
        data = bytearray(count)
        view, have = memoryview(data), 0
        while have < count:
            try:
                got, ancillary, _, _ = self._sock.recvmsg_into(
                    [view[have:]], socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC
                )
            except ConnectionResetError:
                got, ancillary = 0, []
            if got == 0:
                raise PeerGoneError(clean=at_start and have == 0)
            have += got
            for level, kind, raw in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.extend(array.array("i", raw[: len(raw) - len(raw) % 4]))
        return data
