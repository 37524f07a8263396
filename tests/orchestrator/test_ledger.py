"""The fold: what events add up to, and what they may not do."""

from __future__ import annotations

import pytest

from orchestrator import events as ev
from orchestrator.edits import Edit
from orchestrator.events import EndState, Purpose, Verdict, WorkerState
from orchestrator.ledger import CandidateState, IllegalTransitionError, Ledger
from workers.trial import Outcome

EDITS = (Edit("x", content="1"),)


class Told:
    """A ledger that is told events, a second apart."""

    def __init__(self) -> None:
        self.ledger = Ledger("m")
        self.now = 0.0
        self.tell(ev.CampaignOpened("name", "base", "here", "command", 0, 10))
        self.tell(ev.HeadStarted(1, "host", 0, "none"))

    def tell(self, *events: ev.Event) -> Told:
        for event in events:
            self.ledger.apply(event, self.now)
            self.now += 1.0
        return self

    def admitted(self, name: str, base: str = "base") -> Told:
        proposed = ev.Proposed(name, "replay", name, EDITS)
        return self.tell(proposed, ev.Admitted(name, f"{name}@{base}", base, 1, name))

    def started(self, trial: str, commit: str, *names: str, purpose: Purpose = Purpose.RACE) -> Told:
        return self.tell(ev.TrialStarted(trial, purpose, commit, names, 1, "w0", 0.0))

    def ended(self, trial: str, value: float | None = 1.0, outcome: Outcome = Outcome.OK, wall_s: float = 1.0) -> Told:
        measured = {} if value is None else {"m": value}
        attempt = self.ledger.trials[trial].attempt if trial in self.ledger.trials else 1
        return self.tell(ev.TrialEnded(trial, attempt, outcome, None, measured, {}, wall_s, None, "w0", "cpu", 0.0, 1.0, "f"))

    def won(self, name: str = "c0001") -> Told:
        self.admitted(name).started(f"t-{name}", f"{name}@base", name).ended(f"t-{name}")
        return self.tell(ev.CandidateDecided(name, Verdict.WON, "better"))

    def state(self, name: str = "c0001") -> CandidateState:
        return self.ledger.candidates[name].state


# -- the life of a candidate


def test_a_candidate_lives_from_proposal_to_keep() -> None:
    told = Told()
    told.tell(ev.Proposed("c0001", "replay", "idea", EDITS))
    assert told.state() is CandidateState.PROPOSED
    told.tell(ev.Admitted("c0001", "one", "base", 1, "f"))
    assert told.state() is CandidateState.WAITING
    told.started("t1", "one", "c0001").ended("t1")
    assert told.state() is CandidateState.RACING
    told.tell(ev.CandidateDecided("c0001", Verdict.WON, "better"))
    assert told.ledger.won == ["c0001"]
    told.tell(ev.StackBuilt("s1", "base", "tip", ("c0001",), ("tip",))).started("t2", "tip", "c0001").ended("t2", 0.5)
    told.tell(ev.StackDecided("s1", True, "yes"))
    told.tell(ev.ChampionMoved("new", "base", ("c0001",), ("new",), 0.5, None, 1, "s1"))
    assert told.state() is CandidateState.KEPT
    assert told.ledger.champion is not None
    assert (told.ledger.champion.commit, told.ledger.champion.kept) == ("new", ("c0001",))
    assert not told.ledger.pending
    assert not told.ledger.won


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict.DISCARD, CandidateState.DISCARDED),
        (Verdict.INCONCLUSIVE, CandidateState.INCONCLUSIVE),
        (Verdict.CRASH, CandidateState.CRASHED),
        (Verdict.VIOLATION, CandidateState.VIOLATION),
    ],
)
def test_a_verdict_ends_a_race(verdict: Verdict, state: CandidateState) -> None:
    told = Told().admitted("c0001").started("t1", "c0001@base", "c0001").ended("t1")
    told.tell(ev.CandidateDecided("c0001", verdict, "so"))
    assert told.state() is state
    assert told.ledger.candidates["c0001"].reason == "so"
    assert not told.ledger.pending


def test_a_winner_that_must_race_again_is_no_winner_until_then() -> None:
    told = Told().won()
    told.tell(ev.Admitted("c0001", "again", "new", 1, "f"))
    assert told.state() is CandidateState.WAITING
    assert told.ledger.won == []
    assert told.ledger.candidates["c0001"].race_trials == []


def test_illegal_transitions_tell_the_candidates_history() -> None:
    told = Told().admitted("c0001").started("t1", "c0001@base", "c0001").ended("t1")
    told.tell(ev.CandidateDecided("c0001", Verdict.DISCARD, "worse"))
    with pytest.raises(IllegalTransitionError) as raised:
        told.tell(ev.CandidateDecided("c0001", Verdict.WON, "better"))
    said = str(raised.value)
    assert "c0001 cannot go from discard to won" in said
    assert "waiting: admitted on base; racing: t1 started; discard: worse" in said


@pytest.mark.parametrize(
    "event",
    [
        ev.Admitted("c0009", "x", "base", 1, "f"),
        ev.CandidateDecided("c0009", Verdict.DISCARD, "worse"),
        ev.TrialStarted("t9", Purpose.RACE, "x", ("c0009",), 1, "w0"),
        ev.Rejected("c0001", "scope", "no"),
        ev.CandidateDecided("c0001", Verdict.DISCARD, "worse"),
        ev.Proposed("c0001", "replay", "idea", EDITS),
        ev.TrialRestarted("t9", 2, "w0"),
        ev.StackDecided("s9", True, "yes"),
        ev.ChampionMoved("new", "base", ("c0001",), ("new",), 1.0, None, 1, "s9"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_the_state_does_not_allow_is_refused(event: ev.Event) -> None:
    told = Told().admitted("c0001")
    with pytest.raises(IllegalTransitionError):
        told.tell(event)


def test_a_trial_ends_once() -> None:
    told = Told().started("t1", "base", purpose=Purpose.BASELINE).ended("t1")
    with pytest.raises(IllegalTransitionError, match="t1 is not running"):
        told.ended("t1")


def test_a_trial_starts_once() -> None:
    told = Told().started("t1", "base", purpose=Purpose.BASELINE)
    with pytest.raises(IllegalTransitionError, match="started twice"):
        told.started("t1", "base", purpose=Purpose.BASELINE)


def test_a_trial_that_is_ok_without_the_objective_is_a_defect() -> None:
    told = Told().started("t1", "base", purpose=Purpose.BASELINE)
    with pytest.raises(IllegalTransitionError, match="ended ok without m"):
        told.ended("t1", None)


def test_only_one_stack_is_measured_at_a_time() -> None:
    told = Told().won("c0001").won("c0002").tell(ev.StackBuilt("s1", "base", "s1", ("c0001",), ("s1",)))
    with pytest.raises(IllegalTransitionError, match="s1 is undecided"):
        told.tell(ev.StackBuilt("s2", "base", "s2", ("c0002",), ("s2",)))


def test_the_champion_moves_from_where_it_is() -> None:
    told = Told().won().tell(ev.StackBuilt("s1", "base", "s1", ("c0001",), ("s1",)))
    with pytest.raises(IllegalTransitionError, match="champion cannot move from elsewh"):
        told.tell(ev.ChampionMoved("new", "elsewhere", ("c0001",), ("new",), 1.0, None, 1, "s1"))


# -- what is counted


def test_a_failed_trial_gives_no_sample() -> None:
    told = Told()
    for number, outcome in enumerate(Outcome):
        told.started(f"t{number}", "base", purpose=Purpose.BASELINE)
        told.ended(f"t{number}", 1.0 if outcome is Outcome.OK else None, outcome)
    assert told.ledger.samples("base").n == 1
    assert told.ledger.outcomes == dict.fromkeys(Outcome, 1)


def test_unknown_energy_stays_unknown_and_known_energy_adds_up() -> None:
    told = Told().started("t1", "base", purpose=Purpose.BASELINE).ended("t1")
    assert told.ledger.energy_j is None


def test_a_reported_number_counts_where_the_worker_has_none() -> None:
    told = Told().started("t1", "base", purpose=Purpose.BASELINE)
    told.tell(ev.TrialEnded("t1", 1, Outcome.OK, None, {}, {"m": 3.0}, 1.0, None, "w0", "cpu", 0.0, 1.0, "f"))
    assert told.ledger.samples("base").values == [3.0]


def test_what_is_decided_since_the_last_keep_leaves_out_what_a_gate_refused() -> None:
    told = Told().tell(ev.Proposed("c0001", "replay", "idea", EDITS), ev.Rejected("c0001", "scope", "no"))
    assert told.ledger.decided_since_keep == 0
    told.admitted("c0002").tell(ev.Conflicted("c0002", "base", "gone"))
    assert told.ledger.decided_since_keep == 1


# -- heads and workers


def test_a_new_head_begins_without_workers_and_hands_open_trials_out_again() -> None:
    told = Told().tell(ev.WorkerChanged("w0", "n", "d", WorkerState.IDLE))
    told.started("t1", "base", purpose=Purpose.BASELINE)
    assert told.ledger.free_workers() == []
    told.tell(ev.HeadStarted(2, "host", 0, "none"), ev.WorkerChanged("w0", "n", "d", WorkerState.IDLE))
    assert told.ledger.free_workers() == ["w0"]
    assert told.ledger.open_trials["t1"].adrift
    told.tell(ev.TrialRestarted("t1", 2, "w0"))
    assert told.ledger.free_workers() == []
    assert told.ledger.open_trials["t1"].attempt == 2


def test_an_attempt_that_is_handed_out_again_began_when_it_was_handed_out() -> None:
    # Else the pause between two heads would be paid for as GPU time when the second attempt's worker fails.
    told = Told().started("t1", "base", purpose=Purpose.BASELINE)
    told.now = 100_000.0
    told.tell(ev.HeadStarted(2, "host", 0, "none"), ev.TrialRestarted("t1", 2, "w0"))
    assert told.ledger.trials["t1"].started_at == 100_001.0


def test_a_head_that_stopped_says_so_until_the_next_one_starts() -> None:
    told = Told().tell(ev.HeadStopped(EndState.INTERRUPTED, None))
    assert told.ledger.stopped is not None
    told.tell(ev.HeadStarted(2, "host", 0, "none"))
    assert told.ledger.stopped is None


def test_a_proposer_that_was_used_up_may_have_more_for_the_next_head() -> None:
    told = Told().tell(ev.ProposalsEnded("replay"))
    assert told.ledger.exhausted == {"replay"}
    told.tell(ev.HeadStarted(2, "host", 0, "none"))
    assert told.ledger.exhausted == set()


def test_a_lost_stack_of_one_lifts_the_limit_that_halving_had_set() -> None:
    told = Told().won("c0001").won("c0002")
    told.tell(ev.StackBuilt("s1", "base", "s1", ("c0001", "c0002"), ("x", "s1")), ev.StackDecided("s1", False, "no"))
    assert told.ledger.stack_limit == 1
    told.tell(ev.StackBuilt("s2", "base", "s2", ("c0001",), ("s2",)), ev.StackDecided("s2", False, "no"))
    assert told.ledger.stack_limit is None


# -- who broke a rule


def race_evidence(effect: float) -> ev.Evidence:
    return ev.Evidence(1 + effect, 2, 1.0, 2, effect, 0.1, 0.1, 3, 9.0, 5.0, 0.01, 0.02, "calibrated")


def told_of_a_race(verdict: Verdict) -> Told:
    """Two honest candidates with two values each, 0.1 apart; then one with two values 50 apart, and its verdict."""
    told = Told()
    for name in ("c0001", "c0002"):
        told.admitted(name)
        for turn, value in enumerate((1.0, 1.1)):
            told.started(f"{name}-{turn}", f"{name}@base", name).ended(f"{name}-{turn}", value)
    told.admitted("c0003")
    for turn, value in enumerate((1.0, 51.0)):
        told.started(f"t{turn}", "c0003@base", "c0003").ended(f"t{turn}", value)
    return told.tell(ev.CandidateDecided("c0003", verdict, "why", race_evidence(50.0)))


def test_the_numbers_of_one_that_broke_a_rule_say_nothing_about_the_noise() -> None:
    noise = told_of_a_race(Verdict.VIOLATION).ledger.book.noise()
    assert (noise.df, noise.repeats) == (2, 4)
    assert noise.sd == pytest.approx(0.1 / 2**0.5)
    honest = told_of_a_race(Verdict.DISCARD).ledger.book.noise()
    assert (honest.df, honest.repeats) == (3, 6)


def test_they_stay_to_be_seen_and_its_later_trials_change_nothing_either() -> None:
    told = told_of_a_race(Verdict.VIOLATION)
    assert told.ledger.samples("c0003@base").values == [1.0, 51.0]
    before = told.ledger.book.noise()
    told.started("late", "c0003@base", "c0003").ended("late", 99.0)
    assert told.ledger.book.noise() == before
    assert told.ledger.samples("c0003@base").n == 3


def test_a_win_that_turns_out_to_be_a_violation_teaches_nothing_and_spends_nothing() -> None:
    told = Told().admitted("c0001").started("t1", "c0001@base", "c0001").ended("t1")
    told.tell(ev.CandidateDecided("c0001", Verdict.WON, "better", race_evidence(-0.5)))
    assert len(told.ledger.decided_races) == len(told.ledger.race_wins) == 1
    told.tell(ev.StackBuilt("s1", "base", "tip", ("c0001",), ("tip",)))
    for turn, outcome in enumerate((Outcome.OK, Outcome.OK, Outcome.VIOLATION)):
        told.started(f"f{turn}", "tip", "c0001", purpose=Purpose.FINAL)
        told.ended(f"f{turn}", 9.0 * turn if outcome is Outcome.OK else None, outcome)
    told.tell(ev.StackDecided("s1", False, "splice: …"), ev.CandidateDecided("c0001", Verdict.VIOLATION, "splice: …"))
    assert told.ledger.decided_races == told.ledger.race_wins == []
    assert told.ledger.book.noise().sd is None  # what its stack gave is forgotten too
    assert told.state() is CandidateState.VIOLATION


def test_a_violation_is_not_held_against_the_machine() -> None:
    told = Told().admitted("c0001").started("t1", "c0001@base", "c0001").ended("t1", None, Outcome.VIOLATION)
    assert told.ledger.roster.infra_in_a_row == 0
    assert told.ledger.roster.infra_by_worker == {}


def test_a_violation_is_a_decided_candidate_as_far_as_a_plateau_goes() -> None:
    told = Told().admitted("c0001").started("t1", "c0001@base", "c0001").ended("t1", None, Outcome.VIOLATION)
    told.tell(ev.CandidateDecided("c0001", Verdict.VIOLATION, "clock: …"))
    assert told.ledger.decided_since_keep == 1
