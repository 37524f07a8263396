"""The samples of a candidate beside those it was measured against, placed on one axis, for a small drawing. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.ledger import Candidate, Ledger
from orchestrator.views.words import number

SAMPLES_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Strip:
    """Places from 0 to 100 across the drawing, smaller values to the left."""

    own: list[float]
    own_mean: float
    reference: list[float]
    reference_mean: float
    low: str
    high: str


def strip_of(ledger: Ledger, candidate: Candidate) -> Strip | None:
    """None where one side was never measured."""
    own, reference = ledger.samples(candidate.commit or ""), ledger.samples(candidate.base or "")
    if not own.n or not reference.n:
        return None
    everything = [*own.values[-SAMPLES_SHOWN:], *reference.values[-SAMPLES_SHOWN:]]
    low, high = min(everything), max(everything)
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return round(3 + 94 * min(1.0, max(0.0, (value - low) / span)), 2)

    sd = ledger.book.noise().sd
    return Strip(
        [place(value) for value in own.values[-SAMPLES_SHOWN:]],
        place(own.mean),
        [place(value) for value in reference.values[-SAMPLES_SHOWN:]],
        place(reference.mean),
        number(low, sd),
        number(high, sd),
    )
