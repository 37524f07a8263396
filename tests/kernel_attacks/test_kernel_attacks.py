"""Every attack on the kernel track is refused with its rule named, and so it is where the static check is left out."""

from __future__ import annotations

import pytest
from attacks_in_the_wild import IN_THE_WILD, SIX_HOLES
from attacks_on_the_gates import AT_IMPORT, FORMS, HIDDEN_WORK, TAKING, TWO_FACES
from kernel_arena import Happened, KernelArena
from kernel_attack import HONEST, IN_VAIN, KernelAttack
from kernel_trust_table import KernelNotes

CHAPTERS = {
    "AutoKernel's six holes": SIX_HOLES,
    "Seen in the wild": IN_THE_WILD,
    "Two faces: another kernel when it is compiled than when it is checked": TWO_FACES,
    "At import, and between calls": AT_IMPORT,
    "Hidden work": HIDDEN_WORK,
    "The answer's form": FORMS,
    "Taking": TAKING,
}
ATTACKS = [(chapter, attack) for chapter, attacks in CHAPTERS.items() for attack in attacks]


@pytest.fixture(scope="module")
def honest_cost(kernels: KernelArena) -> float:
    happened = kernels.face("rmsnorm", HONEST)
    assert happened.measurement is not None
    cost = happened.measurement.metric("static_cost")
    assert cost is not None, happened
    return cost


def ended(happened: Happened, rule: str, honest_cost: float) -> tuple[str, str]:
    """Outcome and rule: those that are due where they are what happened, else what did happen."""
    if happened.outcome == "ok":
        cost = happened.measurement.metric("static_cost") if happened.measurement else None
        return ("ok, at a lower cost", str(cost)) if cost is not None and cost < honest_cost else (IN_VAIN, rule)
    return happened.outcome, rule if rule in happened.reason else happened.reason


@pytest.mark.parametrize(("chapter", "attack"), ATTACKS, ids=[attack.name for _, attack in ATTACKS])
def test_an_attack_ends_as_its_rule_says(
    kernels: KernelArena, honest_cost: float, kernel_notes: KernelNotes, chapter: str, attack: KernelAttack
) -> None:
    happened = kernels.face(attack.target, attack.source, timeout_s=attack.timeout_s)
    outcome, rule = ended(happened, attack.rule, honest_cost)
    assert (outcome, rule) == (attack.outcome, attack.rule), (happened.reason, happened.log[-1500:])
    behind = ("", "")
    if attack.behind is not None:
        past = kernels.face_past_the_static_check(attack.target, attack.source, timeout_s=attack.timeout_s)
        behind = ended(past, attack.behind[1], honest_cost)
        assert behind == attack.behind, (past.reason, past.log[-1500:])
    kernel_notes.take(chapter, attack.name, outcome, rule, " ".join(behind).strip())
