"""The champion of a kernel campaign as one importable file, `RUN/champion_kernel.py`, whose docstring says where it comes from.

It is the committed kernel.py with its first docstring replaced; nothing else is changed.
"""

from __future__ import annotations

import ast

from orchestrator.repository import CampaignRepository
from orchestrator.views.loading import Record
from orchestrator.views.plain import one_line
from orchestrator.views.standing import provenance
from orchestrator.views.status import WHO_MEASURED
from orchestrator.views.words import better, utc, with_error

CHAMPION_FILE = "champion_kernel.py"
SOURCE = "kernel.py"


def champion_file(record: Record) -> str | None:
    """The file's text; None for a run of another runner, or where the champion is the starter."""
    ledger = record.ledger
    if ledger.opened is None or ledger.opened.runner != "kernel" or ledger.champion is None or not ledger.champion.kept:
        return None
    repository = CampaignRepository(record.run.repo)
    try:
        source = repository.read(ledger.champion.commit, SOURCE)
    finally:
        repository.close()
    return None if source is None else with_provenance(source, provenance_lines(record))


def provenance_lines(record: Record) -> list[str]:
    """Where the champion comes from, line by line."""
    ledger, config = record.ledger, record.config
    assert ledger.champion is not None
    base, tip = ledger.samples(ledger.base), ledger.samples(ledger.champion.commit)
    gain = better(tip.mean, base.mean, minimize=record.minimize)
    devices = sorted({trial.ended.device for trial in ledger.trials.values() if trial.ended is not None})
    kept = [ledger.candidates[name] for name in ledger.champion.kept]
    champion = with_error(tip.mean, ledger.book.stderr(ledger.champion.commit))
    return [
        f"target      {config.target.repo}{f', compiled for {config.target.arch}' if config.target.arch else ''}",
        f"objective   {ledger.objective}, {config.objective.direction}; {WHO_MEASURED[provenance(ledger, config)]}",
        f"champion    {champion} over {tip.n} trials{f', {gain}' if gain else ''}",
        f"starter     {with_error(base.mean, ledger.book.stderr(ledger.base))} over {base.n} trials",
        f"commits     {ledger.champion.commit} on {ledger.base}",
        *(f"kept        {each.id}, {each.proposed.proposer}: {one_line(each.proposed.description)}" for each in kept),
        f"ran on      {', '.join(devices)}; fingerprint {str(ledger.fingerprint)[:16]}",
        f"written     by Regatta, campaign {config.name}, {utc(ledger.last_at or 0.0)}",
    ]


def with_provenance(source: str, lines: list[str]) -> str:
    """A module's text with these lines behind the first line of its docstring. Pure."""
    tree = ast.parse(source)
    old = ast.get_docstring(tree)
    first = tree.body[0] if tree.body else None
    has_docstring = old is not None and isinstance(first, ast.Expr)
    body = source.splitlines(keepends=True)[(first.end_lineno or 0) if has_docstring and first is not None else 0 :]
    told = [line.replace("\\", "/").replace('"""', "'''") for line in [old.splitlines()[0] if old else "A kernel.", "", *lines]]
    return '"""' + "\n".join(told).rstrip() + '\n"""\n' + "".join(body)
