"""Campaigns whose edits a model writes: real litellm over real HTTP, against a scripted server on loopback.

A head takes seconds to begin, so each night here shows several things. What one call, one answer or one prompt may do is tried
without a campaign, in tests/orchestrator/proposers/llm.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from place import PATIENCE_S, Place, wait_for
from scripted_model import Fail, Hang, Raw, Reply, Say, ScriptedModel, candidate

from orchestrator.ledger import Ledger
from orchestrator.proposers.llm.record import Reply as Answer
from orchestrator.run_directory import RunDirectory
from orchestrator.views.loading import load

KEY = "sk-scripted-key-of-the-tests-31337"
ENVIRONMENT = {**os.environ, "OPENAI_API_KEY": KEY}
WITHOUT_KEYS = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
VALUE = re.compile(r"^    ([abcd])=([\d.]+),$", re.MULTILINE)
CALL_USD = 0.02  # 1,000 and 500 tokens


def lowers_a_value(prompt: str, nth: int, among: str = "abcd") -> Say:
    """Reads the champion's values in the prompt and lowers one of them: an edit that fits it, helps, and is no other's."""
    values = [found for found in VALUE.findall(prompt) if found[0] in among]
    name, value = values[nth % len(values)]
    return Say(
        candidate("values.py", f"    {name}={value},", f"    {name}={float(value) / (2 + nth)},", f"lower {name} ({nth})")
    )


def entry(model: ScriptedModel, **more: Any) -> dict[str, Any]:
    price = {"input_per_mtok": 10.0, "output_per_mtok": 20.0}
    return {"kind": "llm", "model": "openai/scripted", "api_base": model.url, "price": price, **more}


def run(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    return place.regatta(*arguments, env=ENVIRONMENT)


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def answers_in(exchanges: Path) -> dict[str, float]:
    """Dollars of each answer on the disk, by exchange and file."""
    found = sorted(exchanges.glob("x*/*.answer.json"))
    return {f"{path.parent.name}/{path.name}": msgspec.json.decode(path.read_bytes(), type=Answer).usd for path in found}


def ledger_of(run_dir: Path) -> Ledger:
    return load(RunDirectory.existing(run_dir)).ledger


def exchanges_told(run_dir: Path) -> list[str]:
    """Which exchanges the journal's candidates came from."""
    return sorted((each.proposed.token or "").split(".")[0] for each in ledger_of(run_dir).candidates.values())


# -- a night as it should be, and the same again


@dataclass(frozen=True)
class Night:
    place: Place
    model: ScriptedModel

    @property
    def run_dir(self) -> Path:
        return self.place.path / "runs/night"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """The first answer has a slip. While the model writes it, a person says something else and has an idea."""
    place = Place(tmp_path_factory.mktemp("models"))
    place.summing_target(sd=0.01)
    (place.path / "target/program.md").write_text("At first: nothing.\n")
    place.git("add", "--all")
    place.git("commit", "--quiet", "-m", "program")

    def script(prompt: str, nth: int) -> Reply:
        if nth == 0:
            (place.path / "runs/night/program.md").write_text("From now on: halve things.\n")
            (place.path / "runs/night/ideas.md").write_text("# Mine\n\n- [ ] halve b\n- [x] an old one\n")
            return Say(candidate("values.py", "    a=1.0,", "    a=aa / 4,", "halve a twice"))
        if "looks like a slip" in prompt:
            return Say(candidate("values.py", "    a=1.0,", "    a=0.25,", "halve a twice"))
        return lowers_a_value(prompt, nth, "b" if "asks for this idea" in prompt else "cd")

    with ScriptedModel(script) as model:
        solo = {"lanes": "solo"}  # which writes less far ahead than blocks do
        place.config("night", [], proposers=[entry(model, in_flight=1)], limits={"candidates": 8}, tournament=solo)
        done = run(place, "run", "night.yaml")
        assert done.returncode == 0, done.stderr
        yield Night(place, model)


def test_a_models_edits_are_kept_and_what_they_cost_is_counted(night: Night) -> None:
    status = night.place.status("runs/night")
    assert (status["state"], status["stop_reason"]) == ("finished", "candidates")
    assert status["champion"]["mean"] < status["baseline"]["mean"] - 0.3
    assert len(night.place.rows("runs/night", "candidates")) == 8
    assert status["spend"]["usd"] == pytest.approx(CALL_USD * night.model.answered)


def test_what_each_model_cost_and_brought_is_told(night: Night) -> None:
    status = night.place.status("runs/night")
    earned = status["proposers"][0]
    assert (earned["model"], earned["kept"], earned["prompt_tokens"]) == (
        "openai/scripted", status["candidates"]["kept"], 1000 * night.model.answered,
    )  # fmt: skip
    told = f"llm (openai/scripted): 8 candidates, {earned['kept']} kept, $0.16, "
    assert told in night.place.regatta("status", "runs/night").stdout
    assert told in night.place.regatta("show", "runs/night").stdout
    assert told in (night.run_dir / "report.html").read_text()
    assert "openai/scripted, $0.0200" in night.place.regatta("show", "runs/night", status["champion"]["kept"][0]).stdout


def test_a_person_steers_while_the_night_runs(night: Night) -> None:
    first, second, *others = night.model.prompts()
    assert "At first: nothing." in first
    assert "    a=1.0," in first
    assert "loss, lower is better" in first
    assert all("From now on: halve things." in prompt for prompt in (second, *others))
    assert "asks for this idea to be tried" in second
    assert "halve b" in second
    assert all("asks for this idea" not in prompt for prompt in others)
    assert "- [x] halve b (c0002)" in (night.run_dir / "ideas.md").read_text()


def test_a_crash_that_looks_like_a_slip_is_repaired_with_its_parent_noted(night: Night) -> None:
    rows = night.place.rows("runs/night", "candidates")
    assert rows[0]["status"] == "crash"
    repaired = next(row for row in rows if row["parents"] == [rows[0]["id"]])
    assert repaired["status"] == "keep"
    asked = next(prompt for prompt in night.model.prompts() if "looks like a slip" in prompt)
    assert "NameError" in asked
    assert "a=aa / 4" in asked, "the edits that crashed"


def test_it_is_played_again_without_a_model_or_a_key(night: Night) -> None:
    place, asked = night.place, len(night.model.requests)
    place.config("again", [], proposers=[{"kind": "llm", "replay": "runs/night"}])
    done = place.regatta("run", "again.yaml", env=WITHOUT_KEYS)
    assert done.returncode == 0, done.stderr
    assert len(night.model.requests) == asked
    first, again = place.rows("runs/night", "candidates"), place.rows("runs/again", "candidates")
    # Answers to calls that are made at once come in any order, in the night as in its replay.
    assert sorted(row["description"] for row in again) == sorted(row["description"] for row in first)
    status = place.status("runs/again")
    assert (status["stop_reason"], status["spend"]["usd"]) == ("proposals", 0.0)
    assert status["proposers"][0]["prompt_tokens"] is None, "none was sent"


def test_no_secret_comes_out(night: Night) -> None:
    assert night.model.keys[0] == f"Bearer {KEY}"
    assert KEY.encode() not in everything_in(night.place.path)
    assert all(KEY not in prompt for prompt in night.model.prompts())


# -- nights as they are


# The head, killed when the third answer is on the disk and its candidates are not in the journal yet.
DIES = """
import os, signal, sys
from orchestrator.cli import main
from orchestrator.proposers.llm.record import Exchange

end = Exchange.end

def dies(self, candidates):
    end(self, candidates)
    if self.name == "x000003":
        os.kill(os.getpid(), signal.SIGKILL)

Exchange.end = dies
sys.exit(main())
"""


def test_a_killed_head_pays_for_no_answer_twice_and_ctrl_c_does_not_wait_for_a_server_that_hangs(place: Place) -> None:
    place.summing_target(sd=0.01)
    (place.path / "dies.py").write_text(DIES)
    with ScriptedModel(lambda prompt, nth: lowers_a_value(prompt, nth) if nth < 5 else Hang()) as model:
        place.config("night", [], proposers=[entry(model, in_flight=1)], limits={"candidates": 20})
        command = [sys.executable, "dies.py", "run", "night.yaml"]
        killed = subprocess.run(command, cwd=place.path, env=ENVIRONMENT, capture_output=True, timeout=PATIENCE_S, check=False)
        assert killed.returncode == -signal.SIGKILL
        exchanges, run_dir = place.path / "runs/night/exchanges/llm", place.path / "runs/night"
        assert len(model.requests) == len(answers_in(exchanges)) == 3
        assert exchanges_told(run_dir) == ["x000001", "x000002"]
        head = place.start("resume", "runs/night", env=ENVIRONMENT)
        wait_for(lambda: len(model.requests) == 6)
        head.send_signal(signal.SIGINT)
        _, errors = head.communicate(timeout=PATIENCE_S)
    assert head.returncode == 130, errors
    assert "Traceback" not in errors
    assert "never" not in errors, "nothing of litellm's is left behind"
    assert len(answers_in(exchanges)) == 5, "of six requests, one of which hung"
    assert exchanges_told(run_dir) == [f"x00000{n}" for n in range(1, 6)]
    assert place.status("runs/night")["spend"]["usd"] == pytest.approx(5 * CALL_USD)


BAD_ANSWERS = {
    "holds no edit": Say("I'm sorry, but I can't help with that."),
    "out of scope": Say(candidate("measure.py", "import os", "import sys", "out of scope")),
    "at most": Say("x" * 2_000_000),
}
FAULTS: list[Reply] = [
    *BAD_ANSWERS.values(),
    Raw(b'{"choices": [{"message": {"role": "assistant", "content": "\xff\xfe"}}]}'),
    Raw(b'{"choices": [', cut=True),
    Fail(401, f"Incorrect API key provided: {KEY}"),
    Fail(429, "slow down", {"Retry-After": "1"}),
    Fail(500, f"upstream: {KEY}"),
    Hang(),
]


def test_a_campaign_survives_every_fault_and_stops_at_its_dollars_to_within_one_call(place: Place) -> None:
    place.summing_target(sd=0.01)
    faults, bad = iter(FAULTS), True

    def script(prompt: str, nth: int) -> Reply:
        """A fault, then an answer; what is sent back with what is wrong comes again as it was."""
        nonlocal bad
        if "cannot be used" in prompt:
            return next(answer for said, answer in BAD_ANSWERS.items() if said in prompt)
        bad = not bad
        return (next(faults, None) if bad else None) or lowers_a_value(prompt, nth)

    limit_usd, most_tokens = 0.5, 1000
    with ScriptedModel(script) as model:
        hasty = {"retries": 0, "backoff_s": 0.05, "timeout_s": 4, "max_tokens": most_tokens, "in_flight": 3}
        place.config("night", [], proposers=[entry(model, **hasty)], limits={"usd": limit_usd})
        done = run(place, "run", "night.yaml")
    assert done.returncode == 0, done.stderr
    assert next(faults, None) is None, "every fault has happened"
    status = place.status("runs/night")
    assert (status["state"], status["stop_reason"]) == ("finished", "usd")
    assert (status["candidates"]["pending"], status["candidates"]["kept"] > 0) == (0, True), "what was paid for is measured"
    one_call = (max(map(len, model.prompts())) / 3 * 10 + most_tokens * 20) / 1e6
    assert limit_usd <= status["spend"]["usd"] < limit_usd + one_call
    assert status["spend"]["usd"] == pytest.approx(sum(answers_in(place.path / "runs/night/exchanges/llm").values()))
    rows = place.rows("runs/night", "candidates")
    assert sum(row["usd"] for row in rows) == pytest.approx(status["spend"]["usd"])
    assert sum(row["commit"] is not None for row in rows) > len(FAULTS) / 2, "between the faults the model is heard"
    reasons = " ".join(row["reason"] or "" for row in rows)
    for said in ("I'm sorry", *BAD_ANSWERS):
        assert said in reasons
    told = place.regatta("log", "runs/night").stdout
    assert "no model answers: openai/scripted: " in told
    errors = " ".join(path.read_text() for path in place.path.glob("runs/night/exchanges/llm/x*/*.error.json"))
    for said in ("AuthenticationError", "RateLimitError", "InternalServerError", "Timeout"):
        assert said in errors
    assert KEY.encode() not in everything_in(place.path / "runs") + (done.stdout + done.stderr + told).encode()


def test_knobs_go_on_where_the_key_is_refused_and_the_proposer_ends_with_the_reason(place: Place) -> None:
    place.target({"measure.py": "from train import LR\nprint(f'METRIC loss={LR}')\n", "train.py": "LR = 0.5\nWIDTH = 64\n"})
    run_dir = place.path / "runs/night"
    with ScriptedModel(lambda prompt, nth: Fail(401, f"Incorrect API key provided: {KEY}")) as model:
        proposers = [entry(model, backoff_s=0.01, in_flight=1), {"kind": "knobs"}]
        target = {"repo": "target", "editable": ["train.py"], "command": "python measure.py"}
        place.config("night", [], proposers=proposers, target=target)
        head = place.start("run", "night.yaml", env=ENVIRONMENT)
        assert head.stdout is not None
        told = ""
        while "llm has nothing more to propose" not in told:
            told += head.stdout.readline()
        head.send_signal(signal.SIGINT)
        _, errors = head.communicate(timeout=PATIENCE_S)
    assert head.returncode == 130, errors
    assert len(model.requests) == 3, "no more than it takes to see that it is no passing fault"
    assert {each.proposed.proposer for each in ledger_of(run_dir).candidates.values()} == {"knobs"}
    assert "no model answers: openai/scripted: AuthenticationError" in told
    assert "trying again is no use: openai/scripted: AuthenticationError" in told
    assert KEY.encode() not in everything_in(run_dir) + (told + errors).encode()


def test_what_a_model_needs_is_said_before_anything_is_made(place: Place) -> None:
    place.summing_target(sd=0.01)
    place.config("night", [], proposers=[{"kind": "llm", "model": "openai/gpt-4o"}])
    done = place.regatta("run", "night.yaml", env=WITHOUT_KEYS)
    assert done.returncode == 2, done.stderr
    assert "proposers[0].model: openai/gpt-4o needs OPENAI_API_KEY in the environment; type: export OPENAI_" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (place.path / "runs").exists()
