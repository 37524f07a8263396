# ruff: noqa: PTH110
"""A candidate that tries to call home, over every kind of socket. KNOWN is put in by the test, which listens."""

import json
import os
import socket

KNOWN = {}


def call(family, kind, address):
    """What came of it: nothing is as it should be."""
    with socket.socket(family, kind) as end:
        end.settimeout(2.0)
        try:
            end.connect(address)
            end.send(b"secret")
        except OSError:
            return []
        return [f"sent to {address!r}"]


def by_name():
    try:
        return [str(socket.getaddrinfo("example.org", 443))]
    except OSError:
        return []


def interfaces():
    return [name for _, name in socket.if_nameindex() if name != "lo"]


def listen():
    """A server in the open: reachable only from inside."""
    with socket.socket() as end:
        end.bind(("0.0.0.0", 0))
        end.listen()
    return interfaces()


ATTEMPTS = {
    "open a TCP socket": lambda: call(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", KNOWN["tcp"]))
    + call(socket.AF_INET6, socket.SOCK_STREAM, ("::1", KNOWN["tcp"])) + interfaces(),
    "open a UDP socket": lambda: call(socket.AF_INET, socket.SOCK_DGRAM, (KNOWN["address"], KNOWN["udp"])),
    "open a Unix socket by its path": lambda: call(socket.AF_UNIX, socket.SOCK_STREAM, KNOWN["unix"]),
    "open an abstract Unix socket": lambda: call(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + KNOWN["abstract"]),
    "ask a name server": by_name,
    "offer a service of its own": listen,
    "talk to Docker, the bus or the agent of keys": lambda: [
        path for path in ("/var/run/docker.sock", "/run/dbus/system_bus_socket", *KNOWN["agents"]) if os.path.exists(path)
    ],
}  # fmt: skip


def work():
    for name, attempt in ATTEMPTS.items():
        print("TRIED " + json.dumps([name, attempt()]))
    return 2.5
