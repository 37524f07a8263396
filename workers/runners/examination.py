"""The second half of the `train` runner: a checkpoint is scored in one process, and the score audited in another.

Both are fresh processes in fresh workspaces that share nothing, not even time: of two that live at once, one can lock or
use files that both see, for the other to notice. The auditing process is started together with the scoring one, so that
importing libraries is not waited for twice; but it runs nothing of the candidate's before the score is complete and the
scoring process dead (preload.py). Each gets a file of its own with the checkpoint's bytes, since whoever holds a file may
write it.

What is asked, and what the answers mean, is decided elsewhere (scoring.py, audits.py); here it is put to the processes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from workers.output import CappedLog
from workers.runners import audits, preload, scoring, twins
from workers.runners.subject import Limit, Subject, violation
from workers.session import Session, Stopped
from workers.subject_data import SubjectData
from workers.trial import Outcome, Progress, TrainPlan
from workers.workspace import Workspace

_TOKENS_AN_ASK = {"cpu": 4096, "cuda": 65536}
_SMOKE_ROWS = 64  # of a smoke test's score: several questions, and enough of them for each of the audits
_TWINS_NUMBER = 1 << 20  # behind those of all decoys
# An audit asks a part of what a score does, in smaller batches: whoever needs more than this for it plays for time.
_AUDIT_TIMES, _AUDIT_FLOOR_S = 3.0, 10.0


def run(session: Session, plan: TrainPlan, data: SubjectData, device: str, checkpoint: BinaryIO) -> None:
    """Measure `val_bpb` (and `test_bpb`, where the trial is held out) and audit it. Fills the session's `measured`.

    `scoring_seconds`: from the start of the scoring process to its last answer. `audit_seconds`: what the trial waits longer
    than for this, to the verdict; where the other process starts meanwhile, what that costs the first one is in the first
    figure. No score is recorded unless the audit finds nothing. A smoke test's is of the first rows alone.
    """
    session.begin("score")
    splits = ("val", "test") if session.spec.held_out else ("val",)
    texts = [data.rows(split)[: _SMOKE_ROWS if session.spec.smoke else None] for split in splits]
    rows, token_bytes = np.concatenate(texts), data.token_bytes()
    rng = np.random.default_rng()  # from the system's entropy: nobody can know what will be audited
    decoys = audits.draw(rows, token_bytes, audits.decoys_for(len(rows), session.spec.promotion), rng)
    costs = scoring.Costs(rows, token_bytes, decoys.base)
    examinee = _Examinee(session, plan, data, device)
    with _copied(checkpoint, session) as copy, contextlib.ExitStack() as opened:
        began = time.monotonic()
        first = opened.enter_context(examinee.scorer(began))
        second = opened.enter_context(examinee.auditor()) if len(decoys) else None
        examinee.hand_over(checkpoint, first)
        scored_s = _score(examinee, first, rows, token_bytes, costs, rng.permutation(len(rows)), began)
        if second is not None:
            audit_began = time.monotonic()
            examinee.hand_over(copy, second)
            second.limit = _audit_limit(audit_began, scored_s, session.spec.allowances.scoring_s)
            _audit(examinee, second, decoys, costs.watched)
            session.measured["audit_seconds"] = time.monotonic() - audit_began
    _record(session, dict(zip(splits, map(len, texts), strict=True)), costs, len(decoys))


@dataclass(frozen=True, slots=True)
class _Examinee:
    """Makes processes that load one checkpoint, and puts questions to them."""

    session: Session
    plan: TrainPlan
    data: SubjectData
    device: str

    def rows_an_ask(self) -> int:
        return max(1, _TOKENS_AN_ASK[self.device] // int(self.data.meta["seq_len"]))

    @contextlib.contextmanager
    def scorer(self, began: float) -> Iterator[Subject]:
        limit = Limit("scoring", "the score is not complete", began, self.session.spec.allowances.scoring_s)
        with self.session.workspace() as workspace, self._subject(self.session, workspace, limit) as subject:
            yield subject

    @contextlib.contextmanager
    def auditor(self) -> Iterator[Subject]:
        """Runs nothing of the candidate's before the checkpoint is handed over. Its log is its own until it ends, so that the
        last words of the scorer, beside it, are the scorer's."""
        session = replace(self.session, log=CappedLog())
        no_limit = Limit("scoring", "", time.monotonic(), None)  # until it is asked
        repository, base, script = session.machine.repository, session.spec.base_commit, self.plan.script
        libraries = preload.libraries(repository.read(base, script).decode(errors="replace"), repository.files(base))
        try:
            with session.workspace() as workspace, self._subject(session, workspace, no_limit, libraries) as subject:
                yield subject
        finally:
            self.session.log.append(session.log.value())

    def _subject(
        self, session: Session, workspace: Workspace, limit: Limit, libraries: tuple[str, ...] | None = None
    ) -> Subject:
        return Subject(session, workspace, "score", self.plan.script, limit, libraries)

    def hand_over(self, checkpoint: BinaryIO, subject: Subject) -> None:
        readable = os.open(f"/proc/self/fd/{checkpoint.fileno()}", os.O_RDONLY)  # from its beginning
        try:
            hello = {"type": "hello", "protocol": 1, "phase": "score", "device": self.device, "meta": self.data.meta}
            subject.send(hello, descriptors=[readable])
        finally:
            os.close(readable)

    def end(self, subject: Subject) -> None:
        """Its work is done; its memory is looked at."""
        peak_mb, allowed_mb = subject.end(), self.session.spec.allowances.scoring_rss_mb
        if peak_mb is None:
            return
        measured = self.session.measured
        measured["scoring_rss_mb"] = max(peak_mb, measured.get("scoring_rss_mb", 0.0))
        if allowed_mb is not None and peak_mb > allowed_mb:
            raise violation("scoring", f"{peak_mb:.0f} MB of memory, allowed are {allowed_mb:.0f} MB")


def _score(
    examinee: _Examinee,
    subject: Subject,
    rows: NDArray[np.uint16],
    token_bytes: NDArray[np.uint16],
    costs: scoring.Costs,
    order: NDArray[np.int64],
    began: float,
) -> float:
    """Ask for every target of all splits, mixed: which row is of which, or is audited, cannot be told. The seconds it took."""
    subject.receive("loaded")
    session, done = examinee.session, 0
    for question in scoring.questions_on(rows, token_bytes, examinee.rows_an_ask(), order):
        costs.add(question, ask(subject, question))
        done += len(question.origin)
        session.tell(Progress(session.spec.trial_id, "score", fraction=done / len(rows)))
    subject.limit.check()
    session.measured["scoring_seconds"] = scored_s = time.monotonic() - began
    examinee.end(subject)
    return scored_s


def _audit(examinee: _Examinee, subject: Subject, decoys: audits.Decoys, first: NDArray[np.float64]) -> None:
    """Ask the other process about decoys. Raises the violation that this brings to light."""
    subject.receive("loaded")
    comparison = audits.Comparison(decoys, first)
    smaller = examinee.rows_an_ask() // 2 or 2  # not the score's batches, in which a row could tell where it is
    for question in audits.questions(decoys, int(examinee.data.meta["vocab_size"]), smaller):
        comparison.add(question, ask(subject, question))
    pairs = twins.draw(decoys)
    looks_ahead = None if pairs is None else _ask_twins(subject, pairs)
    subject.limit.check()
    examinee.end(subject)
    evidence = comparison.evidence
    examinee.session.measured["audit_noise_nats"] = evidence.noise_nats
    reason = audits.finding(evidence, examinee.device) or looks_ahead
    if reason is not None:
        raise Stopped(Outcome.VIOLATION, reason)


def _ask_twins(subject: Subject, pairs: twins.Twins) -> str | None:
    first, again, other = (ask(subject, question).nats for question in twins.questions(pairs, _TWINS_NUMBER))
    return twins.finding(first, again, other)


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


def _audit_limit(began: float, scored_s: float, scoring_s: float | None) -> Limit:
    allowed_s = _AUDIT_FLOOR_S + _AUDIT_TIMES * scored_s
    return Limit("scoring", "the audit's questions are not answered", began, min(allowed_s, scoring_s or allowed_s))


def _record(session: Session, rows: dict[str, int], costs: scoring.Costs, decoys: int) -> None:
    """The scores of the splits, which lie one behind the other, and how well they are known to be honest: asked for in one
    order by chance, they cannot be told apart, so what bounds a leak in all of them bounds it in each."""
    first = 0
    for split, count in rows.items():
        value = costs.bits_per_byte(first, first + count)
        if value is not None:
            session.measured[f"{split}_bpb"] = value
        first += count
    session.measured["decoys"] = decoys
    if decoys and "val_bpb" in session.measured:
        session.measured["leak_bound_bpb"] = audits.leak_bound_bpb(decoys, session.measured["val_bpb"])


@contextlib.contextmanager
def _copied(checkpoint: BinaryIO, session: Session) -> Iterator[BinaryIO]:
    """The same bytes in another file without a name."""
    with tempfile.TemporaryFile(dir=session.machine.repository.private_folder) as copy:
        checkpoint.seek(0)
        shutil.copyfileobj(checkpoint, copy, 1 << 20)
        copy.flush()
        yield copy
