"""One call through real litellm over real HTTP: answers, and every way in which a server can fail to give one."""

from __future__ import annotations

import asyncio
import json
import os
import re
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
TOO_SMALL = "This model's maximum context length is 8192 tokens"
HALF = json.dumps(completion("m", Say("half an"))).encode()[:-20]


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
    found, model = ask(one_after_another(Fail(503), Say("at last")), retries=1)
    assert isinstance(found, Answer)
    assert len(model.requests) == 2


@pytest.mark.parametrize("fault", [Fail(500), Fail(400, TOO_SMALL)], ids=["down", "too small"])
def test_a_fallback_answers_where_the_model_does_not(monkeypatch: pytest.MonkeyPatch, fault: Reply) -> None:
    with ScriptedModel(lambda prompt, nth: Say("from the other")) as other:
        monkeypatch.setenv("HOSTED_VLLM_API_BASE", other.url)
        found = answer(lambda prompt, nth: fault, fallbacks=("hosted_vllm/other",))
    assert (found.text, found.model) == ("from the other", "hosted_vllm/other")


@pytest.mark.parametrize(
    ("reply", "said", "permanent"),
    [
        (Raw(HALF, cut=True), r"the connection to http\S+ failed or broke off", False),
        (Raw(b'{"choices": [{"message": {"content": "\xff\xfe\xff"}}]}'), "the server's answer is not UTF-8: .*", False),
        (Raw(b"<html>it works!</html>"), "the server's answer is not JSON: .*", False),
        (Raw(b""), "the server's answer is not JSON: .*", False),
        (Fail(400, "too long"), "BadRequestError: too long", True),
        (Fail(400, TOO_SMALL), f"ContextWindowExceededError: {TOO_SMALL}", True),
        (Fail(401, f"Incorrect API key provided: {KEY}"), r"AuthenticationError: Incorrect .* provided: \[redacted\]", True),
        (Fail(402, "no credits left"), "APIError: no credits left", True),
        (Fail(403, "not yours"), "APIError: not yours", True),
        (Fail(404, "no such model"), "NotFoundError: no such model", True),
        (Fail(500, f"upstream: {KEY}"), r"InternalServerError: upstream: \[redacted\]", False),
        (Hang(), r"Timeout: no answer within 0\.5 s", False),
    ],
    ids=["dies", "no-utf8", "web-page", "nothing", "400", "context", "401", "402", "403", "404", "500", "hangs"],
)
def test_what_is_no_answer_is_told_in_one_line_without_litellms_machinery(reply: Reply, said: str, permanent: bool) -> None:
    found = failure(lambda prompt, nth: reply, timeout_s=0.5 if reply == Hang() else 60.0)
    assert re.fullmatch(f"openai/scripted: {said}", found.reason), found.reason
    assert found.permanent == permanent


def test_where_no_fallback_answers_either_each_is_named_with_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedModel(lambda prompt, nth: Fail(404, "gone")) as other:
        monkeypatch.setenv("HOSTED_VLLM_API_BASE", other.url)
        found = failure(lambda prompt, nth: Fail(500, "upstream"), fallbacks=("hosted_vllm/other",))
    assert found.reason.startswith("openai/scripted: InternalServerError: upstream; hosted_vllm/other: ")
    assert "gone" in found.reason


def test_an_address_where_nobody_listens_is_one_clear_line() -> None:
    models = Models(entry(), {"openai/scripted": PRICE}, Redaction(KEYS))
    with pytest.raises(CallError, match=r"^openai/scripted: the connection to http://127\.0\.0\.1:9/v1 failed or broke off$"):
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
    assert "export OPENAI_API_KEY=none where your server asks for no key" in said(entry(), {}), (
        "a server of one's own that asks for none"
    )


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
