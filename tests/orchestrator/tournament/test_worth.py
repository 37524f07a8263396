"""Worth: an estimate in the objective's own units, of what was decided, that can end a campaign."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from resumable import SD, ResumableCampaign, normal, settings

from orchestrator import events as ev
from orchestrator.events import Evidence, StopReason
from orchestrator.tournament import decisions as do
from orchestrator.tournament.settings import Limits
from orchestrator.tournament.worth import KNOWN_FROM, Worth, gain_of_a_candidate

SAMPLES = 8


def decided(effects: Sequence[float], sd: float = SD) -> list[Evidence]:
    """Of races of eight samples on either side."""
    rng = np.random.default_rng(0)
    stderr = sd * (2 / SAMPLES) ** 0.5
    seen = np.asarray(effects) + stderr * rng.normal(size=len(effects))
    rest = {"e_value": 1.0, "e_value_needed": None, "p_null": 0.5, "p_null_allowed": None, "rule": "calibrated"}
    return [
        Evidence(1.0 + effect, SAMPLES, 1.0, SAMPLES, effect, stderr, sd, 100, **rest)  # type: ignore[arg-type]
        for effect in seen.tolist()
    ]


@pytest.mark.parametrize(("share", "size"), [(0.1, 4.0), (0.3, 4.0), (0.3, 10.0)])
def test_a_candidate_is_worth_what_edits_like_those_before_bring(share: float, size: float) -> None:
    helpful = round(share * 200)
    true = [-size * SD] * helpful + [0.0] * (200 - helpful)
    assert gain_of_a_candidate(decided(true), minimize=True) == pytest.approx(share * size * SD, rel=0.35)


def test_where_nothing_helps_a_candidate_is_worth_next_to_nothing() -> None:
    nothing, something = decided([0.0] * 200), decided([-4 * SD] * 20 + [0.0] * 180)
    assert gain_of_a_candidate(nothing, minimize=True) < 0.1 * gain_of_a_candidate(something, minimize=True)


def test_worth_is_in_the_objectives_own_units_whichever_way_is_better() -> None:
    small, large = ([-4 * sd] * 20 + [0.0] * 180 for sd in (SD, 1000 * SD))
    worth = gain_of_a_candidate(decided(small), minimize=True)
    assert gain_of_a_candidate(decided(large, 1000 * SD), minimize=True) == pytest.approx(1000 * worth, rel=1e-6)
    upwards = decided([-effect for effect in small])
    assert gain_of_a_candidate(upwards, minimize=False) == pytest.approx(worth, rel=0.2)


def test_there_is_no_estimate_before_enough_is_decided() -> None:
    campaign = ResumableCampaign(settings(limits=Limits(candidates=KNOWN_FROM + 10)), [0.0] * 60, normal(SD)).run()
    told = Worth(minimize=True)
    assert told.per_gpu_hour(campaign.ledger) is not None
    del campaign.ledger.decided_races[KNOWN_FROM - 1 :]
    assert told.per_gpu_hour(campaign.ledger) is None


def test_a_campaign_ends_when_the_next_hour_is_not_worth_it_and_decides_what_it_has_begun() -> None:
    told = settings(limits=Limits(worth_per_gpu_hour=1.0), planned_candidates=200)
    campaign = ResumableCampaign(told, [0.0] * 200, normal(SD), workers=2).run()
    assert campaign.finished == do.Finish(StopReason.WORTH)
    assert KNOWN_FROM <= len(campaign.ledger.decided_races) < 100
    assert not campaign.ledger.pending
    reached = [event for event in campaign.log if isinstance(event, ev.LimitReached)]
    assert [event.reason for event in reached] == [StopReason.WORTH]


def test_a_campaign_that_is_still_worth_its_hours_goes_on() -> None:
    told = settings(limits=Limits(worth_per_gpu_hour=1e-7), planned_candidates=60)
    campaign = ResumableCampaign(told, [-4 * SD, 0.0, 0.0] * 20, normal(SD)).run()
    assert campaign.finished == do.Finish(StopReason.PROPOSALS)
