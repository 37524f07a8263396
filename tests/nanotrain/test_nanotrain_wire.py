"""Framing: whole messages out of any pieces, descriptors with them, and an end of the stream that says what it was."""

from __future__ import annotations

import json
import os
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    a, b = socket.socketpair()
    with a, b:
        a.settimeout(10)
        b.settimeout(10)
        yield a, b


def test_a_message_goes_both_ways_with_payload_and_descriptor(ends: tuple[socket.socket, socket.socket]) -> None:
    from wire import Wire

    payload = os.urandom(3_000_000)  # more than any socket buffer
    with tempfile.TemporaryFile() as file:
        file.write(b"train.bin")
        file.flush()
        sender = threading.Thread(target=Wire(ends[0]).send, args=("start", {"seed": 5}, payload, [file.fileno()]))
        sender.start()
        message = Wire(ends[1]).receive()
        sender.join()
    assert (message.type, message.fields["seed"], bytes(message.payload)) == ("start", 5, payload)
    assert os.pread(message.fds[0], 9, 0) == b"train.bin"
    assert not os.get_inheritable(message.fds[0])
    os.close(message.fds[0])


def test_a_message_in_single_bytes_is_one_message(ends: tuple[socket.socket, socket.socket]) -> None:
    from wire import Wire

    body = json.dumps({"type": "ask", "id": 1, "payload_bytes": 3}).encode()
    for byte in struct.pack(">I", len(body)) + body + b"abc":
        ends[0].sendall(bytes([byte]))
    message = Wire(ends[1]).receive()
    assert (message.type, bytes(message.payload), message.fds) == ("ask", b"abc", ())


@pytest.mark.parametrize(("sent", "clean"), [(b"", True), (b"\0\0", False), (struct.pack(">I", 10) + b"{", False)])
def test_the_end_of_the_stream_tells_where_it_was(ends: tuple[socket.socket, socket.socket], sent: bytes, clean: bool) -> None:
    from wire import PeerGoneError, Wire

    ends[0].sendall(sent)
    ends[0].close()
    with pytest.raises(PeerGoneError) as gone:
        Wire(ends[1]).receive()
    assert gone.value.clean is clean


def test_headers_over_a_mebibyte_are_refused_on_both_sides(ends: tuple[socket.socket, socket.socket]) -> None:
    from wire import Wire

    with pytest.raises(ValueError, match="allowed are 1048576"):
        Wire(ends[0]).send("progress", {"note": "x" * (1 << 20)})
    ends[0].sendall(struct.pack(">I", (1 << 20) + 1))
    with pytest.raises(ValueError, match="allowed are 1048576"):
        Wire(ends[1]).receive()


def test_sending_to_nobody_says_so(ends: tuple[socket.socket, socket.socket]) -> None:
    from wire import PeerGoneError, Wire

    ends[1].close()
    with pytest.raises(PeerGoneError):
        Wire(ends[0]).send("submit", {}, b"x" * 1_000_000)
