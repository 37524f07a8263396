"""Machines that slow down: found by their steps, asked by repeats, set aside; nothing of theirs counts for the undecided."""

from __future__ import annotations

import pytest
from resumable import SD, ResumableCampaign, normal, settings

from orchestrator import events as ev
from orchestrator.events import Purpose, StopReason, WorkerState
from orchestrator.roster import STEPS
from orchestrator.tournament import decisions as do
from orchestrator.tournament.settings import Limits
from workers.trial import Outcome

STEPS_OF_A_SOUND_ONE = 1000.0


def campaign(slow: dict[str, float], workers: int = 4, candidates: int = 30) -> ResumableCampaign:
    """`slow`: by worker, the share of the steps that it takes."""

    def steps(_: tuple[str, ...], started: ev.TrialStarted) -> Outcome | dict[str, float]:
        return {STEPS: STEPS_OF_A_SOUND_ONE * slow.get(started.worker, 1.0) * (1 + 0.02 * (started.seed % 5 - 2))}

    told = settings(limits=Limits(candidates=candidates), planned_candidates=candidates)
    return ResumableCampaign(told, [-1.5 * SD] * candidates, normal(SD), workers=workers, answer=steps)


def told_of(found: ResumableCampaign, kind: type[ev.Event]) -> list[ev.Event]:
    return [event for event in found.log if isinstance(event, kind)]


def test_a_worker_that_takes_far_fewer_steps_is_named_asked_and_set_aside() -> None:
    found = campaign({"w2": 0.7}).run()
    assert found.finished == do.Finish(StopReason.CANDIDATES)
    (suspected,) = told_of(found, ev.MachineSuspected)
    assert isinstance(suspected, ev.MachineSuspected)
    assert suspected.worker == "w2"
    assert suspected.pace == pytest.approx(0.7, abs=0.05)
    (doubted,) = told_of(found, ev.MachineDoubted)
    assert isinstance(doubted, ev.MachineDoubted)
    assert doubted.worker == "w2"
    assert "70 % of the steps" in doubted.reason or "slowed down" in doubted.reason
    assert found.ledger.workers["w2"].state is WorkerState.SET_ASIDE
    after = found.log[found.log.index(doubted) :]
    assert not any(isinstance(event, ev.TrialStarted) and event.worker == "w2" for event in after)


def test_what_it_measured_for_open_races_is_void_and_measured_again() -> None:
    found = campaign({"w2": 0.7}).run()
    voided = told_of(found, ev.TrialVoided)
    assert voided
    for event in voided:
        assert isinstance(event, ev.TrialVoided)
        trial = found.ledger.trials[event.trial]
        assert trial.worker == "w2"
        assert trial.started.purpose is Purpose.RACE
        assert trial.ended is not None
        assert trial.ended.outcome is Outcome.INFRA
        candidate = found.ledger.candidates[trial.started.candidates[0]]
        assert candidate.decided_at is not None
        assert any(found.ledger.trials[name].worker != "w2" for name in candidate.trials)


@pytest.mark.parametrize("slow", [{}, {"w2": 0.97}])
def test_what_edits_and_chance_do_to_the_pace_suspects_nobody(slow: dict[str, float]) -> None:
    assert told_of(campaign(slow).run(), ev.MachineSuspected) == []


def test_of_two_workers_none_is_the_odd_one() -> None:
    assert told_of(campaign({"w1": 0.5}, workers=2).run(), ev.MachineSuspected) == []


def test_one_that_has_recovered_is_cleared() -> None:
    slow = {"w2": 0.7}
    found = campaign(slow)
    original = found.answer

    def until_suspected(names: tuple[str, ...], started: ev.TrialStarted) -> Outcome | dict[str, float]:
        if any(isinstance(event, ev.MachineSuspected) for event in found.log):
            slow.clear()
        return original(names, started)

    found.answer = until_suspected
    found.run()
    assert len(told_of(found, ev.MachineCleared)) == 1
    assert told_of(found, ev.MachineDoubted) == []
    assert found.ledger.workers["w2"].state is WorkerState.IDLE
