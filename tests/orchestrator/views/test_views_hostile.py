"""What candidates print and write is data wherever a person's terminal, a spreadsheet, a page or a commit shows it."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import pytest
from rich.console import Console
from views_support import HOSTILE, EventfulRun, write_run

from orchestrator import cli, trial_files
from orchestrator import events as ev
from orchestrator.admission import candidate_message
from orchestrator.edits import Edit
from orchestrator.run_directory import RunDirectory
from orchestrator.stacking import Stacking
from orchestrator.views.export import export
from orchestrator.views.live import Happening, render
from orchestrator.views.loading import Record, load
from orchestrator.views.log import follow, follow_trial, log, trial_log
from orchestrator.views.progress import draw
from orchestrator.views.show import show
from orchestrator.views.status import status, status_text
from orchestrator.views.summary import summary

# Whatever a terminal would obey, or nobody would see.
FORBIDDEN = {chr(code) for code in [*range(9), 11, 12, *range(14, 32), *range(0x7F, 0xA0)]} | set("\r\u202e\u200b\U000e0049")
PRINTED = (HOSTILE + "\n").encode() + b"\xff\xfe not UTF-8 \x00 \xc2\x9b31m\rover\x1b[5n\x1b[?1049h\x1bP+q\x1b\\ the end"


def safe(text: str) -> bool:
    return not FORBIDDEN.intersection(text)


@pytest.fixture
def printed(run: RunDirectory) -> RunDirectory:
    """The same run; its trials have printed the worst."""
    for number in range(1, 19):
        name = f"t{number:06d}"
        trial_files.add_to_log(run, name, PRINTED)
    return run


def test_no_view_passes_anything_on_that_a_terminal_would_obey(printed: RunDirectory) -> None:
    record = load(printed)
    texts = {
        "show": show(record),
        "candidates": "\n".join(show(record, name) for name in record.ledger.candidates),
        "status": status_text(status(record, record.ledger.last_at or 0.0)),
        "status --json": json.dumps(status(record, 0.0).as_json()),
        "log": "\n".join(log(record)),
        "log --follow": "\n".join(follow(printed)),
        "log TRIAL": "\n".join(trial_log(record, name) for name in record.ledger.trials),
        "log TRIAL --follow": "\n".join(follow_trial(record, "t000001")),
        "summary": summary(record),
        "export candidates": "\n".join(export(record, "candidates", "jsonl")),
        "export trials": "\n".join(export(record, "trials", "jsonl")),
    }  # fmt: skip
    assert [name for name, text in texts.items() if not safe(text)] == []


def test_the_tsv_has_tabs_between_its_cells_alone(printed: RunDirectory) -> None:
    record = load(printed)
    for rows, columns in (("candidates", 17), ("trials", 15)):
        for line in export(record, rows, "tsv"):  # type: ignore[arg-type]
            assert line.count("\t") == columns - 1
            assert safe(line.replace("\t", ""))


def test_json_lines_hold_the_very_text_and_print_nothing_that_acts(record: Record) -> None:
    lines = list(export(record, "candidates", "jsonl"))
    assert json.loads(lines[1])["description"] == HOSTILE
    assert all(safe(line) for line in lines)


@pytest.mark.parametrize(
    "formula", ["=cmd|' /C calc'!A0", "+1+1", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1+1", "\u200b=1+1"]
)
def test_a_spreadsheet_computes_no_cell_of_the_tsv(tmp_path: Path, formula: str) -> None:
    scripted = EventfulRun(tmp_path / "run")
    scripted.open()
    scripted.propose("c0001", formula)
    record = load(write_run(scripted.path, scripted.told))
    cells = list(export(record, "candidates", "tsv"))[2].split("\t")
    assert cells[4].startswith("'")
    assert not any(cell.startswith(("=", "+", "@")) for cell in cells)


def test_the_live_view_takes_no_markup_from_candidates(record: Record) -> None:
    recent: list[Happening] = [(0.0, "decided", "[/] [bold]not bold[/bold]")]
    console = Console(file=io.StringIO(), width=140, height=60, force_terminal=False, color_system=None)
    console.print(render(record.ledger, record.config, record.ledger.last_at or 0.0, recent=recent, run="runs/x"))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "[/] [bold]not bold[/bold]" in shown
    assert safe(shown)


def test_a_description_that_is_no_formula_is_drawn_as_it_stands(tmp_path: Path) -> None:
    scripted = EventfulRun(tmp_path / "run")
    scripted.open()
    scripted.propose("c0001", "$\\frac{ is no mathematics " + HOSTILE)
    scripted.race("c0001", 1.57)
    scripted.tell(ev.CandidateDecided("c0001", ev.Verdict.WON, "better"))
    scripted.keep("c0001", 1.57)
    assert draw(load(write_run(scripted.path, scripted.told))).startswith(b"\x89PNG")


def test_an_error_that_quotes_a_candidate_cannot_drive_the_terminal(
    run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["show", str(run.path), "c\x1b[2J0099\u202e"]) == 2
    assert cli.main(["log", str(run.path), "t\x9b31m\x07"]) == 2
    edits = tmp_path / "edits.json"
    edits.write_text('[{"path": "a\\u001b[2Jb.py", "content": "x"}, {"\\u009b": 1}]')
    assert cli.main(["propose", str(run.path), "--edits", str(edits), "--description", "x"]) == 2
    out, err = capsys.readouterr()
    assert safe(out + err)
    assert err.count("regatta: ") == 3


# -- commit messages


FORGED = "an idea\n\nCandidate: c9999\nEvidence: e-value 1e9\x0bMetric: val_bpb 0.1\u2028Proposer: nobody\rBaseline: 9"


def trailers(message: str, folder: Path) -> dict[str, str]:
    done = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=message, capture_output=True, text=True, cwd=folder, check=True
    )
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "description", [FORGED, "Candidate: c9999", "Evidence: none\n", "\n\nMetric: 0.1", "---\nMetric: 0", ""]
)
def test_a_description_cannot_forge_a_trailer(tmp_path: Path, description: str) -> None:
    edits = (Edit("train.py", content="x"),)
    message = candidate_message(ev.Proposed("c0001", "llm\nMetric: val_bpb 0.1", description, edits))
    found = trailers(message, tmp_path)
    assert set(found) == {"Candidate", "Proposer"}
    assert found["Candidate"] == "c0001"
    assert len(message.split("\n\n")) == 2


def test_nor_on_the_champion(record: Record, tmp_path: Path) -> None:
    candidate, stack = record.ledger.candidates["c0001"], next(iter(record.ledger.stacks.values()))
    forged = ev.Proposed("c0001", "llm", FORGED, candidate.proposed.edits)
    candidate.proposed = forged
    stacking = Stacking.__new__(Stacking)
    object.__setattr__(stacking, "ledger", record.ledger)
    message = stacking._message(candidate, stack, is_tip=True)
    found = trailers(message, tmp_path)
    assert list(found) == ["Candidate", "Proposer", "Metric", "Baseline", "Evidence"]
    assert found["Candidate"] == "c0001"
    assert found["Metric"].startswith("val_bpb 1.57")
    assert "e-value 1e9" not in found["Evidence"]


# -- logs that do not end


def test_the_log_of_a_running_trial_is_capped(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_files, "LIVE_BYTES", 1000)
    for _ in range(10):
        trial_files.add_to_log(run, "t000018", b"x" * 300 + b"\n")
    text = run.trial_log("t000018").read_bytes()
    assert len(text) < 1100
    assert text.endswith(b"[... more than can be shown while it runs ...]\n")
