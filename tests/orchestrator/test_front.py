"""The Pareto front: who is a point, who stands on it, and what noise can and cannot do."""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "tournament"))  # story.py

from story import BASE, Story

from orchestrator import events as ev
from orchestrator.events import Purpose, Verdict
from orchestrator.front import Axis, Front, Point, Standing, front_of
from workers.trial import Outcome

AXES = (Axis("m"), Axis("energy_mj"))


class Measured(Story):
    """Trials with two numbers each, a little apart so that there is noise to know."""

    def pairs(self, commit: str, *pairs: tuple[float, float], names: tuple[str, ...] = (), **kinds: object) -> Measured:
        for m, energy in pairs:
            self.end(self.start(commit, *names, **kinds), m, energy_mj=energy)  # type: ignore[arg-type]
        return self

    def base(self, sd: float = 0.1) -> Measured:
        return self.pairs(BASE, (10 - sd, 10 - sd), (10 + sd, 10 + sd), purpose=Purpose.BASELINE)

    def raced(self, name: str, *pairs: tuple[float, float], base: str = BASE) -> str:
        commit = self.candidate(name, base)
        self.pairs(commit, *pairs, names=(name,))
        return commit

    def front(self, *axes: Axis) -> Front:
        return front_of(self.ledger, axes or AXES)

    def stands(self) -> dict[str, str]:
        return {point.name: point.standing.value for point in self.front().points}


def test_each_trade_off_is_on_the_front_and_what_loses_everywhere_is_not() -> None:
    story = Measured().base()
    story.raced("c0001", (8.0, 12.0))
    story.raced("c0002", (12.0, 8.0))
    story.raced("c0003", (13.0, 11.0))
    assert story.stands() == {"c0001": "front", "baseline": "front", "c0002": "front", "c0003": "dominated"}


def test_a_metric_may_be_one_that_should_be_large() -> None:
    story = Measured().base()
    story.raced("c0001", (8.0, 12.0))
    story.raced("c0002", (12.0, 12.0))
    found = story.front(Axis("m"), Axis("energy_mj", minimize=False))
    assert [(point.name, point.standing.value) for point in found.points] == [
        ("c0001", "front"), ("baseline", "dominated"), ("c0002", "dominated"),
    ]  # fmt: skip


def test_what_is_beaten_within_the_noise_is_close_and_not_gone() -> None:
    story = Measured().base(sd=0.1)  # a standard deviation of 0.14: two standard errors of a difference of two are 0.35
    story.raced("c0001", (9.9, 9.9))
    assert story.stands() == {"c0001": "front", "baseline": "close"}
    story.raced("c0002", (9.6, 9.9))
    assert story.stands() == {"c0002": "front", "c0001": "close", "baseline": "dominated"}


def test_a_lucky_sample_can_reach_the_front_but_cannot_push_a_good_commit_out_of_sight() -> None:
    """Twins of the baseline, each measured once: that it is called dominated is chance, of one case in ten at most."""
    rng = random.Random(3)
    gone = 0
    for _ in range(300):
        story = Measured()
        story.pairs(BASE, *((rng.gauss(10, 0.1), rng.gauss(10, 0.1)) for _ in range(40)), purpose=Purpose.BASELINE)
        for nth in range(20):
            story.raced(f"c{nth:04d}", (rng.gauss(10, 0.1), rng.gauss(10, 0.1)))
        gone += story.stands()["baseline"] == "dominated"
    assert gone <= 30


def test_while_nothing_was_repeated_nothing_is_dominated() -> None:
    story = Measured().pairs(BASE, (10.0, 10.0), purpose=Purpose.BASELINE)
    story.raced("c0001", (1.0, 1.0))
    (best, base) = story.front().points
    assert (best.stderrs, base.standing) == ((None, None), Standing.CLOSE)


def test_of_equals_the_champion_stands_for_all() -> None:
    story = Measured().base(sd=0.0)
    story.raced("c0001", (10.0, 10.0))
    story.raced("c0002", (10.0, 10.0))
    assert story.stands() == {"baseline": "front", "c0001": "close", "c0002": "close"}


def test_without_noise_any_loss_is_clear() -> None:
    story = Measured().base(sd=0.0)
    story.raced("c0001", (10.0, 10.001))
    assert story.stands()["c0001"] == "dominated"


def test_three_metrics_make_a_front_too() -> None:
    story = Measured()
    for _ in range(2):
        story.end(story.start(BASE), 1.0, energy_mj=1.0, size_mb=9.0)
    commit = story.candidate("c0001")
    story.end(story.start(commit, "c0001"), 2.0, energy_mj=2.0, size_mb=1.0)
    found = front_of(story.ledger, (*AXES, Axis("size_mb")))
    assert {point.name for point in found.standing(Standing.FRONT)} == {"baseline", "c0001"}


def test_a_point_has_its_means_errors_and_samples() -> None:
    story = Measured().base(sd=0.1)
    story.raced("c0001", (8.0, 12.0), (8.2, 12.2))
    point = named(story.front(), "c0001")
    assert point.means == (pytest.approx(8.1), pytest.approx(12.1))
    assert point.stderrs == (pytest.approx(0.1), pytest.approx(0.1))
    assert (point.samples, point.candidates, point.ref) == (2, ("c0001",), "candidate/c0001")


def test_who_crashed_or_broke_a_rule_is_no_point() -> None:
    story = Measured().base()
    commit = story.raced("c0001", (1.0, 1.0))
    story.end(story.start(commit, "c0001"), outcome=Outcome.CRASH)  # not yet decided
    story.raced("c0002", (1.0, 1.0))
    story.tell(ev.CandidateDecided("c0002", Verdict.VIOLATION, "peeked"))
    assert story.stands() == {"baseline": "front"}


def test_a_trial_that_lacks_a_metric_or_was_a_smoke_test_does_not_count() -> None:
    story = Measured().base()
    commit = story.raced("c0001", (8.0, 12.0))
    story.end(story.start(commit, "c0001"), 1.0)
    story.pairs(commit, (1.0, 1.0), names=("c0001",), purpose=Purpose.SMOKE)
    point = named(story.front(), "c0001")
    assert (point.means, point.samples) == ((8.0, 12.0), 1)


def test_a_champion_is_known_by_its_final_and_not_by_the_race_that_chose_it() -> None:
    story = Measured().base()
    story.raced("c0001", (7.0, 7.0), (7.1, 7.1))
    story.wins("c0001").stack("s0001", "c0001")
    assert "s0001" not in story.stands()  # its final has just begun
    story.pairs("s0001", (8.0, 8.0), (8.2, 8.2), names=("c0001",), purpose=Purpose.FINAL, stack="s0001")
    story.keeps("s0001", "champion1")
    story.pairs("champion1", (8.1, 8.1), purpose=Purpose.REPEAT)
    found = story.front()
    assert [point.name for point in found.points] == ["champion", "baseline"]
    champion = found.points[0]
    assert (champion.means[0], champion.samples) == (pytest.approx(8.1), 3)
    assert (champion.commit, champion.ref, champion.candidates) == ("champion1", "champion", ("c0001",))
    assert (champion.is_champion, champion.is_baseline) == (True, False)
    assert found.points[1].is_baseline


def test_commits_on_different_champions_stand_beside_each_other_as_they_were_measured() -> None:
    story = Measured().base()
    story.raced("c0001", (7.0, 11.0))
    story.raced("c0002", (11.0, 7.0))
    story.wins("c0001").stack("s0001", "c0001")
    story.pairs("s0001", (7.0, 11.0), (7.0, 11.0), names=("c0001",), purpose=Purpose.FINAL, stack="s0001")
    story.keeps("s0001", "champion1")
    story.raced("c0003", (6.5, 11.5), base="champion1")
    story.raced("c0004", (11.0, 8.0), base="champion1")
    assert story.stands() == {
        "c0003": "front", "champion": "front", "baseline": "front", "c0002": "front", "c0004": "dominated"
    }  # fmt: skip


def test_a_former_champion_and_a_lost_stack_keep_their_points() -> None:
    story = Measured().base()
    for nth, name in enumerate(("c0001", "c0002", "c0003"), start=1):
        story.raced(name, (10.0 - nth, 10.0 + nth))
    story.wins("c0001").stack("s0001", "c0001")
    story.pairs("s0001", (9.0, 9.0), names=("c0001",), purpose=Purpose.FINAL, stack="s0001")
    story.keeps("s0001", "champion1")
    story.wins("c0002").wins("c0003").stack("s0002", "c0002", "c0003", base="champion1")
    story.pairs("s0002", (20.0, 2.0), names=("c0002", "c0003"), purpose=Purpose.FINAL, stack="s0002")
    story.tell(ev.StackDecided("s0002", False, "worse"))
    story.stack("s0003", "c0002", base="champion1")
    story.pairs("s0003", (8.0, 8.0), names=("c0002",), purpose=Purpose.FINAL, stack="s0003")
    story.keeps("s0003", "champion2")
    points = {point.name: point for point in story.front().points}
    assert {"champion", "champion at c0001", "s0002", "c0002", "c0003", "baseline"} == set(points)
    assert points["champion"].candidates == ("c0001", "c0002")
    assert points["s0002"].standing is Standing.FRONT
    assert points["s0002"].candidates == ("c0002", "c0003")


def test_a_candidate_that_lost_its_final_alone_is_known_by_that_final() -> None:
    story = Measured().base()
    story.raced("c0001", (7.0, 7.0))
    story.wins("c0001").stack("s0001", "c0001")
    story.pairs("s0001", (10.2, 10.3), names=("c0001",), purpose=Purpose.FINAL, stack="s0001")
    story.tell(ev.StackDecided("s0001", False, "worse"))
    point = named(story.front(), "c0001")
    assert (point.means, point.ref) == ((10.2, 10.3), "candidate/c0001")


def test_who_was_measured_in_company_alone_is_counted_and_is_no_point() -> None:
    story = Measured().base()
    for name in ("c0001", "c0002"):
        story.candidate(name)
    story.tell(ev.BlockOpened("b0001", BASE, 4, ("c0001", "c0002"), (1, 2), (0, 1, 2, 3)))
    for row, names in enumerate([(), ("c0001",), ("c0002",), ("c0001", "c0002")]):
        trial = f"t{len(story.ledger.trials) + 1:06d}"
        commit = BASE if not names else f"row {row}"
        story.tell(ev.TrialStarted(trial, Purpose.BLOCK, commit, names, 0, "w0", block="b0001", row=row))
        story.end(trial, 5.0, energy_mj=5.0)
    story.tell(ev.BlockClosed("b0001", ("c0001", "c0002"), (0.0, 0.0), (1.0, 1.0), (2, 2), 4, 5.0, 0.0, 1))
    found = story.front()
    assert [point.name for point in found.points] == ["baseline"]
    assert found.points[0].samples == 3  # the row that is the base itself is a repeat of it
    assert found.together == 2


def test_ten_thousand_commits_take_seconds_at_most() -> None:
    rng = random.Random(0)
    story = Measured().base()
    for nth in range(10_000):
        commit = f"c{nth}@base"
        story.candidate(f"c{nth}")
        story.pairs(commit, (rng.uniform(5, 15), rng.uniform(5, 15)), names=(f"c{nth}",))
    found = story.front()
    assert len(found.points) == 10_001
    front = found.standing(Standing.FRONT)
    assert all(a.means[1] > b.means[1] for a, b in itertools.pairwise(front))


def named(found: Front, name: str) -> Point:
    return next(point for point in found.points if point.name == name)
