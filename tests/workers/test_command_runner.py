"""The `command` runner: what counts as a number, whose fault a failure is, and what a candidate may find around it."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
from workers_support import PATIENCE_S, Repository, alive, trial

from workers.output import CappedLog
from workers.run import run_trial
from workers.runners.command import MetricReader
from workers.session import Machine
from workers.trial import CommandPlan, Measurement, Outcome
from workers.waiting import Cancellation


def measure(machine: Machine, repository: Repository, command: str, **plan: object) -> Measurement:
    return run_trial(trial(repository, repository.base, CommandPlan(command, **plan)), machine)  # type: ignore[arg-type]


def test_a_number_that_is_printed_is_reported_and_time_and_memory_are_measured(
    machine: Machine, repository: Repository
) -> None:
    found = measure(machine, repository, "sh bench.sh; echo METRIC µs.p50=2e-3; echo METRIC not a metric")
    assert (found.outcome, found.reason) == (Outcome.OK, None)
    assert found.reported == {"t": 1.5, "µs.p50": 0.002}
    assert set(found.measured) == {"wall_s", "peak_rss_mb"}
    assert 0 < found.measured["wall_s"] < found.wall_s
    assert found.metric("t") == 1.5
    assert found.energy_j is None
    assert found.fingerprint is not None
    assert b"METRIC t=1.5\n" in found.log


def test_lines_after_a_rule_are_read_as_autoresearch_prints_them(machine: Machine, repository: Repository) -> None:
    found = measure(machine, repository, "echo 't: 9'; echo ---; echo 't:          0.997900'; echo 'depth: 8'")
    assert found.reported == {"t": 0.9979, "depth": 8.0}


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("sh bench.sh; exit 3", "the command failed: exit status 3: METRIC t=1.5"),
        ("echo 'boom' >&2; kill -SEGV $$", "the command failed: killed by SIGSEGV: boom"),
        ("echo METRIC u=1", "the command printed no value of t: it should print a line `METRIC t=<number>`"),
        ("sh bench.sh >&2", "the command printed no value of t: it should print a line `METRIC t=<number>`"),
        ("echo METRIC t=fast", "the command printed no value of t: it should print a line `METRIC t=<number>`"),
        ("echo METRIC t=nan", "the value of t is nan: it must be finite"),
        ("echo METRIC t=-inf; echo METRIC t=1", "the value of t is -inf: it must be finite"),
        ("echo METRIC t=1e999", "the value of t is inf: it must be finite"),
        ("echo METRIC t=2; echo METRIC t=1", "the command printed two values of t: 2.0 and 1.0"),
        ("echo METRIC t=2; echo ---; echo t: 1", "the command printed two values of t: 2.0 and 1.0"),
    ],
)
def test_a_failure_is_a_crash_with_its_reason_and_no_number(
    machine: Machine, repository: Repository, command: str, reason: str
) -> None:
    found = measure(machine, repository, command)
    assert (found.outcome, found.reason) == (Outcome.CRASH, reason)
    assert found.reported == {}


def test_the_last_value_counts_and_the_same_value_twice_is_no_contradiction(machine: Machine, repository: Repository) -> None:
    found = measure(machine, repository, "echo METRIC t=1.0; echo METRIC u=1; echo METRIC t=1; echo METRIC u=2")
    assert found.reported == {"t": 1.0, "u": 2.0}


def test_setup_and_guards_run_around_the_command(machine: Machine, repository: Repository) -> None:
    found = measure(
        machine, repository, "cat built && sh bench.sh", setup="echo built > built", guards=("test -f built", "true")
    )
    assert found.outcome is Outcome.OK
    found = measure(machine, repository, "sh bench.sh", guards=("true", "echo wrong result; false"))
    assert (found.outcome, found.reason) == (
        Outcome.CRASH,
        "the guard `echo wrong result; false` failed: exit status 1: wrong result",
    )
    assert found.reported == {}
    found = measure(machine, repository, "sh bench.sh", setup="exit 4")
    assert found.reason == "the setup `exit 4` failed: exit status 4"


def test_sealed_files_edited_in_the_commit_are_measured_as_the_base_has_them(machine: Machine, repository: Repository) -> None:
    cheat = repository.commit({"bench.sh": "echo METRIC t=0\n"})
    assert run_trial(trial(repository, cheat, CommandPlan("sh bench.sh")), machine).reported == {"t": 1.5}


def test_the_environment_is_what_the_contract_says(
    machine: Machine, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    spec = trial(repository, repository.base, CommandPlan("env; sh bench.sh"), cpus=2)
    lines = run_trial(spec, machine).log.decode().splitlines()
    environment = dict(line.split("=", 1) for line in lines)
    del environment["METRIC t"]
    assert set(environment) == {
        "PATH", "HOME", "TMPDIR", "USER", "LANG", "PWD", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER",
        "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "REGATTA_SEED", "REGATTA_TRIAL_ID",
    }  # fmt: skip
    assert (environment["REGATTA_SEED"], environment["REGATTA_TRIAL_ID"]) == ("7", spec.trial_id)
    assert (environment["OMP_NUM_THREADS"], environment["CUDA_VISIBLE_DEVICES"]) == ("2", "")


def test_python_is_the_workers_own(machine: Machine, repository: Repository) -> None:
    found = measure(machine, repository, "python -c 'import sys, numpy; print(\"METRIC t=%d\" % sys.version_info.minor)'")
    assert found.outcome is Outcome.OK, found.log


def test_a_hanging_command_times_out_with_its_children(machine: Machine, repository: Repository) -> None:
    marker = uuid.uuid4().hex
    hangs = f"sh bench.sh; setsid sh -c 'sleep 600; : {marker}' & sleep 600"
    found = run_trial(trial(repository, repository.base, CommandPlan(hangs), timeout_s=2.0), machine)
    assert (found.outcome, found.reason) == (Outcome.TIMEOUT, "not over after timeout_s = 2 (during command)")
    assert (alive(marker), found.reported) == ([], {})
    assert found.wall_s < PATIENCE_S


def test_a_cancelled_trial_ends_at_once(machine: Machine, repository: Repository) -> None:
    cancel, cancelled_at = Cancellation(), []

    class Listening(CappedLog):
        def append(self, chunk: bytes) -> None:
            if b"here" in chunk:
                cancelled_at.append(time.monotonic())
                cancel.cancel()

    spec = trial(repository, repository.base, CommandPlan("echo here; sleep 600"))
    found = run_trial(spec, machine, cancel=cancel, log=Listening())
    assert time.monotonic() - cancelled_at[0] < PATIENCE_S  # it sleeps for 600 s, and may for 120
    assert (found.outcome, found.reason) == (Outcome.CANCELLED, "cancelled during command")


def test_a_trial_cancelled_before_it_began_runs_nothing(machine: Machine, repository: Repository) -> None:
    cancel = Cancellation()
    cancel.cancel()
    found = run_trial(trial(repository, repository.base, CommandPlan("sh bench.sh")), machine, cancel=cancel)
    assert (found.outcome, found.log) == (Outcome.CANCELLED, b"")


@pytest.mark.parametrize("what", ["$PWD", "$(dirname $HOME)", "$HOME $TMPDIR"])
def test_a_candidate_that_deletes_its_workspace_gets_its_own_outcome_and_the_worker_goes_on(
    machine: Machine, repository: Repository, what: str
) -> None:
    plan = CommandPlan(f"sh bench.sh; rm -rf {what}", guards=("true",))
    found = run_trial(trial(repository, repository.base, plan, confined=False), machine)
    assert found.outcome is Outcome.OK, found.reason
    plan = CommandPlan(f"rm -rf {what}", guards=("true",))
    found = run_trial(trial(repository, repository.base, plan, confined=False), machine)
    assert found.outcome is Outcome.CRASH
    assert measure(machine, repository, "sh bench.sh").outcome is Outcome.OK


def test_a_flood_before_and_after_the_number_does_not_hide_it(machine: Machine, repository: Repository) -> None:
    flood = "head -c 50000000 /dev/zero | tr '\\0' 'y'; echo; yes | head -c 50000000"
    found = measure(machine, repository, f"{flood}; sh bench.sh; {flood}")
    assert found.reported == {"t": 1.5}
    assert len(found.log) < 300_000


def test_trials_at_the_same_time_share_one_node(machine: Machine, repository: Repository) -> None:
    specs = [trial(repository, repository.commit({"code.py": f"x = {n}\n"}), CommandPlan("sh bench.sh")) for n in range(6)]
    found: list[Measurement] = []
    threads = [threading.Thread(target=lambda spec=spec: found.append(run_trial(spec, machine))) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.outcome for each in found] == [Outcome.OK] * 6, [each.reason for each in found]


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_metrics_are_found_wherever_the_stream_is_cut(size: int) -> None:
    text = ("noise\n" * 50 + "METRIC t=1\n" + "x" * 5000 + "\n METRIC t=3\nMETRIC t=4 \r\n" + "METRIC u=5").encode()
    reader = MetricReader("t")
    for at in range(0, len(text), size):
        reader.feed(text[at : at + size])
    reader.feed(b"")
    assert reader.values == {"t": 4.0, "u": 5.0}
    assert reader.decisive_values == {"t": [1.0, 4.0]}


def test_names_without_end_take_no_memory_without_end() -> None:
    reader = MetricReader("t")
    reader.feed(b"".join(b"METRIC n%d=1\n" % n for n in range(10_000)) + b"METRIC t=1\nMETRIC n0=2\n")
    assert len(reader.values) <= 257
    assert (reader.values["t"], reader.values["n0"]) == (1.0, 2.0)


@pytest.mark.parametrize("confined", [True, False])
def test_a_guard_does_not_run_what_the_command_wrote(machine: Machine, repository: Repository, confined: bool) -> None:
    plan = CommandPlan(
        "sh bench.sh; echo 'exit 0' > guard.sh; echo x > $HOME/left; echo x > $TMPDIR/left",
        guards=("test ! -e guard.sh", "test ! -e $HOME/left", "test ! -e $TMPDIR/left"),
    )
    found = run_trial(trial(repository, repository.base, plan, confined=confined), machine)
    assert found.outcome is Outcome.OK, found.reason


def test_a_guard_finds_what_the_setup_made(machine: Machine, repository: Repository) -> None:
    plan = CommandPlan("sh bench.sh", setup="echo made > built", guards=("grep made built",))
    found = run_trial(trial(repository, repository.base, plan), machine)
    assert found.outcome is Outcome.OK, found.reason


def test_a_command_may_make_a_repository_of_its_own(machine: Machine, repository: Repository) -> None:
    plan = CommandPlan("git init -q && git -c user.name=t -c user.email=t@t commit -q --allow-empty -m x && sh bench.sh")
    found = run_trial(trial(repository, repository.base, plan), machine)
    assert found.outcome is Outcome.OK, found.reason
