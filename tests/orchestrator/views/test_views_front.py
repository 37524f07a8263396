"""The front, and what stands beside the objective, as status, show and the page tell them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from views_support import BASE, CONFIG, EventfulRun, commit_id, write_run

from orchestrator import events as ev
from orchestrator.events import Purpose, Verdict
from orchestrator.front import Axis, Point, Standing
from orchestrator.views.front import front_in
from orchestrator.views.front_picture import bounds, draw_front, staircase
from orchestrator.views.loading import Record, load
from orchestrator.views.progress import LIGHT
from orchestrator.views.report import render
from orchestrator.views.show import show
from orchestrator.views.status import status, status_text
from workers.trial import Outcome

PNG = b"\x89PNG\r\n"


class TwoMetrics(EventfulRun):
    """val_bpb and a size that the trials measure besides."""

    def measured(self, purpose: Purpose, commit: str, candidates: tuple[str, ...], value: float, size_mb: float) -> None:
        name = self.trial(purpose, commit, candidates, end=False)
        measured = {"val_bpb": value, "size_mb": size_mb}
        self.tell(ev.TrialEnded(name, 1, Outcome.OK, None, measured, {}, 1.0, None, "w0", "NVIDIA H100", 0.0, 1.0, "f00d"))

    def tell_it(self) -> None:
        self.tell(ev.CampaignOpened("eventful", BASE, "nanotrain", "train", 0, 100))
        self.tell(ev.HeadStarted(4242, "here", 9464, "none"))
        for value in (1.59, 1.61):
            self.measured(Purpose.BASELINE, BASE, (), value, 100 * value)
        for name, value, size_mb in (("c0001", 1.4, 300.0), ("c0002", 1.9, 50.0), ("c0003", 1.9, 400.0)):
            self.propose(name, f"idea {name}")
            self.measured(Purpose.RACE, commit_id(name), (name,), value, size_mb)
            self.tell(ev.CandidateDecided(name, Verdict.DISCARD, "not better"))


@pytest.fixture
def record(tmp_path: Path) -> Record:
    objective = "{metric: val_bpb, constraints: {size_mb: {max: 350, max_ratio: 1.5}}, front: [val_bpb, size_mb]}"
    told = TwoMetrics(tmp_path / "front")
    told.tell_it()
    return load(write_run(told.path, told.told, CONFIG.replace("{metric: val_bpb}", objective)))


def test_status_has_the_front_by_metric(record: Record) -> None:
    found = json.loads(json.dumps(status(record, 0.0).as_json()))["front"]
    assert found["metrics"] == {"val_bpb": "minimize", "size_mb": "minimize"}
    assert [(point["name"], point["samples"]) for point in found["points"]] == [("c0001", 1), ("baseline", 2), ("c0002", 1)]
    assert found["points"][0]["means"] == {"val_bpb": 1.4, "size_mb": 300.0}
    assert (found["points"][1]["is_champion"], found["points"][1]["is_baseline"]) == (True, True)
    assert (found["close"], found["dominated"], found["together"]) == ([], 1, 0)
    assert found["champion"] == found["baseline"] == found["points"][1]
    assert "size_mb is 300, at most 1.5 times the champion's 160" in found["points"][0]["breaks"]
    assert found["points"][2]["breaks"] is None


def test_a_campaign_without_a_front_has_none(tmp_path: Path) -> None:
    record = load(EventfulRun(tmp_path / "eventful").write())
    assert status(record, 0.0).as_json()["front"] is None
    assert "front" not in status_text(status(record, 0.0))
    assert "The front" not in render(record, PNG, PNG)


def test_text_says_who_is_on_it_and_how_to_get_one(record: Record) -> None:
    for text in (status_text(status(record, 0.0)), show(record)):
        assert "val_bpb ↓, size_mb ↓: 3 commits that none beats in all; 1 clearly beaten" in text
        assert "n=1  breaks a constraint: size_mb is 300" in text
        assert "n=2  champion" in text
        assert "/repo show candidate/c0001" in text


def test_nothing_measured_is_told_so(tmp_path: Path) -> None:
    config = CONFIG.replace("{metric: val_bpb}", "{metric: val_bpb, front: [val_bpb, size_mb]}")
    opened = ev.CampaignOpened("eventful", BASE, "nanotrain", "train", 0, 100)
    record = load(write_run(tmp_path / "empty", [(1.0, opened)], config))
    assert "val_bpb ↓, size_mb ↓: nothing is measured yet" in status_text(status(record, 0.0))
    assert "The front" not in render(record, PNG, PNG)


def test_a_candidate_shows_each_constraint_with_both_sides_values(record: Record) -> None:
    text = show(record, "c0001")
    assert "constraints  size_mb at most 350, at most 1.5 times the champion's: 300.0 ± 1.4 over 1 trial, " in text
    assert "the champion's 160.0 ± 1.0 (1.88 times): broken" in text
    assert "the champion's 160.0 ± 1.0 (0.312 times): kept to" in show(record, "c0002")


def test_a_candidate_shows_where_it_stands(record: Record) -> None:
    assert "front        on the front" in show(record, "c0002")
    assert "front        clearly beaten" in show(record, "c0003")


def test_the_page_draws_the_front_and_lists_its_points(record: Record) -> None:
    page = render(record, PNG, PNG)
    assert page.count("data:image/png;base64,") == 4
    assert "The front" in page
    assert "show candidate/c0001" in page


def test_a_picture_of_three_metrics_has_two_panels(record: Record) -> None:
    front = front_in(record.ledger, record.config)
    assert front is not None
    points = tuple(_point(x, 10 - x, x * x) for x in range(1, 5))
    deeper = type(front)((Axis("a"), Axis("b", minimize=False), Axis("c")), points, 0)
    two, one = draw_front(deeper, LIGHT), draw_front(front, LIGHT)
    height = [int.from_bytes(picture[20:24], "big") for picture in (one, two)]
    assert height[1] == 2 * height[0]


def test_the_staircase_runs_along_what_is_beaten() -> None:
    points = [_point(1, 3), _point(2, 1)]
    assert staircase(points, (Axis("a"), Axis("b")), (4, 4)) == [(1, 4), (1, 3), (2, 3), (2, 1), (4, 1)]
    rising = [_point(1, 3), _point(2, 5)]
    assert staircase(rising, (Axis("a"), Axis("b", minimize=False)), (4, 0)) == [(1, 0), (1, 3), (2, 3), (2, 5), (4, 5)]


def test_what_lies_far_off_does_not_flatten_the_picture(record: Record) -> None:
    front = front_in(record.ledger, record.config)
    assert front is not None
    far = _point(500.0, 9000.0, standing=Standing.DOMINATED)
    seen = type(front)(front.axes, (*front.points, far), 0)
    assert bounds(seen, 0)[1] < 3
    assert bounds(seen, 1)[1] < 1000


def _point(*means: float, standing: Standing = Standing.FRONT) -> Point:
    return Point("c", (), "c", "c", means, (None,) * len(means), 1, standing, False, False)
