"""Two trials abreast on one worker: while one is timed the other passes the gates, sees no GPU there, and then waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from timed_target import Target

from workers.output import CappedLog
from workers.process import Command, ContainedProcess
from workers.run import run_trial, this_machine
from workers.runners import kernel_timing
from workers.session import Machine, Session
from workers.trial import Outcome, Progress
from workers.waiting import Cancellation


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Machine]:
    made = this_machine(tmp_path / "node")
    made.standby.keeps = 2
    yield made
    made.standby.close()
    made.lender.close()
    made.repository.close()


class Timed:
    """In the place of the timing: holds the first trial there until it is let go, and knows how many were there at once."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.inside, self.most = 0, 0

    def run(self, session: Session, *_: Any) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.begun.set()
        assert self.go_on.wait(60)
        session.measured["latency_us"] = 1.0
        self.inside -= 1


def test_a_trial_is_through_the_gates_when_the_gpu_is_given_up(
    worker: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, timed, queued = Target(tmp_path / "target"), Timed(), threading.Event()
    monkeypatch.setattr(kernel_timing, "run", timed.run)
    phases: list[str] = []

    def note(progress: Progress) -> None:
        phases.append(progress.phase)
        if progress.phase == "queue":
            queued.set()

    first = target.spec(worker, gpus=1.0)
    second = target.spec(worker, target.kernel(("x + 1.0", "1.0 + x")), gpus=1.0, trial_id="t2")
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(run_trial, first, worker)
        assert timed.begun.wait(60)
        other = threads.submit(run_trial, second, worker, on_progress=note)
        assert queued.wait(60), "it did not pass the gates while the other one had the GPU"
        assert not one.done()
        timed.go_on.set()
        found = [one.result(timeout=60), other.result(timeout=60)]
    assert [each.outcome for each in found] == [Outcome.OK, Outcome.OK]
    assert timed.most == 1
    assert phases[-1] == "queue"
    assert {"compile", "correctness"} <= set(phases)
    assert found[1].measured["registers"] > 0


def test_to_wait_for_the_gpu_is_on_nobodys_clock(worker: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Target(tmp_path / "target").spec(worker, gpus=1.0)
    session = Session(spec, worker, 1000.0, Cancellation(), CappedLog(), None)
    clock = iter([100.0, 900.0])  # when it began to wait, and when it had the GPU
    monkeypatch.setattr("workers.session.time", SimpleNamespace(monotonic=lambda: next(clock)))
    with session.on_gpu():
        assert session.deadline == 1800.0


def test_at_the_gates_no_process_sees_the_gpu_and_all_give_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = this_machine(tmp_path / "node", "0")
    started = set[tuple[str, str, str]]()

    def noting(command: Command, *rest: Any) -> ContainedProcess:
        program = next(word for word in command.argv if "import" in word)
        started.add((program.rpartition("import ")[2].partition(";")[0], command.env["CUDA_VISIBLE_DEVICES"], command.argv[0]))
        return ContainedProcess(command, *rest)

    monkeypatch.setattr("workers.session.ContainedProcess", noting)
    found = run_trial(Target(tmp_path / "target").spec(worker, gpus=1.0), worker)
    assert found.outcome is Outcome.OK, found.reason
    at_gates = {(program, "", "nice") for program in ("verifier", "candidate")}
    assert started == at_gates | {(program, "0", "python") for program in ("verifier", "timing")}
    worker.lender.close()
    worker.repository.close()
