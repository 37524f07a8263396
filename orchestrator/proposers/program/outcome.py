"""What a program's output says of its edit: description, expected effect, family, cost and model. Pure.

Plain text, one JSON object (`claude -p --output-format json`), a list of them, or one a line (`codex exec --json`, a script
that prints `{"total_cost_usd": 0.02}`) are understood; of aider, the line with its costs. All of it is data: a figure that
makes no sense is passed over, a text becomes one line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from orchestrator.views.plain import one_line, plain

MOST_USD = 10_000.0  # what a single attempt may claim to have cost
_MARKED = re.compile(r"^[ \t]*[*_#>]*[ \t]*(HYPOTHESIS|EXPECTED|FAMILY)[*_]*:[*_]*[ \t]*(\S.*)$", re.MULTILINE)
_NUMBER = re.compile(r"^[^\d+−-]{0,3}([+−-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(?![\d%])")
_AIDERS_COST = re.compile(r"Cost:\s+\$[\d.,]+\s+message,\s+\$([\d.,]*\d)\s+session")
_DESCRIPTION_CHARS = 500


@dataclass(frozen=True, slots=True)
class Said:
    """None where it said nothing."""

    description: str | None = None
    expected: float | None = None  # in the metric's own sign
    family: str | None = None
    usd: float = 0.0
    model: str | None = None


def heard(output: bytes) -> Said:
    """What standard output tells."""
    text = plain(output.decode("utf-8", "replace"))
    objects = list(_objects(text))
    words = "\n".join(_texts(objects)) if objects else text
    marked = _marks(words) or _marks(text)
    return Said(
        marked.get("HYPOTHESIS"),
        _number(marked.get("EXPECTED")),
        marked.get("FAMILY"),
        _cost(objects, text),
        _model(objects),
    )


def one_line_of(text: str) -> str | None:
    """The description in a commit's subject or in the file for it: its HYPOTHESIS line, else its first line."""
    marked = _marks(text).get("HYPOTHESIS")
    first = next((line for line in plain(text).splitlines() if line.strip()), "")
    return marked or one_line(first, _DESCRIPTION_CHARS) or None


def _marks(text: str) -> dict[str, str]:
    """The first of each kind."""
    found: dict[str, str] = {}
    for mark, value in _MARKED.findall(plain(text)):
        found.setdefault(mark, one_line(value.strip().rstrip("*_ "), _DESCRIPTION_CHARS))
    return found


def _number(text: str | None) -> float | None:
    found = _NUMBER.match(text or "")
    value = float(found[1].replace("−", "-")) if found else math.inf
    return value if math.isfinite(value) else None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    whole = _decoded(text.strip())
    for each in whole if isinstance(whole, list) else [whole]:
        if isinstance(each, dict):
            yield each
    if whole is None:
        for line in text.splitlines():
            if line.startswith("{") and isinstance(each := _decoded(line), dict):
                yield each


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text) if text[:1] in ("{", "[") else None
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _texts(objects: list[dict[str, Any]]) -> Iterator[str]:
    """What the agent said, where its format is known."""
    for each in objects:
        item = each.get("item")
        for text in (each.get("result"), item.get("text") if isinstance(item, dict) else None):
            if isinstance(text, str):
                yield text


def _cost(objects: list[dict[str, Any]], text: str) -> float:
    told = [usd for each in objects if (usd := _usd(each.get("total_cost_usd"))) is not None]
    by_aider = [usd for figure in _AIDERS_COST.findall(text) if (usd := _usd(_figure(figure))) is not None]
    return (told or by_aider or [0.0])[-1]  # each is a running total


def _figure(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _usd(value: object) -> float | None:
    sensible = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MOST_USD
    return float(value) if sensible and isinstance(value, (int, float)) else None


def _model(objects: list[dict[str, Any]]) -> str | None:
    """The one that did most of the work, by cost, where several did."""
    for each in reversed(objects):
        usage = each.get("modelUsage")
        if isinstance(usage, dict) and usage:
            costs = {name: (_usd(of.get("costUSD")) or 0.0) if isinstance(of, dict) else 0.0 for name, of in usage.items()}
            return one_line(str(max(costs, key=lambda name: costs[name])), 100)
    named = next((each["model"] for each in objects if isinstance(each.get("model"), str)), None)
    return None if named is None else one_line(named, 100)
