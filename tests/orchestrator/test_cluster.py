"""Ray started for a head: tried again where it does not come up, and without what nobody here has a use for."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psutil
import pytest

from orchestrator.cluster import Cluster, PoolError


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster("local", cpu_slots=2, cpus=1)
    yield cluster
    cluster.close()


def test_a_ray_that_does_not_come_up_is_tried_once_more(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, failures = Cluster._connect, ["The current node timed out during startup."]

    def connects(self: Cluster) -> None:
        if failures:
            raise Exception(failures.pop())  # noqa: TRY002  as Ray does
        connect(self)

    monkeypatch.setattr(Cluster, "_connect", connects)
    cluster.start()
    assert cluster.ray.is_initialized()
    cluster.close()
    failures += ["no", "no"]
    with pytest.raises(PoolError, match=r"Ray did not start on this machine: no; .*regatta doctor"):
        cluster.start()
    assert cluster.ray is None


def test_ray_comes_without_the_processes_that_nobody_here_has_a_use_for(cluster: Cluster) -> None:
    cluster.start()
    marked = str(cluster.temp_dir)
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    ours = [command for command in commands if marked in command]
    assert [command for command in ours if "gcs_server" in command]
    assert [command for command in ours if "raylet" in command]
    assert [command for command in ours if re.search(r"(dashboard/dashboard|monitor)\.py", command)] == []
