"""Ray itself: started or connected to, and ended. Beside pool.py the head's only file that knows Ray.

Local mode is Ray on this machine, not another executor. Pools of heads that follow each other live on one `Cluster`, and the
actors of one pool are gone before the next has any.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Ray's own defaults would have workers run at nice 15, kill bystanders when memory is short, and phone home.
_RAY_ENVIRONMENT = {
    "RAY_worker_niceness": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # A node that hangs is noticed after about 5 s, not after a minute.
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1500",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}
_OBJECT_STORE_BYTES = 256 << 20  # measurements and bundles are small
_LEAVING_PATIENCE_S = 30.0  # how long the actors of a former pool may take to end
_LOOK_AGAIN_S = 0.05
_TRIED_WITH = "2.60."  # releases of Ray in which its attendants can be left out


class PoolError(Exception):
    """The cluster cannot be reached, or has no place for a trial."""


@dataclass(frozen=True, slots=True)
class _Leaving:
    """An actor that was told to end."""

    actor: Any
    pid: int | None  # of its process, where that is on this machine


@dataclass(slots=True)
class Cluster:
    """Ray: `start` it, have pools live on it one after another, `close` it."""

    address: str  # local, auto, or a Ray address
    cpu_slots: int
    cpus: int  # a trial takes
    temp_dir: Path = field(default_factory=lambda: _short_temp_dir() / f"regatta-{uuid.uuid4().hex[:8]}")
    ray: Any = None  # the module, while connected
    _leaving: list[_Leaving] = field(default_factory=list)

    def start(self) -> None:
        """Connect to, or start, Ray; nothing happens where that is done already. Raises `PoolError`."""
        if self.ray is not None:
            return
        os.environ.update(_RAY_ENVIRONMENT)
        import ray  # late: it takes a second, and most verbs have no use for it

        self.ray = ray
        for is_last in (False, True) if self.address == "local" else (True,):
            try:
                with _environment_without_ray_address(self.address), _own_signal_handlers():
                    self._connect()
                return
            except Exception as error:  # Ray raises bare ones too, as where its node is not up within 30 s
                self.ray.shutdown()
                if self.address == "local":  # a port that was free has been taken, most likely: seen once in hundreds of starts
                    reap(self.temp_dir)
                if is_last:
                    self.close()
                    raise PoolError(self._connect_advice(error)) from error

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
        if self.address == "local":
            self.temp_dir.mkdir(parents=True, exist_ok=True)
            cores = max(os.cpu_count() or 1, self.cpu_slots * self.cpus)
            with _without_attendants(self.ray):
                self.ray.init(
                    address="local",
                    num_cpus=cores,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    _temp_dir=str(self.temp_dir),
                    **quiet,
                )
        else:
            quiet.pop("include_dashboard")
            self.ray.init(address=self.address, **quiet)

    def _connect_advice(self, error: Exception) -> str:
        if self.address == "local":
            return f"Ray did not start on this machine: {error}; look at {self.temp_dir}, or type: regatta doctor"
        return (
            f"cluster.address: {self.address}: no Ray cluster answers ({error}); start one with `ray start --head`, "
            "or use cluster.address: local"
        )

    def end(self, actor: Any, pid: int | None) -> None:
        """Have an actor of a pool end, whatever it does; `await_vacant` waits until it has."""
        with contextlib.suppress(self.ray.exceptions.RayError):  # of a Ray that is no more: it has taken the actor along
            self.ray.kill(actor, no_restart=True)
        self._leaving.append(_Leaving(actor, pid))

    def await_vacant(self) -> None:
        """Return when no actor of a former pool is left, as two trials on one place would disturb each other's clocks.

        An actor on another node counts as gone when Ray says so. Raises `PoolError` for one that does not end.
        """
        deadline = time.monotonic() + _LEAVING_PATIENCE_S
        while self._leaving:
            if self._is_gone(self._leaving[-1]):
                self._leaving.pop()
            elif time.monotonic() > deadline:
                raise PoolError(
                    f"{len(self._leaving)} workers of the former turn do not end; look for them with `ps`, then resume"
                )
            else:
                time.sleep(_LOOK_AGAIN_S)

    def _is_gone(self, leaving: _Leaving) -> bool:
        try:
            self.ray.get(leaving.actor.describe.remote(), timeout=_LOOK_AGAIN_S)
        except self.ray.exceptions.RayActorError:
            return leaving.pid is None or not Path(f"/proc/{leaving.pid}").exists()
        except self.ray.exceptions.GetTimeoutError:
            return False
        return False

    def close(self) -> None:
        """Let go of Ray, and of every actor with it; end it where it was ours."""
        self._leaving.clear()
        if self.ray is not None:
            self.ray.shutdown()
            self.ray = None
        if self.address == "local":
            shutil.rmtree(self.temp_dir, ignore_errors=True)


def reap(temp_dir: Path) -> int:
    """End what a killed head left of its Ray, which bears `temp_dir` in its command lines. Returns how many processes."""
    import psutil

    marked = str(temp_dir)
    ended = []
    for process in psutil.process_iter(["cmdline"]):
        if process.pid != os.getpid() and any(marked in part for part in process.info["cmdline"] or ()):
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
                ended.append(process)
    psutil.wait_procs(ended, timeout=5)
    shutil.rmtree(temp_dir, ignore_errors=True)
    return len(ended)


def _short_temp_dir() -> Path:
    """Where Ray's sockets fit: a path of theirs must stay under 108 bytes, and Ray adds about 70."""
    folder = Path(tempfile.gettempdir())
    return folder if len(os.fsencode(folder)) <= 20 else Path("/tmp")


@contextlib.contextmanager
def _environment_without_ray_address(address: str) -> Iterator[None]:
    """`RAY_ADDRESS` would override the address `local`."""
    saved = os.environ.pop("RAY_ADDRESS", None) if address == "local" else None
    try:
        yield
    finally:
        if saved is not None:
            os.environ["RAY_ADDRESS"] = saved


@contextlib.contextmanager
def _without_attendants(ray: Any) -> Iterator[None]:
    """Beside a head of its own Ray starts three Python processes that are of no use here: the server of a dashboard, which
    `init` waits for, the autoscaler and a reader of logs. They are more than half of a start, and no argument turns them off.
    What is replaced is Ray's own, so a release that this was not tried with starts them as ever."""
    if not ray.__version__.startswith(_TRIED_WITH):
        yield
        return
    node = ray._private.node.Node

    def no_server(self: Any, **_: Any) -> None:
        self._webui_url = None

    def none(self: Any) -> None:
        pass

    instead = {"start_api_server": no_server, "start_monitor": none, "start_log_monitor": none}
    originals = {name: getattr(node, name) for name in instead}
    for name in originals:
        setattr(node, name, instead[name])
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(node, name, original)


@contextlib.contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Ray takes SIGTERM for itself and would exit on the spot: give it back to whoever had it."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if threading.current_thread() is threading.main_thread() and handler is not None:
                signal.signal(number, handler)
