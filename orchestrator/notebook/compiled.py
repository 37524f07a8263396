"""What the compiler made of kernels, for those who write the next one: registers, spills, shared memory, instructions. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.ledger import Ledger
from orchestrator.notebook.fitting import Entry
from orchestrator.notebook.wording import words
from orchestrator.views.words import number
from workers.trial import Outcome

SHOWN = 12  # candidates, the newest first
FACTS = {
    "registers": "{:g} registers",
    "spill_bytes": "{:g} bytes spilt",
    "shared_bytes": "{:g} bytes of shared memory",
    "instructions": "{:g} instructions",
    "tensor_core_instructions": "{:g} of them for tensor cores",
    "floor_fraction": "{:.0%} of the speed of light",
}


def commits_compiled(ledger: Ledger) -> list[tuple[str, str, str]]:
    """Name, commit and description of starter, champion and the newest candidates that passed the gates; none of other
    runners."""
    if ledger.opened is None or ledger.opened.runner != "kernel" or ledger.champion is None:
        return []
    named = [("the starter", ledger.base, "")]
    if ledger.champion.commit != ledger.base:
        named.append(("the champion", ledger.champion.commit, ""))
    candidates = [each for each in reversed(ledger.candidates.values()) if each.commit is not None][:SHOWN]
    named += [(each.id, each.commit, words(each.proposed.description)) for each in candidates if each.commit is not None]
    return [each for each in named if facts(ledger, each[1]) is not None]


def compiled_entries(ledger: Ledger) -> Iterator[Entry]:
    for name, commit, told in commits_compiled(ledger):
        yield (f"- {name}{f' ({told})' if told else ''}: {facts(ledger, commit)}",)


def facts(ledger: Ledger, commit: str) -> str | None:
    """Of the commit's latest trial that came to an end; None where none did. The largest number over the real shapes."""
    ended = [trial.ended for trial in ledger.trials_of.get(commit, []) if trial.ended is not None]
    passed = [each for each in ended if each.outcome is Outcome.OK]
    if not passed:
        return None
    told = [form.format(value) for metric, form in FACTS.items() if (value := passed[-1].metric(metric)) is not None]
    value = passed[-1].metric(ledger.objective)
    return ", ".join([f"{ledger.objective} {number(value)}", *told])
