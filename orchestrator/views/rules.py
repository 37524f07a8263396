"""The rules that a trial can break: what each protects, in a sentence. The only place where they are put into words.

A reason begins with the name of its rule (`clock: …`), as the workers write it; the gates' reasons likewise.
"""

from __future__ import annotations

from dataclasses import dataclass

_PROTECTS = {
    "scope": "an edit changes what it may change, and brings in code: no data, and nothing that stands in for a sealed file",
    "clock": "every candidate trains for the same time, and the worker's clock alone says for how long",
    "setup": "what is done before the clock starts is compiling and warming up, in about the time that the champion needs",
    "scoring": "a score is bought with training, not with time and memory spent on the answers",
    "checkpoint": "what training hands to scoring is a model of about the champion's size, not the training data",
    "protocol": "a candidate and the worker talk in the order, and in the form, that were agreed",
    "answers": "every question is answered once, with a log-probability that is a number and not positive",
    "splice": "what is said about a token does not depend on that token or on what follows it",
    "strangers": "an answer depends on the tokens of its own row, not on other rows, their order or earlier questions",
    "normalisation": "the probabilities of all tokens add up to one, so that no token is given more than there is",
    "processes": "a trial leaves the machine's processes to others",
    "disk": "a trial leaves the machine's disk to others",
    "memory": "a trial leaves the machine's memory to others",
    # of kernels: what is measured is a kernel, computed anew in every call, and the same whoever looks
    "entry": "a kernel is reached as kernel_fn(*inputs), whoever calls it",
    "no kernel": "what is measured is a Triton kernel that kernel_fn launches, for every shape",
    "import": "a kernel needs Triton, torch's memory and mathematics, and nothing of the machine or of its neighbours",
    "torch computes": "the work is done in the kernel: what torch computes is the baseline",
    "caught errors": "a launch that fails is seen to fail, and nothing takes its place",
    "state": "nothing is remembered from one call to the next, and nothing happens when the file is imported",
    "replaced": "nothing of Python's, torch's or Triton's is replaced",
    "reflection": "the source says what it does",
    "identity": "a call does not know which memory it was given",
    "machine": "streams, clocks and settings are the worker's",
    "deferred work": "what a call does is done when it returns",
    "launch": "a kernel is launched and nothing else: what it is and what a launch returns tell nothing",
    "kernel language": "inside a kernel there is Triton's language and no other Python",
    "capture": "a call leaves everything to the GPU, so that it can be repeated without its Python",
    "impossible": "nothing is faster than light, and no case takes less work than it needs",
    "two faces": "what is checked is what is compiled",
    "wrong": "an answer is as near to the oracle as the field's own implementation allows",
}


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    protects: str  # a sentence without its full stop

    def __str__(self) -> str:
        return f"{self.name}: {self.protects}"


RULES = {name: Rule(name, protects) for name, protects in _PROTECTS.items()}


def rule_of(reason: str | None) -> Rule | None:
    """The rule that a reason names; None where it names none."""
    name, colon, _ = (reason or "").partition(":")
    return RULES.get(name.strip()) if colon else None
