"""The `train` runner: the worker's clock, data, seed and score (docs/train-protocol.md).

Two phases that share nothing but the checkpoint, whose bytes are never interpreted here: training, in one process tree
that is killed when the checkpoint has arrived; then scoring and its audit, each in a fresh workspace and a fresh process
without training data (examination.py). The checkpoint lies in a file without a name.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
import time
from dataclasses import dataclass
from typing import Any, BinaryIO

from workers.runners import examination
from workers.runners.subject import Limit, Subject, violation
from workers.runners.wire import Message
from workers.session import Session, Stopped
from workers.subject_data import SubjectData, subject_data
from workers.trial import Outcome, Progress, TrainPlan
from workers.waiting import DeadlinePassedError

MOST_CHECKPOINT_BYTES = 8 << 30
_SMOKE_GRACE_S = 10.0  # to hand over a checkpoint: what is a hundredth of a budget is much of a smoke test's
_MIB = 1024.0 * 1024.0
_NAME = re.compile(r"[\w.µ]{1,64}")
_MOST_NAMES = 64


@dataclass(frozen=True, slots=True)
class Clock:
    """The worker's: from `start` to the last byte of `submit`."""

    started: float
    budget_s: float
    grace_s: float = 1.0

    @property
    def allowed_s(self) -> float:
        return self.budget_s + self.grace_s + 0.01 * self.budget_s

    @property
    def gives_up(self) -> float:
        """When waiting for a submission is over: late enough to tell a late one from none at all."""
        return self.started + self.allowed_s + 2.0 + 0.05 * self.budget_s

    def elapsed_s(self) -> float:
        return time.monotonic() - self.started


def run(session: Session, plan: TrainPlan) -> None:
    """Train once and score. Fills the session's `measured` and `reported`."""
    data = subject_data(session, plan.corpus)
    device = "cuda" if session.spec.gpus else "cpu"
    with tempfile.TemporaryFile(dir=session.machine.repository.private_folder) as checkpoint:
        _train(session, plan, data, device, checkpoint)
        examination.run(session, plan, data, device, checkpoint)


def _train(session: Session, plan: TrainPlan, data: SubjectData, device: str, checkpoint: BinaryIO) -> None:
    session.begin("setup")
    began = time.monotonic()
    limit = Limit("setup", "not ready", began, session.spec.allowances.setup_s)
    with session.workspace() as workspace, Subject(session, workspace, "train", plan.script, limit) as subject:
        hello = {"type": "hello", "protocol": 1, "phase": "train", "device": device}
        subject.send(hello | {"budget_s": plan.budget_s, "meta": data.meta})
        while subject.receive("ready", also=["progress"]).type != "ready":
            continue
        limit.check()
        session.measured["setup_seconds"] = time.monotonic() - began
        subject.limit = Limit("setup", "", began, None)  # from here on it is the clock that counts
        session.begin("train")
        tokens = session.lend(data.train_file)
        try:
            clock = Clock(time.monotonic(), plan.budget_s, _SMOKE_GRACE_S if session.spec.smoke else 1.0)
            subject.send({"type": "start", "seed": session.spec.seed}, descriptors=[tokens])
        finally:
            os.close(tokens)
        submit = _await_submission(session, subject, clock, checkpoint)
        elapsed_s = clock.elapsed_s()
        subject.end()
    session.measured["training_seconds"] = elapsed_s
    session.measured["checkpoint_mb"] = submit.payload_bytes / _MIB
    peak_vram_mb = session.recorder.peak_vram_mb_by_now()
    if peak_vram_mb is not None:
        session.measured["peak_vram_mb"] = peak_vram_mb
    if elapsed_s > clock.allowed_s:
        raise violation(
            "clock",
            f"the checkpoint arrived {elapsed_s:.2f} s after the start, allowed are {clock.allowed_s:.2f} s "
            f"(budget_s = {plan.budget_s:g} and a grace): let run.submit begin earlier",
        )
    session.reported.update(_summary(submit))


def _await_submission(session: Session, subject: Subject, clock: Clock, checkpoint: BinaryIO) -> Message:
    """Until the last byte of the checkpoint; progress is passed on meanwhile."""
    deadline = min(session.deadline, clock.gives_up)
    try:
        while True:
            message = subject.receive("submit", also=["progress"], deadline=deadline)
            if message.type == "progress":
                session.tell(_progress(session, message))
                continue
            _check_size(message.payload_bytes, session.spec.allowances.checkpoint_mb)
            subject.payload_to(checkpoint, message, deadline)
            checkpoint.flush()
            return message
    except DeadlinePassedError:
        if deadline == session.deadline:
            raise
        raise Stopped(
            Outcome.TIMEOUT,
            f"nothing was submitted {clock.elapsed_s():.1f} s after the start (budget_s = {clock.budget_s:g})",
        ) from None


def _check_size(checkpoint_bytes: int, allowed_mb: float | None) -> None:
    """Before a byte of it is read: its size is announced, and not believed."""
    if checkpoint_bytes > MOST_CHECKPOINT_BYTES:
        raise violation("protocol", f"a checkpoint of {checkpoint_bytes} bytes, allowed are {MOST_CHECKPOINT_BYTES}")
    if allowed_mb is not None and checkpoint_bytes / _MIB > allowed_mb:
        raise violation(
            "checkpoint", f"{checkpoint_bytes / _MIB:.1f} MB, allowed are {allowed_mb:.1f} MB, from what the champion's has"
        )


def _progress(session: Session, message: Message) -> Progress:
    numbers = [_number(message.header.get(key)) for key in ("step", "train_loss", "fraction")]
    step, train_loss, fraction = numbers
    return Progress(
        session.spec.trial_id,
        "train",
        fraction=None if fraction is None else min(1.0, max(0.0, fraction)),
        step=None if step is None else int(step),
        train_loss=train_loss,
    )


def _summary(submit: Message) -> dict[str, float]:
    """What the subject says of itself: finite numbers with proper names, not too many."""
    summary: Any = submit.header.get("summary", {})
    if not isinstance(summary, dict):
        raise violation("protocol", "`submit` with a summary that is not an object")
    numbers = {name: _number(value) for name, value in summary.items() if _NAME.fullmatch(name)}
    known = {name: value for name, value in numbers.items() if value is not None}
    return dict(list(known.items())[:_MOST_NAMES])


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
        return None
    return float(value) if math.isfinite(value) else None
