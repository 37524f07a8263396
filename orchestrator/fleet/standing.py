"""How the members of a fleet stand, from their journals: what the choice of the next turn and the views read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.events import EndState, Purpose, StopReason
from orchestrator.fleet.choice import Rules, Spent, Standing
from orchestrator.fleet.config import FleetConfig, Member
from orchestrator.fleet.directory import FleetDirectory
from orchestrator.fleet.turns import Turns
from orchestrator.ledger import Ledger
from orchestrator.opening import limits_of
from orchestrator.tournament import limits
from orchestrator.views.loading import Record, entries, load, prices_of
from workers.trial import Outcome

FLOOR = "floor_fraction"  # the metric of how much of the champion's time the machine's floor would take
# A campaign that ended so would end so again.
_ENDS_FOR_GOOD = frozenset({StopReason.PROPOSALS, StopReason.TARGET, StopReason.PLATEAU, StopReason.WORTH})


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """All that is known of a member at one instant."""

    member: Member
    record: Record
    turns: Turns
    standing: Standing


def rules_of(config: FleetConfig) -> Rules:
    """The fleet's rules, from its config."""
    return Rules(config.turn.candidates, config.turn.patience, limits_of(config.common.limits))


def read_members(fleet: FleetDirectory, config: FleetConfig) -> list[MemberRecord]:
    """Every member as it stands. Raises `RunDirectoryError`, `JournalError` or `ConfigError`."""
    return [read_member(fleet, config, member) for member in config.members]


def read_member(fleet: FleetDirectory, config: FleetConfig, member: Member) -> MemberRecord:
    record = load(fleet.member(member.name))
    turns = Turns.of(entry.event for entry in entries(record.run))
    return MemberRecord(member, record, turns, _standing(member.name, config.shares[member.name], record, turns))


def failures(members: Iterable[MemberRecord]) -> dict[str, str]:
    """The targets whose campaign could not go on, and why."""
    stops = {each.member.name: each.record.ledger.stopped for each in members}
    return {
        name: stopped.detail or "no reason was written down"
        for name, stopped in stops.items()
        if stopped is not None and stopped.state is EndState.FAILED
    }


def _standing(name: str, share: float, record: Record, turns: Turns) -> Standing:
    ledger = record.ledger
    found = headroom(ledger)
    return Standing(
        name=name,
        share=share,
        headroom=1.0 if found is None else found,
        cost_s=cost_s(ledger),
        spent=Spent(
            trials=len(ledger.trials),
            candidates=ledger.proposed,
            hours=ledger.running_s() / 3600,
            gpu_hours=limits.gpu_hours(ledger),
            usd=limits.usd(ledger, prices_of(record.config)),
            energy_wh=limits.energy_wh(ledger) or 0.0,
        ),
        pending=len(ledger.pending) + len(record.run.messages()),
        turns=turns.had,
        turns_since_keep=turns.since_keep,
        open_turn=turns.began_with,
        is_done=_is_done(record),
    )


def _is_done(record: Record) -> bool:
    """Whether the campaign cannot go on by itself; a person's idea in its inbox is something to go on with."""
    stopped = record.ledger.stopped
    ended = stopped is not None and (stopped.state is EndState.FAILED or stopped.reason in _ENDS_FOR_GOOD)
    return ended and not record.run.messages()


def headroom(ledger: Ledger) -> float | None:
    """The share of the champion's time above the machine's floor; None where its trials know no floor."""
    assert ledger.champion is not None
    ended = [
        trial.ended for trial in ledger.trials_of.get(ledger.champion.commit, []) if trial.started.purpose != Purpose.SMOKE
    ]
    found = [each.metric(FLOOR) for each in ended if each is not None and each.outcome is Outcome.OK]
    floors = [floor for floor in found if floor is not None]
    return max(0.0, 1.0 - sum(floors) / len(floors)) if floors else None


def cost_s(ledger: Ledger) -> float | None:
    """Seconds of trial time that one candidate took, repeats and finals included; None before there was one."""
    ended = [trial.ended for trial in ledger.trials.values() if trial.started.purpose is not Purpose.BASELINE]
    spent = sum(each.wall_s for each in ended if each is not None)
    return spent / ledger.proposed if spent and ledger.proposed else None
