"""A repository to edit, trials of its commits, and ways to see which processes are alive."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from workers.trial import CommandPlan, TrainPlan, TrialSpec

_numbers = itertools.count(1)
PATIENCE_S = 60.0  # for what takes a moment on an idle machine: no test's verdict may hang on who else has the cores


@dataclass(frozen=True)
class Repository:
    """A git repository with a base commit, and commits on top of it."""

    path: Path

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments],
            cwd=self.path, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip

    @property
    def base(self) -> str:
        return self.git("rev-parse", "base")

    def write(self, files: Mapping[str, str | None]) -> None:
        for name, content in files.items():
            path = self.path / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)

    def record(self) -> str:
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def commit(self, files: Mapping[str, str | None] | None = None) -> str:
        """A commit on the base with these files (None: deleted)."""
        self.git("checkout", "--quiet", "--detach", "base")
        self.write(files or {})
        return self.record()

    def bundle(self, *revisions: str) -> bytes:
        """`commit`, `base..commit`: as the head would send it."""
        tip = revisions[-1].split("..")[-1]
        self.git("update-ref", "refs/heads/sent", tip)
        revisions = (*revisions[:-1], revisions[-1].replace(tip, "sent"))
        return subprocess.run(
            ["git", "bundle", "create", "--quiet", "-", *revisions], cwd=self.path, check=True, capture_output=True
        ).stdout


def trial(repository: Repository, commit: str, plan: CommandPlan | TrainPlan, **changes: object) -> TrialSpec:
    """A trial of a commit; bench.sh and data are sealed."""
    spec = TrialSpec(
        trial_id=f"t{next(_numbers):04}",
        attempt=1,
        commit=commit,
        base_commit=repository.base,
        sealed=("bench.sh", "data/cases.txt"),
        plan=plan,
        objective="t",
        seed=7,
        timeout_s=2 * PATIENCE_S,
        confined=True,
        bundle=repository.bundle(commit),
    )
    return replace(spec, **changes)  # type: ignore[arg-type]


def alive(marker: str) -> list[int]:
    """Processes, no zombies, with `marker` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def watched(marker: str) -> list[int]:
    """Descriptors of the processes with `marker` that live now: they become readable as these end."""
    descriptors = []
    for pid in alive(marker):
        with contextlib.suppress(ProcessLookupError):
            descriptors.append(os.pidfd_open(pid))
    return descriptors


def all_end(processes: list[int], within_s: float = PATIENCE_S) -> bool:
    """Whether all `watched` processes end in time."""
    deadline = time.monotonic() + within_s
    try:
        return all(select.select([each], [], [], max(0.0, deadline - time.monotonic()))[0] for each in processes)
    finally:
        for each in processes:
            os.close(each)


def eventually(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
    """Whether the condition came true in time. For what no descriptor tells of."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while time.monotonic() < deadline:
        if condition():
            return True
        pause.wait(0.005)
    return condition()
