"""What audits cost: one checkpoint of nanotrain (embedded text, CPU, one thread) scored again and again, with and without.

The measure is what a trial waits longer: wall-clock of the whole phase `score`, from before the first workspace to the
verdict, with audits over without, interleaved. It has two parts that must not be confounded:

* the start of a second process (importing torch, its workspace, its sandbox), which is the same however long the text is.
  It is started beside the first one, so on a machine with a core to spare it costs little waiting, but always CPU seconds;
* the questions, which grow with the text as the score itself does.

So two lengths of text are measured, and the share of the questions is the *slope*: what audits add from the short text to
the long one, over what the score itself takes longer there. On a text of real length (10,000 rows and more) it is the slope
that counts. CPU seconds are from runs without the sandbox: a process that is killed inside takes its own to the grave.
Whatever else runs on the machine only ever adds, so beside medians there is the quietest run of each kind; and how long the
trial waits once the score is complete, as a share of the score's own time, run by run (`wait_after_score`). Before a
promotion four times as many rows are audited: `promotion` is that.

    python benchmarks/audits.py [repetitions, default 5]
"""

from __future__ import annotations

import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

import numpy as np
from record import command_target, write

from workers import sandbox
from workers.output import CappedLog
from workers.run import run_trial, this_machine
from workers.runners import audits, examination
from workers.session import Machine, Session
from workers.subject_data import SubjectData
from workers.trial import Outcome, TrainPlan, TrialSpec
from workers.waiting import Cancellation

SUBJECT = Path(__file__).parents[1] / "nanotrain"
LONG_ROWS = 560
KINDS = {"plain": (False, False), "audited": (True, False), "promotion": (True, True)}  # whether audited, whether promoted


def main(repetitions: int) -> None:
    with tempfile.TemporaryDirectory(prefix="regatta-audits-") as temporary:
        folder = Path(temporary)
        command_target(folder / "target", {path.name: path.read_text() for path in SUBJECT.glob("*.py")})
        machine = this_machine(folder / "node", data_root=folder / "data")
        spec = _spec(folder / "target")
        with tempfile.TemporaryFile() as checkpoint:
            data = _train(spec, machine, checkpoint)
            texts = {"short": data, "long": _longer(data, folder / "long")}
            raw: list[dict[str, Any]] = []
            for _ in range(repetitions):
                for length, text in texts.items():
                    for kind, (audited, promoted) in KINDS.items():
                        for confined in (True, False):
                            trial = replace(spec, confined=confined, promotion=promoted)
                            found = _score(trial, machine, text, checkpoint, audited)
                            raw.append({"text": length, "kind": kind, "confined": confined, **found})
        machine.repository.close()
    claim = "audits of a usual trial: at most 15 % of scoring, on a text long enough that starting a process is not what counts"
    write("audits", claim, _found(raw, {name: int(text.meta["val_rows"]) for name, text in texts.items()}), {"runs": raw})


def _spec(target: Path) -> TrialSpec:
    commit = subprocess.run(["git", "-C", str(target), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    bundle = subprocess.run(
        ["git", "-C", str(target), "bundle", "create", "--quiet", "-", "HEAD"], capture_output=True, check=True
    )
    tip = commit.stdout.strip()
    sealed = tuple(sorted(path.name for path in SUBJECT.glob("*.py") if path.name != "train.py"))
    plan = TrainPlan(budget_s=20.0, corpus="embedded")
    return TrialSpec(
        "t0", 1, tip, tip, sealed, plan, "val_bpb", 7, 600.0, confined=sandbox.lacks() is None, bundle=bundle.stdout
    )


def _train(spec: TrialSpec, machine: Machine, checkpoint: BinaryIO) -> SubjectData:
    """One real training; its checkpoint, and the data that it was made on."""
    kept: list[SubjectData] = []
    scores = examination.run

    def keep(session: Session, plan: TrainPlan, data: SubjectData, device: str, submitted: BinaryIO) -> None:
        submitted.seek(0)
        shutil.copyfileobj(submitted, checkpoint)
        checkpoint.flush()
        kept.append(data)
        scores(session, plan, data, device, submitted)

    with mock.patch.object(examination, "run", keep):
        found = run_trial(spec, machine)
    assert found.outcome is Outcome.OK, found
    return kept[0]


def _longer(data: SubjectData, folder: Path) -> SubjectData:
    """The same tokeniser's rows, more of them: out of the training text, since nothing is compared here but time."""
    shutil.copytree(data.folder, folder)
    row = int(data.meta["seq_len"]) + 1
    np.fromfile(data.train_file, "<u2", LONG_ROWS * row).tofile(folder / "val.bin")
    return SubjectData(folder, data.sha256, {**data.meta, "val_rows": LONG_ROWS})


def _score(spec: TrialSpec, machine: Machine, data: SubjectData, checkpoint: BinaryIO, audited: bool) -> dict[str, float]:
    session = Session(spec, machine, time.monotonic() + 600, Cancellation(), CappedLog(), None)
    assert isinstance(spec.plan, TrainPlan)
    with _audits(audited):
        before, began = _cpu_s(), time.monotonic()
        examination.run(session, spec.plan, data, "cpu", checkpoint)
        wall_s = time.monotonic() - began
    names = ("scoring_seconds", "audit_seconds", "decoys", "audit_noise_nats")
    return {"wall_s": wall_s, "cpu_s": _cpu_s() - before, **{n: session.measured[n] for n in names if n in session.measured}}


@contextmanager
def _audits(on: bool) -> Iterator[None]:
    with mock.patch.object(audits, "decoys_for", audits.decoys_for if on else lambda *_: 0):
        yield


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _found(raw: list[dict[str, Any]], rows: dict[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {"rows": rows, "runs_of_each": len(raw) // (2 * len(rows) * len(KINDS))}

    def values(length: str, kind: str, confined: bool, value: str) -> list[float]:
        return [run[value] for run in raw if (run["text"], run["kind"], run["confined"]) == (length, kind, confined)]

    for value, confined in (("wall_s", True), ("cpu_s", False)):
        for name, of in (("median", statistics.median), ("quietest", min)):
            one = {kind: {length: of(values(length, kind, confined, value)) for length in rows} for kind in KINDS}
            found[f"{value}_{name}"] = one
            longer = one["plain"]["long"] - one["plain"]["short"]
            for kind in ("audited", "promotion"):
                extra = {length: one[kind][length] - one["plain"][length] for length in rows}
                over = {f"{length}_over_plain": extra[length] / one["plain"][length] for length in rows}
                found[f"{kind}_{value}_{name}"] = {**over, "slope": (extra["long"] - extra["short"]) / longer}
    for kind in ("audited", "promotion"):
        found[f"{kind}_decoys"] = {length: statistics.median(values(length, kind, True, "decoys")) for length in rows}
        found[f"{kind}_wait_after_score_median"] = {
            length: statistics.median(
                audit_s / score_s
                for audit_s, score_s in zip(
                    values(length, kind, True, "audit_seconds"), values(length, kind, True, "scoring_seconds"), strict=True
                )
            )
            for length in rows
        }
    rounded: dict[str, Any] = json.loads(json.dumps(found), parse_float=lambda text: round(float(text), 4))
    return rounded


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
