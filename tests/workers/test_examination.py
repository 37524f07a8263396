"""Scoring and its audit in real processes: what they cannot tell each other, what they may use, and who is to blame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from workers_support import PATIENCE_S, Repository, trial

from workers.run import run_trial
from workers.runners import examination
from workers.session import Machine
from workers.trial import Allowances, Measurement, Outcome, TrainPlan

SUBJECT = Path(__file__).with_name("tiny_subject")
HEAD = "import array, json, math, os, prepare, sys, time\n\n"
TRAINS = "def train(run):\n    run.ready()\n    run.submit([])\n\n\n"
LOADS = "def load(state):\n    return lambda row: [0.0] * 17\n\n\n"
MAIN = '\n\nif __name__ == "__main__":\n    prepare.main(train, load)\n'

# What the pieces below build on: `natural(header)` is true of a question that asks for one token at each place.
CHEATS = """
honest = prepare.answer
def natural(header):
    return header["count"] <= header["rows"] * header["cols"]
def parts(header, payload):
    values, size, n = array.array("i", payload), header["rows"] * header["cols"], header["count"]
    rows = [values[r * header["cols"] : (r + 1) * header["cols"]] for r in range(header["rows"])]
    return (rows, *(values[size + i * n : size + (i + 1) * n] for i in range(3)))
def answers(pairs):
    return array.array("f", [p for p, _ in pairs] + [l for _, l in pairs]).tobytes()
"""


@pytest.fixture
def subject(repository: Repository) -> Repository:
    repository.git("checkout", "--quiet", "--detach", "base")
    repository.write({path.name: path.read_text() for path in SUBJECT.glob("*.py")})
    repository.git("branch", "--force", "base", repository.record())
    return repository


def measure(machine: Machine, subject: Repository, program: str | None = None, **changes: object) -> Measurement:
    """The subject with another train.py, or as it is."""
    commit = subject.base if program is None else subject.commit({"train.py": program})
    spec = trial(subject, commit, TrainPlan(budget_s=5.0), sealed=("prepare.py",), objective="val_bpb")
    return run_trial(replace(spec, **changes), machine)  # type: ignore[arg-type]


def with_load(before: str, load: str = LOADS, train: str = TRAINS) -> str:
    return HEAD + before + "\n\n" + train + load + MAIN


# -- what a score is worth


def test_a_trial_says_how_many_decoys_it_was_audited_with_and_what_they_bought(machine: Machine, subject: Repository) -> None:
    found = measure(machine, subject)
    assert found.outcome is Outcome.OK
    assert found.measured["decoys"] == 4  # of 5 rows, one lends
    share = 1 - 0.05**0.25
    assert found.measured["leak_bound_bpb"] == pytest.approx(found.measured["val_bpb"] * share / (1 - share))
    assert found.measured["audit_noise_nats"] < 1e-6
    assert 0 < found.measured["audit_seconds"] < found.measured["total_seconds"]


def test_more_rows_are_audited_where_the_held_out_split_is_scored_too(machine: Machine, subject: Repository) -> None:
    found = measure(machine, subject, held_out=True)
    assert found.measured["decoys"] == 8
    assert found.measured["test_bpb"] > 0


def test_no_line_of_the_candidate_runs_for_the_audit_while_another_process_of_it_lives(
    machine: Machine, subject: Repository
) -> None:
    """CLOCK_MONOTONIC is one for all processes, confined ones too."""
    says_when = "if os.environ['REGATTA_PHASE'] == 'score':\n    print('began', time.monotonic(), file=sys.stderr)\n"
    tells = (
        "def answer(model, header, payload):\n    print('asked', time.monotonic(), file=sys.stderr)\n"
        "    return honest(model, header, payload)\nprepare.answer = answer\n"
    )
    found = measure(machine, subject, with_load(CHEATS + says_when + tells))
    assert found.outcome is Outcome.OK, found.reason
    scorer, auditor = found.log.decode().split("began")[1:]  # one log behind the other
    last_asked = max(float(line.split()[1]) for line in scorer.splitlines() if line.startswith("asked"))
    assert float(auditor.split()[0]) > last_asked


# -- what is found


@pytest.mark.parametrize(
    ("before", "load", "rule"),
    [
        ("def answer(model, header, payload):\n"  # the ids that are asked for are the answer, where one is
         "    rows, row, position, token = parts(header, payload)\n"
         "    places = list(zip(row, position))\n"
         "    return answers([(-0.01 if places.count(place) == 1 else -math.log(17), 0.0) for place in places])\n"
         "prepare.answer = answer", LOADS, "splice"),
        ("def answer(model, header, payload):\n"  # sees one token of the row too much
         "    rows, row, position, token = parts(header, payload)\n"
         "    near = lambda r, p, t: rows[r][p + 1] == t if p + 1 < len(rows[r]) else t == 1\n"
         "    right, wrong = math.log(0.9), math.log(0.1 / 16)\n"
         "    return answers([(right if near(*of) else wrong, 0.0) for of in zip(row, position, token)])\n"
         "prepare.answer = answer", LOADS, "splice"),
        ("def answer(model, header, payload):\n"  # sees all tokens to come, in no order
         "    rows, row, position, token = parts(header, payload)\n"
         "    def one(r, p, t):\n"
         "        logits = [1.5 * list(rows[r][p + 1 :]).count(v) for v in range(17)]\n"
         "        return logits[t], math.log(sum(map(math.exp, logits)))\n"
         "    return answers([one(*of) for of in zip(row, position, token)])\n"
         "prepare.answer = answer", LOADS, "splice or strangers"),
        ("def answer(model, header, payload):\n"  # batch statistics
         "    rows, row, position, token = parts(header, payload)\n"
         "    logits = [0.3 * sum(list(r).count(v) for r in rows) / len(rows) for v in range(17)]\n"
         "    lse = math.log(sum(map(math.exp, logits)))\n"
         "    return answers([(logits[t], lse) for t in token])\n"
         "prepare.answer = answer", LOADS, "strangers"),
        ("calls = [0]\n", "def load(state):\n"  # answers that change as it goes on
         "    def model(row):\n        calls[0] += 1\n        return [0.02 * calls[0] * (v % 2) for v in range(17)]\n"
         "    return model\n\n\n", "strangers"),
        ("", "def load(state):\n"  # dropout left on
         "    import random\n    return lambda row: [random.random() for _ in range(17)]\n\n\n", "strangers"),
        ("def answer(model, header, payload):\n"  # probabilities of 1.001 in all
         "    return answers([(-math.log(17) + 0.001, 0.0)] * header['count'])\n"
         "prepare.answer = answer", LOADS, "normalisation"),
    ],
)  # fmt: skip
def test_a_score_that_its_answers_do_not_bear_out_is_a_violation(
    machine: Machine, subject: Repository, before: str, load: str, rule: str
) -> None:
    found = measure(machine, subject, with_load(CHEATS + before, load), held_out=True)
    assert found.outcome is Outcome.VIOLATION, found
    assert (found.reason or "").split(":")[0] in rule.split(" or ")
    assert "val_bpb" not in found.measured
    assert "leak_bound_bpb" not in found.measured


def test_a_look_ahead_too_small_for_two_processes_to_differ_by_is_a_violation(machine: Machine, subject: Repository) -> None:
    """1e-4 nats for the next token are half of what decoys allow. Of nine one has two sides, all but 4 times in a million."""
    before = """
def answer(model, header, payload):
    rows, row, position, token = parts(header, payload)
    def one(r, p, t):
        logits = [1e-4 * (p + 1 < len(rows[r]) and rows[r][p + 1] == v) for v in range(17)]
        return logits[t], math.log(sum(map(math.exp, logits)))
    return answers([one(*of) for of in zip(row, position, token)])
prepare.answer = answer
"""
    found = measure(machine, subject, with_load(CHEATS + before), held_out=True, promotion=True)
    assert found.outcome is Outcome.VIOLATION, found
    assert (found.reason or "").startswith("splice: what the model says up to a position changes by ")
    assert (found.reason or "").endswith(": it looks ahead")
    assert "val_bpb" not in found.measured


def test_one_scoring_process_can_tell_the_other_nothing_through_the_checkpoint(machine: Machine, subject: Repository) -> None:
    """Whoever has the file open for reading may open it for writing again."""
    before = """
def answer(model, header, payload):
    if natural(header):
        with open(path, "r+b", buffering=0) as file:
            file.write(b"[1] ")
    else:
        with open(path, "rb") as file:
            print("it says", file.read())
    return honest(model, header, payload)
prepare.answer = answer
opened = os.fdopen
def fdopen(fd, *how):
    global path
    spare = os.dup(fd)
    path = f"/proc/self/fd/{spare}"
    return opened(fd, *how)
if os.environ["REGATTA_PHASE"] == "score":
    os.fdopen = fdopen
"""
    found = measure(machine, subject, with_load(CHEATS + before))
    assert found.outcome is Outcome.OK, (found.reason, found.log)
    assert b"it says b'[]'" in found.log


# -- whose fault it is


def test_a_crash_in_the_audit_is_told_with_its_last_words(machine: Machine, subject: Repository) -> None:
    wonders = """
def answer(model, header, payload):
    assert natural(header), "what is this?"
    return honest(model, header, payload)
prepare.answer = answer
"""
    found = measure(machine, subject, with_load(CHEATS + wonders))
    assert found.outcome is Outcome.CRASH
    assert found.reason == "the subject ended before `answer`: exit status 1: AssertionError: what is this?"
    assert "val_bpb" not in found.measured


def test_who_answers_for_the_score_and_never_for_the_audit_breaks_a_rule(
    machine: Machine, subject: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "_AUDIT_FLOOR_S", 0.5)
    waits = """
def answer(model, header, payload):
    return honest(model, header, payload) if natural(header) else time.sleep(99)
prepare.answer = answer
"""
    found = measure(machine, subject, with_load(CHEATS + waits))
    assert found.outcome is Outcome.VIOLATION
    assert (found.reason or "").startswith("scoring: the audit's questions are not answered ")
    assert found.wall_s < PATIENCE_S  # it sleeps for 99 s


def test_the_log_of_the_audit_follows_that_of_the_score(machine: Machine, subject: Repository) -> None:
    load = "def load(state):\n    print('one'); print('two')\n    return lambda row: [0.0] * 17\n\n\n"
    found = measure(machine, subject, with_load("", load))
    assert found.log.decode().split() == ["one", "two"] * 2


# -- what may be used


SLOW = "def load(state):\n    time.sleep({seconds})\n    return lambda row: [0.0] * 17\n\n\n"


@pytest.mark.parametrize(
    ("program", "allowances", "reason"),
    [
        (with_load("", train=TRAINS.replace("    run.ready()", "    time.sleep(600)")), Allowances(setup_s=0.5),
         "setup: not ready 0.5 s after the start; that is all that is allowed"),
        (with_load("", SLOW.format(seconds=600)), Allowances(scoring_s=1.0),
         "scoring: the score is not complete 1.0 s after the start; that is all that is allowed"),
        (with_load("", train="def train(run):\n    run.ready()\n    run.submit('x' * (2 << 20))\n\n\n"),
         Allowances(checkpoint_mb=1.0), "checkpoint: 2.0 MB, allowed are 1.0 MB, from what the champion's has"),
    ],
)  # fmt: skip
def test_who_takes_more_than_is_allowed_breaks_a_rule(
    machine: Machine, subject: Repository, program: str, allowances: Allowances, reason: str
) -> None:
    found = measure(machine, subject, program, allowances=allowances)
    assert found.outcome is Outcome.VIOLATION
    assert (found.reason or "").startswith(reason)
    assert "val_bpb" not in found.measured
    assert found.wall_s < PATIENCE_S


def test_who_needs_too_much_memory_to_score_breaks_a_rule(machine: Machine, subject: Repository) -> None:
    load = "def load(state):\n    global big\n    big = b'x' * (200 << 20)\n    return lambda row: [0.0] * 17\n\n\n"
    allowances = Allowances(scoring_rss_mb=100.0)
    found = measure(machine, subject, with_load("", load), allowances=allowances, confined=False)
    assert found.outcome is Outcome.VIOLATION
    assert found.measured["scoring_rss_mb"] > 200
    assert found.reason == f"scoring: {found.measured['scoring_rss_mb']:.0f} MB of memory, allowed are 100 MB"


def test_the_setups_allowance_does_not_run_on_into_training(machine: Machine, subject: Repository) -> None:
    slow = TRAINS.replace("    run.submit", "    time.sleep(3.1)\n    run.submit")
    found = measure(machine, subject, with_load("", train=slow), allowances=Allowances(setup_s=3.0))
    assert (found.outcome, found.reason) == (Outcome.OK, None)


def test_what_the_champion_used_is_within_its_allowances(machine: Machine, subject: Repository) -> None:
    used = measure(machine, subject).measured
    allowances = Allowances(
        2 * used["setup_seconds"] + 5, 3 * used["scoring_seconds"] + 10, 3 * used["scoring_rss_mb"] + 512, 64.0
    )
    slower = with_load("", SLOW.format(seconds=2 * used["scoring_seconds"]))
    found = measure(machine, subject, slower, allowances=allowances)
    assert (found.outcome, found.reason) == (Outcome.OK, None)
