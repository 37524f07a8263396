"""The command `regatta`: verbs that print, nothing else (grammar.py: what can be typed). Each imports what it needs when used.

Exit codes: 0 a limit or the target was reached, or the verb did its work; 1 it could not go on; 2 wrong config or arguments,
nothing was started; 130 interrupted. An error is one message on standard error; `--debug` shows the traceback.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.fleet import verbs as fleet_verbs
from orchestrator.grammar import Grammar

if TYPE_CHECKING:
    from orchestrator.run_directory import RunDirectory
    from orchestrator.views.loading import Record


class UsageError(Exception):
    """Wrong arguments: exit 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    # The tournament's matrices are small: more threads than one only take cores from the trials (2.4 times the CPU time).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # ± and → on a terminal that knows only ASCII
    given = Grammar(_VERBS, version("regatta")).parser.parse_args(argv)
    try:
        code: int = given.verb(given)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("regatta: ended at once; a run goes on with `regatta resume RUN`", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  the process edge: one line for a person instead of a traceback
        if given.debug:
            traceback.print_exc()
        else:
            print(f"regatta: {_said(str(error)) or type(error).__name__}", file=sys.stderr)
        return _exit_code(error, given.debug)


def _said(message: str) -> str:
    """A message may hold the words of a candidate, or of a file that it wrote."""
    from orchestrator.views.plain import plain

    return plain(message)


def _exit_code(error: Exception, debug: bool) -> int:
    from orchestrator.bench import BenchError
    from orchestrator.config import ConfigError
    from orchestrator.journal import JournalError
    from orchestrator.model.errors import ModelUseError
    from orchestrator.run_directory import RunDirectoryError
    from orchestrator.target import TargetError
    from orchestrator.views.log import UnknownTrialError
    from orchestrator.views.show import UnknownCandidateError

    wrong = (UsageError, BenchError, ConfigError, TargetError, RunDirectoryError, UnknownCandidateError, UnknownTrialError)
    if isinstance(error, (*wrong, ModelUseError)):
        return 2
    foreseen = ("PoolError", "RepositoryError", "IllegalTransitionError")  # by name: their modules are slow to import
    if not isinstance(error, (JournalError, OSError)) and type(error).__name__ not in foreseen and not debug:
        print("This is a defect of Regatta; the same command with --debug shows where.", file=sys.stderr)
    return 1


# ---------------------------------------------------------------------------------------------------- the verbs


def _run(given: argparse.Namespace) -> int:
    from orchestrator.opening import open_new

    if fleet_verbs.is_fleet(given.config):
        return fleet_verbs.run(given.config, given.set, given.run_dir)
    run = open_new(given.config, given.set, given.run_dir, Path.cwd())
    return _work(run.path, ())


def _resume(given: argparse.Namespace) -> int:
    fleet = fleet_verbs.fleet_at(given.run)
    for override in given.set:
        if not override.startswith("limits.") and not (fleet is not None and override.startswith("turn.")):
            turns = "" if fleet is None else " and turn.…"
            raise UsageError(f"--set {override}: a run keeps its rules to the end; `resume` can only change limits.…{turns}")
    if fleet is not None:
        return fleet_verbs.resume(fleet, given.set)
    with fleet_verbs.fleet_around(given.run):
        return _work(given.run, given.set)


def _work(path: Path, overrides: Sequence[str]) -> int:
    from orchestrator.head import EXIT_CODES, work
    from orchestrator.run_directory import RunDirectory
    from orchestrator.views.loading import load
    from orchestrator.views.report import write_report
    from orchestrator.views.summary import summary

    run = RunDirectory.existing(path)
    end = work(run, overrides, lambda line: print(line, flush=True))
    record = load(run)
    write_report(record)
    print(summary(record))
    if end.detail is not None:
        print(f"regatta: {_said(end.detail)}", file=sys.stderr)
    if end.trial is not None:
        _print_log_tail(run, end.trial)
    return EXIT_CODES[end.state]


def _print_log_tail(run: RunDirectory, trial: str, lines: int = 15) -> None:
    from orchestrator.trial_files import end_of_log

    tail = _said(end_of_log(run, trial).decode("utf-8", "replace")).rstrip().split("\n")[-lines:]
    if any(tail):
        print(f"the end of its log ({run.trial_log(trial)}):", *(f"  | {line}" for line in tail), sep="\n", file=sys.stderr)


def _status(given: argparse.Namespace) -> int:
    import json
    import time

    from orchestrator.views.status import status, status_text

    fleet = fleet_verbs.fleet_at(given.run)
    if fleet is not None:
        return fleet_verbs.status(fleet, as_json=given.json)
    found = status(_load(given.run), time.time())
    print(json.dumps(found.as_json(), indent=1) if given.json else status_text(found))
    return 0


def _watch(given: argparse.Namespace) -> int:
    from orchestrator.run_directory import RunDirectory
    from orchestrator.views.live import watch

    watch(RunDirectory.existing(given.run))
    return 0


def _log(given: argparse.Namespace) -> int:
    from orchestrator.views import log

    record = _load(given.run)
    if given.trial and given.follow:
        lines = log.follow_trial(record, given.trial)
    elif given.trial:
        lines = iter(log.trial_log(record, given.trial).splitlines())
    else:
        lines = log.follow(record.run) if given.follow else log.log(record)
    for line in lines:
        print(line, flush=given.follow)
    return 0


def _show(given: argparse.Namespace) -> int:
    from orchestrator.views.show import show

    fleet = fleet_verbs.fleet_at(given.run)
    if fleet is not None and given.candidate is None:
        return fleet_verbs.status(fleet, as_json=False)
    print(show(_load(given.run), given.candidate))
    return 0


def _report(given: argparse.Namespace) -> int:
    from orchestrator.views.report import write_report

    fleet = fleet_verbs.fleet_at(given.run)
    if fleet is not None:
        return fleet_verbs.report(fleet)
    print(write_report(_load(given.run)))
    return 0


def _export(given: argparse.Namespace) -> int:
    if given.format == "autokernel" and given.rows != "candidates":
        raise UsageError(f"--rows {given.rows}: AutoKernel knows candidates alone; type --rows candidates or --format tsv")
    from orchestrator.views.export import export

    fleet = fleet_verbs.fleet_at(given.run)
    if fleet is not None:
        return fleet_verbs.export(fleet, given.rows, given.format)
    for line in export(_load(given.run), given.rows, given.format):
        print(line)
    return 0


def _propose(given: argparse.Namespace) -> int:
    from orchestrator.run_directory import RunDirectory
    from orchestrator.suggestion import edits_of_file, edits_of_patch, suggest

    run = RunDirectory.existing(given.run)
    record = _load(given.run)
    edits = edits_of_patch(record, given.patch) if given.patch else edits_of_file(given.edits)
    suggest(record, given.description, edits)
    if run.holder() is not None:
        print("in the queue; follow it with", f"`regatta log {run.path} --follow`")
    else:
        print(f"in the queue; the run is not running: `regatta resume {run.path}` tries it")
    return 0


def _stop(given: argparse.Namespace) -> int:
    from orchestrator.head import stop
    from orchestrator.run_directory import RunDirectory

    print(stop(fleet_verbs.fleet_at(given.run) or RunDirectory.existing(given.run)))
    return 0


def _prepare(given: argparse.Namespace) -> int:
    import subprocess

    from orchestrator.target import resolve_target
    from workers.run import hide_held_out

    target = resolve_target(given.target, Path.cwd(), must_be_clean=False)
    script = target.path / "prepare.py"
    if not script.is_file():
        raise UsageError(f"{given.target}: has no prepare.py; nothing has to be prepared")
    options = {"--corpus": given.corpus, "--data-root": given.data_root}
    words = [word for flag, value in options.items() if value is not None for word in (flag, value)]
    done = subprocess.run([sys.executable, str(script), *words], cwd=target.path, check=False, stdout=subprocess.PIPE)
    if done.returncode == 0:
        hide_held_out(done.stdout.decode(), lambda text: print(text, file=sys.stderr, flush=True))
    sys.stdout.write(done.stdout.decode())
    return done.returncode


def _doctor(_given: argparse.Namespace) -> int:
    from orchestrator.doctor import Level, examine

    fails = 0
    for finding in examine():
        fails += finding.level is Level.FAILS
        print(f"{finding.level:6} {finding.what:15} {finding.detail}")
        if finding.mend:
            print(f"{'':22} type: {finding.mend}")
    return 1 if fails else 0


def _bench(given: argparse.Namespace) -> int:
    import json

    from orchestrator.bench import bench, new_target

    if given.new:
        folder = new_target(given.target, Path.cwd())
        print(f"{folder}: a target that works as it is; change its four files, then `regatta bench {given.target}`")
        return 0
    found = bench(given.target, Path.cwd(), arch=given.arch, seed=given.seed)
    print(json.dumps(found.as_json(), indent=1) if given.json else found.text())
    return 0 if found.succeeded else 1


def _profile(given: argparse.Namespace) -> int:
    from orchestrator.model import verbs

    return verbs.profile(given)


def _verify(given: argparse.Namespace) -> int:
    from orchestrator.model import verbs

    return verbs.verify(given)


def _simulate(given: argparse.Namespace) -> int:
    import json

    from orchestrator.config import load_config
    from orchestrator.simulator.forecast import forecast, limited_to
    from orchestrator.simulator.landscape import load_landscape
    from orchestrator.simulator.telling import forecast_text

    if fleet_verbs.is_fleet(given.config):
        raise UsageError(f"{given.config}: has several targets; a night is played of one: give a config with target.repo")
    config = limited_to(load_config(given.config), given.trials, given.hours)
    landscape = load_landscape(given.landscape)
    if given.gpus is not None:
        landscape = landscape.with_gpus(given.gpus)
    seed = config.seed if given.seed is None else given.seed
    found = forecast(config, landscape, policy=given.policy, repeats=given.repeats, seed=seed)
    print(json.dumps(found.as_json(), indent=1) if given.json else forecast_text(found, config, landscape, seed))
    return 0


def _load(path: Path) -> Record:
    from orchestrator.run_directory import RunDirectory
    from orchestrator.views.loading import load

    return load(RunDirectory.existing(path))


_VERBS = {
    "run": _run, "resume": _resume, "propose": _propose, "stop": _stop, "status": _status, "watch": _watch, "log": _log,
    "show": _show, "report": _report, "export": _export, "simulate": _simulate, "bench": _bench, "prepare": _prepare,
    "doctor": _doctor, "profile": _profile, "verify": _verify,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
