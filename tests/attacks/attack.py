"""What an attack is: data. A candidate that tries something, what becomes of it here, and what becomes of it elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.edits import Edit
from workers.trial import Allowances

BUDGET_S = 5.0  # of the counting subject, which submits at once: whoever is kept waiting for a core is still in time
IN_VAIN = "in vain"  # outcome ok, and nothing was gained: measured for what it is

# What karpathy/autoresearch and pi-autoresearch do, in words that come back. Read from their sources; see docs/trust.md.
PRINTED = "kept: the line that train.py prints is the result"
PARSED = "kept, if the user's own benchmark lets it print: METRIC lines are believed"
OWN_SCORE = "kept: the model reports its own loss to `evaluate_bpb`"
BENCHMARKS_BUSINESS = "kept, unless the user's benchmark or checks.sh notices"
NOT_THERE = "not possible there"
USERS_RIGHTS = "succeeds: runs with the user's rights"
AGENTS_CARE = "depends on the agent: its instructions alone forbid it"


@dataclass(frozen=True)
class Elsewhere:
    """What the two loops that people use today do with the same attack."""

    autoresearch: str
    pi: str


@dataclass(frozen=True)
class Attack:
    """One candidate that breaks a rule, and the word that the rule has on it.

    `rule`: how the reason begins; where `outcome` is `in vain`, what it came up against. `said`: what must be in its log, so
    that an attack which did not even run proves nothing.
    """

    name: str
    edits: tuple[Edit, ...]
    outcome: str
    rule: str
    elsewhere: Elsewhere
    description: str = "an idea"
    said: str = ""
    budget_s: float = BUDGET_S
    timeout_s: float = 60.0
    promotion: bool = False
    allowances: Allowances = field(default_factory=Allowances)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Twin:
    """A candidate that does something honest which looks like an attack. It must be measured like any other."""

    name: str
    near: str  # the rule that it comes near to
    edits: tuple[Edit, ...]
    budget_s: float | None = None  # None: what the arena gives

    def __str__(self) -> str:
        return self.name


def swap(path: str, *pairs: tuple[str, str]) -> tuple[Edit, ...]:
    """Edits of one file: each text becomes another."""
    return tuple(Edit(path, search=old, replace=new) for old, new in pairs)
