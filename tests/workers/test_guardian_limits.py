"""A tree that uses more memory, processes or disk than it may is ended, and the limit is named."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from workers_support import PATIENCE_S

from workers.guardian.limits import Limits, watch_for
from workers.output import CappedLog
from workers.process import Command, ContainedProcess, Exit

FILLS_MEMORY = """
import os, time
children = [os.fork() for _ in range(2)]
block = bytearray(os.urandom(1 << 20) * 60)
time.sleep(600)
"""
MANY_PROCESSES = "for i in $(seq 60); do sleep 600 & done; wait"
MANY_THREADS = "import threading, time; [threading.Thread(target=time.sleep, args=(600,)).start() for _ in range(60)]"
FILLS_DISK = "import os, time; [open(f'f{i}', 'wb').write(os.urandom(1 << 20)) for i in range(40)]; time.sleep(600)"
FILLS_DISK_UNNAMED = """
import os, time
files = []
for i in range(40):
    files.append(open("f", "w+b")); os.unlink("f")
    files[-1].write(os.urandom(1 << 20)); files[-1].flush()
time.sleep(600)
"""


def run(folder: Path, *argv: str, memory_mb: int = 4000, processes: int = 400, disk_mb: int = 400) -> Exit:
    limits = Limits(memory_mb, processes, disk_mb, str(folder))
    command = Command(argv, folder, {"PATH": os.environ["PATH"]}, folder, limits=limits)
    with ContainedProcess(command, CappedLog()) as process:
        return process.wait(time.monotonic() + PATIENCE_S, None)


def test_memory_is_that_of_all_processes_together(tmp_path: Path) -> None:
    exited = run(tmp_path, sys.executable, "-c", FILLS_MEMORY, memory_mb=150)
    assert exited.exceeded is not None
    assert exited.exceeded.startswith("memory: ")
    assert exited.exceeded.endswith(" MB in use, allowed are 150")


@pytest.mark.parametrize(
    "argv", [("sh", "-c", MANY_PROCESSES), (sys.executable, "-c", MANY_THREADS)], ids=["children", "threads"]
)
def test_processes_and_threads_are_counted(tmp_path: Path, argv: tuple[str, ...]) -> None:
    exited = run(tmp_path, *argv, processes=40)
    assert exited.exceeded is not None
    assert exited.exceeded.startswith("processes: ")


@pytest.mark.parametrize("program", [FILLS_DISK, FILLS_DISK_UNNAMED], ids=["named", "unnamed"])
def test_files_are_counted_with_those_that_lost_their_names(tmp_path: Path, program: str) -> None:
    exited = run(tmp_path, sys.executable, "-c", program, disk_mb=16)
    assert exited.exceeded is not None
    assert exited.exceeded.startswith("disk: ")


def test_no_single_file_can_be_larger_than_the_disk_limit(tmp_path: Path) -> None:
    program = "import errno, sys\ntry: open('f', 'wb').truncate(1 << 30)\nexcept OSError as e: sys.exit(e.errno == errno.EFBIG)"
    assert run(tmp_path, sys.executable, "-c", program, disk_mb=16).code == 1


def test_a_tree_within_its_limits_is_left_alone(tmp_path: Path) -> None:
    exited = run(tmp_path, sys.executable, "-c", "b = bytearray(50 << 20); import time; time.sleep(0.5)")
    assert (exited.code, exited.exceeded) == (0, None)


def test_limits_travel_to_the_guardian_as_text(tmp_path: Path) -> None:
    folder = f"{tmp_path}/a,b c"
    Path(folder).mkdir()
    watch = watch_for(str(Limits(1, 2, 3, folder)))
    assert watch is not None
    assert watch.most_file_bytes == 3 << 20
    assert watch_for("-") is None


def test_memory_that_many_share_is_counted_once(tmp_path: Path) -> None:
    forks = "import os, time\nblock = bytearray(os.urandom(1 << 20) * 40)\n"
    forks += "[os.fork() or time.sleep(600) for _ in range(30)]\ntime.sleep(1)"
    exited = run(tmp_path, sys.executable, "-c", forks, memory_mb=600)
    assert (exited.code, exited.exceeded) == (0, None)
