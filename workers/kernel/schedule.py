"""What of a target is timed, with how many slots of inputs, for how long and in which order. Pure.

Timed are the shapes that models use, and held-out ones: these decide. Odd and edge cases are there to be right, not fast: on
the GPU each is run and judged once, and none is timed, so that no edit wins by a prime width or loses a real shape to one.

Held-out shapes that are *timed* follow from the base commit: the same in every trial of a campaign, or a trial's number
would depend on its draw of shapes; and told to nobody. Those that are *checked* follow from the trial's seed, anew each time.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence

from workers.kernel.cases import Case, DType, Role, TensorInput

ROUNDS = 2  # each goes through all implementations once forward and once backward
WINDOWS = 2 * ROUNDS  # of each implementation
ROTATED_L2S = 4  # slots are together so many times as large as the L2 cache: then it hides 2 % of their bytes at most
MOST_SLOTS = 256
LEAST_SLOTS = 2  # one plain, one adversarial
MOST_REPLAYS = 1 << 16  # of one window
_MEMORY_SHARE = 0.4  # of the GPU's free memory, for the slots of all implementations; the oracle needs the rest
_SLOT_CALLS = 1 << 20  # numbers of calls from which slots draw their content: none that a gate has asked for

# What a candidate may do outside of its kernels while it is timed, by the names of torch's own operations: make memory, look
# at it in another form, copy what is not contiguous. The list follows static_check.MEMORY and VIEWS, which know names alone.
_ALLOWED_OPERATIONS = frozenset({
    "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "zeros", "zeros_like", "new_zeros", "full",
    "full_like", "new_full", "view", "_unsafe_view", "_reshape_alias", "reshape", "transpose", "permute", "t",
    "squeeze", "unsqueeze", "expand", "as_strided", "slice", "select", "detach", "alias", "split", "split_with_sizes", "unbind",
    "clone",
})  # fmt: skip


def held_out_seed(base_commit: str) -> int:
    """Of the shapes that are timed, throughout a campaign."""
    return int.from_bytes(hashlib.blake2b(f"timed held-out shapes/{base_commit}".encode(), digest_size=6).digest(), "little")


def timed(cases: Sequence[Case], *, interpreted: bool) -> tuple[Case, ...]:
    """The cases that decide. Small ones are there for Triton's interpreter, and only timed where nothing else can be."""
    if interpreted:
        cases = [case for case in cases if case.small and case.dtype is DType.FP32]
    counted = [case for case in cases if case.role in (Role.REAL, Role.HELD_OUT)] or list(cases)
    large = [case for case in counted if not case.small]
    return tuple(large or counted)


def checked(cases: Sequence[Case], timed_names: Sequence[str], *, interpreted: bool) -> tuple[Case, ...]:
    """The cases that are run once on the device and judged: all whose very shapes are not timed."""
    if interpreted:
        cases = [case for case in cases if case.small and case.dtype is DType.FP32]
    return tuple(case for case in cases if case.name not in timed_names or case.role is Role.HELD_OUT)


def slot_bytes(case: Case) -> int:
    """Of one slot: its inputs and its outputs."""
    inputs = sum(
        one.elements * {"fp32": 4, "fp16": 2, "bf16": 2, "int32": 4, "int64": 8}[one.dtype.value]
        for one in case.inputs
        if isinstance(one, TensorInput)
    )
    return max(case.bytes, inputs)


def slots(case: Case, l2_bytes: int, free_bytes: int, implementations: int) -> int | None:
    """How many slots of inputs take turns; None where not even the fewest fit into the memory."""
    size = slot_bytes(case)
    fit = int(_MEMORY_SHARE * free_bytes / implementations / size)
    if fit < LEAST_SLOTS:
        return None
    return max(LEAST_SLOTS, min(MOST_SLOTS, fit, math.ceil(ROTATED_L2S * l2_bytes / size)))


def adversarial(slots: int) -> list[int]:
    """Every fourth slot holds adversarial content; of two, one."""
    return [slot for slot in range(slots) if slot % 4 == 1]


def slot_call(slot: int) -> int:
    """The number of the call (inputs.py) whose content a slot has at first."""
    return _SLOT_CALLS + slot


def replays(once_s: float, window_s: float) -> int:
    """How often a graph is replayed in a window of about `window_s`, if once takes so long."""
    return max(1, min(MOST_REPLAYS, round(window_s / max(once_s, 1e-7))))


def order(implementations: Sequence[str], draw: random.Random) -> tuple[str, ...]:
    """Whose window comes when: each round in a drawn order and then backward, as A B B A, so that what drifts evenly (a chip
    that grows warm) falls on all alike."""
    found: list[str] = []
    for _ in range(ROUNDS):
        forward = draw.sample(list(implementations), len(implementations))
        found += [*forward, *reversed(forward)]
    return tuple(found)


def judged_slot(slots: int, draw: random.Random) -> int:
    """Whose output is asked for: as often an adversarial one as a plain one."""
    hostile = adversarial(slots)
    plain = [slot for slot in range(slots) if slot not in hostile]
    return draw.choice(hostile if draw.random() < 0.5 else plain)


def computing(operations: Sequence[str]) -> list[str]:
    """Of torch's operations that ran outside of kernels, those that a candidate may not use."""
    return sorted(set(operations) - _ALLOWED_OPERATIONS)
