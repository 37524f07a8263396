"""One trial, whatever it measures: whose fault a failure is, what may be compared, and that nothing is left over."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from workers_support import Repository, trial

from workers.git import GitError
from workers.run import run_trial
from workers.session import Machine
from workers.trial import CommandPlan, Measurement, Outcome, Progress, TrialSpec
from workers.workspace import MissingBaseError

PLAN = CommandPlan("sh bench.sh", guards=("true",))


def fingerprint(machine: Machine, spec: TrialSpec) -> str:
    found = run_trial(spec, machine)
    assert found.outcome is Outcome.OK, found.reason
    assert found.fingerprint is not None
    return found.fingerprint


def test_fingerprints_are_equal_where_only_the_candidate_differs(machine: Machine, repository: Repository) -> None:
    other = repository.commit({"code.py": "x = 2\n"})
    first = trial(repository, repository.base, PLAN)
    second = replace(trial(repository, other, PLAN), seed=99)
    moved = replace(trial(repository, other, PLAN), base_commit=other)  # the champion moved; what is sealed did not
    assert fingerprint(machine, first) == fingerprint(machine, second) == fingerprint(machine, moved)


def test_fingerprints_differ_with_whatever_makes_a_comparison_unfair(machine: Machine, repository: Repository) -> None:
    spec = trial(repository, repository.base, PLAN)
    changed = repository.commit({"bench.sh": "echo METRIC t=1\n"})
    marks = {
        fingerprint(machine, each)
        for each in (
            spec,
            replace(spec, cpus=2),
            replace(spec, plan=CommandPlan("sh bench.sh")),
            replace(spec, sealed=("bench.sh",)),
            replace(trial(repository, changed, PLAN), base_commit=changed),
        )
    }
    other_device = replace(machine, device="NVIDIA H100 80GB HBM3")
    assert len(marks | {fingerprint(other_device, spec)}) == 6


def test_progress_names_the_phases(machine: Machine, repository: Repository) -> None:
    seen: list[Progress] = []
    plan = CommandPlan("sh bench.sh", setup="true", guards=("true", "true"))
    run_trial(trial(repository, repository.base, plan), machine, on_progress=seen.append)
    assert [each.phase for each in seen] == ["workspace", "setup", "command", "setup", "guard", "setup", "guard"]


def test_a_failing_git_is_the_machines_fault(machine: Machine, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise GitError("git worktree failed with status 128: fatal: unable to write new index file")

    monkeypatch.setattr(machine.repository, "workspace", fails)
    found = run_trial(trial(repository, repository.base, PLAN), machine)
    assert found.outcome is Outcome.INFRA
    assert found.reason == (
        "GitError during workspace: git worktree failed with status 128: fatal: unable to write new index file"
    )


def test_a_damaged_bundle_is_the_machines_fault(machine: Machine, repository: Repository) -> None:
    commit = repository.commit({"code.py": "x = 3\n"})
    found = run_trial(trial(repository, commit, PLAN, bundle=b"half a bundle"), machine)
    assert (found.outcome, found.fingerprint) == (Outcome.INFRA, None)


def test_a_commit_that_nobody_sent_is_for_the_caller_to_send(machine: Machine, repository: Repository) -> None:
    with pytest.raises(MissingBaseError, match="this node lacks"):
        run_trial(trial(repository, repository.base, PLAN, bundle=None), machine)


def test_what_the_worker_measures_may_be_the_objective_and_cannot_be_printed(machine: Machine, repository: Repository) -> None:
    plan = CommandPlan("echo METRIC wall_s=0; echo METRIC wall_s=1e-9")
    found = run_trial(trial(repository, repository.base, plan, objective="wall_s"), machine)
    assert (found.outcome, found.reported) == (Outcome.OK, {})
    assert found.metric("wall_s") == found.measured["wall_s"] > 1e-6


@pytest.mark.parametrize("command", ["sh bench.sh", "exit 1", "rm -rf .; exit 1", "chmod 0 .; sleep 60"])
def test_nothing_of_a_trial_is_left_on_the_disk(machine: Machine, repository: Repository, root: Path, command: str) -> None:
    run_trial(trial(repository, repository.base, CommandPlan(command), timeout_s=0.5), machine)
    (own,) = (root / "workers").iterdir()
    assert [path.name for path in own.iterdir()] == ["lock"]
    assert list((root / "repository.git").glob("worktrees/*")) == []


def test_a_measurement_travels(machine: Machine, repository: Repository) -> None:
    found = run_trial(trial(repository, repository.base, PLAN), machine)
    assert pickle.loads(pickle.dumps(found)) == found
    assert isinstance(found, Measurement)
    assert found.started_at < found.ended_at
