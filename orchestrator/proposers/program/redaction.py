"""Keys of the user's environment, taken out of what a program says before anybody else reads it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|AUTH)S?(?:_|$)", re.IGNORECASE
)
_LEAST_CHARS = 8  # what is shorter is no key, and would be found everywhere


class Secrets:
    """The values of variables that are named like keys."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        found = {value: name for name, value in environment.items() if _SECRET_NAME.search(name) and _may_be_a_key(value)}
        self._names = dict(sorted(found.items(), key=lambda item: -len(item[0])))  # the longest first: one may hold another

    def redacted(self, text: str) -> str:
        for value, name in self._names.items():
            text = text.replace(value, f"[{name}]")
        return text

    def named_in(self, text: str) -> str | None:
        """The variable whose value `text` holds."""
        return next((name for value, name in self._names.items() if value in text), None)


def _may_be_a_key(value: str) -> bool:
    return len(value) >= _LEAST_CHARS and not value.startswith("/") and not value.isdecimal()
