"""A worker as the head has it: a Ray actor that measures, shows where it stands, and leaves nothing when it is killed."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from workers_support import PATIENCE_S, Repository, alive, all_end, eventually, trial, watched

from orchestrator.cluster import Cluster
from workers.actor import WorkerInfo, remote_worker
from workers.trial import CommandPlan, Outcome, TrialSpec
from workers.workspace import MissingBaseError

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """As a campaign has it, with a key in the head's environment."""
    made = Cluster("local", cpu_slots=2, cpus=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "sk-secret")
        made.start()
    yield
    made.close()


@pytest.fixture
def worker(cluster: None, root: Path, repository: Repository) -> Iterator[Any]:
    actor = remote_worker(1, 0).remote("w0", str(root), repository.bundle(repository.base))
    yield actor
    ray.kill(actor)


def until_it_runs(worker: Any, spec: TrialSpec) -> None:
    """Wait until the trial's command has printed something."""
    assert eventually(lambda: ray.get(worker.peek.remote(spec.trial_id, 0))[1] != b"")


def test_a_worker_describes_itself_and_measures(worker: Any, repository: Repository) -> None:
    info = ray.get(worker.describe.remote())
    assert isinstance(info, WorkerInfo)
    assert (info.worker_id, info.gpu, info.no_telemetry_because) == ("w0", None, "this worker was given no GPU")
    commit = repository.commit({"code.py": "x = 2\n"})
    spec = trial(repository, commit, CommandPlan("cat code.py; env; nice; sh bench.sh"))
    found = ray.get(worker.run.remote(spec))
    assert (found.outcome, found.reported) == (Outcome.OK, {"t": 1.5})
    assert b"x = 2\n" in found.log
    assert b"secret" not in found.log
    assert b"RAY_" not in found.log
    assert b"\n0\n" in found.log  # niceness


def test_a_running_trial_can_be_watched_and_cancelled(worker: Any, repository: Repository) -> None:
    marker = uuid.uuid4().hex
    spec = trial(repository, repository.base, CommandPlan(f"echo here; setsid sh -c 'sleep 600; : {marker}' & sleep 600"))
    running = worker.run.remote(spec)
    until_it_runs(worker, spec)
    progress, output, offset = ray.get(worker.peek.remote(spec.trial_id, 0))
    assert (progress.phase, output, offset) == ("command", b"here\n", 5)
    asked_at = time.monotonic()
    assert ray.get(worker.cancel.remote(spec.trial_id))
    found = ray.get(running)
    assert time.monotonic() - asked_at < PATIENCE_S  # it sleeps for 600 s, and may for 120
    assert found.outcome is Outcome.CANCELLED
    assert alive(marker) == []
    assert not ray.get(worker.cancel.remote(spec.trial_id))  # it is over


def test_a_cancellation_that_overtakes_its_trial_still_counts(worker: Any, repository: Repository) -> None:
    spec = trial(repository, repository.base, CommandPlan("sleep 600"))
    assert ray.get(worker.cancel.remote(spec.trial_id))
    assert ray.get(worker.run.remote(spec)).outcome is Outcome.CANCELLED


def test_two_trials_abreast_are_watched_and_cancelled_each_by_itself(cluster: None, root: Path, repository: Repository) -> None:
    worker = remote_worker(1, 0, abreast=2).remote("w0", str(root), repository.bundle(repository.base), abreast=2)
    first = trial(repository, repository.base, CommandPlan("echo first; sleep 600"), trial_id="t1")
    second = trial(repository, repository.base, CommandPlan("echo second; sleep 600"), trial_id="t2")
    running = {spec.trial_id: worker.run.remote(spec) for spec in (first,)}
    until_it_runs(worker, first)
    running["t2"] = worker.run.remote(second)
    assert eventually(lambda: ray.get(worker.peek.remote("t2", 0))[0] is not None, within_s=20), (
        "it does not go beside the first"
    )
    assert ray.get(worker.peek.remote("t1", 0))[1] == b"first\n"
    assert ray.get(worker.peek.remote("t2", 0))[1] == b"", "one at a time has what is measured with"
    assert ray.get(worker.cancel.remote("t1"))
    assert ray.get(running["t1"]).outcome is Outcome.CANCELLED
    until_it_runs(worker, second)
    assert ray.get(worker.peek.remote("t2", 0))[1] == b"second\n"
    assert ray.get(worker.cancel.remote("t2"))
    assert ray.get(running["t2"]).outcome is Outcome.CANCELLED
    assert ray.get(worker.peek.remote("t2", 3)) == (None, b"", 3)
    ray.kill(worker)


def test_a_bundle_on_an_unknown_base_reaches_the_caller_as_such(worker: Any, repository: Repository) -> None:
    middle = repository.commit({"code.py": "x = 3\n"})
    repository.write({"code.py": "x = 4\n"})
    commit = repository.record()
    thin = repository.bundle(f"{middle}..{commit}")
    with pytest.raises(MissingBaseError) as caught:
        ray.get(worker.run.remote(trial(repository, commit, CommandPlan("sh bench.sh"), bundle=thin)))
    assert caught.value.commits == (middle,)
    ray.get(worker.receive.remote(repository.bundle(f"{repository.base}..{middle}")))
    found = ray.get(worker.run.remote(trial(repository, commit, CommandPlan("sh bench.sh"), bundle=thin)))
    assert found.outcome is Outcome.OK


def test_a_killed_worker_leaves_nothing_and_its_successor_cleans_up(cluster: None, root: Path, repository: Repository) -> None:
    marker = uuid.uuid4().hex
    worker = remote_worker(1, 0).remote("w0", str(root), repository.bundle(repository.base))
    double = f"(setsid sh -c 'sleep 600; : {marker}' &) ; echo here; sleep 600"
    spec = trial(repository, repository.base, CommandPlan(double))
    worker.run.remote(spec)
    until_it_runs(worker, spec)
    processes = watched(marker)
    assert len(processes) >= 2 + 1  # the command, what it left behind, and the guardian
    os.kill(ray.get(worker.describe.remote()).pid, signal.SIGKILL)
    assert all_end(processes)
    assert alive(marker) == []
    ray.kill(worker)
    successor = remote_worker(1, 0).remote("w1", str(root), None)
    found = ray.get(successor.run.remote(trial(repository, repository.base, CommandPlan("sh bench.sh"))))
    assert found.outcome is Outcome.OK
    assert len(list((root / "workers").iterdir())) == 1
    ray.kill(successor)
