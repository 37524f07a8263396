"""The cases of a kernel as a table of text: what was compiled for each, and how long it took, if it was measured. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.views.words import UNKNOWN
from workers.trial import CaseRow

STAND_IN_NOTE = "model µs: a stand-in by a model of the chip, no measurement; floor: its data sheet's speed of light"


def case_table(rows: Sequence[CaseRow]) -> list[str]:
    """Aligned lines, a header first. Columns that nothing is known of are left out."""
    baselines = list(dict.fromkeys(name for row in rows for name in row.baselines_us))
    columns: list[tuple[str, list[str]]] = [
        ("case", [row.case for row in rows]),
        ("role", [row.role for row in rows]),
        ("median µs", [_microseconds(row.latency_us) for row in rows]),
        ("p20..p80", [_range(row) for row in rows]),
        *((f"{name} µs", [_microseconds(row.baselines_us.get(name)) for row in rows]) for name in baselines),
        ("model µs", [_microseconds(row.stand_in_us) for row in rows]),
        ("floor µs", [_microseconds(row.floor_us) for row in rows]),
        ("mJ", [UNKNOWN if row.energy_mj is None else f"{row.energy_mj:.3g}" for row in rows]),
        ("programs", [f"{row.programs}" for row in rows]),
        ("registers", [f"{row.registers}" for row in rows]),
        ("spilt B", [f"{row.spill_bytes}" for row in rows]),
        ("shared B", [f"{row.shared_bytes}" for row in rows]),
        ("tensor cores", ["yes" if row.tensor_cores else "no" for row in rows]),
    ]
    return aligned([(name, cells) for name, cells in columns if any(cell != UNKNOWN for cell in cells)])


def compared(before: Sequence[CaseRow], after: Sequence[CaseRow]) -> list[str]:
    """The cases in which two commits differ, each fact as `before -> after`; nothing where they are the same. Held-out shapes
    are other ones in each trial, so they are left out."""
    old: Mapping[str, CaseRow] = {row.case: row for row in before if row.role != "held_out"}
    pairs = [(old[row.case], row) for row in after if row.case in old]
    columns = [
        ("median µs", [(_microseconds(a.latency_us), _microseconds(b.latency_us)) for a, b in pairs]),
        ("model µs", [(_microseconds(a.stand_in_us), _microseconds(b.stand_in_us)) for a, b in pairs]),
        ("programs", [(f"{a.programs}", f"{b.programs}") for a, b in pairs]),
        ("registers", [(f"{a.registers}", f"{b.registers}") for a, b in pairs]),
        ("spilt B", [(f"{a.spill_bytes}", f"{b.spill_bytes}") for a, b in pairs]),
        ("shared B", [(f"{a.shared_bytes}", f"{b.shared_bytes}") for a, b in pairs]),
    ]
    changed = [n for n in range(len(pairs)) if any(cells[n][0] != cells[n][1] for _, cells in columns)]
    shown = [
        (name, [was if was == now else f"{was} -> {now}" for was, now in (cells[n] for n in changed)])
        for name, cells in columns
        if any(cells[n][0] != cells[n][1] for n in changed)
    ]
    return aligned([("case", [pairs[n][1].case for n in changed]), *shown]) if changed else []


def aligned(columns: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Lines of columns, the first two to the left, numbers to the right."""
    widths = [max(len(name), *(len(cell) for cell in cells)) for name, cells in columns]
    lines = [[name for name, _ in columns], *map(list, zip(*(cells for _, cells in columns), strict=True))]
    return [
        "  ".join(
            cell.ljust(width)
            if nth == 0 or not any(letter.isdigit() for letter in "".join(columns[nth][1]))
            else cell.rjust(width)
            for nth, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _microseconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}" if value >= 100 else f"{value:.3g}"


def _range(row: CaseRow) -> str:
    if row.p20_us is None or row.p80_us is None:
        return UNKNOWN
    return f"{_microseconds(row.p20_us)}..{_microseconds(row.p80_us)}"
