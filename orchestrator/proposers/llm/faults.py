"""Why no model answered, in one line for a person: litellm's words without its machinery, and whether waiting helps. Pure.

litellm wraps what a server said into its own names and those of its router. Where it words things otherwise in a later version,
the line is longer, and still true.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# What a person must mend before another try is of use.
_PERMANENT = frozenset(
    {
        "AuthenticationError",
        "PermissionDeniedError",
        "NotFoundError",
        "BadRequestError",
        "PaymentRequiredError",
        "ContextWindowExceededError",
    }
)
_PERMANENT_STATUS = frozenset({401, 402, 403, 404})
_ROUTER = re.compile(
    r"\s*LiteLLM: model group '[^']*' failed with the error above\.(?: No fallback was attempted\.)?"
    r"|\s*model=asked first\. context_window_fallbacks=.*"
    r"|\s*Deployment Info: request_timeout: \S+\s+timeout: \S+",
    re.DOTALL,
)
_FALLBACK = re.compile(r"\s*Fallback to fallback \d+ also failed: ")
_WRAPPING = re.compile(
    r"litellm\.(?:BadRequestError: (?=\w+Error: ))?(\w+): (?:litellm\.\w+: )?(?:\w+Error: )?(?:\w+Exception - )?"
)
_LATE = re.compile(r"APITimeoutError - Request timed out\. Error_str: .*?timeout value=([\d.]+), time taken=[\d.]+ seconds")
_BROKEN = re.compile(r"\w+: Connection error\.?")
_NO_UTF8 = re.compile(r"\w+: (?='utf-8' codec can't decode)")
_NO_JSON = re.compile(r"\w+: (?=Expecting \S+)")


def is_permanent(error: Exception) -> bool:
    """Whether trying again is no use before a person has mended something."""
    return type(error).__name__ in _PERMANENT or getattr(error, "status_code", None) in _PERMANENT_STATUS


def in_words(error: Exception, models: Sequence[str], api_base: str | None) -> str:
    """`models`: in the order they were asked; `api_base`: of the first. It may hold secrets and line ends yet."""
    parts = _FALLBACK.split(_ROUTER.sub("", str(error)))
    told = [_plainly(part, (api_base if nth == 0 else None) or "its server") for nth, part in enumerate(parts)]
    named = zip(models, told, strict=False)  # each model's own error, in the order they were asked
    return "; ".join(f"{model}: {said or type(error).__name__}" for model, said in named)


def _plainly(said: str, server: str) -> str:
    said = _WRAPPING.sub(lambda found: f"{found[1]}: ", said)
    said = _BROKEN.sub(f"the connection to {server} failed or broke off", _LATE.sub(r"no answer within \1 s", said))
    return _NO_JSON.sub("the server's answer is not JSON: ", _NO_UTF8.sub("the server's answer is not UTF-8: ", said)).strip()
