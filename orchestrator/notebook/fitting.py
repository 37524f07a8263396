"""Which entries of which sections fit into a number of bytes. Pure, and knows nothing of what they say.

Every section gives its most important entry first. They take turns, a section of weight 3 three times as often as one of weight
1, so that a short budget shortens all and empties none while there is room. An entry is shown whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Entry = tuple[str, ...]
"""One entry in ever shorter words: the first that fits is shown. Each is one or more whole lines, without the last line end."""


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    what: str  # its entries, as in "12 near misses"
    count: int
    entries: Iterator[Entry]  # made as they are needed; `count` in all
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Fitted:
    text: str
    left_out: tuple[tuple[int, str], ...]  # how many of what


def fit(sections: list[Section], most_bytes: int) -> Fitted:
    """The sections in their order, each with as many of its entries as fit together with the others'."""
    shown: list[list[str]] = [[] for _ in sections]
    waiting = {i for i, section in enumerate(sections) if section.count}
    while waiting:
        turn = min(waiting, key=lambda i: (len(shown[i]) / sections[i].weight, i))
        entry = next(sections[turn].entries, None)
        extra = 0 if shown[turn] else _size(_heading(sections[turn], sections[turn].count, shortened=True)) + 1
        text = next((each for each in entry or () if _size(each) + 1 + extra <= most_bytes), None)
        if text is None:
            waiting.discard(turn)
            continue
        shown[turn].append(text)
        most_bytes -= _size(text) + 1 + extra
    lines = [line for section, texts in zip(sections, shown, strict=True) if texts for line in _told(section, texts)]
    left_out = ((section.count - len(texts), section.what) for section, texts in zip(sections, shown, strict=True))
    return Fitted("\n".join(lines), tuple(each for each in left_out if each[0]))


def _told(section: Section, texts: list[str]) -> list[str]:
    return [_heading(section, len(texts), shortened=len(texts) < section.count), *texts]


def _heading(section: Section, shown: int, *, shortened: bool) -> str:
    number = f"{shown:,} of {section.count:,}" if shortened else f"{section.count:,}"
    return f"\n## {section.title} ({number})\n"


def _size(text: str) -> int:
    return len(text.encode())
