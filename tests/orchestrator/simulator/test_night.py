"""A simulated night: it is reproducible, loses nothing, and what the landscape says does happen."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from made_up import NULL, config, landscape, played

from orchestrator import events as ev
from orchestrator.events import StopReason, WorkerState
from orchestrator.ledger import CandidateState, Ledger
from orchestrator.simulator.night import Night
from orchestrator.tournament.decisions import Finish
from orchestrator.tournament.machine import Tournament
from orchestrator.tournament.settings import Limits, Settings
from workers.trial import Outcome

ROUGH = {"crash": 0.2, "conflict": 0.3, "node_failures_per_h": 6.0}
ALL = ["auto", "greedy", "two-sigma", "three-seeds", "best-of-wave"]


@pytest.mark.parametrize("policy", ALL)
def test_the_same_seed_gives_the_same_events_to_the_byte(policy: str) -> None:
    first, second = (played(landscape(rates=ROUGH), policy=policy)[1] for _ in range(2))
    assert first == second
    assert first != played(landscape(rates=ROUGH), policy=policy, repeat=1)[1]


@pytest.mark.parametrize("policy", ALL)
@pytest.mark.parametrize("gpus", [1, 5])
def test_every_trial_ends_once_and_no_gpu_runs_two(policy: str, gpus: int) -> None:
    night, _ = played(landscape(gpus, rates=ROUGH), policy=policy, told=config("{trials: 80}"))
    ledger = night.ledger
    assert night.ended == Finish(StopReason.TRIALS)
    assert len(ledger.trials) == sum(ledger.outcomes.values()) == 80
    assert night.site.busy_s == pytest.approx(ledger.trial_seconds)
    assert 0 < night.occupancy() <= 1
    assert set(night.kept) <= set(range(len(ledger.candidates)))
    spans: dict[str, list[tuple[float, float]]] = {}
    for trial in ledger.trials.values():
        assert trial.ended is not None
        spans.setdefault(trial.worker, []).append((trial.ended.started_at, trial.ended.ended_at))
    for ordered in map(sorted, spans.values()):
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ordered))


@pytest.mark.parametrize("policy", ALL)
def test_a_clear_gain_is_kept_and_counted_by_each_policy(policy: str) -> None:
    effects = [{"share": 1.0, "kind": "constant", "scale": 0.1, "sign": "better"}]
    night, _ = played(landscape(effects=effects), policy=policy)
    assert len(night.kept) >= 10
    assert night.gain == pytest.approx(0.1 * len(night.kept))
    assert night.false_keeps() == 0


def test_a_metric_to_be_maximized_rises_as_far_as_another_falls() -> None:
    falls, _ = played()
    rises, _ = played(told=config(direction="maximize"))
    assert rises.kept == falls.kept != ()
    assert rises.gain == falls.gain > 0
    assert rises.ledger.samples("champion-s0001").mean > 1 > falls.ledger.samples("champion-s0001").mean


def test_on_a_landscape_without_effects_whatever_is_kept_is_false_and_gains_nothing() -> None:
    greedy, _ = played(landscape(effects=NULL), policy="greedy")
    assert len(greedy.kept) > 0
    assert greedy.false_keeps() == len(greedy.kept)
    assert greedy.gain == 0.0
    ours, _ = played(landscape(effects=NULL))
    assert ours.kept == ()


def test_a_kept_edit_is_false_if_the_champion_would_be_no_worse_without_it() -> None:
    night, _ = played(landscape(interactions={"share": 1.0, "strength": 3.0}), policy="greedy")
    value, nature = -night.gain, night.nature

    def worth(edits: tuple[int, ...]) -> float:
        own = sum(nature.effect(edit) for edit in edits)
        return own + sum(nature.interaction(edit, edits[:i]) for i, edit in enumerate(edits))

    assert worth(night.kept) == pytest.approx(value)
    without = [worth(tuple(other for other in night.kept if other != edit)) for edit in night.kept]
    assert night.false_keeps() == sum(other <= value for other in without) > 0


def test_an_edit_that_crashes_crashes_always_and_is_never_kept() -> None:
    night, _ = played(landscape(rates={"crash": 0.3}))
    states = [night.ledger.candidates[name].state for name in list(night.ledger.candidates)[:60]]
    assert states.count(CandidateState.CRASHED) / len(states) == pytest.approx(0.3, abs=0.15)
    assert all(night.nature.crashes_after(edit) is None for edit in night.kept)
    for trial in night.ledger.trials.values():
        assert trial.ended is not None
        crashes = any(night.nature.crashes_after(int(name[1:]) - 1) is not None for name in trial.started.candidates)
        assert (trial.ended.outcome is Outcome.CRASH) == crashes


def test_what_conflicts_with_the_champion_is_turned_away_at_its_rate() -> None:
    def turned_away(rate: float) -> int:
        night, _ = played(landscape(8, rates={"conflict": rate}), config("{trials: 400}"))
        assert len(night.kept) >= 1
        return night.ledger.states[CandidateState.CONFLICT] + night.ledger.states[CandidateState.REJECTED]

    assert turned_away(0.0) == 0 < turned_away(0.3) < turned_away(1.0)


def test_a_failing_node_takes_its_trial_and_comes_back() -> None:
    night, events = played(landscape(rates={"node_failures_per_h": 20.0}), config("{trials: 200}"))
    outcomes = night.ledger.outcomes
    assert outcomes[Outcome.INFRA] > 0
    lost = sum("state=<WorkerState.LOST" in event for event in events)
    back = sum("state=<WorkerState.IDLE" in event for event in events) - 4
    assert lost >= outcomes[Outcome.INFRA]
    assert 0 <= lost - back <= 4
    assert outcomes[Outcome.OK] > 100


def test_after_its_hours_a_night_only_ends_what_it_has_begun() -> None:
    night, _ = played(told=config("{hours: 2}"))
    assert night.ended == Finish(StopReason.HOURS)
    assert 2 <= night.site.now_s / 3600 <= 2 + 325 / 3600
    assert all(trial.started_at < 2 * 3600 for trial in night.ledger.trials.values())


def test_no_more_candidates_are_written_than_the_limit_allows() -> None:
    for policy in ALL:
        night, _ = played(told=config("{candidates: 10}"), policy=policy)
        assert night.ended == Finish(StopReason.CANDIDATES)
        assert len(night.ledger.candidates) == 10
        assert not night.ledger.pending


def test_proposals_take_their_time_so_many_at_once() -> None:
    _, events = played(landscape(16, durations={"proposal_s": 100.0, "proposals_in_flight": 3}), config("{candidates: 10}"))
    times = [float(event.split()[0]) for event in events if " Proposed(" in event]
    assert times == [100.0] * 3 + [200.0] * 3 + [300.0] * 3 + [400.0]


def test_what_the_ledger_counts_as_it_goes_is_what_a_fresh_count_gives() -> None:
    ledgers: list[Ledger] = []

    def watched(ledger: Ledger, settings: Settings) -> Tournament:
        ledgers.append(ledger)
        return Tournament(ledger, settings)

    def check(event: ev.Event, at: float) -> None:
        ledger = ledgers[0]
        open_trials = list(ledger.open_trials.values())
        counted = {commit: running for commit, running in ledger.running_of.items() if running}
        assert counted == Counter(trial.started.commit for trial in open_trials)
        racing = [c for c in ledger.pending.values() if c.state is CandidateState.RACING]
        assert list(ledger.racing.values()) == racing
        held = Counter(name for trial in open_trials for name in trial.started.candidates)
        assert all(candidate.running == held[candidate.id] for candidate in racing)
        assert set(ledger.answered) >= {c.id for c in racing if not held[c.id]}
        idle = [name for name, seen in ledger.workers.items() if seen.state is WorkerState.IDLE and name not in ledger.busy()]
        assert set(ledger.free_workers()) <= set(idle)
        assert bool(ledger.free_workers()) == bool(idle)

    settings = Settings("m", True, 0, 150, ("landscape",), limits=Limits(trials=150))
    Night(landscape(6, rates=ROUGH), settings, watched, workers=6, record=check).run()
