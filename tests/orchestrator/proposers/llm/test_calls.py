"""One call through real litellm over real HTTP: answers, and every way in which a server can fail to give one."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from scripted_model import Fail, Hang, Raw, Reply, Say, Script, ScriptedModel, completion

from orchestrator.config import Llm, TokenPrice
from orchestrator.config_text import ConfigError
from orchestrator.proposers.llm.calls import CallError, Models, check
from orchestrator.proposers.llm.money import Price
from orchestrator.proposers.llm.record import Message
from orchestrator.proposers.llm.record import Reply as Answer
from orchestrator.proposers.redaction import Redaction

KEY = "sk-scripted-key-of-the-tests-31337"
KEYS = {"OPENAI_API_KEY": KEY}
ASK = [Message("system", "be brief"), Message("user", "hello")]
PRICE = Price(10.0, 20.0)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return


def entry(url: str | None = "http://127.0.0.1:9/v1", **more: Any) -> Llm:
    given = {"model": "openai/scripted", "price": TokenPrice(input_per_mtok=10.0, output_per_mtok=20.0), "retries": 0}
    return Llm(kind="llm", api_base=url, **{**given, **more})


def ask(script: Script, **more: Any) -> tuple[Answer | CallError, ScriptedModel]:
    with ScriptedModel(script) as model:
        asked = entry(model.url, **more)
        models = Models(asked, check(asked, "proposers[0]", os.environ).prices, Redaction(KEYS))
        try:
            return asyncio.run(models.call(ASK)), model
        except CallError as error:
            return error, model


def answer(script: Script, **more: Any) -> Answer:
    found, _ = ask(script, **more)
    assert isinstance(found, Answer), found
    return found


def failure(script: Script, **more: Any) -> CallError:
    found, _ = ask(script, **more)
    assert isinstance(found, CallError), found
    assert KEY not in found.reason
    assert "\n" not in found.reason
    return found


def one_after_another(*replies: Reply) -> Script:
    return lambda prompt, nth: replies[min(nth, len(replies) - 1)]


def test_an_answer_comes_with_its_tokens_its_dollars_and_its_model() -> None:
    found, model = ask(lambda prompt, nth: Say("good morning", 1000, 500))
    assert isinstance(found, Answer)
    assert (found.text, found.model, found.prompt_tokens, found.completion_tokens) == (
        "good morning", "openai/scripted", 1000, 500,
    )  # fmt: skip
    assert found.usd == pytest.approx(0.02)
    assert model.keys == [f"Bearer {KEY}"]
    assert [message["content"] for message in model.requests[0]["messages"]] == ["be brief", "hello"]
    assert model.requests[0]["max_tokens"] == 8192


def test_the_price_of_the_config_overrides_litellms_and_litellms_holds_without_one() -> None:
    own = {"model": "openai/gpt-4o", "price": TokenPrice(input_per_mtok=1.0, output_per_mtok=1.0)}
    assert answer(lambda prompt, nth: Say("x", 1000, 500), **own).usd == pytest.approx(0.0015)
    assert answer(lambda prompt, nth: Say("x", 1000, 500), model="openai/gpt-4o", price=None).usd == pytest.approx(0.0075)


def test_a_server_that_does_not_count_is_charged_by_length() -> None:
    found = answer(lambda prompt, nth: Say("x" * 3000, usage=False))
    assert found.completion_tokens >= 500
    assert found.usd > 0


def test_a_refused_key_is_permanent_and_not_tried_again() -> None:
    found, model = ask(lambda prompt, nth: Fail(401, f"Incorrect API key provided: {KEY}"), retries=2)
    assert isinstance(found, CallError)
    assert found.permanent
    assert "AuthenticationError" in found.reason
    assert KEY not in found.reason
    assert len(model.requests) == 1


def test_a_rate_limit_is_waited_for_as_long_as_the_server_asks() -> None:
    began = time.monotonic()
    found, model = ask(one_after_another(Fail(429, "slow down", {"Retry-After": "1"}), Say("at last")), retries=1)
    assert isinstance(found, Answer)
    assert found.text == "at last"
    assert time.monotonic() - began >= 1.0
    assert len(model.requests) == 2


def test_how_long_a_server_wants_to_be_left_alone_is_handed_on() -> None:
    found = failure(lambda prompt, nth: Fail(429, "slow down", {"Retry-After": "120"}))
    assert found.retry_after_s == 120.0
    assert not found.permanent


def test_a_server_error_is_tried_again() -> None:
    found, model = ask(one_after_another(Fail(500), Fail(503), Say("at last")), retries=2)
    assert isinstance(found, Answer)
    assert len(model.requests) == 3


def test_a_fallback_answers_where_the_model_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedModel(lambda prompt, nth: Say("from the other")) as other:
        monkeypatch.setenv("HOSTED_VLLM_API_BASE", other.url)
        found = answer(lambda prompt, nth: Fail(500), fallbacks=("hosted_vllm/other",))
    assert (found.text, found.model) == ("from the other", "hosted_vllm/other")


def test_a_server_that_hangs_is_given_up_in_time() -> None:
    began = time.monotonic()
    found = failure(lambda prompt, nth: Hang(), timeout_s=0.5)
    assert "imeout" in found.reason
    assert not found.permanent
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "reply",
    [
        Raw(json.dumps(completion("scripted", Say("half an"))).encode()[:-20], cut=True),
        Raw(b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "\xff\xfe\xff"}}]}'),
        Raw(b"<html>it works!</html>"),
        Raw(b""),
        Fail(404, "no such model"),
        Fail(400, "too long"),
    ],
    ids=["dies in the middle", "invalid UTF-8", "a web page", "nothing", "404", "400"],
)
def test_what_is_no_answer_is_one_clear_line(reply: Reply) -> None:
    found, _ = ask(lambda prompt, nth: reply)
    if isinstance(
        found, Answer
    ):  # litellm mends some of these; then it is an empty or a mangled answer, which is refused later
        assert "HYPOTHESIS" not in found.text
        found.text.encode()
    else:
        assert len(found.reason) < 500
        assert "\n" not in found.reason


def test_an_address_where_nobody_listens_is_one_clear_line() -> None:
    models = Models(entry(), {"openai/scripted": PRICE}, Redaction(KEYS))
    with pytest.raises(CallError, match="onnection"):
        asyncio.run(models.call(ASK))


def test_an_empty_answer_and_half_a_letter_are_answers_that_can_be_stored() -> None:
    assert answer(lambda prompt, nth: Say(None)).text == ""
    body = b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",'
    body += b'"message":{"role":"assistant","content":"half \\ud800 a letter"}}]}'
    answer(lambda prompt, nth: Raw(body)).text.encode("utf-8")


def test_a_secret_in_an_answer_does_not_come_out() -> None:
    assert KEY not in answer(lambda prompt, nth: Say(f"your key is {KEY}")).text


def test_what_is_asked_for_can_be_set() -> None:
    _, model = ask(lambda prompt, nth: Say("x"), temperature=0.3, max_tokens=77)
    assert (model.requests[0]["temperature"], model.requests[0]["max_tokens"]) == (0.3, 77)


def said(asked: Llm, environment: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as error:
        check(asked, "proposers[0]", environment)
    return str(error.value)


def test_a_missing_key_is_named_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    text = said(entry(None, model="openai/gpt-4o"), {})
    assert "proposers[0].model" in text
    assert "export OPENAI_API_KEY=" in text
    assert "any text" in said(entry(), {}), "a server of one's own that asks for none"


def test_a_name_that_litellm_does_not_know_is_answered_with_the_closest() -> None:
    assert "did you mean" in said(entry(None, model="gpt-4oo", price=None), KEYS)
    assert "provider/model" in said(entry(None, model="zzzzzz"), KEYS)


def test_a_hosted_model_without_a_price_is_refused_and_one_of_ones_own_is_free_with_a_word() -> None:
    assert "input_per_mtok" in said(entry(None, model="openai/brand-new", price=None), KEYS)
    assert check(entry(None, model="openai/brand-new"), "p", KEYS).prices == {"openai/brand-new": PRICE}
    found = check(entry(price=None), "p", KEYS)
    assert found.prices == {"openai/scripted": Price()}
    assert "counted as free" in found.notes[0]


@pytest.mark.parametrize("model", ["ollama_chat/qwen3", "hosted_vllm/qwen3"])
def test_servers_of_ones_own_need_no_key(model: str) -> None:
    assert model in check(entry(None, model=model, price=None), "p", {}).prices


def test_each_fallback_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    assert "proposers[0].fallbacks[0]" in said(entry(fallbacks=("mistral/mistral-large-latest",)), dict(os.environ))
