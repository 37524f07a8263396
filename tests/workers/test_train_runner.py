"""The `train` runner against a subject in miniature, honest and otherwise: clock, data, seed and score are the worker's."""

from __future__ import annotations

import itertools
import json
import math
import re
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from workers_support import PATIENCE_S, Repository, alive, trial

from workers.run import run_trial
from workers.runners import examination
from workers.session import Machine
from workers.trial import Measurement, Outcome, Progress, TrainPlan, TrialSpec

SUBJECT = Path(__file__).with_name("tiny_subject")
UNIFORM = "def load(state):\n    return lambda row: [0.0] * 17\n\n\n"
MAIN = 'if __name__ == "__main__":\n    prepare.main(train, load)\n'
TRAINS = "def train(run):\n    run.ready()\n    run.submit([])\n\n\n"


@pytest.fixture
def subject(repository: Repository) -> Repository:
    repository.git("checkout", "--quiet", "--detach", "base")
    repository.write({path.name: path.read_text() for path in SUBJECT.glob("*.py")})
    repository.git("branch", "--force", "base", repository.record())
    return repository


def spec_of(
    subject: Repository, commit: str | None = None, *, budget_s: float = 5.0, timeout_s: float = PATIENCE_S
) -> TrialSpec:
    spec = trial(subject, commit or subject.base, TrainPlan(budget_s=budget_s), timeout_s=timeout_s)
    return replace(spec, sealed=("prepare.py",), objective="val_bpb")


def measure(
    machine: Machine, subject: Repository, *, budget_s: float = 5.0, timeout_s: float = PATIENCE_S, **files: str
) -> Measurement:
    commit = subject.commit({f"{name}.py": content for name, content in files.items()})
    return run_trial(spec_of(subject, commit, budget_s=budget_s, timeout_s=timeout_s), machine)


def with_train(body: str, before: str = "") -> str:
    return f"import prepare, os, sys, time, math\n{before}\n\ndef train(run):\n{body}\n\n\n{UNIFORM}{MAIN}"


def with_load(body: str) -> str:
    return f"import prepare, os, sys, time, math\n\n{TRAINS}def load(state):\n{body}\n\n\n{MAIN}"


def expected_bpb(subject: Repository, first_row: int = 1000) -> float:
    """Of the counting model on the rows from `first_row`, computed independently from the subject's own formulas."""
    space: dict[str, object] = {"__name__": "prepare"}
    exec((subject.path / "prepare.py").read_text(), space)
    row, vocabulary, token_bytes = space["row"], space["VOCAB"], space["TOKEN_BYTES"]
    counts = [[1] * vocabulary for _ in range(vocabulary)]  # type: ignore[operator]
    stream = [token for number in range(100) for token in row(number)]  # type: ignore[operator]
    for before, after in itertools.pairwise(stream):
        counts[before][after] += 1
    nats = size = 0.0
    for number in range(5):
        tokens = row(first_row + number)  # type: ignore[operator]
        for before, after in itertools.pairwise(tokens):
            nats -= math.log(counts[before][after] / sum(counts[before]))
            size += token_bytes[after]  # type: ignore[index]
    return nats / math.log(2) / size


def test_an_honest_subject_is_trained_scored_and_summed_up(machine: Machine, subject: Repository) -> None:
    seen: list[Progress] = []
    found = run_trial(spec_of(subject), machine, on_progress=seen.append)
    assert (found.outcome, found.reason) == (Outcome.OK, None)
    assert found.measured["val_bpb"] == pytest.approx(expected_bpb(subject), rel=1e-5)
    assert set(found.measured) == {
        "val_bpb", "setup_seconds", "training_seconds", "scoring_seconds", "total_seconds", "checkpoint_mb", "peak_rss_mb",
        "scoring_rss_mb", "decoys", "leak_bound_bpb", "audit_seconds", "audit_noise_nats",
    }  # fmt: skip
    assert 0 < found.measured["training_seconds"] < found.measured["total_seconds"]
    assert found.reported == {"num_steps": 1.0, "seed": 7.0}
    assert b"warming up" in found.log
    phases = [each.phase for each in seen]
    assert list(dict.fromkeys(phases)) == ["workspace", "prepare", "setup", "train", "score"]


def test_the_split_that_decides_nothing_is_scored_where_that_is_asked(machine: Machine, subject: Repository) -> None:
    found = run_trial(replace(spec_of(subject), held_out=True), machine)
    assert found.measured["test_bpb"] == pytest.approx(expected_bpb(subject, first_row=2000), rel=1e-5)
    assert found.measured["val_bpb"] == pytest.approx(expected_bpb(subject), rel=1e-5)
    assert found.fingerprint == run_trial(spec_of(subject), machine).fingerprint


def test_data_are_prepared_once_a_node_and_their_hash_is_in_the_fingerprint(machine: Machine, subject: Repository) -> None:
    first, second = run_trial(spec_of(subject), machine), run_trial(spec_of(subject), machine)
    assert first.fingerprint == second.fingerprint is not None
    assert (machine.data_root / "prepared").read_text() == "x"
    other = spec_of(subject)
    third = run_trial(replace(other, plan=TrainPlan(budget_s=5.0, corpus="other")), machine)
    assert third.outcome is Outcome.OK
    assert third.fingerprint != first.fingerprint


def test_scores_do_not_depend_on_whether_the_answers_are_normalised(machine: Machine, subject: Repository) -> None:
    uniform = measure(machine, subject, train=with_load("    return lambda row: [0.0] * 17"))
    shifted = measure(machine, subject, train=with_load("    return lambda row: [9.0] * 17"))
    assert uniform.measured["val_bpb"] == pytest.approx(shifted.measured["val_bpb"], rel=1e-6)


@pytest.mark.parametrize(
    ("body", "outcome", "reason"),
    [
        ("    raise ValueError('no')", Outcome.CRASH, "the subject ended before `ready`: exit status 1: ValueError: no"),
        ("    run.ready(); sys.exit(3)", Outcome.CRASH, "the subject ended before `submit`: exit status 3"),
        ("    run.ready(); os.kill(os.getpid(), 11)", Outcome.CRASH, "the subject ended before `submit`: killed by SIGSEGV"),
        ("    run.ready(); run.wire.send({'type': 'victory'})", Outcome.VIOLATION,
         "protocol: the subject sent `victory` where `submit` was due"),
        ("    run.submit([])", Outcome.VIOLATION, "protocol: the subject sent `submit` where `ready` was due"),
        ("    run.ready(); run.wire.end.sendall(b'\\0\\0\\0\\4nope'); time.sleep(60)", Outcome.VIOLATION,
         "protocol: the subject sent a header that is not JSON"),
        ("    run.ready(); run.wire.end.sendall(b'\\xff' * 8); time.sleep(60)", Outcome.VIOLATION,
         "protocol: the subject sent a header of 4294967295 bytes, allowed are 1048576"),
        ("    run.ready(); run.wire.end.sendall(b'\\0\\0\\x80\\0' + b'[' * 32768); time.sleep(60)", Outcome.VIOLATION,
         "protocol: the subject sent a header that is not JSON"),
        ("    run.ready(); run.wire.send({'type': 'submit', 'payload_bytes': -1})", Outcome.VIOLATION,
         "protocol: the subject sent `payload_bytes` that is not a number of bytes"),
        ("    run.ready(); run.wire.send({'type': 'submit', 'payload_bytes': 1 << 50})", Outcome.VIOLATION,
         "protocol: a checkpoint of 1125899906842624 bytes, allowed are 8589934592"),
        ("    run.ready(); run.wire.send({'type': 'submit', 'payload_bytes': 99}); sys.exit(0)", Outcome.CRASH,
         "the subject ended in the midst of `submit`: exit status 0"),
        ("    run.ready(); run.wire.send({'type': 'submit', 'summary': [1]}); time.sleep(60)", Outcome.VIOLATION,
         "protocol: `submit` with a summary that is not an object"),
    ],
)  # fmt: skip
def test_a_subject_that_fails_in_training_is_told_why(
    machine: Machine, subject: Repository, body: str, outcome: Outcome, reason: str
) -> None:
    found = measure(machine, subject, train=with_train(body))
    assert (found.outcome, found.reason) == (outcome, reason)
    assert "val_bpb" not in found.measured
    assert found.reported == {}


def test_a_checkpoint_over_the_budget_is_a_violation(machine: Machine, subject: Repository) -> None:
    late = "    run.ready()\n    time.sleep(run.budget_s + 1.2)\n    run.submit([])"
    found = measure(machine, subject, budget_s=0.1, train=with_train(late))
    assert found.outcome is Outcome.VIOLATION
    told = re.match(r"clock: the checkpoint arrived (\d+\.\d+) s after the start, allowed are 1\.10 s ", found.reason or "")
    assert told is not None, found.reason
    assert float(told[1]) == pytest.approx(found.measured["training_seconds"], abs=0.005)
    assert "val_bpb" not in found.measured
    assert found.measured["training_seconds"] > 1.3


def test_a_subject_that_never_submits_is_ended_soon_after_its_budget(machine: Machine, subject: Repository) -> None:
    marker = uuid.uuid4().hex
    never = f"    run.ready()\n    os.system('setsid sh -c \"sleep 600; : {marker}\" &')\n    time.sleep(600)"
    found = measure(machine, subject, budget_s=0.1, timeout_s=4 * PATIENCE_S, train=with_train(never))
    assert found.outcome is Outcome.TIMEOUT
    assert found.reason is not None
    assert "(budget_s = 0.1)" in found.reason
    assert found.wall_s < PATIENCE_S
    assert alive(marker) == []


def test_a_subject_that_is_never_ready_runs_into_the_trials_own_limit(machine: Machine, subject: Repository) -> None:
    run_trial(spec_of(subject), machine)  # the data are there: no time is needed for what comes before the setup
    found = measure(machine, subject, timeout_s=2.0, train=with_train("    time.sleep(600)"))
    assert (found.outcome, found.reason) == (Outcome.TIMEOUT, "not over after timeout_s = 2 (during setup)")


def test_a_checkpoint_that_trickles_does_not_stop_the_clock(machine: Machine, subject: Repository) -> None:
    trickle = (
        "    run.ready(); run.wire.send({'type': 'submit', 'payload_bytes': 1 << 20})\n"
        "    while True:\n        run.wire.end.sendall(b'x'); time.sleep(0.01)"
    )
    found = measure(machine, subject, budget_s=0.1, train=with_train(trickle))
    assert found.outcome is Outcome.TIMEOUT


def test_nothing_of_training_lives_while_scoring(machine: Machine, subject: Repository) -> None:
    marker = uuid.uuid4().hex
    program = f"    run.ready()\n    os.system('setsid sh -c \"sleep 600; : {marker}\" &')\n    run.submit([])"
    looks = (
        "def load(state):\n    import pathlib\n"
        f"    found = [p for p in pathlib.Path('/proc').glob('[0-9]*/cmdline') if b'{marker}' in p.read_bytes()]\n"
        "    print('still there:', len(found))\n    return lambda row: [0.0] * 17\n\n\n"
    )
    found = measure(machine, subject, train=with_train(program).replace(UNIFORM, looks))
    assert found.outcome is Outcome.OK
    assert b"still there: 0\n" in found.log


@pytest.mark.parametrize(
    ("load", "outcome", "reason"),
    [
        ("    raise ValueError('cannot load')", Outcome.CRASH,
         "the subject ended before `loaded`: exit status 1: ValueError: cannot load"),
        ("    return lambda row: [float('nan')] * 17", Outcome.CRASH,
         "the model's answers are not finite: it has diverged, or load(state) is wrong"),
        ("    prepare.answer = lambda *_: b'\\0' * 12\n    return 1", Outcome.VIOLATION,
         "answers: 12 bytes of answers, 320 were due for 40 targets"),
        ("    prepare.answer = lambda *_: b'\\0' * 1000\n    return 1", Outcome.VIOLATION,
         "answers: 1000 bytes, 320 were due"),
        ("    import array\n    prepare.answer = lambda *_: array.array('f', [1.0] * 40 + [0.0] * 40).tobytes()\n    return 1",
         Outcome.VIOLATION, "answers: a probability above 1: log-probability 1, log-sum-exp 0"),
        ("    send = prepare.Wire.send\n"
         "    prepare.Wire.send = lambda self, h, p=b'': send(self, {**h, 'id': 99} if 'id' in h else h, p)\n"
         "    return lambda row: [0.0] * 17", Outcome.VIOLATION, "answers: answer 99 to question 0"),
    ],
)  # fmt: skip
def test_a_subject_that_fails_in_scoring_is_told_why(
    machine: Machine, subject: Repository, load: str, outcome: Outcome, reason: str
) -> None:
    found = measure(machine, subject, train=with_load(load))
    assert (found.outcome, found.reason) == (outcome, reason)
    assert "val_bpb" not in found.measured
    assert found.reported == {}


def test_tampering_with_prepare_is_undone_before_and_during_the_trial(machine: Machine, subject: Repository) -> None:
    honest = measure(machine, subject, train=with_train("    run.ready(); run.submit([])"))
    cheat = "import array\ndef answer(*_): return array.array('f', [-0.01] * 40 + [0.0] * 40).tobytes()\n"
    before = (subject.path / "prepare.py").read_text()
    committed = measure(machine, subject, train=with_train("    run.ready(); run.submit([])"), prepare=before + cheat)
    writes = (
        f"    run.ready()\n    try:\n        open('prepare.py', 'a').write({cheat!r})\n    except OSError:\n"
        "        print('refused')\n    run.submit([])"
    )
    written = measure(machine, subject, train=with_train(writes))
    for found in (committed, written):
        assert found.outcome is Outcome.OK
        assert found.measured["val_bpb"] == honest.measured["val_bpb"]


def test_progress_is_advice_whatever_it_says(machine: Machine, subject: Repository) -> None:
    body = (
        "    run.ready()\n    run.progress(step='x', train_loss=float('nan'), fraction=7)\n"
        "    run.progress(step=1e400, train_loss=10**400)\n    run.progress()\n    run.submit([], a=float('inf'), b='x', c=2)"
    )
    found = measure(machine, subject, train=with_train(body))
    assert (found.outcome, found.reported) == (Outcome.OK, {"c": 2.0})


def test_a_reported_number_never_hides_a_measured_one(machine: Machine, subject: Repository) -> None:
    found = measure(machine, subject, train=with_train("    run.ready(); run.submit([], val_bpb=0.1, training_seconds=9)"))
    assert found.reported == {}
    assert found.metric("val_bpb") == found.measured["val_bpb"] > 0.5


def test_data_that_cannot_be_prepared_are_the_machines_fault(machine: Machine, subject: Repository) -> None:
    subject.git("checkout", "--quiet", "--detach", "base")
    subject.write({"prepare.py": "raise SystemExit('no network')\n"})
    subject.git("branch", "--force", "base", subject.record())
    found = run_trial(spec_of(subject), machine)
    assert found.outcome is Outcome.INFRA
    assert found.reason == ("DataError during prepare: `python prepare.py` failed: exit status 1: no network. Try it by hand")


def test_damaged_data_are_the_machines_fault(machine: Machine, subject: Repository) -> None:
    assert run_trial(spec_of(subject), machine).outcome is Outcome.OK
    (folder,) = machine.data_root.glob("tiny-*")
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "val.bin").write_bytes(b"short")
    found = run_trial(spec_of(subject), machine)
    assert found.outcome is Outcome.INFRA
    assert found.reason is not None
    assert f"delete {folder} and run `regatta prepare` again" in found.reason
    assert meta["val_rows"] == 5


def test_a_disk_that_is_full_is_the_machines_fault(
    machine: Machine, subject: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workers.runners.wire.Channel.payload_to", full)
    found = run_trial(spec_of(subject), machine)
    assert (found.outcome, found.reason) == (
        Outcome.INFRA, "OSError during train: [Errno 28] No space left on device",
    )  # fmt: skip


def test_a_smoke_test_scores_a_part_and_does_not_mind_a_checkpoint_that_takes_a_moment(
    machine: Machine, subject: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "_SMOKE_ROWS", 3)
    commit = subject.commit({"train.py": with_train("    run.ready()\n    time.sleep(2.0)\n    run.submit([])")})
    spec = spec_of(subject, commit, budget_s=0.5)
    assert run_trial(spec, machine).outcome is Outcome.VIOLATION
    seen: list[Progress] = []
    found = run_trial(replace(spec, trial_id="smoke", smoke=True), machine, on_progress=seen.append)
    assert (found.outcome, found.reason) == (Outcome.OK, None)
    assert found.measured["decoys"] < run_trial(spec_of(subject), machine).measured["decoys"]
    assert "val_bpb" in found.measured
