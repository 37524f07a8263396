"""Whether a server's address is one of one's own: a machine that charges nothing, rather than a company. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_SECRET = ("key", "token", "secret", "password", "auth", "sig", "signature")


def host_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def has_credentials(address: str) -> bool:
    """Keys come from the environment, and an address is shown in every status."""
    try:
        found = urlsplit(address)
    except ValueError:
        return False
    query = found.query.lower()
    return found.username is not None or found.password is not None or any(f"{word}=" in query for word in _SECRET)


def is_private(address: str | None) -> bool:
    """Loopback, a private network, or a name without a dot, as a cluster's own machines have."""
    host = host_of(address or "")
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal", ".lan"))
