"""A campaign whose target prints two metrics: their product decides, a constraint bounds it, and a front shows the rest."""

from __future__ import annotations

import re
from typing import Any

import pytest
from place import Place, swap

MEASURE = """
import os, random
import values
noise = random.Random(int(os.environ["REGATTA_SEED"]))
for name in ("latency_us", "energy_mj", "size_mb"):
    value = getattr(values, name)
    if value is not None:
        print(f"METRIC {name}={value * (1 + noise.gauss(0, 0.002)) if value > 0 else value}")
"""
VALUES = "latency_us = 10.0\nenergy_mj = 10.0\nsize_mb = 1.0\n"


def both(latency_us: float, energy_mj: object, description: str, size_mb: float = 1.0) -> dict[str, Any]:
    text = f"latency_us = {latency_us}\nenergy_mj = {energy_mj}\nsize_mb = {size_mb}\n"
    return {"description": description, "edits": [{"path": "values.py", "content": text}]}


PROPOSALS = [
    both(5.0, 22.0, "fast and hungry"),
    both(18.0, 6.0, "slow and frugal"),
    both(14.0, 14.0, "worse in both"),
    both(7.0, 7.0, "better, and too large", size_mb=2.0),
    both(9.0, 0.0, "no energy at all"),
    both(9.0, None, "says nothing of energy"),
    swap("latency_us = 10.0", "latency_us = 8.0", "better"),
]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("night"))
    place.target({"measure.py": MEASURE, "values.py": VALUES})
    objective = {
        "product": {"latency_us": 1, "energy_mj": 1},
        "constraints": {"size_mb": {"max_ratio": 1.1}},
        "front": ["latency_us", "energy_mj"],
    }
    place.config("night", PROPOSALS, objective=objective, tournament={"lanes": "solo"})
    done = place.regatta("run", "night.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "latency_us*energy_mj" in done.stdout
    return place


def test_the_product_decides_and_the_constraint_bounds_it(night: Place) -> None:
    rows = {row["description"]: row for row in night.rows("runs/night", "candidates")}
    assert {name: row["status"] for name, row in rows.items()} == {
        "fast and hungry": "discard",
        "slow and frugal": "discard",
        "worse in both": "discard",
        "better, and too large": "discard",
        "no energy at all": "crash",
        "says nothing of energy": "crash",
        "better": "keep",
    }
    assert "constraint: size_mb is " in rows["better, and too large"]["reason"]
    assert "energy_mj is 0; a part of a product must be above 0" in rows["no energy at all"]["reason"]
    assert "the command printed no value of energy_mj" in rows["says nothing of energy"]["reason"]


def test_every_trial_has_the_product_beside_its_parts(night: Place) -> None:
    measured = [row["metrics"] for row in night.rows("runs/night", "trials") if row["outcome"] == "ok"]
    assert measured
    for metrics in measured:
        assert metrics["latency_us*energy_mj"] == pytest.approx(metrics["latency_us"] * metrics["energy_mj"])


def test_status_names_the_product_and_has_the_front(night: Place) -> None:
    found = night.status("runs/night")
    assert found["objective"] == {"metric": "latency_us*energy_mj", "direction": "minimize", "provenance": "reported"}
    front = found["front"]
    assert front["metrics"] == {"latency_us": "minimize", "energy_mj": "minimize"}
    points = {name: point for point in front["points"] for name in point["candidates"] or [point["name"]]}
    assert set(points) >= {"c0001", "c0002", "c0004"}  # bounds are for the champion: what is too large is a point too
    assert points["c0001"]["means"]["latency_us"] == pytest.approx(5.0, rel=0.02)
    assert points["c0001"]["means"]["energy_mj"] == pytest.approx(22.0, rel=0.02)
    assert points["c0002"]["stderrs"]["energy_mj"] > 0
    assert front["dominated"] >= 2  # the baseline, and what is worse in both
    assert "c0003" not in points
    assert "size_mb" in points["c0004"]["breaks"]
    assert front["champion"]["candidates"] == ["c0007"]
    assert front["champion"]["standing"] == "dominated"  # by what is too large
    assert front["baseline"]["commit"] == found["baseline"]["commit"]
    text = night.regatta("status", "runs/night").stdout
    assert "latency_us ↓, energy_mj ↓: " in text
    commit = night.git("rev-parse", points["c0002"]["ref"], at="runs/night/repo").strip()
    assert commit == points["c0002"]["commit"]


def test_show_tells_parts_constraints_and_the_place_on_the_front(night: Place) -> None:
    shown = night.regatta("show", "runs/night", "c0004").stdout
    assert "latency_us*energy_mj reported" in shown
    assert re.search(r"parts +latency_us [67]\.\d+ ± [.\d]+, energy_mj [67]\.", shown)
    assert "constraints  size_mb at most 1.1 times the champion's: " in shown
    assert ": broken" in shown
    assert "on the front: no other commit" in shown
    overview = night.regatta("show", "runs/night").stdout
    assert "latency_us*energy_mj (reported)" in overview
    assert "front" in overview


def test_the_champions_commits_and_the_page_name_the_product(night: Place) -> None:
    assert "Metric: latency_us*energy_mj " in night.git("log", "--format=%B", "champion", at="runs/night/repo")
    page = (night.path / "runs/night/report.html").read_text()
    assert "latency_us*energy_mj" in page
    assert "candidate/c0002" in page


def test_a_name_that_nothing_prints_ends_the_campaign_at_its_first_trial(place: Place) -> None:
    place.target({"measure.py": MEASURE, "values.py": VALUES})
    objective = {"metric": "latency_us", "front": ["latency_us", "energi_mj"]}
    place.config("slip", [both(9.0, 9.0, "better")], objective=objective)
    done = place.regatta("run", "slip.yaml")
    assert done.returncode == 1
    assert "objective.front names energi_mj, and the base commit's own trial gave no such number" in done.stdout + done.stderr


def test_energy_where_there_is_no_gpu_is_told_so(place: Place) -> None:
    place.target({"measure.py": MEASURE, "values.py": VALUES})
    objective = {"product": {"latency_us": 1, "trial_energy_j": 1}}
    place.config("dark", [both(9.0, 9.0, "better")], objective=objective, trial={"gpus": 0})
    done = place.regatta("run", "dark.yaml")
    assert done.returncode == 1
    assert "this machine cannot measure it: this worker was given no GPU" in done.stdout + done.stderr
