"""The subject's data, as its own command prepares them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanotrain_worker import SUBJECT, environment


@dataclass
class Data:
    root: Path
    folder: Path
    meta: dict[str, Any]


def prepare(root: Path, *arguments: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    """`python prepare.py`, as a user types it."""
    command = [sys.executable, str(SUBJECT / "prepare.py"), "--data-root", str(root), *arguments]
    return subprocess.run(command, env=environment(**env), capture_output=True, text=True, check=check, cwd="/")
