"""What candidates may use follows what the champion used, with room for one twice as slow."""

from __future__ import annotations

import pytest

from orchestrator import events as ev
from orchestrator.allowances import allowances, scores_held_out
from orchestrator.events import Purpose
from orchestrator.ledger import Ledger
from workers.trial import Allowances, Outcome

USED = {"setup_seconds": 10.0, "scoring_seconds": 20.0, "scoring_rss_mb": 1000.0, "checkpoint_mb": 100.0, "m": 1.0}


class Told:
    """A ledger of a campaign whose champion is `base`."""

    def __init__(self) -> None:
        self.ledger = Ledger("m")
        self.ledger.apply(ev.CampaignOpened("name", "base", "here", "train", 0, 10), 0.0)
        self.trials = 0

    def measured(
        self, purpose: Purpose, outcome: Outcome = Outcome.OK, *, commit: str = "base", only: str | None = None, **used: float
    ) -> Told:
        self.trials += 1
        trial = f"t{self.trials}"
        values = {**USED, **used}
        values = values if only is None else {"m": 1.0, only: values[only]}
        self.ledger.apply(ev.TrialStarted(trial, purpose, commit, (), 1, "w0", 0.0), 0.0)
        ended = ev.TrialEnded(trial, 1, outcome, None, values, {}, 1.0, None, "w0", "cpu", 0.0, 1.0, "f")
        self.ledger.apply(ended, 1.0)
        return self


def test_a_champion_that_was_not_measured_yet_allows_everything() -> None:
    told = Told()
    assert allowances(told.ledger, held_out=True) == Allowances()
    told.measured(Purpose.BASELINE, Outcome.INFRA).measured(Purpose.RACE, commit="other")
    told.ledger.apply(ev.TrialStarted("open", Purpose.BASELINE, "base", (), 1, "w1", 0.0), 2.0)
    assert allowances(told.ledger, held_out=True) == Allowances()


def test_what_is_allowed_is_the_champions_median_with_room() -> None:
    told = Told()
    for seconds in (18.0, 20.0, 500.0):
        told.measured(Purpose.BASELINE, scoring_seconds=seconds)
    assert allowances(told.ledger, held_out=True) == Allowances(25.0, 70.0, 3512.0, 464.0)


@pytest.mark.parametrize("held_out", [True, False])
def test_a_model_twice_as_slow_and_twice_as_large_is_allowed(held_out: bool) -> None:
    allowed = allowances(Told().measured(Purpose.BASELINE).measured(Purpose.RACE).ledger, held_out)
    assert allowed.scoring_s is not None
    assert allowed.scoring_rss_mb is not None
    assert allowed.checkpoint_mb is not None
    assert allowed.scoring_s > 2 * USED["scoring_seconds"]
    assert allowed.scoring_rss_mb > 2 * USED["scoring_rss_mb"]
    assert allowed.checkpoint_mb > 2 * USED["checkpoint_mb"]


def test_scoring_is_compared_with_trials_that_score_as_many_splits() -> None:
    told = Told().measured(Purpose.BASELINE, scoring_seconds=40.0)
    assert allowances(told.ledger, held_out=False).scoring_s == 130.0  # no better is known
    for _ in range(5):
        told.measured(Purpose.RACE, scoring_seconds=20.0)
    assert allowances(told.ledger, held_out=False).scoring_s == 70.0
    assert allowances(told.ledger, held_out=True).scoring_s == 130.0


def test_a_number_that_was_not_measured_allows_everything() -> None:
    told = Told().measured(Purpose.BASELINE, only="checkpoint_mb")
    assert allowances(told.ledger, held_out=True) == Allowances(checkpoint_mb=464.0)


def test_a_row_of_a_block_is_scored_as_a_race_is() -> None:
    assert [purpose for purpose in Purpose if scores_held_out(purpose)] == [Purpose.BASELINE, Purpose.REPEAT, Purpose.FINAL]
    told = Told().measured(Purpose.BASELINE, scoring_seconds=40.0).measured(Purpose.BLOCK, scoring_seconds=20.0)
    assert allowances(told.ledger, held_out=False).scoring_s == 70.0
    assert allowances(told.ledger, held_out=True).scoring_s == 130.0
