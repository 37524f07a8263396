"""Pools of heads that follow each other on one Ray."""

from __future__ import annotations

import os
import queue
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign_repository import with_files

from orchestrator.cluster import Cluster
from orchestrator.pool import Failed, Joined, Lost, Measured, Pool
from workers.trial import CommandPlan, TrialSpec


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster("local", cpu_slots=2, cpus=1)
    yield cluster
    cluster.close()


def joined(pool: Pool) -> list[str]:
    """The workers of a pool, when they are there."""
    found = [pool.arrivals.get(timeout=60) for _ in range(2)]
    assert all(isinstance(each, Joined) for each in found), found
    return sorted(each.worker for each in found)


def test_a_pools_workers_are_gone_before_the_next_has_any_and_ray_stays(cluster: Cluster, tmp_path: Path) -> None:
    repository, _ = with_files(tmp_path, {"code.py": "x = 1\n"})
    bundle = repository.base_bundle()
    repository.close()
    pids: list[int] = []
    rays = set()
    for _ in range(2):
        pool = Pool(cluster, gpus=0.0, base_bundle=bundle, arrivals=queue.SimpleQueue(), gates_ahead=True)
        pool.start()
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        assert joined(pool) == ["w0", "w1"]  # without a GPU that is waited for, nobody works ahead
        pids = [hand.pid for hand in pool._hands.values() if hand.pid is not None]
        assert len(pids) == 2
        rays.add(cluster.ray.get_runtime_context().get_node_id())
        pool.close()
    cluster.await_vacant()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert len(rays) == 1
    cluster.close()
    assert not cluster.temp_dir.exists()


def a_trial(name: str, base: str, gpus: float, command: str = "echo METRIC t=1") -> TrialSpec:
    return TrialSpec(name, 1, base, base, (), CommandPlan(command), objective="t", seed=0, timeout_s=60.0, gpus=gpus)


def test_where_kernels_are_timed_a_gpu_has_two_workers_who_live_and_die_together(cluster: Cluster, tmp_path: Path) -> None:
    import ray

    ray.init("local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    cluster.ray = ray  # a Ray that says it has a GPU
    repository, base = with_files(tmp_path, {"code.py": "x = 1\n"})
    pool = Pool(cluster, gpus=None, base_bundle=repository.base_bundle(), arrivals=queue.SimpleQueue(), gates_ahead=True)
    repository.close()
    pool.start()
    assert (pool.gpus_a_trial, pool.abreast) == (1.0, 2)
    assert joined(pool) == ["w0a", "w0b"]
    assert len({hand.pid for hand in pool._hands.values()}) == 1
    for worker in ("w0a", "w0b"):
        pool.submit(worker, a_trial(f"t-{worker}", base, pool.gpus_a_trial))
    found = [pool.arrivals.get(timeout=60) for _ in range(2)]
    assert all(isinstance(each, Measured) for each in found), found
    assert {(each.worker, each.measurement.trial_id) for each in found} == {("w0a", "t-w0a"), ("w0b", "t-w0b")}
    for worker in ("w0a", "w0b"):
        pool.submit(worker, a_trial("t2", base, pool.gpus_a_trial, "sleep 600"))
    pid = pool._hands["w0a"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    after = [pool.arrivals.get(timeout=60) for _ in range(6)]
    for kind in (Failed, Lost, Joined):  # the process comes back, and both workers with it
        assert sorted(each.worker for each in after if isinstance(each, kind)) == ["w0a", "w0b"]
    pool.close()
