"""The page and the picture: complete, self-contained, and deaf to what candidates wrote."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from views_support import CONFIG, EventfulRun, write_run
from virtual import VirtualCampaign

from orchestrator import events as ev
from orchestrator.ledger import Ledger
from orchestrator.tournament.settings import Limits, Settings
from orchestrator.views.loading import Record, load
from orchestrator.views.progress import compose, draw
from orchestrator.views.report import coloured, render, write_report
from orchestrator.views.summary import summary

PNG = b"\x89PNG\r\n"


class Page(HTMLParser):
    """The tags, the addresses and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def page(record: Record) -> Page:
    return Page(render(record, PNG, PNG))


def test_the_page_tells_champion_baseline_what_was_kept_and_why(page: Page) -> None:
    for words in (
        "1.5700 ± 0.0027",
        "1.6000 ± 0.0019",
        "1.9 % better",
        "MATRIX_LR 0.02 → 0.04",
        "−0.0300 ± 0.0040",
        "A keep needed an e-value of 400 and it had 12,300",
        "a near miss",
        "trained 312 s of 300 s",
        "sandbox: none",
        "val_bpb measured",
        "f00d",
        "port 9464 was taken",
        "usd_per_gpu_hour: 2.0",
        "champion:regatta/eventful",
    ):
        assert words in page.text, words


def test_the_page_loads_nothing_and_runs_nothing(page: Page) -> None:
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.addresses
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)


def test_hostile_text_is_shown_as_text(record: Record, page: Page) -> None:
    text = render(record, PNG, PNG)
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;red tab newline" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not re.search(r"url\(|@import|https?://(?!127\.0\.0\.1)", text)


def test_a_report_is_one_page_and_one_picture_in_the_run_directory(record: Record) -> None:
    before = {path.name for path in record.run.path.iterdir()}
    path = write_report(record)
    assert path == record.run.report
    assert {each.name for each in record.run.path.iterdir()} - before == {"report.html", "progress.png"}
    assert record.run.progress_png.read_bytes().startswith(PNG)
    assert write_report(record) == path  # and again, in its place


def test_a_campaign_that_has_measured_nothing_has_a_report(tmp_path: Path) -> None:
    opened = ev.CampaignOpened("young", "ab" * 20, "nanotrain", "train", 0, 100)
    record = load(write_run(tmp_path / "run", [(1.0, opened)]))
    assert "nothing" in Page(write_report(record).read_text()).text


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_signs_that_mean_something_to_the_drawing_do_not(tmp_path: Path, direction: str) -> None:
    scripted = EventfulRun(tmp_path / "run")
    scripted.everything()
    odd = [
        (at, ev.Proposed(e.candidate, e.proposer, r"$\frac{ 日本語 _^ $", e.edits) if isinstance(e, ev.Proposed) else e)
        for at, e in scripted.told
    ]
    config = CONFIG.replace("{metric: val_bpb}", f"{{metric: val_bpb, direction: {direction}}}")
    assert draw(load(write_run(scripted.path, odd, config))).startswith(PNG)


def virtual_ledger(minimize: bool) -> Ledger:
    sign = 1 if minimize else -1
    effects = [sign * effect for effect in (0.02, -0.05, 0.9, 0.001, -0.04, 0.03)]
    settings = Settings("loss", minimize, 0, 6, ("replay",), limits=Limits(candidates=6))
    return VirtualCampaign(settings, effects, lambda rng: rng.normal() * 1e-3, workers=2).run().ledger


@pytest.mark.parametrize("minimize", [True, False])
def test_the_staircase_only_descends_and_outliers_do_not_flatten_it(minimize: bool) -> None:
    ledger = virtual_ledger(minimize)
    picture = compose(ledger, minimize=minimize)
    steps = [point.mean if minimize else -point.mean for point in picture.line]
    assert len(steps) >= 2
    assert steps == sorted(steps, reverse=True)
    assert [point.x for point in picture.line] == sorted(point.x for point in picture.line)
    assert len(picture.kept) == len(ledger.champion.kept if ledger.champion else ())
    assert all(picture.low < point.mean < picture.high for point in picture.kept)
    assert picture.high - picture.low < 0.5
    assert any(not picture.low <= point.mean <= picture.high for point in picture.others)


def test_a_crash_has_no_place_on_the_axis(record: Record) -> None:
    picture = compose(record.ledger, minimize=True)
    assert len(picture.failed) == 3
    assert len(picture.others) == 2


def test_a_diff_is_coloured_by_line() -> None:
    kinds = [line.kind for line in coloured("diff --git a b\n--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n z\n")]
    assert kinds == ["file", "file", "file", "hunk", "del", "add", "same"]
    assert coloured("") == []
    assert len(coloured("+x\n" * 1000)) == 401


def test_the_last_words_of_a_run_say_what_was_won_and_what_to_type(tmp_path: Path) -> None:
    scripted = EventfulRun(tmp_path / "run")
    scripted.everything()
    scripted.propose("c0010", "a model's", usd=0.25, model="openai/big")
    scripted.tell(ev.HeadStopped(ev.EndState.FINISHED, ev.StopReason.TRIALS))
    record = load(write_run(scripted.path, scripted.told))
    write_report(record)
    text = summary(record)
    assert "\nwhat proposals cost and brought:\n  replay: " in text
    assert "\n  llm (openai/big): 1 candidate, 0 kept, $0.25\n" in text
    assert text.startswith("eventful: finished (trials)")
    assert "champion  " in text
    assert "± 0.0027 over 2 trials: 1.9 % better" in text
    assert "c0001  -0.0300 ± 0.0040  MATRIX_LR 0.02 → 0.04" in text
    assert "+LR = 0.04" in text
    assert f"git fetch {record.run.path}/repo champion:regatta/eventful" in text
    assert f"regatta resume {record.run.path} --set limits.trials=200" in text
    assert str(record.run.report) in text


def test_a_campaign_that_kept_nothing_says_so(tmp_path: Path) -> None:
    scripted = EventfulRun(tmp_path / "run")
    scripted.open()
    text = summary(load(write_run(scripted.path, scripted.told)))
    assert "nothing was kept of 0 candidates" in text
    assert "git fetch" not in text


def test_importing_the_report_draws_nothing() -> None:
    code = "import sys, orchestrator.views.report; print([m for m in ('matplotlib', 'jinja2', 'scipy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
