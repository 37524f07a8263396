"""What Prometheus scrapes from a running campaign, over real HTTP."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator import events as ev
from orchestrator.edits import Edit
from orchestrator.ledger import Ledger
from orchestrator.metrics import Metrics
from orchestrator.tournament.settings import Prices
from workers.trial import Outcome

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Told:
    """A campaign, told event by event to a ledger and to the metrics."""

    def __init__(self) -> None:
        self.ledger = Ledger("val_bpb")
        self.metrics = Metrics(Prices(usd_per_gpu_hour=2.0))
        self.at = 1000.0
        self.port: int | None = None
        self.tell(ev.CampaignOpened("c", "base", "nanotrain", "train", 0, 10))
        self.start_head()

    def tell(self, event: ev.Event, after_s: float = 0.0) -> None:
        self.at += after_s
        self.ledger.apply(event, self.at)
        self.metrics.observe(event, self.ledger)

    def start_head(self) -> None:
        self.tell(ev.HeadStarted(1, "here", 0, "none"))
        for worker in ("w0", "w1"):
            self.tell(ev.WorkerChanged(worker, "here", "GPU", ev.WorkerState.IDLE))

    def start(
        self, name: str, purpose: ev.Purpose, commit: str, candidates: tuple[str, ...] = (), stack: str | None = None
    ) -> None:
        self.tell(ev.TrialStarted(name, purpose, commit, candidates, 1, "w0", 1.0, stack), 0.25)

    def end(self, name: str, value: float | None, outcome: Outcome = Outcome.OK, energy_j: float | None = 100.0) -> None:
        measured = {} if value is None else {"val_bpb": value}
        self.tell(
            ev.TrialEnded(name, 1, outcome, None, measured, {}, 300.0, energy_j, "w0", "GPU", self.at, self.at + 300, "f"),
            300.0,
        )

    def scrape(self) -> Samples:
        if self.port is None:
            self.port = self.metrics.serve(0)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        assert all(family.name.startswith("regatta_") for family in families)
        return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.metrics.close()


def of(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, tuple(sorted(labels.items()))))


def everything(told: Told) -> None:
    for name, value in (("t1", 1.0), ("t2", 1.02)):
        told.start(name, ev.Purpose.BASELINE, "base")
        told.end(name, value)
    told.tell(ev.Proposed("c1", "llm", "an idea", (Edit("x", content="y"),), usd=0.5))
    told.tell(ev.Admitted("c1", "k1", "base", 1, "s"))
    told.tell(ev.Proposed("c2", "knobs", "another", (Edit("x", content="z"),)))
    told.tell(ev.Rejected("c2", "scope", "no"))
    told.start("t3", ev.Purpose.RACE, "k1", ("c1",))
    told.end("t3", 0.9)
    told.tell(ev.CandidateDecided("c1", ev.Verdict.WON, "better"))
    told.tell(ev.StackBuilt("s1", "base", "tip", ("c1",), ("tip",)))
    told.start("t4", ev.Purpose.FINAL, "tip", ("c1",), "s1")
    told.end("t4", 0.9, energy_j=None)
    told.tell(ev.StackDecided("s1", True, "better"))
    told.tell(ev.ChampionMoved("new", "base", ("c1",), ("new",), 0.9, None, 1, "s1"))
    told.start("t5", ev.Purpose.REPEAT, "new")


def test_a_campaign_can_be_read_over_http(told: Told) -> None:
    everything(told)
    found = told.scrape()
    assert of(found, "regatta_champion_mean", objective="val_bpb") == 0.9
    assert of(found, "regatta_baseline_mean", objective="val_bpb") == pytest.approx(1.01)
    assert of(found, "regatta_champion_stderr", objective="val_bpb") == pytest.approx(0.02 / 2**0.5)
    assert of(found, "regatta_noise_stddev", objective="val_bpb") == pytest.approx(0.02 / 2**0.5)
    assert of(found, "regatta_trials_total", outcome="ok") == 4
    assert of(found, "regatta_trials_total", outcome="infra") == 0
    assert of(found, "regatta_trials_running") == 1
    assert of(found, "regatta_candidates", status="keep") == 1
    assert of(found, "regatta_candidates", status="rejected") == 1
    assert of(found, "regatta_candidates", status="racing") == 0
    assert of(found, "regatta_workers", state="busy") == 1
    assert of(found, "regatta_workers", state="idle") == 1
    assert of(found, "regatta_proposals_total", proposer="llm") == 1
    assert of(found, "regatta_trial_duration_seconds_count", outcome="ok") == 4
    assert of(found, "regatta_trial_duration_seconds_sum", outcome="ok") == 1200
    assert of(found, "regatta_trial_gap_seconds_count") == 4
    assert of(found, "regatta_trial_gap_seconds_sum") == pytest.approx(1.0)
    assert of(found, "regatta_energy_joules_total") == 300
    assert of(found, "regatta_gpu_seconds_total") == 1200
    assert of(found, "regatta_spend_usd") == pytest.approx(0.5 + 2.0 / 3)


def test_what_is_not_known_has_no_sample(told: Told) -> None:
    found = told.scrape()
    assert of(found, "regatta_champion_mean", objective="val_bpb") is None
    assert of(found, "regatta_noise_stddev", objective="val_bpb") is None
    assert of(found, "regatta_trials_total", outcome="ok") == 0


def test_totals_go_on_after_a_resume_and_a_pause_is_no_gap_between_trials(told: Told) -> None:
    everything(told)
    told.at += 86_400
    told.start_head()
    told.tell(ev.TrialRestarted("t5", 2, "w0"))
    told.end("t5", None, Outcome.INFRA)
    found = told.scrape()
    assert of(found, "regatta_trials_total", outcome="ok") == 4
    assert of(found, "regatta_trials_total", outcome="infra") == 1
    assert of(found, "regatta_trial_gap_seconds_count") == 4


def test_a_failure_is_counted_under_its_outcome_and_never_becomes_a_number(told: Told) -> None:
    told.start("t1", ev.Purpose.BASELINE, "base")
    told.end("t1", None, Outcome.TIMEOUT)
    found = told.scrape()
    assert of(found, "regatta_trials_total", outcome="timeout") == 1
    assert of(found, "regatta_baseline_mean", objective="val_bpb") is None


def test_a_port_that_is_taken_is_an_error_and_a_closed_one_is_free_again(told: Told) -> None:
    told.scrape()
    assert told.port is not None
    other = Metrics()
    with pytest.raises(OSError, match="in use"):
        other.serve(told.port)
    told.metrics.close()
    told.metrics.close()
    assert other.serve(told.port) == told.port
    other.close()


def test_a_resumed_campaign_shows_what_it_showed_before(told: Told) -> None:
    everything(told)
    before = told.scrape()
    resumed = Told()
    resumed.metrics = Metrics(Prices(usd_per_gpu_hour=2.0))
    resumed.metrics.catch_up(told.ledger)
    after = resumed.scrape()
    resumed.metrics.close()
    own = ("_created", "regatta_trial_gap_seconds")  # when a series began, and gaps, are each head's own
    assert {k: v for k, v in before.items() if not k[0].endswith(own) and not k[0].startswith(own[1])} == {
        k: v for k, v in after.items() if not k[0].endswith(own) and not k[0].startswith(own[1])
    }
