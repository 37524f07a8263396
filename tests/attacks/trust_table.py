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


def rows(text: str) -> list[tuple[str, ...]]:
    """The rows of attacks that a page shows."""
    inside = text.split(BEGIN)[1].split(END)[0]
    cells = [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in inside.splitlines() if line.startswith("|")]
    return [row for row in cells if row != HEADER and not row[0].startswith("---") and not row[0].startswith("**")]


def rendered(notes: Notes, order: tuple[str, ...]) -> str:
    """The table, a chapter after the other."""
    lines = [_line(HEADER), "|---|---|---|---|---|"]
    for chapter in order:
        lines.append(_line((f"**{chapter}**", "", "", "", "")))
        lines += [_line(row) for row in notes.chapters.get(chapter, {}).values()]
    return "\n".join(lines)


def written(notes: Notes, order: tuple[str, ...], text: str) -> str:
    """The page with this table in it."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n{rendered(notes, order)}\n{END}{tail}"


def cell(text: str) -> str:
    """Fit to stand in a table."""
    return " ".join(text.replace("|", "/").split())


def _line(row: tuple[str, ...]) -> str:
    return "| " + " | ".join(map(cell, row)) + " |"
