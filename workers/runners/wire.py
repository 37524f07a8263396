"""Messages over a subject's socket (docs/train-protocol.md): framing, payloads, descriptors, deadlines. No meaning.

Everything that comes from the other end is hostile until checked: lengths are bounded before they are believed, and
nothing blocks past a deadline or a cancellation.
"""

from __future__ import annotations

import json
import socket
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from workers.waiting import Cancellation, wait_until_ready

MOST_HEADER_BYTES = 1 << 20
_PIECE_BYTES = 1 << 20


class PeerGoneError(Exception):
    """The other end closed the socket."""


class MalformedError(Exception):
    """What came is not a message of the protocol."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message's header. Its payload, `payload_bytes` long, is still in the socket: take it next."""

    type: str
    header: dict[str, Any]
    payload_bytes: int


class Channel:
    """The worker's end of the socket pair."""

    def __init__(self, end: socket.socket, cancel: Cancellation) -> None:
        end.setblocking(False)
        self._socket, self._cancel = end, cancel

    def send(
        self,
        header: dict[str, Any],
        payload: Sequence[bytes] = (),
        *,
        descriptors: Sequence[int] = (),
        deadline: float,
    ) -> None:
        """Send one message with the pieces of its payload; `payload_bytes` is added to the header."""
        if payload:
            header = header | {"payload_bytes": sum(map(len, payload))}
        text = json.dumps(header).encode()
        pieces = [memoryview(struct.pack(">I", len(text)) + text), *(memoryview(piece) for piece in payload)]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors).tobytes())] if descriptors else []
        while pieces:
            try:
                sent = self._socket.sendmsg(pieces, rights)
            except BlockingIOError:
                wait_until_ready([], writing=[self._socket], deadline=deadline, cancel=self._cancel)
                continue
            except (BrokenPipeError, ConnectionResetError):
                raise PeerGoneError from None
            rights = []  # they rode on the first bytes
            while pieces and sent >= len(pieces[0]):
                sent -= len(pieces.pop(0))
            if pieces:
                pieces[0] = pieces[0][sent:]

    def receive(self, deadline: float) -> Message:
        """The next message's header."""
        (length,) = struct.unpack(">I", self._exactly(4, deadline))
        if length > MOST_HEADER_BYTES:
            raise MalformedError(f"a header of {length} bytes, allowed are {MOST_HEADER_BYTES}")
        try:
            header = json.loads(self._exactly(length, deadline))
        except (ValueError, RecursionError):
            raise MalformedError("a header that is not JSON") from None
        if not isinstance(header, dict) or not isinstance(header.get("type"), str):
            raise MalformedError("a header that is not an object with a `type`")
        payload_bytes = header.get("payload_bytes", 0)
        if type(payload_bytes) is not int or payload_bytes < 0:
            raise MalformedError("`payload_bytes` that is not a number of bytes")
        return Message(header["type"], header, payload_bytes)

    def payload(self, message: Message, deadline: float) -> bytes:
        """The payload of the message just received. Compare `payload_bytes` with what is expected first."""
        return self._exactly(message.payload_bytes, deadline)

    def payload_to(self, file: BinaryIO, message: Message, deadline: float) -> None:
        """The payload of the message just received, written to a file piece by piece."""
        left = message.payload_bytes
        buffer = memoryview(bytearray(min(_PIECE_BYTES, max(left, 1))))
        while left:
            got = self._some(buffer[: min(left, len(buffer))], deadline)
            file.write(buffer[:got])
            left -= got

    def _exactly(self, size: int, deadline: float) -> bytes:
        whole = bytearray(size)
        view = memoryview(whole)
        filled = 0
        while filled < size:
            filled += self._some(view[filled:], deadline)
        return bytes(whole)

    def _some(self, into: memoryview, deadline: float) -> int:
        """At least one byte. The deadline holds for a sender that never pauses, too."""
        wait_until_ready([self._socket], deadline=deadline, cancel=self._cancel)
        try:
            got = self._socket.recv_into(into)  # plain: descriptors that a subject sends are dropped by the kernel
        except ConnectionResetError:
            got = 0
        if got == 0:
            raise PeerGoneError
        return got
