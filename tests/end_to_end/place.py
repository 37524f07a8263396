"""Campaigns through the installed command: real git, Ray, SQLite and processes, on small command targets."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from orchestrator.cli import main

REGATTA = str(Path(sys.executable).with_name("regatta"))
PATIENCE_S = 500.0  # with a head, on a machine that has others to serve; a test may take 600 s

# The metric is the sum of four values and a little noise; a candidate may do anything in values.py.
MEASURE = """
import os, random
from values import VALUES, SD
noise = random.Random(int(os.environ["REGATTA_SEED"])).gauss(0, SD)
print(f"METRIC loss={sum(VALUES.values()) + noise}")
"""


@dataclass(frozen=True)
class Place:
    """An empty working directory with a target in it."""

    path: Path

    def git(self, *arguments: str, at: str = "target") -> str:
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        command = ["git", "-C", str(self.path / at), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def target(self, files: dict[str, str]) -> None:
        (self.path / "target").mkdir()
        self.git("init", "--quiet")
        for name, text in files.items():
            (self.path / "target" / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "base")

    def summing_target(self, sd: float) -> None:
        values = "VALUES = dict(\n    a=1.0,\n    b=2.0,\n    c=3.0,\n    d=4.0,\n)\n"
        self.target({"measure.py": MEASURE, "values.py": f"SD = {sd}\n{values}"})

    def config(self, name: str, proposals: Iterable[dict[str, Any]], **sections: Any) -> Path:
        """Write NAME.yaml (JSON is YAML) and its proposals; `sections` replace or add top-level keys."""
        (self.path / f"{name}.jsonl").write_text("".join(json.dumps(p) + "\n" for p in proposals))
        config = {
            "name": name,
            "target": {"repo": "target", "editable": ["values.py"], "command": "python measure.py"},
            "objective": {"metric": "loss"},
            "proposers": [{"kind": "replay", "path": f"{name}.jsonl"}],
            "cluster": {"address": "local", "cpu_slots": 2},
            "metrics": {"port": 0},
            **sections,
        }
        path = self.path / f"{name}.yaml"
        path.write_text(json.dumps(config, indent=1))
        return path

    def regatta(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [REGATTA, *arguments], cwd=self.path, capture_output=True, text=True, timeout=PATIENCE_S, check=False, **options
        )

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([REGATTA, *arguments], cwd=self.path, text=True, start_new_session=True, **streams, **options)

    def status(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._told("status", run, "--json"))
        return found

    def rows(self, run: str, rows: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._told("export", run, "--rows", rows, "--format", "jsonl").splitlines()]

    def _told(self, verb: str, run: str, *arguments: str) -> str:
        """What the command prints, without a process of its own: half a second each, and most tests look several times."""
        with contextlib.redirect_stdout(io.StringIO()) as said:
            assert main([verb, str(self.path / run), *arguments]) == 0
        return said.getvalue()


def swap(old: str, new: str, description: str) -> dict[str, Any]:
    """A proposal that changes one text of values.py."""
    return {"description": description, "edits": [{"path": "values.py", "search": old, "replace": new}]}


def wait_for(what: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def running_commands() -> list[str]:
    """The command line of every process of this machine, whole: `ps` cuts them where COLUMNS is set."""
    found = (process.info["cmdline"] for process in psutil.process_iter(["cmdline"]))
    return [" ".join(command) for command in found if command]
