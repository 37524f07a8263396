"""Campaigns whose edits a model writes: real litellm over real HTTP, against a scripted server on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

import pytest
from place import Place, wait_for
from scripted_model import Fail, Hang, Raw, Reply, Say, ScriptedModel, candidate

KEY = "sk-scripted-key-of-the-tests-31337"
ENVIRONMENT = {**os.environ, "OPENAI_API_KEY": KEY}
VALUE = re.compile(r"^    ([abcd])=([\d.]+),$", re.MULTILINE)


def lowers_a_value(prompt: str, nth: int) -> Reply:
    """Reads the champion's values in the prompt, and lowers one of them by half: an edit that fits it and helps."""
    values = VALUE.findall(prompt)
    name, value = values[nth % len(values)]
    text = candidate(
        "values.py", f"    {name}={value},", f"    {name}={float(value) / 2},", f"lower {name} ({nth})", "schedule"
    )
    return Say(text)


def entry(model: ScriptedModel, **more: Any) -> dict[str, Any]:
    price = {"input_per_mtok": 10.0, "output_per_mtok": 20.0}  # 1,000 and 500 tokens: 2 cents
    return {"kind": "llm", "model": "openai/scripted", "api_base": model.url, "price": price, **more}


def run(place: Place, *arguments: str) -> Any:
    return place.regatta(*arguments, env=ENVIRONMENT)


def test_a_models_edits_are_kept_and_what_they_cost_is_counted(place: Place) -> None:
    place.summing_target(sd=0.01)
    (place.path / "target/program.md").write_text("Keep SD as it is.\n")
    place.git("add", "--all")
    place.git("commit", "--quiet", "-m", "program")
    with ScriptedModel(lowers_a_value) as model:
        place.config("night", [], proposers=[entry(model)], limits={"candidates": 6})
        done = run(place, "run", "night.yaml")
        assert done.returncode == 0, done.stderr
    status = place.status("runs/night")
    assert (status["state"], status["stop_reason"]) == ("finished", "candidates")
    assert status["candidates"]["kept"] >= 1
    earned = status["proposers"][0]
    assert (earned["model"], earned["kept"], earned["prompt_tokens"]) == (
        "openai/scripted", status["candidates"]["kept"], 1000 * model.answered,
    )  # fmt: skip
    assert "openai/scripted" in place.regatta("show", "runs/night").stdout
    assert "openai/scripted" in (place.path / "runs/night/report.html").read_text()
    assert status["champion"]["mean"] < status["baseline"]["mean"] - 0.3
    assert len(place.rows("runs/night", "candidates")) == 6
    assert status["spend"]["usd"] == pytest.approx(0.02 * model.answered)
    first = model.prompts()[0]
    assert "Keep SD as it is." in first
    assert "    a=1.0," in first
    assert "loss, lower is better" in first
    everything = b"".join(path.read_bytes() for path in (place.path / "runs").rglob("*") if path.is_file())
    assert KEY.encode() not in everything
    assert all(KEY not in prompt for prompt in model.prompts())


def slow_target(place: Place, sd: float = 0.01) -> None:
    place.summing_target(sd=sd)
    measure = (place.path / "target/measure.py").read_text()
    (place.path / "target/measure.py").write_text("import time; time.sleep(0.3)\n" + measure)
    place.git("commit", "--quiet", "--all", "-m", "slower")


def test_a_killed_head_pays_for_no_answer_twice(place: Place) -> None:
    slow_target(place)

    def script(prompt: str, nth: int) -> Reply:
        reply = lowers_a_value(prompt, nth)
        return Say(reply.text, delay_s=0.3) if isinstance(reply, Say) else reply

    with ScriptedModel(script) as model:
        place.config("night", [], proposers=[entry(model)], limits={"candidates": 10})
        head = place.start("run", "night.yaml", env=ENVIRONMENT)
        exchanges = place.path / "runs/night/exchanges/llm"
        wait_for(lambda: len(list(exchanges.glob("x*/1.answer.json"))) >= 3)
        head.kill()
        head.communicate()
        answers = {path.parent.name for path in exchanges.glob("x*/1.answer.json")}
        asked = len(model.requests)
        assert run(place, "resume", "runs/night").returncode == 0
        bodies = [json.dumps(request["messages"]) for request in model.requests]
    rows = place.rows("runs/night", "candidates")
    tokens = candidate_tokens(place)
    assert len(rows) == 10
    assert len(set(tokens)) == len(tokens), "no answer became candidates twice"
    assert answers <= {token.split(".")[0] for token in tokens}, "every answer that was paid for became a candidate"
    assert asked <= len(bodies)
    assert len(list(exchanges.glob("x*/1.answer.json"))) <= len(bodies)
    assert place.status("runs/night")["spend"]["usd"] == pytest.approx(0.02 * len(list(exchanges.glob("x*/1.answer.json"))))


def candidate_tokens(place: Place) -> list[str]:
    from orchestrator.events import Proposed
    from orchestrator.journal import Journal

    journal = Journal.open(place.path / "runs/night/journal.sqlite")
    try:
        return [entry.event.token or "" for entry in journal.entries() if isinstance(entry.event, Proposed)]
    finally:
        journal.close()


def test_a_campaign_stops_at_its_dollars_to_within_one_call(place: Place) -> None:
    slow_target(place, sd=0.5)

    def script(prompt: str, nth: int) -> Reply:
        return Say(candidate("values.py", "SD = 0.5", f"SD = 0.5{nth + 1}", f"noise {nth}"))

    with ScriptedModel(script) as model:
        place.config("night", [], proposers=[entry(model, max_tokens=1000)], limits={"usd": 0.11})
        done = run(place, "run", "night.yaml")
        assert done.returncode == 0, done.stderr
    status = place.status("runs/night")
    assert (status["state"], status["stop_reason"]) == ("finished", "usd")
    assert 0.11 <= status["spend"]["usd"] < 0.11 + 0.02 + 1e-9
    assert status["spend"]["usd"] == pytest.approx(0.02 * len(model.requests)), "every call is counted"
    assert sum(row["usd"] for row in place.rows("runs/night", "candidates")) == pytest.approx(status["spend"]["usd"])


def test_a_night_is_played_again_without_a_model_or_a_key(place: Place) -> None:
    place.summing_target(sd=0.01)
    with ScriptedModel(lowers_a_value) as model:
        place.config("night", [], proposers=[entry(model)], limits={"candidates": 6})
        assert run(place, "run", "night.yaml").returncode == 0
    place.config("again", [], proposers=[{"kind": "llm", "replay": "runs/night"}])
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    done = place.regatta("run", "again.yaml", env=environment)
    assert done.returncode == 0, done.stderr
    first, again = place.rows("runs/night", "candidates"), place.rows("runs/again", "candidates")
    # Answers to calls that are made at once come in any order, in the night as in its replay.
    assert sorted(row["description"] for row in again) == sorted(row["description"] for row in first)
    status = place.status("runs/again")
    assert (status["stop_reason"], status["spend"]["usd"]) == ("proposals", 0.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "openai/gpt-4o", "api_base": None, "price": None}, "OPENAI_API_KEY"),
        ({"model": "no-such-model", "api_base": None}, "litellm does not know"),
        ({"api_base": "http://user:secret@127.0.0.1/v1"}, "keys come from the environment"),
        ({"model": "mistral/no-such-model", "api_base": None, "price": None}, "MISTRAL_API_KEY"),
        ({"model": None}, "is missing"),
        ({"replay": "nowhere"}, "nowhere"),
    ],
)
def test_what_a_model_needs_is_said_before_anything_is_spent(place: Place, change: dict[str, Any], said: str) -> None:
    place.summing_target(sd=0.01)
    given = {"kind": "llm", "model": "openai/scripted", "api_base": "http://127.0.0.1:9/v1", **change}
    place.config("night", [], proposers=[given])
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    done = place.regatta("run", "night.yaml", env=environment)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (place.path / "runs").exists()


def test_knobs_fill_in_while_no_model_answers(place: Place) -> None:
    place.target({"measure.py": "from train import LR\nprint(f'METRIC loss={LR}')\n", "train.py": "LR = 0.5\nWIDTH = 64\n"})
    with ScriptedModel(lambda prompt, nth: Fail(500, f"upstream said {KEY}")) as model:
        proposers = [entry(model, retries=0, backoff_s=0.2), {"kind": "knobs"}]
        target = {"repo": "target", "editable": ["train.py"], "command": "python measure.py"}
        place.config("night", [], proposers=proposers, target=target, limits={"candidates": 8})
        done = run(place, "run", "night.yaml")
        assert done.returncode == 0, done.stderr
    assert {row["proposer"] for row in place.rows("runs/night", "candidates")} == {"knobs"}
    told = place.regatta("log", "runs/night").stdout
    assert "no model answers" in told
    everything = b"".join(path.read_bytes() for path in (place.path / "runs").rglob("*") if path.is_file())
    assert KEY.encode() not in everything + (done.stdout + done.stderr).encode()


def test_a_key_that_is_refused_ends_the_proposer_and_says_why(place: Place) -> None:
    place.summing_target(sd=0.01)
    with ScriptedModel(lambda prompt, nth: Fail(401, f"Incorrect API key provided: {KEY}")) as model:
        place.config("night", [], proposers=[entry(model, backoff_s=0.05)])
        done = run(place, "run", "night.yaml")
    assert done.returncode == 0, done.stderr
    assert place.status("runs/night")["stop_reason"] == "proposals"
    assert len(model.requests) < 10
    assert "AuthenticationError" in place.regatta("log", "runs/night").stdout


FAULTS: list[Reply] = [
    Say(""),
    Say("I think that it should be deeper."),
    Say("I'm sorry, but I can't help with that."),
    Say("HYPOTHESIS: broken\nvalues.py\n<<<<<<< SEARCH\n    a=1.0,\n"),
    Say(candidate("measure.py", "import os", "import sys", "out of scope")),
    Say(candidate("nothere.py", "a", "b", "no such file")),
    Say(candidate("values.py", "=", "==", "found more than once")),
    Say("x" * 2_000_000),
    Raw(b'{"choices": [{"message": {"role": "assistant", "content": "\xff\xfe"}}]}'),
    Raw(b'{"choices": [', cut=True),
    Fail(401, f"Incorrect API key provided: {KEY}"),
    Fail(429, "slow down", {"Retry-After": "1"}),
    Fail(500, f"upstream: {KEY}"),
    Hang(),
]


def test_a_campaign_survives_every_fault_and_no_secret_comes_out(place: Place) -> None:
    place.summing_target(sd=0.01)
    faults = iter([fault for fault in FAULTS for _ in range(1 + isinstance(fault, Say))])  # what is said is sent back once
    turns = {"bad": True}

    def script(prompt: str, nth: int) -> Reply:
        """A fault (twice, where the answer is sent back), then an answer."""
        is_repair = "cannot be used" in prompt
        if not is_repair:
            turns["bad"] = not turns["bad"]
        fault = next(faults, None) if turns["bad"] or is_repair else None
        return fault if fault is not None else lowers_a_value(prompt, nth)

    with ScriptedModel(script) as model:
        hasty = {"retries": 0, "backoff_s": 0.05, "timeout_s": 2, "in_flight": 1}
        place.config("night", [], proposers=[entry(model, **hasty)], limits={"candidates": 30})
        done = run(place, "run", "night.yaml")
    assert done.returncode == 0, done.stderr
    assert next(faults, None) is None, "every fault has happened"
    status = place.status("runs/night")
    assert (status["state"], status["stop_reason"]) == ("finished", "candidates")
    assert status["candidates"]["kept"] >= 3
    reasons = " ".join(row["reason"] or "" for row in place.rows("runs/night", "candidates"))
    for said in ("empty", "holds no edit", "no line `=======`", "out of scope", "found", "at most"):
        assert said in reasons
    told = place.regatta("log", "runs/night").stdout
    for said in ("AuthenticationError", "RateLimitError", "Timeout"):
        assert said in told
    everything = b"".join(path.read_bytes() for path in (place.path / "runs").rglob("*") if path.is_file())
    assert KEY.encode() not in everything + (done.stdout + done.stderr + told).encode()


def test_ctrl_c_does_not_wait_for_a_server_that_hangs(place: Place) -> None:
    place.summing_target(sd=0.01)
    with ScriptedModel(lambda prompt, nth: Hang()) as model:
        place.config("night", [], proposers=[entry(model)])
        head = place.start("run", "night.yaml", env=ENVIRONMENT)
        wait_for(lambda: bool(model.requests))
        head.send_signal(signal.SIGINT)
        _, errors = head.communicate(timeout=60)
    assert head.returncode == 130, errors
    assert "Traceback" not in errors
    assert "never" not in errors, "nothing of litellm's is left behind"


def test_a_person_steers_while_the_night_runs(place: Place) -> None:
    place.summing_target(sd=0.01)
    (place.path / "target/program.md").write_text("At first: nothing.\n")
    place.git("add", "--all")
    place.git("commit", "--quiet", "-m", "program")
    seen: list[str] = []

    def script(prompt: str, nth: int) -> Reply:
        seen.append(prompt)
        if nth == 0:
            (place.path / "runs/night/program.md").write_text("From now on: halve things.\n")
            (place.path / "runs/night/ideas.md").write_text("# Mine\n\n- [ ] halve b\n- [x] an old one\n")
        return lowers_a_value(prompt, nth)

    with ScriptedModel(script) as model:
        place.config("night", [], proposers=[entry(model, in_flight=1)], limits={"candidates": 4})
        assert run(place, "run", "night.yaml").returncode == 0
    assert "At first: nothing." in seen[0]
    assert all("From now on: halve things." in prompt for prompt in seen[1:])
    assert "asks for this idea to be tried" in seen[1]
    assert "halve b" in seen[1]
    assert all("asks for this idea" not in prompt for prompt in seen[2:])
    assert "- [x] halve b (c0002)" in (place.path / "runs/night/ideas.md").read_text()


def test_a_crash_that_looks_like_a_slip_is_repaired_with_its_parent_noted(place: Place) -> None:
    place.summing_target(sd=0.01)

    def script(prompt: str, nth: int) -> Reply:
        """First a slip, then ideas that do not help; asked to repair it, the same idea without the slip."""
        if "looks like a slip" in prompt:
            return Say(candidate("values.py", "    a=1.0,", "    a=0.25,", "halve a twice"))
        new = "    a=aa / 4," if nth == 0 else f"    a={1 + nth}.0,"
        return Say(candidate("values.py", "    a=1.0,", new, "halve a twice, with a slip" if nth == 0 else f"worse {nth}"))

    with ScriptedModel(script) as model:
        solo = {"lanes": "solo"}  # which writes less far ahead than blocks do
        place.config("night", [], proposers=[entry(model, in_flight=1)], limits={"candidates": 8}, tournament=solo)
        assert run(place, "run", "night.yaml").returncode == 0
    rows = place.rows("runs/night", "candidates")
    assert rows[0]["status"] == "crash"
    repaired = next(row for row in rows if row["parents"] == [rows[0]["id"]])
    assert repaired["status"] == "keep"
    asked = next(prompt for prompt in model.prompts() if "looks like a slip" in prompt)
    assert "NameError" in asked
    assert "a=aa / 4" in asked, "the edits that crashed"
