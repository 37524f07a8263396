"""The table of kernel attacks in docs/trust.md: what happened to each. It cannot drift.

Each test that faces an attack notes what happened. The last test of the folder compares the table with these notes; with the
variable REGATTA_WRITE_TRUST_TABLE set it writes the table instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/trust.md"
WRITE = "REGATTA_WRITE_TRUST_TABLE"
COMMAND = f"{WRITE}=1 python -m pytest tests/kernel_attacks"
BEGIN, END = "<!-- kernel-attacks:begin -->", "<!-- kernel-attacks:end -->"
TWINS_BEGIN, TWINS_END = "<!-- kernel-twins:begin -->", "<!-- kernel-twins:end -->"
HEADER = ("attack", "outcome", "rule", "without the static check")
TWIN_HEADER = ("honest kernel", "target", "outcome")


@dataclass
class KernelNotes:
    """What happened in this session."""

    chapters: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    twins: list[tuple[str, ...]] = field(default_factory=list)

    def take(self, chapter: str, *row: str) -> None:
        self.chapters.setdefault(chapter, []).append(tuple(map(_cell, row)))

    def take_twin(self, *row: str) -> None:
        self.twins.append(tuple(map(_cell, row)))

    def lines(self) -> tuple[list[str], list[str]]:
        """The two tables, as they should stand."""
        attacks = [_line(HEADER), "|---|---|---|---|"]
        for chapter, rows in self.chapters.items():
            attacks += [_line((f"**{chapter}**", "", "", "")), *map(_line, rows)]
        return attacks, [_line(TWIN_HEADER), "|---|---|---|", *map(_line, self.twins)]


def drifted(notes: KernelNotes, text: str) -> list[str]:
    """Of what happened in this session, the lines that the page does not have."""
    shown = {line for begin, end in ((BEGIN, END), (TWINS_BEGIN, TWINS_END))
             for line in text.split(begin)[1].split(end)[0].splitlines()}  # fmt: skip
    return [line for lines in notes.lines() for line in lines[2:] if line not in shown]


def written(notes: KernelNotes, text: str) -> str:
    """The page with these notes in it. They must be those of the whole folder."""
    for (begin, end), lines in zip(((BEGIN, END), (TWINS_BEGIN, TWINS_END)), notes.lines(), strict=True):
        head, rest = text.split(begin)
        text = "\n".join([f"{head}{begin}", *lines, f"{end}{rest.split(end)[1]}"])
    return text


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _line(row: tuple[str, ...]) -> str:
    return "| " + " | ".join(row) + " |"
