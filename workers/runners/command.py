"""The `command` runner: any command that prints a number. Such a number is `reported`, and every view says so.

Read on standard output, however much is printed: `METRIC name=value` lines, and `name: value` lines after a line `---`.
The last value of a name counts, but two different values of the objective are a crash, and so are an exit status other
than 0, no value of the objective, a value that is not finite, and a guard that fails; of an objective that is a product, the
same holds for each of its parts. The worker itself measures `wall_s` of the command, `peak_rss_mb` and what a GPU's counters
tell; where one of these is the objective, nothing needs to be printed. The command and
each guard begin in workspaces of their own, set up alike, so that nothing that the candidate wrote while it ran is run by a
guard.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator

from workers.objective import ADDED_LATER, why_not_here
from workers.session import Session, Stopped
from workers.trial import CommandPlan, Outcome
from workers.workspace import Workspace

_NUMBER = r"([+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|nan|inf(?:inity)?))"
_METRIC = re.compile(rf"METRIC\s+([\w.µ]+)={_NUMBER}\s*", re.IGNORECASE)
_SUMMARY = re.compile(rf"([\w.µ]+):\s*{_NUMBER}\s*", re.IGNORECASE)
_MOST_NAMES = 256
_LONGEST_LINE_BYTES = 1024


class MetricReader:
    """Finds metrics in a stream that arrives in pieces. Its memory is bounded, whatever is printed."""

    def __init__(self, *decisive: str) -> None:
        self.values: dict[str, float] = {}  # finite ones
        # of each metric that decides, the different ones, as they came; two are enough to know
        self.decisive_values: dict[str, list[float]] = {name: [] for name in decisive}
        self._rest = b""
        self._too_long = False  # the line under way is: it is no metric
        self._in_summary = False

    def feed(self, chunk: bytes) -> None:
        """Take in a piece; an empty one is the end."""
        first, newline, others = chunk.partition(b"\n")
        self._keep(first)
        if newline or not chunk:
            self._take(self._rest)
            self._rest, self._too_long = b"", False
        lines, _, last = others.rpartition(b"\n")
        # most output is none of this, and a gigabyte of it must not take minutes
        if b"METRIC" in lines or b"---" in lines or self._in_summary:
            for line in lines.split(b"\n"):
                self._take(line)
        self._keep(last)

    def _keep(self, piece: bytes) -> None:
        if len(self._rest) + len(piece) > _LONGEST_LINE_BYTES:
            self._rest, self._too_long = b"", True
        elif not self._too_long:
            self._rest += piece

    def _take(self, line: bytes) -> None:
        if len(line) > _LONGEST_LINE_BYTES or (line[:6] not in (b"METRIC", b"---", b"---\r") and not self._in_summary):
            return
        text = line.decode(errors="replace").rstrip("\r")
        if text == "---":
            self._in_summary = True
        found = _METRIC.fullmatch(text) if text.startswith("METRIC") else None
        if found is None and self._in_summary:
            found = _SUMMARY.fullmatch(text)
        if found is None:
            return
        name, value = found[1], float(found[2])
        decisive = self.decisive_values.get(name)
        if decisive is not None and len(decisive) < 2 and value not in decisive:
            decisive.append(value)
        if math.isfinite(value) and (name in self.values or decisive is not None or len(self.values) < _MOST_NAMES):
            self.values[name] = value


def run(session: Session, plan: CommandPlan) -> None:
    """Measure once: set up, run the command, check the guards. Fills the session's `measured` and `reported`."""
    with _workspace(session, plan) as workspace:
        session.begin("command")
        session.measured.pop("peak_rss_mb", None)  # the command's, not the setup's
        reader = MetricReader(*session.spec.decisive)
        exited = session.run(("sh", "-c", plan.command), workspace, reader.feed)
        memory_mb = exited.peak_rss_mb
        session.measured["wall_s"] = exited.wall_s
        if not exited.succeeded:
            raise Stopped(Outcome.CRASH, f"the command failed: {exited}{session.last_words()}")
        for name, values in reader.decisive_values.items():
            if name not in session.measured and (values or name not in ADDED_LATER):
                _check(name, values, why_not_here(session, name))
        session.reported.update(reader.values)
    for guard in plan.guards:
        with _workspace(session, plan) as workspace:  # what the command left, a conftest.py say, is not there
            session.begin("guard")
            exited = session.run(("sh", "-c", guard), workspace)
        if not exited.succeeded:
            raise Stopped(Outcome.CRASH, f"the guard `{guard}` failed: {exited}{session.last_words()}")
    if memory_mb is not None:
        session.measured["peak_rss_mb"] = memory_mb


@contextlib.contextmanager
def _workspace(session: Session, plan: CommandPlan) -> Iterator[Workspace]:
    """A fresh one, set up."""
    with session.workspace() as workspace:
        if plan.setup is not None:
            session.begin("setup")
            exited = session.run(("sh", "-c", plan.setup), workspace)
            if not exited.succeeded:
                raise Stopped(Outcome.CRASH, f"the setup `{plan.setup}` failed: {exited}{session.last_words()}")
        yield workspace


def _check(name: str, values: list[float], why_not: str) -> None:
    """Stopped where the command did not print one finite value of a metric that decides."""
    if not values:
        raise Stopped(
            Outcome.CRASH,
            f"the command printed no value of {name}: it should print a line `METRIC {name}=<number>`{why_not}",
        )
    for value in values:
        if not math.isfinite(value):
            raise Stopped(Outcome.CRASH, f"the value of {name} is {value}: it must be finite")
    if len(values) > 1:
        raise Stopped(Outcome.CRASH, f"the command printed two values of {name}: {values[0]} and {values[1]}")
