"""What stands beside the objective of a commit: the parts of a product, and the constraints with both sides' values. Pure."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.ledger import Candidate, Ledger
from orchestrator.other_metrics import books_of
from orchestrator.samples import SampleBook
from orchestrator.tournament.constraints import broken_constraint
from orchestrator.tournament.settings import Constraint
from orchestrator.views.words import number, plural, with_error

_BOUNDS = {
    "max": "at most {:g}",
    "min": "at least {:g}",
    "max_ratio": "at most {:g} times the champion's",
    "min_ratio": "at least {:g} times the champion's",
}


def parts_text(ledger: Ledger, config: Config, commit: str) -> str | None:
    """The mean of each part of a product; None where the objective is none, or the commit was not measured by itself."""
    parts = config.objective.parts
    if config.objective.product is None or not ledger.samples(commit).n:
        return None
    return ", ".join(f"{part} {_mean(book, commit)}" for part, book in zip(parts, books_of(ledger, parts), strict=True))


def constraint_lines(ledger: Ledger, config: Config, candidate: Candidate) -> list[str]:
    """Each constraint: the candidate's value, that of the champion that it was measured against, and whether it is kept to."""
    commit, base = candidate.commit, candidate.base
    if commit is None or base is None:
        return []
    lines = []
    for metric, wanted in config.objective.constraints.items():
        given = wanted.model_dump(exclude_none=True)
        (book,) = books_of(ledger, [metric])
        bounds = ", ".join(_BOUNDS[kind].format(value) for kind, value in given.items())
        own, beside = book.of(commit), book.of(base)
        beside_text = f"the champion's {_mean(book, base)}"
        if not own.n:
            lines.append(f"{metric} {bounds}: not measured by itself; {beside_text}")
            continue
        broken = broken_constraint(ledger, ledger.trials_of.get(commit, []), base, (Constraint(metric, **given),))
        times = f" ({own.mean / beside.mean:.3g} times)" if beside.n and beside.mean > 0 else ""
        worst = _worst(own.values, given, book.noise().sd)
        counts = f"over {plural(own.n, 'trial')}{worst}"
        verdict = "kept to" if broken is None else "broken"
        lines.append(f"{metric} {bounds}: {_mean(book, commit)} {counts}, {beside_text}{times}: {verdict}")
    return lines


def _worst(values: list[float], bounds: dict[str, float], sd: float | None) -> str:
    """An absolute bound holds for every trial."""
    found = [("the largest", max(values))] if "max" in bounds else []
    found += [("the smallest", min(values))] if "min" in bounds else []
    return "".join(f", {what} {number(value, sd)}" for what, value in found) if len(values) > 1 else ""


def _mean(book: SampleBook, commit: str) -> str:
    samples = book.of(commit)
    return with_error(samples.mean, book.stderr(commit)) if samples.n else "not known"
