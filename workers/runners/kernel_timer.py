"""One process that is timed (workers/kernel/inside/timing.py), as the worker asks it. The clock is here, on this side.

What the process says is taken apart strictly. Where it is the candidate's, a refusal ends the trial; where it is one of ours,
or the champion's, the caller hears of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workers.kernel import gates, schedule
from workers.kernel.cases import Case
from workers.kernel.clock import Window
from workers.runners.subject import Conversation, violation
from workers.runners.wire import Message
from workers.session import Stopped
from workers.trial import Outcome

_SLACK_BYTES = 1 << 20  # of an answer, beyond what a case says that it moves
_OUTCOMES = {"capture": Outcome.VIOLATION}  # of a refusal, by its rule; all others are failures


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an implementation cannot be timed on a case."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """An implementation that is ready, and what was seen of one of its calls."""

    launches: tuple[str, ...]  # names of kernels
    operations: tuple[str, ...]  # of torch, outside of kernels
    output_bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The outputs of one call, in a file, and what they are said to be."""

    descriptor: int
    forms: list[dict[str, Any]]
    is_tuple: bool
    bytes: int


class Timer:
    """See the module's docstring. `pokes` counts what the inputs of an implementation have been through (pokes.py)."""

    def __init__(self, line: Conversation) -> None:
        self._line = line
        self.implementations: tuple[str, ...] = ()
        self.l2_bytes = self.free_bytes = 0
        self.pokes: dict[str, int] = {}
        self.is_done = False

    def open(self, cases: Sequence[Any], seed: int, source: str | None) -> None:
        said = self._ask({"type": "open", "cases": list(cases), "seed": seed, "source": source}, "opened", raises=True)
        assert isinstance(said, Message)
        names = said.header.get("implementations")
        if not isinstance(names, list):
            raise violation("protocol", "`opened` without implementations")
        self.implementations = tuple(str(name)[:100] for name in names[:100])
        self.l2_bytes, self.free_bytes = (int(self._number(said, key)) for key in ("l2_bytes", "free_bytes"))

    def prepare(self, case: Case, implementation: str, slots: int) -> Prepared | Refused:
        question = {"type": "prepare", "case": case.name, "implementation": implementation, "slots": slots}
        said = self._ask(question | {"adversarial": schedule.adversarial(slots)}, "prepared")
        if isinstance(said, Refused):
            return said
        self.pokes[implementation] = 0
        launches, operations = (said.header.get(key) for key in ("launches", "operations"))
        if not isinstance(launches, list) or not isinstance(operations, list):
            raise violation("protocol", "`prepared` that does not say what was launched")
        _, size = self._forms(said, case)
        return Prepared(tuple(map(str, launches[:1000])), tuple(map(str, operations[:1000])), size)

    def ceiling(self, name: str, *, small: bool) -> float | Refused:
        """Bytes or operations of one replay."""
        said = self._ask({"type": "ceiling", "ceiling": name, "small": small}, "prepared")
        if isinstance(said, Refused):
            return said
        self.pokes[name] = 0
        return self._number(said, "work")

    def poison(self, implementation: str) -> None:
        self._ask({"type": "poison", "implementation": implementation}, "poisoned", raises=True)

    def window(self, implementation: str, replays: int, *, control: bool = False) -> Window:
        """Back-to-back work, by our clock: from our word to the answer."""
        question = {"type": "go", "implementation": implementation, "replays": replays, "control": control}
        began = time.perf_counter()
        self._line.send(question)
        said = self._line.receive_any(("done", "refused"))
        worker_s = time.perf_counter() - began
        self.pokes[implementation] += replays
        self._raise(self._refusal(said))
        singles = said.header.get("replays_s")
        if not isinstance(singles, list) or not all(_is_time(each) for each in singles):
            raise violation("protocol", "`done` without the times of replays")
        device_s = self._number(said, "device_s")
        return Window(implementation, replays, worker_s, device_s, tuple(map(float, singles)), is_control=control)

    @contextlib.contextmanager
    def output(self, case: Case, implementation: str, slot: int, size: int) -> Iterator[Answer]:
        """What the latest replay left in a slot."""
        with self._answered({"type": "output", "implementation": implementation, "slot": slot}, case, size) as answer:
            yield answer

    @contextlib.contextmanager
    def once(self, case: Case, call: int, *, adversarial: bool) -> Iterator[Answer]:
        """One call on fresh inputs, untimed."""
        question = {"type": "once", "case": case.name, "call": call, "adversarial": adversarial}
        with self._answered(question, case, 2 * case.bytes + _SLACK_BYTES) as answer:
            yield answer

    def drop(self) -> None:
        self._ask({"type": "drop"}, "dropped", raises=True)

    @contextlib.contextmanager
    def _answered(self, question: dict[str, Any], case: Case, most_bytes: int) -> Iterator[Answer]:
        descriptor = os.memfd_create("answer", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, most_bytes)  # takes memory only as it is written
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            said = self._ask(question, "answer", file=descriptor, raises=True)
            assert isinstance(said, Message)
            forms, size = self._forms(said, case)
            if size > most_bytes:
                raise violation("protocol", f"{case.name}: an answer of {size} bytes, allowed are {most_bytes}")
            yield Answer(descriptor, forms, bool(said.header.get("is_tuple")), size)
        finally:
            os.close(descriptor)

    def _ask(
        self, question: dict[str, Any], wanted: str, *, file: int | None = None, raises: bool = False
    ) -> Message | Refused:
        self._line.send(question, descriptors=() if file is None else (file,))
        said = self._line.receive_any((wanted, "refused", "flawed"))
        if said.payload_bytes:
            raise violation("protocol", f"`{said.type}` with a payload")
        refusal = self._refusal(said)
        if raises:
            self._raise(refusal, str(question.get("case", "")))
        return said if refusal is None else refusal

    @staticmethod
    def _refusal(said: Message) -> Refused | None:
        if said.type == "flawed":
            return Refused("wrong", " ".join(str(said.header.get("reason"))[:500].split()))
        if said.type == "refused":
            return Refused(str(said.header.get("rule"))[:50], " ".join(str(said.header.get("error"))[:1000].split()))
        return None

    @staticmethod
    def _raise(refusal: Refused | None, where: str = "") -> None:
        if refusal is not None:
            raise stopped(refusal, where)

    @staticmethod
    def _forms(said: Message, case: Case) -> tuple[list[dict[str, Any]], int]:
        try:
            return gates.forms_of(said.header)
        except gates.MalformedError as error:
            raise violation("protocol", f"{case.name}: {error}") from None

    @staticmethod
    def _number(said: Message, key: str) -> float:
        value = said.header.get(key)
        if not _is_time(value):
            raise violation("protocol", f"`{said.type}` with {key} = {value!r:.40}")
        return float(value)  # type: ignore[arg-type]


def stopped(refusal: Refused, where: str) -> Stopped:
    """The end of a candidate's trial by a refusal of its own process."""
    said = ": ".join(part for part in (refusal.rule if refusal.rule != "error" else "", where, refusal.reason) if part)
    return Stopped(_OUTCOMES.get(refusal.rule, Outcome.CRASH), said)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
