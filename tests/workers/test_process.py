"""A candidate's process tree ends when it should, whatever it does, and nothing of the worker is to be seen in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
from workers_support import PATIENCE_S, alive, all_end, eventually, watched

from workers.output import CappedLog
from workers.process import Command, ContainedProcess, Exit
from workers.waiting import Cancellation, CancelledError, DeadlinePassedError

# leaves three processes behind: a plain child, one in its own session, and one of a double fork in its own session
LEAVES_CHILDREN = """
import os, subprocess, sys, time
program = "import time; time.sleep(600)"
subprocess.Popen([sys.executable, "-c", program, sys.argv[1]])
subprocess.Popen([sys.executable, "-c", program, sys.argv[1]], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", program, sys.argv[1]])
    os._exit(0)
os.wait()
print("started", flush=True)
"""
FILLS_AND_WAITS = "import time; block = bytearray(100 << 20); print('filled', flush=True); time.sleep(600)"


@pytest.fixture
def marker() -> str:
    return uuid.uuid4().hex


def command(folder: Path, *argv: str) -> Command:
    return Command(argv, folder, {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}, folder)


def run(folder: Path, *argv: str, timeout_s: float = PATIENCE_S, log: CappedLog | None = None) -> Exit:
    with ContainedProcess(command(folder, *argv), log or CappedLog()) as process:
        return process.wait(time.monotonic() + timeout_s, None)


def python(program: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program, *arguments)


def test_exit_status_output_time_and_memory_are_told(tmp_path: Path) -> None:
    log = CappedLog()
    exited = run(tmp_path, *python("import sys; b = bytearray(80 << 20); print('hello'); sys.exit(3)"), log=log)
    assert (exited.code, exited.signal, exited.left_behind) == (3, None, 0)
    assert log.value() == b"hello\n"
    assert exited.peak_rss_mb is not None
    assert 80 < exited.peak_rss_mb < 200
    assert 0 < exited.wall_s < PATIENCE_S


def test_a_signal_is_told_by_its_name(tmp_path: Path) -> None:
    exited = run(tmp_path, "sh", "-c", "kill -SEGV $$")
    assert exited.signal == signal.SIGSEGV
    assert str(exited) == "killed by SIGSEGV"


def test_a_program_that_is_not_there_is_an_exit_status_with_a_word_about_it(tmp_path: Path) -> None:
    log = CappedLog()
    assert run(tmp_path, "no-such-program", log=log).code == 127
    assert b"no-such-program" in log.value()


def test_children_left_behind_are_ended_even_in_sessions_of_their_own(tmp_path: Path, marker: str) -> None:
    exited = run(tmp_path, *python(LEAVES_CHILDREN, marker))
    assert exited.code == 0
    assert exited.left_behind == 3
    assert alive(marker) == []


def test_a_deadline_ends_the_whole_tree(tmp_path: Path, marker: str) -> None:
    hangs = LEAVES_CHILDREN + "time.sleep(600)"
    with pytest.raises(DeadlinePassedError):
        run(tmp_path, *python(hangs, marker), timeout_s=0.5)
    assert alive(marker) == []


def test_a_tree_that_ignores_term_is_killed(tmp_path: Path, marker: str) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    heard = threading.Event()
    with ContainedProcess(command(tmp_path, *python(deaf, marker)), CappedLog(), lambda _: heard.set()) as process:
        assert heard.wait(PATIENCE_S)
        began = time.monotonic()
        assert process.end().signal == signal.SIGKILL
        assert time.monotonic() - began < PATIENCE_S  # and not when it has slept enough
    assert alive(marker) == []


def test_term_leaves_time_to_say_goodbye(tmp_path: Path) -> None:
    polite = "trap 'echo goodbye; exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    log, heard = CappedLog(), threading.Event()
    with ContainedProcess(command(tmp_path, "sh", "-c", polite), log, lambda _: heard.set()) as process:
        assert heard.wait(PATIENCE_S)
        assert process.end().code == 5
    assert b"goodbye\n" in log.value()


def test_a_fork_bomb_is_outrun(tmp_path: Path, marker: str) -> None:
    bomb = """
import os, sys, time
print("lit", flush=True)
count = 0
while count < 50:  # each descendant forks on in a session of its own as soon as it lives
    if os.fork() == 0:
        os.setsid()
        count += 1
    else:
        os._exit(0)
while True:
    if os.fork() == 0:
        os.setsid()
    else:
        os._exit(0)
"""
    heard = threading.Event()
    with ContainedProcess(command(tmp_path, *python(bomb, marker)), CappedLog(), lambda _: heard.set()) as process:
        assert heard.wait(PATIENCE_S)
        process.end()
    assert alive(marker) == []


def test_a_candidate_that_kills_its_guardian_gains_nothing(tmp_path: Path, marker: str) -> None:
    kills = LEAVES_CHILDREN + "import signal; os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)"
    exited = run(tmp_path, *python(kills, marker))
    assert not exited.succeeded
    assert "guardian" in str(exited)
    assert alive(marker) == []


WORKER = """
import sys, time
from pathlib import Path
from workers.output import CappedLog
from workers.process import Command, ContainedProcess
folder, program, marker = sys.argv[1:]
command = Command((sys.executable, "-c", program, marker), Path(folder), {"PATH": "/usr/bin:/bin"}, Path(folder))
process = ContainedProcess(command, CappedLog(), lambda chunk: print(chunk, flush=True))
process.wait(None, None)
"""


def test_nothing_lives_on_when_its_worker_was_killed(tmp_path: Path, marker: str) -> None:
    hangs = LEAVES_CHILDREN + "time.sleep(600)"
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path), hangs, marker], stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    assert worker.stdout is not None
    with worker.stdout:
        worker.stdout.readline()
        # The tree, its guardian, and the worker itself; one that is just being executed has no command line for a moment.
        assert eventually(lambda: len(alive(marker)) >= 4 + 1 + 1)
        processes = watched(marker)
        worker.kill()
        assert all_end(processes)
        assert alive(marker) == []
        worker.wait()


def test_the_environment_holds_what_was_given_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    log = CappedLog()
    run(tmp_path, "sh", "-c", "env; tr '\\0' '\\n' < /proc/$PPID/environ", log=log)
    names = {line.split("=")[0] for line in log.value().decode().splitlines()}
    assert names == {"PATH", "HOME", "LANG", "PWD"}


def test_descriptors_of_the_worker_are_not_inherited(tmp_path: Path) -> None:
    log = CappedLog()
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        run(tmp_path, *python("import os; print(sorted(os.listdir('/proc/self/fd')))"), log=log)
    assert log.value() == b"['0', '1', '2', '3']\n"  # 3: the listing itself


def test_signals_and_niceness_of_the_worker_are_not_inherited(tmp_path: Path) -> None:
    log = CappedLog()
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        run(tmp_path, "sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status; nice", log=log)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
    _, blocked, _, ignored, niceness = log.value().split()
    the_c_librarys_own = 0b11 << 31  # signals 32 and 33, which no program can set; whoever started the worker may have
    assert int(blocked, 16) & ~the_c_librarys_own == 0
    assert int(ignored, 16) & ~the_c_librarys_own == 0
    assert niceness == b"0"


def test_cancelling_from_another_thread_ends_it_at_once(tmp_path: Path, marker: str) -> None:
    cancel, began = Cancellation(), time.monotonic()
    hangs = LEAVES_CHILDREN + "time.sleep(600)"
    with (
        pytest.raises(CancelledError),
        ContainedProcess(command(tmp_path, *python(hangs, marker)), CappedLog(), lambda _: cancel.cancel()) as process,
    ):
        process.wait(began + 4 * PATIENCE_S, cancel)
    assert alive(marker) == []
    assert time.monotonic() - began < PATIENCE_S  # it sleeps for 600 s


def test_a_flood_of_output_is_read_and_forgotten(tmp_path: Path) -> None:
    log = CappedLog()
    program = "import os\nfor _ in range(3200): os.write(1, b'x' * 65535 + b'\\n')\nprint('last')"
    peak_kb_before = _peak_rss_kb()
    assert run(tmp_path, *python(program), log=log).code == 0
    assert len(log.value()) < 300_000
    assert log.value().endswith(b"last\n")
    assert f"{3200 * 65536 + 5 - 256 * 1024} bytes left out".encode() in log.value()
    assert _peak_rss_kb() - peak_kb_before < 20_000


def _peak_rss_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def test_the_memory_of_a_tree_that_the_worker_ends_is_known(tmp_path: Path) -> None:
    program = python("import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])", FILLS_AND_WAITS)
    log = CappedLog()
    with ContainedProcess(command(tmp_path, *program), log) as process:
        assert eventually(lambda: b"filled" in log.value())
        peak_mb = process.end(at_once=True).peak_rss_mb
    assert peak_mb is not None
    assert 100 < peak_mb < 250
