"""Samples of metrics other than the objective, by commit, out of the ledger's trials. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.events import Purpose
from orchestrator.ledger import CandidateState, Ledger
from orchestrator.samples import SampleBook
from workers.trial import Outcome


def books_of(ledger: Ledger, metrics: Sequence[str]) -> tuple[SampleBook, ...]:
    """A book for each metric, of the trials that gave all of them. A champion and the stack that it was are one commit."""
    books = tuple(SampleBook() for _ in metrics)
    for book in books:
        for _, move in ledger.moves:
            book.share(ledger.stacks[move.stack].built.commit, move.commit)
        for candidate in ledger.candidates.values():
            if candidate.state is CandidateState.VIOLATION and candidate.commit is not None:
                book.disown(candidate.commit)
    for trial in ledger.trials.values():
        ended = trial.ended
        if ended is None or ended.outcome is not Outcome.OK or trial.started.purpose is Purpose.SMOKE:
            continue
        values = [value for metric in metrics if (value := ended.metric(metric)) is not None]
        if len(values) == len(metrics):
            for book, value in zip(books, values, strict=True):
                book.add(trial.started.commit, value)
    return books
