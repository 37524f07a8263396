"""What can be typed after `regatta`: verbs, their arguments and the one-line helps. What the verbs do is in cli.py."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from workers.kernel.arch import ARCHS

POLICY_NAMES = ("auto", "solo", "greedy", "two-sigma", "three-seeds", "best-of-wave")  # here: their module is slow to import

Does = Mapping[str, Callable[[argparse.Namespace], int]]


class Grammar:
    """The parser, verb by verb. `does`: what each verb does, by its name."""

    def __init__(self, does: Does, version: str) -> None:
        self._does = does
        self.parser = argparse.ArgumentParser(
            prog="regatta",
            description="Tournaments of code edits on GPUs, whose champion's numbers are true.",
            epilog="Start with: regatta doctor; regatta run configs/laptop.yaml",
        )
        self.parser.add_argument("--version", action="version", version=f"regatta {version}")
        self._verbs = self.parser.add_subparsers(title="verbs", metavar="VERB", required=True)
        self._working()
        self._looking()
        self._measuring()

    def _verb(self, name: str, text: str) -> argparse.ArgumentParser:
        added = self._verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(verb=self._does[name])
        added.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return added

    def _on_run(self, name: str, text: str) -> argparse.ArgumentParser:
        """A verb about a run."""
        added = self._verb(name, text)
        added.add_argument(
            "run", metavar="RUN", type=Path, help="a run directory, such as runs/demo; a fleet's, or a target's in it"
        )
        return added

    def _working(self) -> None:
        """The verbs that change a run."""
        run = self._verb("run", "run a campaign to its end, in the foreground")
        run.add_argument("config", metavar="CONFIG", help="a YAML file, such as configs/laptop.yaml")
        run.add_argument("--run-dir", metavar="DIR", type=Path, help="where it lies; default runs/<name>")
        resume = self._on_run("resume", "go on after an interruption or crash, or extend a finished run")
        for each in (run, resume):
            each.add_argument(
                "--set", metavar="key.path=value", action="append", default=[], help="override a key of the config"
            )
        propose = self._on_run("propose", "put an idea of your own into the queue")
        form = propose.add_mutually_exclusive_group(required=True)
        form.add_argument("--patch", metavar="FILE", type=Path, help="a unified diff against the champion")
        form.add_argument("--edits", metavar="FILE", type=Path, help="a JSON list of edits, as in a replay file")
        propose.add_argument("--description", required=True, help="one line: what should become better, and why")
        self._on_run("stop", "stop a run in order, as Ctrl-C in its terminal")

    def _looking(self) -> None:
        """The verbs that only look at one."""
        _json(self._on_run("status", "where a run stands"))
        self._on_run("watch", "the live view of a run, from another terminal")
        log = self._on_run("log", "what happened, or what one trial printed")
        log.add_argument("trial", metavar="TRIAL", nargs="?", help="such as t000012")
        log.add_argument("--follow", action="store_true", help="go on while the run does")
        show = self._on_run("show", "a run, or why one candidate was kept or not")
        show.add_argument("candidate", metavar="CANDIDATE", nargs="?", help="such as c0007")
        self._on_run("report", "write report.html and progress.png")
        export = self._on_run("export", "every candidate or trial, as rows")
        export.add_argument("--rows", choices=("candidates", "trials"), required=True)
        export.add_argument("--format", choices=("jsonl", "tsv", "autokernel"), required=True)

    def _measuring(self) -> None:
        """The verbs before and beside runs."""
        simulate = self._verb("simulate", "what a campaign would bring, on made-up nights, before it is paid for")
        simulate.add_argument("config", metavar="CONFIG", help="a YAML file, such as configs/overnight.yaml")
        simulate.add_argument("--landscape", metavar="FILE", required=True, help="such as configs/landscape.yaml")
        simulate.add_argument("--gpus", metavar="N", type=_whole(1, 100_000), help="in place of the landscape's")
        simulate.add_argument("--hours", metavar="H", type=_hours, help="with --trials, in place of the config's limits")
        simulate.add_argument("--trials", metavar="N", type=_whole(1), help="with --hours, in place of the config's limits")
        simulate.add_argument("--repeats", metavar="R", type=_whole(1), default=20, help="how many nights; default 20")
        simulate.add_argument("--policy", choices=POLICY_NAMES, help="default: what the config says")
        simulate.add_argument("--seed", metavar="S", type=_whole(0), help="default: the config's")
        _json(simulate)
        bench = self._verb("bench", "one kernel target measured: time and energy, or what is known without a GPU")
        bench.add_argument("target", metavar="TARGET", help="a folder with a kernel target, or such as kernels/rmsnorm")
        bench.add_argument("--new", action="store_true", help="write the folder TARGET, with a target to start from")
        bench.add_argument(
            "--arch", choices=tuple(ARCHS), help="what is compiled for; default: the GPU that is here, else sm_90"
        )
        bench.add_argument("--seed", metavar="S", type=_whole(0), default=0, help="of held-out shapes and content; default 0")
        _json(bench)
        self._of_models()
        prepare = self._verb("prepare", "make the data and tokeniser of a train target, once")
        prepare.add_argument("target", metavar="TARGET", nargs="?", default="nanotrain", help="default: nanotrain")
        prepare.add_argument("--corpus", help="which corpus; default: the subject's own")
        prepare.add_argument("--data-root", metavar="DIR", help="default: $REGATTA_DATA or ~/.cache/regatta")
        self._verb("doctor", "what this machine has and lacks, with the command that mends it")

    def _of_models(self) -> None:
        """The verbs that run a model of the user's."""
        profile = self._verb("profile", "what a model's time goes to, and a fleet of targets with its shapes and shares")
        profile.add_argument("--name", metavar="NAME", help="the folder to write; default: MODEL-kernels")
        profile.add_argument("--steps", metavar="N", type=_whole(1), default=10, help="how many are profiled; default 10")
        profile.add_argument("--backward", action="store_true", help="with the gradients of the model's loss")
        verify = self._on_run("verify", "the champions of a fleet put back into the model: outputs and end-to-end time")
        for each in (profile, verify):
            each.add_argument("model", metavar="MODEL.py", help="defines model() and inputs(), a tuple of tensors")
            each.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
            _json(each)


def _json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="for programs")


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A whole number in these bounds, as an argument."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
            upper = "" if most is None else f" and at most {most}"
            raise argparse.ArgumentTypeError(f"given {text}; a whole number, at least {least}{upper}")
        return int(text)

    return number


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not 0 < hours < math.inf:
        raise argparse.ArgumentTypeError(f"given {text}; a number above 0")
    return hours
