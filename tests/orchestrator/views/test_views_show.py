"""Why a candidate was kept, dropped or left open, in plain words."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from views_support import BASE, EventfulRun, commit_id, evidence, write_run

from orchestrator import events as ev
from orchestrator.views.diffs import diff_of
from orchestrator.views.loading import Record, load
from orchestrator.views.plain import one_line, plain
from orchestrator.views.show import UnknownCandidateError, show
from orchestrator.views.summary import summary

ALL = [f"c{n:04d}" for n in range(1, 10)]


def test_the_overview_sets_the_champion_against_the_baseline(record: Record) -> None:
    text = show(record)
    assert "val_bpb (measured)" in text
    assert "1.9 % better" in text
    assert "-0.0300 ± 0.0040" in text
    assert text.index("kept, in this order") < text.index("c0001") < text.index("near misses") < text.index("c0006")
    assert "9 candidates: 1 kept, 1 discarded" in text


def test_a_kept_candidate_shows_effect_threshold_trials_final_and_diff(record: Record) -> None:
    text = show(record, "c0001")
    assert "kept: it is on the champion branch" in text
    assert "is 0.0300 lower than the champion's 1.6000, ± 0.0040, over 4 trials" in text
    assert "A keep needed an e-value of 400 and it had 12,300" in text
    assert "The probability that it does not help was 0.04 %; a keep allowed at most 2.5 %" in text
    assert "alone on the baseline: kept" in text
    assert "1.5710 1.5660 1.5740 1.5690" in text
    assert "1.5940 1.6060 1.5990 1.6010 (the baseline)" in text
    assert "-LR = 0.02\n+LR = 0.04" in text


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        ("c0002", "dropped"),
        ("c0003", "refused before any trial"),
        ("c0004", "crashed, by its own fault"),
        ("c0005", "broke a rule while running"),
        ("c0006", "left open: neither shown to help nor shown not to"),
        ("c0007", "could not be carried over"),
        ("c0008", "ran past 900 s"),
        ("c0009", "open: it is racing"),
    ],
)
def test_every_fate_is_told(record: Record, candidate: str, words: str) -> None:
    assert words in show(record, candidate)


def test_a_failed_trial_says_whose_fault_it_was(record: Record) -> None:
    assert "infra" in show(record, "c0006")
    assert "node died" in show(record, "c0006")


@pytest.mark.parametrize("candidate", [None, *ALL])
def test_candidates_cannot_drive_the_terminal(record: Record, candidate: str | None) -> None:
    text = show(record, candidate)
    assert not set(text) & set("\x1b\x07\x9b\r\u202e")
    assert "\nnewline" not in text


def test_an_unknown_candidate_is_answered_with_those_there_are(record: Record) -> None:
    with pytest.raises(UnknownCandidateError, match=r"c0010: no such candidate; this run has c0001 to c0009; did you mean"):
        show(record, "c0010")


def test_the_diff_is_gits_own_and_runs_no_program_of_the_repository(tmp_path: Path) -> None:
    scripted = EventfulRun(tmp_path / "run")
    scripted.open()
    scripted.propose("c0001", "an idea")
    run = write_run(scripted.path, scripted.told)
    git = {"cwd": run.path, "check": True, "capture_output": True, "text": True}
    quiet = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "--quiet", "repo"], **git, env=quiet)
    commits = []
    for text in ("LR = 0.02\n", "LR = 0.04  # \x1b[2Jcleared\n"):
        (run.repo / "train.py").write_text(text)
        (run.repo / ".gitattributes").write_text("*.py diff=evil\n")
        subprocess.run(["git", "-C", "repo", "add", "."], **git, env=quiet)
        identity = ["-c", "user.name=n", "-c", "user.email=e@e"]
        subprocess.run(["git", "-C", "repo", *identity, "commit", "-qm", "x"], **git, env=quiet)
        head = subprocess.run(["git", "-C", "repo", "rev-parse", "HEAD"], **git, env=quiet).stdout.strip()
        commits.append(head)
    with (run.repo / ".git" / "config").open("a") as file:
        file.write(f'[diff "evil"]\n\ttextconv = touch {tmp_path}/ran; cat\n\tcommand = touch {tmp_path}/ran\n')
    run.repo = run.repo / ".git"
    record = load(run)
    candidate = record.ledger.candidates["c0001"]
    assert candidate.admitted is not None
    candidate.admitted = replace(candidate.admitted, base=commits[0], commit=commits[1])
    diff = diff_of(record, candidate)
    assert "-LR = 0.02\n+LR = 0.04  # cleared\n" in diff
    assert not (tmp_path / "ran").exists()


def test_a_rejected_candidate_shows_the_edits_that_it_proposed(record: Record) -> None:
    assert "-LR = 0.02\n+LR = 0.04" in diff_of(record, record.ledger.candidates["c0003"])


def test_a_stack_of_several_names_the_others(tmp_path: Path) -> None:
    scripted = EventfulRun(tmp_path / "run")
    scripted.open()
    for name in ("c0001", "c0002"):
        scripted.propose(name, f"idea {name}")
        scripted.race(name, 1.57)
        scripted.tell(ev.CandidateDecided(name, ev.Verdict.WON, "better"))
    tip = commit_id("tip")
    scripted.tell(ev.StackBuilt("s0001", BASE, tip, ("c0001", "c0002"), (commit_id("mid"), tip)))
    text = show(load(write_run(scripted.path, scripted.told)), "c0001")
    assert "together with c0002 on the baseline: not decided yet" in text


def test_plain_text_keeps_words_and_loses_commands() -> None:
    assert plain("a\x1b[1;31mb\x1b]8;;http://x\x1b\\link\x1b]8;;\x07\x9b2Jc\x00\td\r\ne\rf\u202eg") == "ablinkc\td\ne\nfg"
    assert "\x1b" not in plain("\x1b]0;never ended")
    assert one_line("a \n\n b\tc", 4) == "a b…"
    assert one_line("\ud800") == "?"


def test_a_winner_that_clashed_with_the_champion_is_not_lost_from_sight(tmp_path: Path) -> None:
    scripted = EventfulRun(tmp_path / "run")
    scripted.open()
    scripted.propose("c0001", "a real gain")
    scripted.race("c0001", 1.5)
    scripted.tell(ev.CandidateDecided("c0001", ev.Verdict.WON, "better", evidence(-0.1)))
    scripted.tell(ev.Conflicted("c0001", commit_id("other"), "the champion has changed the same lines"))
    record = load(write_run(scripted.path, scripted.told))
    assert "worth porting" in show(record)
    assert "worth porting by hand (won their race, then clashed with the champion): c0001" in summary(record)
