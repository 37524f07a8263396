"""`python -m workers`: measure one commit of a repository once, on this machine, and print the measurement as JSON.

Needs no Ray and no head. What the candidate printed goes to standard error, or to `--log FILE`.
Exit status: 0 measured, 1 not (the JSON says why), 2 wrong arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from workers import sandbox
from workers.run import run_trial, this_machine
from workers.session import Machine
from workers.telemetry import all_gpus
from workers.trial import CommandPlan, KernelPlan, Measurement, Outcome, Plan, TrainPlan, TrialSpec
from workers.waiting import Cancellation

_EXIT_STATUS = {Outcome.OK: 0, Outcome.CANCELLED: 130}


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="python -m workers", description="Measure one commit once, without Ray.")
    add = arguments.add_argument
    add("--repo", type=Path, required=True, help="a git repository, or a committed folder inside one")
    add("--commit", default="HEAD", help="what is measured (default: HEAD)")
    add("--base", help="the commit whose sealed files hold (default: the measured one)")
    add("--editable", action="append", default=[], metavar="GLOB", help="files of the base that are not sealed")
    add("--runner", choices=["train", "command", "kernel"], required=True)
    add("--command", help="for the command runner: what prints `METRIC name=value`")
    add("--setup", help="for the command runner: run before it")
    add("--guard", action="append", default=[], metavar="COMMAND", help="for the command runner: must pass afterwards")
    add("--arch", help="for the kernel runner: what is compiled for, such as sm_90 (default: the GPU that is here)")
    add("--objective", help="the metric that must be there (default for train: val_bpb, for kernel: latency_us)")
    add("--budget-s", type=float, default=300.0, help="training time (default: 300)")
    add("--corpus", help="for the train runner: which data")
    add("--timeout-s", type=float, default=900.0, help="the whole trial (default: 900)")
    add("--seed", type=int, default=0)
    add("--cpus", type=int, default=1)
    add("--gpus", type=int, help="default: 1 where there is a GPU, else 0")
    add("--unconfined", action="store_true", help="without the sandbox: with all your rights")
    add("--root", type=Path, help="where caches and workspaces lie (default: in the temporary folder)")
    add("--log", type=Path, help="where the candidate's output goes (default: standard error)")
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parser()
    given = arguments.parse_args(argv)
    if given.runner == "command" and not (given.command and given.objective):
        arguments.error("the command runner needs --command and --objective: --command 'sh bench.sh' --objective seconds")
    available = os.environ.get("CUDA_VISIBLE_DEVICES", all_gpus())
    gpus = given.gpus if given.gpus is not None else int(bool(available))
    chosen = [device for device in available.split(",") if device][:gpus]
    if len(chosen) < gpus:
        arguments.error(f"--gpus {gpus}: this machine shows {len(chosen)}; try nvidia-smi, or --gpus 0")
    lacks = None if given.unconfined else sandbox.lacks()
    if lacks is not None:
        arguments.error(f"{lacks}; or use --unconfined")
    machine = this_machine(given.root, ",".join(chosen))
    try:
        commit, base = _take(machine, given.repo, given.commit, given.base or given.commit)
    except subprocess.CalledProcessError as error:
        arguments.error(f"--repo {given.repo}, --commit {given.commit}: {error.stderr.strip()}")
    spec = TrialSpec(
        trial_id="by-hand",
        attempt=1,
        commit=commit,
        base_commit=base,
        sealed=_sealed(machine, base, given.editable),
        plan=_plan(given),
        objective=given.objective or {"kernel": "latency_us"}.get(given.runner, "val_bpb"),
        seed=given.seed,
        timeout_s=given.timeout_s,
        cpus=given.cpus,
        gpus=gpus,
        confined=not given.unconfined,
    )
    cancel = Cancellation()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: cancel.cancel())
    try:
        measurement = run_trial(spec, machine, cancel=cancel)
    finally:
        machine.repository.close()
    _print(measurement, given.log)
    return _EXIT_STATUS.get(measurement.outcome, 1)


def _take(machine: Machine, repo: Path, commit: str, base: str) -> tuple[str, str]:
    """Both commits, in the node's cache; of a folder inside a repository, commits of that folder alone."""

    def ask(*question: str) -> str:
        return subprocess.run(["git", "-C", str(repo), *question], check=True, capture_output=True, text=True).stdout.strip()

    top, prefix = Path(ask("rev-parse", "--show-toplevel")), ask("rev-parse", "--show-prefix").rstrip("/")
    commits = [ask("rev-parse", "--verify", f"{revision}^{{commit}}") for revision in (commit, base)]
    machine.repository.take_from(top, dict.fromkeys(commits))
    if prefix:
        commits = [machine.repository.commit_of_folder(each, prefix) for each in commits]
    return commits[0], commits[1]


def _sealed(machine: Machine, base: str, editable: list[str]) -> tuple[str, ...]:
    files = machine.repository.files(base)
    return tuple(path for path in files if not any(fnmatch.fnmatchcase(path, glob) for glob in editable))


def _plan(given: argparse.Namespace) -> Plan:
    if given.runner == "kernel":
        return KernelPlan(given.arch)
    if given.runner == "train":
        return TrainPlan(budget_s=given.budget_s, corpus=given.corpus)
    return CommandPlan(command=given.command, setup=given.setup, guards=tuple(given.guard))


def _print(measurement: Measurement, log: Path | None) -> None:
    if log is not None:
        log.write_bytes(measurement.log)
    else:
        sys.stderr.buffer.write(measurement.log)
        sys.stderr.flush()
    shown = asdict(measurement)
    del shown["log"]
    print(json.dumps(shown, indent=2))


if __name__ == "__main__":
    sys.exit(main())
