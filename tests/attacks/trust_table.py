"""The table in docs/trust.md: what happened to every attack, beside what happens to it elsewhere. It cannot drift.

Each test that faces an attack notes what happened. The last test of the suite compares the table with these notes;
with the variable REGATTA_WRITE_TRUST_TABLE set it writes the table instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from attack import Elsewhere

PAGE = Path(__file__).parents[2] / "docs/trust.md"
BEGIN, END = "<!-- attacks:begin -->", "<!-- attacks:end -->"
WRITE = "REGATTA_WRITE_TRUST_TABLE"
COMMAND = f"{WRITE}=1 python -m pytest tests/attacks"
TWINS_BEGIN, TWINS_END = "<!-- twins:begin -->", "<!-- twins:end -->"
TWIN_HEADER = ("honest candidate", "near", "outcome")
ORDER = (
    "What it says", "Looking ahead", "Across rows and processes", "The model", "The clock and the budget", "In the edit itself",
    "Reading", "Calling", "Writing and breaking out", "Printing (`command` runner)", "Taking", "Surviving",
    "A night, through the installed command",
)  # fmt: skip
HEADER = ("attack", "outcome", "rule", "karpathy/autoresearch", "pi-autoresearch")


@dataclass
class Notes:
    """What happened in this session, chapter by chapter."""

    chapters: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    twins: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def take(self, chapter: str, attack: str, outcome: str, rule: str, elsewhere: Elsewhere) -> None:
        """Note one attack's end."""
        row = (attack, outcome, rule, elsewhere.autoresearch, elsewhere.pi)
        self.chapters.setdefault(chapter, {})[attack] = tuple(map(cell, row))

    def take_twin(self, twin: str, near: str, outcome: str) -> None:
        """Note what became of an honest candidate."""
        self.twins[twin] = tuple(map(cell, (twin, near, outcome)))


def rows(text: str, begin: str, end: str) -> list[tuple[str, ...]]:
    """The rows that a page shows between two markers, headers and chapters left out."""
    inside = text.split(begin)[1].split(end)[0]
    cells = [tuple(part.strip() for part in line.split(" | ")) for line in map(_bare, inside.splitlines()) if line]
    return [row for row in cells if row not in (HEADER, TWIN_HEADER) and not row[0].startswith(("---", "**"))]


def drifted(notes: Notes, text: str) -> list[str]:
    """Of what happened in this session, what the page does not say."""
    shown = {*rows(text, BEGIN, END), *rows(text, TWINS_BEGIN, TWINS_END)}
    happened = [row for chapter in notes.chapters.values() for row in chapter.values()] + list(notes.twins.values())
    return [row[0] for row in happened if row not in shown]


def written(notes: Notes, text: str) -> str:
    """The page with these notes in it. They must be those of the whole suite."""
    attacks = [_line(HEADER), "|---|---|---|---|---|"]
    for chapter in ORDER:
        attacks += [_line((f"**{chapter}**", "", "", "", "")), *map(_line, notes.chapters[chapter].values())]
    twins = [_line(TWIN_HEADER), "|---|---|---|", *map(_line, notes.twins.values())]
    text = _between(text, BEGIN, END, attacks)
    return _between(text, TWINS_BEGIN, TWINS_END, twins)


def cell(text: str) -> str:
    """Fit to stand in a table."""
    return " ".join(text.replace("|", "/").split())


def _between(text: str, begin: str, end: str, lines: list[str]) -> str:
    head, rest = text.split(begin)
    _, tail = rest.split(end)
    return "\n".join([f"{head}{begin}", *lines, f"{end}{tail}"])


def _bare(line: str) -> str:
    return line.removeprefix("| ").removesuffix(" |") if line.startswith("| ") else ""


def _line(row: tuple[str, ...]) -> str:
    return "| " + " | ".join(row) + " |"
