"""A fleet at work: gives turns until nothing is left to do. One Ray, one lock and one pair of signal handlers for all turns.

What it decides by is read from the members' journals before each turn. Only this is known to the process alone: who has nothing
to go on with although its journal does not say so (a turn that brought nothing), and whether who had ended is asked once more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

from orchestrator.events import EndState
from orchestrator.fleet.choice import HOPE_LEFT, Because, FleetStop, NextTurn, Standing, next_turn, worth
from orchestrator.fleet.config import FleetConfig
from orchestrator.fleet.directory import FleetDirectory
from orchestrator.fleet.standing import MemberRecord, failures, read_member, read_members, rules_of
from orchestrator.head import Interruption, Say, Shared, cluster_of, end_what_was_left, work
from orchestrator.tournament.settings import Limits
from orchestrator.views.words import duration, plural


@dataclass(frozen=True, slots=True)
class FleetEnd:
    """How a fleet stopped."""

    state: EndState
    reason: FleetStop | None
    failed: dict[str, str]  # targets that could not go on, and why
    had_a_turn: frozenset[str]  # targets


def work_fleet(fleet: FleetDirectory, overrides: Sequence[str], say: Say) -> FleetEnd:
    """Run a fleet to its end. Raises `RunDirectoryError` when another process holds it, `PoolError` without Ray."""
    with held(fleet, say):
        config = fleet.load(overrides)
        if overrides:
            fleet.write(config)
        cluster = cluster_of(config.common)
        fleet.note_ray(cluster.temp_dir)
        interruption = Interruption()
        try:
            with interruption.noticed():
                return _Session(fleet, config, Shared(cluster, interruption), say).run()
        finally:
            cluster.close()
            fleet.head_file.unlink(missing_ok=True)


@contextlib.contextmanager
def held(fleet: FleetDirectory, say: Say) -> Iterator[None]:
    """Hold a fleet, for its turns or to run one member alone; what a killed process left of its Ray is ended."""
    with fleet.locked(time.time()):
        end_what_was_left(fleet, say)
        yield


class _Session:
    """The turns that one process gives."""

    def __init__(self, fleet: FleetDirectory, config: FleetConfig, shared: Shared, say: Say) -> None:
        self._fleet, self._config, self._shared, self._say = fleet, config, shared, say
        self._rules = rules_of(config)
        self._records = {each.member.name: each for each in read_members(fleet, config)}
        self._members = {member.name: member for member in config.members}
        self._idle: set[str] = set()  # whose last turn brought nothing
        self._turns: list[str] = []
        self._asks_again = False
        # A fleet that had ended asks everyone once more, as `resume` of a run does: a file of proposals may have grown.
        self._asks_again = isinstance(next_turn(self._standings(), self._rules), FleetStop)

    def run(self) -> FleetEnd:
        while not self._shared.interruption.asked:
            standings = self._standings()
            chosen = next_turn(standings, self._rules)
            if isinstance(chosen, FleetStop):
                failed = failures(self._records.values())
                return FleetEnd(EndState.FAILED if failed else EndState.FINISHED, chosen, failed, frozenset(self._turns))
            self._say(turn_line(len(self._turns) + 1, chosen, standings))
            self._give(chosen)
        return FleetEnd(EndState.INTERRUPTED, None, {}, frozenset(self._turns))

    def _standings(self) -> list[Standing]:
        return [replace(each.standing, is_done=self._is_done(each)) for each in self._records.values()]

    def _is_done(self, each: MemberRecord) -> bool:
        name = each.member.name
        return name in self._idle or (each.standing.is_done and (name in self._turns or not self._asks_again))

    def _give(self, turn: NextTurn) -> None:
        name, member = turn.target, self._members[turn.target]
        before = self._records[name].standing
        self._turns.append(name)
        work(self._fleet.member(name), _overrides(turn.limits), lambda line: self._say(f"{name}: {line}"), self._shared)
        self._records[name] = read_member(self._fleet, self._config, member)
        if _told(self._records[name].standing) == _told(before):
            self._idle.add(name)


def _told(standing: Standing) -> tuple[int, int, int]:
    """What a turn changes, unless there is nothing to go on with."""
    return standing.spent.trials, standing.spent.candidates, standing.pending


def _overrides(limits: Limits) -> list[str]:
    """As `--set` would have them."""
    given = {field.name: getattr(limits, field.name) for field in fields(limits)}
    return [f"limits.{name}={value!r}" for name, value in given.items() if value is not None]


def turn_line(number: int, turn: NextTurn, standings: Sequence[Standing]) -> str:
    """Which target has the turn, and why."""
    standing = next(each for each in standings if each.name == turn.target)
    share = f"share {standing.share:.3g}"
    match turn.because:
        case Because.FIRST:
            why = f"its first turn, baseline included; {share}"
        case Because.GOES_ON:
            why = f"goes on with the turn that was interrupted; {share}"
        case Because.DECIDES:
            why = f"decides the {plural(standing.pending, 'candidate')} that it began with; {share}"
        case Because.WORTH:
            cost = duration(standing.cost_s)
            why = f"most to gain: {share} × headroom {standing.headroom:.2f} ÷ {cost} a candidate{_hope(standing)}"
            why += f" = {worth(standing, standings):.2g}"
    return f"turn {number}: {turn.target}: {why}"


def _hope(standing: Standing) -> str:
    if not standing.turns_since_keep:
        return ""
    factor = HOPE_LEFT**standing.turns_since_keep
    return f" × {factor:g} for {plural(standing.turns_since_keep, 'turn')} since its last keep"
