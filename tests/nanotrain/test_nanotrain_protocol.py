"""The real train.py, in processes of its own, against a worker's end of the socket; and by hand."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nanotrain_worker as worker
import numpy as np
import pytest
from nanotrain_data import Data
from nanotrain_worker import SUBJECT, Trained, environment, read_rows


def test_training_ends_in_time_and_reports(trained: Trained) -> None:
    assert trained.returncode == 0
    # The protocol's grace; the budget itself on an idle machine. Where others have the cores the last step may be a long one.
    assert trained.elapsed_s <= trained.budget_s + 1.0 + 0.02 + trained.step_s
    assert trained.elapsed_s > trained.budget_s / 2 - trained.step_s  # it used what it had
    assert trained.summary["num_steps"] > 1
    assert all(math.isfinite(value) for value in trained.summary.values())
    assert 1 <= len(trained.progress) <= trained.budget_s + 1
    assert set(trained.progress[0]) == {"type", "step", "train_loss", "fraction"}


def test_the_score_is_that_of_a_model_that_learned_something(data: Data, trained: Trained) -> None:
    rows = read_rows(data.folder, "val", data.meta["seq_len"])
    sizes = np.fromfile(data.folder / "token_bytes.bin", "<u2")
    with worker.scorer(data.meta, trained.checkpoint) as it:
        logprob, lse = it.everything(rows)
    assert np.isfinite(logprob).all()
    assert (logprob <= 0).all()
    assert np.abs(lse).max() < 1e-5
    targets = rows[:, 1:]
    bpb = worker.bits_per_byte(logprob, lse, targets, sizes)
    uniform = math.log2(data.meta["vocab_size"]) * (sizes[targets] > 0).sum() / sizes[targets].sum()
    # A tenth takes a dozen steps, which four seconds do not hold where others have the cores.
    assert 0.5 < bpb < (0.9 if trained.summary["num_steps"] >= 14 else 1.0) * uniform


def test_no_answer_depends_on_later_tokens_or_other_rows(data: Data, trained: Trained) -> None:
    rows = read_rows(data.folder, "val", data.meta["seq_len"])[:6]
    at = 100
    decoys = rows.copy()
    decoys[:, at + 1 :] = np.random.default_rng(0).integers(4, data.meta["vocab_size"], decoys[:, at + 1 :].shape)
    with worker.scorer(data.meta, trained.checkpoint) as it:
        logprob, _ = it.everything(rows)
    with worker.scorer(data.meta, trained.checkpoint) as it:
        decoy, _ = it.everything(decoys)
        row, position = np.array([0, 1]), np.array([at, 5])
        alone, _ = it.ask(rows[3:5, :-1], row, position, rows[[3, 4], [at + 1, 6]])
    assert np.abs(logprob[:, :at] - decoy[:, :at]).max() < 1e-4
    assert np.abs(logprob[:, at + 1 :] - decoy[:, at + 1 :]).max() > 0.1  # the question is able to tell
    assert alone == pytest.approx(logprob[[3, 4], [at, 5]], abs=1e-4)


def test_whole_distributions_may_be_asked_for_and_add_up_to_1(data: Data, trained: Trained) -> None:
    seq_len, vocab_size = data.meta["seq_len"], data.meta["vocab_size"]
    rows = read_rows(data.folder, "val", seq_len)[:40]  # more than one chunk
    row, position = np.array([39, 0, 17, 0]), np.array([5, seq_len - 1, 100, 7])
    with worker.scorer(data.meta, trained.checkpoint) as it:
        natural, _ = it.everything(rows)
        tokens = np.tile(np.arange(vocab_size), len(row))
        logprob, lse = it.ask(rows[:, :-1], np.repeat(row, vocab_size), np.repeat(position, vocab_size), tokens)
    distribution = logprob.reshape(len(row), vocab_size).astype(np.float64)
    assert np.abs(np.log(np.exp(distribution).sum(axis=1))).max() < 1e-5
    assert np.abs(lse).max() < 1e-5
    assert distribution[np.arange(len(row)), rows[row, position + 1]] == pytest.approx(natural[row, position], abs=1e-5)


def test_training_never_opens_the_held_out_sources(data: Data, tmp_path: Path) -> None:
    """All modules that a real run has loaded, their files against meta.json's list; a sandbox can hide those."""
    folder = tmp_path / "subject"
    shutil.copytree(SUBJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    told = tmp_path / "modules"
    script = folder / "train.py"
    script.write_text(script.read_text() + f"""
    import sys, pathlib
    pathlib.Path({str(told)!r}).write_text("\\n".join(getattr(m, "__file__", None) or "" for m in sys.modules.values()))
""")  # fmt: skip
    worker.train(data.folder, data.meta, budget_s=0.5, seed=0, folder=folder)
    loaded = set(told.read_text().splitlines())
    assert any("torch" in path for path in loaded)
    held_out = {os.path.join(data.meta["source_root"], path) for path in data.meta["held_out"]}  # noqa: PTH118
    assert len(held_out) > 10
    assert all(Path(path).is_file() for path in held_out)
    assert not loaded & held_out


def test_a_worker_that_goes_away_ends_the_subject_quietly(data: Data) -> None:
    with worker.subject("train") as it:
        it.send(worker.hello("train", data.meta, budget_s=5.0))
        it.expect("ready")
        it.sock.close()
        assert it.process.wait(60) == 1


def test_a_finished_scoring_ends_with_status_0(data: Data, trained: Trained) -> None:
    with worker.scorer(data.meta, trained.checkpoint) as it:
        it.subject.sock.close()
        assert it.subject.process.wait(60) == 0


def test_by_hand_prints_the_nine_lines(data: Data) -> None:
    env = environment(REGATTA_DATA=str(data.root), REGATTA_BUDGET_S="1.0", REGATTA_SEED="3")
    result = subprocess.run([sys.executable, "train.py"], cwd=SUBJECT, env=env, capture_output=True, text=True, check=True)
    summary = result.stdout.split("\n---\n")[1]
    values = dict(re.fullmatch(r"(\w+): +(\S+)", line).groups() for line in summary.splitlines())
    assert list(values) == [
        "val_bpb", "training_seconds", "total_seconds", "peak_vram_mb", "mfu_percent", "total_tokens_M", "num_steps",
        "num_params_M", "depth",
    ]  # fmt: skip
    assert 0.5 < float(values["val_bpb"]) < 3.6
    assert values["peak_vram_mb"] == values["mfu_percent"] == "n/a"
    training_s = float(values["training_seconds"])
    assert training_s <= 1.5 + training_s / float(values["num_steps"])  # a step more than it had time for, at the most
