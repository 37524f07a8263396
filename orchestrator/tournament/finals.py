"""The merge queue: winners are stacked on the current champion and measured as they stand, with fresh seeds. Pure.

A race compared a candidate with the commit it was branched from; the champion may have moved since, and winners may not add
up. So the tip of the stack is measured first; if it is better than the champion, all of it is kept. If not, the stack is
halved until the one at fault is found. A final's samples are drawn after the choice, so they are also a fair mean for the new
champion, free of the winner's curse of the race.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.events import CandidateDecided, Purpose, StackDecided, Verdict
from orchestrator.ledger import Ledger, Stack
from orchestrator.tournament.bar import Bar
from orchestrator.tournament.constraints import broken_constraint
from orchestrator.tournament.evidence import p_better
from orchestrator.tournament.margin import margin_for_stack
from orchestrator.tournament.race import (
    INFRA_BUDGET,
    contrast_between,
    evidence_of,
    outcome_of,
    own_fault,
)
from orchestrator.tournament.settings import Settings
from workers.trial import Outcome


@dataclass(frozen=True, slots=True)
class _Rule:
    """(samples at least, kept from this probability of being better, turned down at this one), and what decides at the cap."""

    steps: tuple[tuple[int, float, float], ...]
    kept_at_the_cap_from: float


# The race had this very tree against this very champion, at a controlled error: only a clear contradiction overturns it.
_CONFIRMING = _Rule(((2, 0.90, 0.02), (4, 0.70, 0.10)), 0.50)
# Blocks have measured each of them among all others: like the race's, a choice at a controlled error.
_FROM_BLOCKS = _Rule(((1, 0.10, 0.0), (2, 0.30, 0.02), (4, 0.50, 0.10)), 0.50)
# Carried over, or several together: never measured so before, and what was gained may be gone.
_NEW_TOGETHER = _Rule(((2, 0.99, 0.05), (4, 0.975, 0.30)), 0.90)


def final_cap(settings: Settings) -> int:
    """The largest number of samples that a final takes."""
    return max(4, settings.max_repeats)


def next_stack(ledger: Ledger) -> tuple[str, ...]:
    """The winners that the next stack holds, in the order they won; empty when there is none."""
    return tuple(ledger.won[: ledger.stack_limit])


def judge_final(ledger: Ledger, stack: Stack, settings: Settings) -> StackDecided | None:
    """The decision on the stack being measured; None while its final goes on."""
    name = stack.built.stack
    trials = ledger.trials_of.get(stack.built.commit, [])
    fault = own_fault(trials)
    if fault is not None:
        return StackDecided(name, kept=False, reason=fault[1])
    if sum(outcome_of(trial) is Outcome.INFRA for trial in trials) >= 2 * INFRA_BUDGET:
        return StackDecided(name, kept=False, reason="the machines failed its trials")
    broken = broken_constraint(ledger, trials, stack.built.base, settings.constraints)
    if broken is not None:
        return StackDecided(name, kept=False, reason=broken)
    samples, reference = ledger.samples(stack.built.commit), ledger.samples(stack.built.base)
    contrast = contrast_between(ledger, samples, reference, settings)
    if contrast is None:
        return None
    contrast = contrast.shifted(margin_for_stack(ledger, settings, stack.built.candidates))
    better = p_better(contrast)
    kept = _decide(samples.n, better, _rule_for(ledger, stack), final_cap(settings))
    if kept is None or (kept and any(trial.ended is None and trial.started.purpose is Purpose.FINAL for trial in trials)):
        return None  # a crash may yet arrive from a trial that still runs
    evidence = evidence_of(contrast, samples, reference, 1.0 - better, "final", Bar(None, None))
    plural = "" if samples.n == 1 else "s"
    told = f"{evidence.effect:+.4g} ± {evidence.stderr:.2g} over {samples.n} trial{plural} against the champion's {reference.n}"
    return StackDecided(name, kept, told, evidence)


def _rule_for(ledger: Ledger, stack: Stack) -> _Rule:
    if measured_in_blocks(ledger, stack):
        return _FROM_BLOCKS
    names = stack.built.candidates
    as_raced = len(names) == 1 and ledger.candidates[names[0]].base == stack.built.base
    return _CONFIRMING if as_raced else _NEW_TOGETHER


def measured_in_blocks(ledger: Ledger, stack: Stack) -> bool:
    """Whether every winner of the stack was won in blocks, none in a race of its own."""
    return all(ledger.candidates[name].heats and not ledger.candidates[name].alone for name in stack.built.candidates)


def _decide(n: int, better: float, rule: _Rule, cap: int) -> bool | None:
    for at_least, keep_from, drop_at in rule.steps:
        if n >= at_least and better >= keep_from:
            return True
        if n >= at_least and better <= drop_at:
            return False
    return better >= rule.kept_at_the_cap_from if n >= cap else None


def turned_down(ledger: Ledger, stack: Stack) -> CandidateDecided | None:
    """What a lost final of a single winner means for that winner; None for a stack of several, which is halved."""
    decided = stack.decided
    if decided is None or decided.kept or len(stack.built.candidates) != 1:
        return None
    fault = own_fault(ledger.trials_of.get(stack.built.commit, []))
    reason = f"won its race, but not its final on the current champion: {decided.reason}"
    return CandidateDecided(stack.built.candidates[0], fault[0] if fault else Verdict.INCONCLUSIVE, reason, decided.evidence)
