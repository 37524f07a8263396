"""The `train` runner: the worker's clock, data, seed and score (docs/train-protocol.md).

Two phases that share nothing but the checkpoint, whose bytes are never interpreted here: training, in one process tree
that is killed when the checkpoint has arrived; then scoring, in a fresh workspace and a fresh process without training
data. The checkpoint lies in a file without a name.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
import time
from dataclasses import dataclass
from typing import Any, BinaryIO

from workers.runners import scoring
from workers.runners.subject import Subject, violation
from workers.runners.wire import Message
from workers.session import Session, Stopped
from workers.subject_data import SubjectData, subject_data
from workers.trial import Outcome, Progress, TrainPlan
from workers.waiting import DeadlinePassedError

MOST_CHECKPOINT_BYTES = 8 << 30
_MIB = 1024.0 * 1024.0
_TOKENS_AN_ASK = {"cpu": 4096, "cuda": 65536}
_NAME = re.compile(r"[\w.µ]{1,64}")
_MOST_NAMES = 64


@dataclass(frozen=True, slots=True)
class Clock:
    """The worker's: from `start` to the last byte of `submit`."""

    started: float
    budget_s: float

    @property
    def allowed_s(self) -> float:
        return self.budget_s + 1.0 + 0.01 * self.budget_s

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
        _score(session, plan, data, device, checkpoint)


def _train(session: Session, plan: TrainPlan, data: SubjectData, device: str, checkpoint: BinaryIO) -> None:
    session.begin("setup")
    began = time.monotonic()
    with session.workspace() as workspace, Subject(session, workspace, "train", plan.script) as subject:
        hello = {"type": "hello", "protocol": 1, "phase": "train", "device": device}
        subject.send(hello | {"budget_s": plan.budget_s, "meta": data.meta})
        while subject.receive("ready", also=["progress"]).type != "ready":
            continue
        session.measured["setup_seconds"] = time.monotonic() - began
        session.begin("train")
        with data.train_file.open("rb") as tokens:
            clock = Clock(time.monotonic(), plan.budget_s)
            subject.send({"type": "start", "seed": session.spec.seed}, descriptors=[tokens.fileno()])
        submit = _await_submission(session, subject, clock, checkpoint)
        elapsed_s = clock.elapsed_s()
        subject.end()
    session.measured["training_seconds"] = elapsed_s
    session.measured["checkpoint_mb"] = submit.payload_bytes / _MIB
    peak_vram_mb = session.peak_vram_mb()
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
            if message.payload_bytes > MOST_CHECKPOINT_BYTES:
                raise violation(
                    "protocol", f"a checkpoint of {message.payload_bytes} bytes, allowed are {MOST_CHECKPOINT_BYTES}"
                )
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


def _score(session: Session, plan: TrainPlan, data: SubjectData, device: str, checkpoint: BinaryIO) -> None:
    session.begin("score")
    began = time.monotonic()
    splits = ("val", "test") if session.spec.held_out else ("val",)
    with session.workspace() as workspace, Subject(session, workspace, "score", plan.script) as subject:
        readable = os.open(f"/proc/self/fd/{checkpoint.fileno()}", os.O_RDONLY)  # from its beginning, not for writing
        try:
            hello = {"type": "hello", "protocol": 1, "phase": "score", "device": device, "meta": data.meta}
            subject.send(hello, descriptors=[readable])
        finally:
            os.close(readable)
        subject.receive("loaded")
        asked = 0
        for split in splits:
            asked += _score_split(session, subject, data, split, _TOKENS_AN_ASK[device], asked)
        subject.end()
    session.measured["scoring_seconds"] = time.monotonic() - began


def _score_split(
    session: Session, subject: Subject, data: SubjectData, split: str, tokens_an_ask: int, first_number: int
) -> int:
    """Measure `<split>_bpb`; returns how many questions it took."""
    token_bytes, rows = data.token_bytes(), data.rows(split)
    sum_up = scoring.BitsPerByte(token_bytes)
    rows_done = count = 0
    for question in scoring.questions_on(rows, token_bytes, tokens_an_ask, first_number):
        sum_up.add(question, ask(subject, question))
        rows_done += len(question.tokens)
        count += 1
        session.tell(Progress(session.spec.trial_id, "score", fraction=rows_done / len(rows)))
    if sum_up.value is not None:
        session.measured[f"{split}_bpb"] = sum_up.value
    return count


def ask(subject: Subject, question: scoring.Question) -> scoring.Answer:
    """Put one question and take the answer, if it is one."""
    subject.send(question.header(), question.payload())
    message = subject.receive("answer")
    if message.payload_bytes > scoring.expected_bytes(question):  # before it is read: its size is not believed
        raise violation("answers", f"{message.payload_bytes} bytes, {scoring.expected_bytes(question)} were due")
    try:
        return scoring.read_answer(question, message.header.get("id"), subject.payload(message))
    except scoring.AnswerError as error:
        raise violation("answers", str(error)) from None
    except scoring.NotFiniteError:
        raise Stopped(Outcome.CRASH, "the model's answers are not finite: it has diverged, or load(state) is wrong") from None


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
