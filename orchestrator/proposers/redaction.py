"""No secret leaves the environment: not into a prompt, a record, the journal, a log, a commit or a report. Pure.

A secret is the value of an environment variable whose name says so, or text in the form that keys have. Every text that goes to
a model, and every text that comes from one, from a program or from a library's error, passes through `Redaction.of` before it
is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

GONE = "[redacted]"
_NAMES = re.compile(
    r"(?:^|_)(?:KEYS?|APIKEYS?|TOKENS?|SECRETS?|PASSWORDS?|PASSWD|PASSPHRASE|CREDENTIALS?|AUTH|PAT)(?:$|_)|API_?KEY",
    re.IGNORECASE,
)
_FORMS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|ghp|gho|ghs|github_pat|glpat|AKIA|AIza|nvapi|pplx|r8)"
    r"(?:-|_(?=[A-Za-z0-9_\-]*[A-Za-z0-9]{16}))[A-Za-z0-9_\-]{12,}"  # a name has shorter words: hf_hub_download
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_\-]{30,}"
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/\-]{12,}=*"
)
_SHORTEST = 6  # characters: what is shorter, or a plain number, is a setting rather than a secret


class Redaction:
    """`of(text)` is `text` without secrets."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        values = {value.strip(): name for name, value in environment.items() if _NAMES.search(name)}
        kept = sorted((v for v in values if len(v) >= _SHORTEST and not _is_plain(v)), key=len, reverse=True)
        self._variables = {value: values[value] for value in kept}
        self._values = re.compile("|".join(map(re.escape, kept))) if kept else None

    def of(self, text: str) -> str:
        text = text if self._values is None else self._values.sub(GONE, text)
        return _FORMS.sub(GONE, text)

    def variable_in(self, text: str) -> str | None:
        """The environment variable whose secret `text` holds."""
        found = None if self._values is None else self._values.search(text)
        return None if found is None else self._variables[found[0]]


def _is_plain(value: str) -> bool:
    """Numbers and paths are settings: `SSH_AUTH_SOCK`, `MAX_TOKEN_COUNT`."""
    return value.startswith("/") or value.replace(".", "").replace("_", "").isdigit()
