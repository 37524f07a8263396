"""The user's keys are taken out of what a program says; nothing else is."""

from __future__ import annotations

from orchestrator.proposers.program.redaction import Secrets

SECRETS = Secrets(
    {
        "ANTHROPIC_API_KEY": "sk-ant-0123456789",
        "LONGER_TOKEN": "sk-ant-0123456789-and-more",
        "SSH_AUTH_SOCK": "/tmp/agent.sock",
        "MAX_TOKENS": "1000000000",
        "SHORT_KEY": "abc",
        "MONKEY": "bananabanana",
        "HOME": "/home/somebody",
    }
)


def test_keys_are_replaced_by_the_names_of_their_variables() -> None:
    assert SECRETS.redacted("a sk-ant-0123456789-and-more b sk-ant-0123456789") == "a [LONGER_TOKEN] b [ANTHROPIC_API_KEY]"


def test_what_is_no_key_stays() -> None:
    text = "/tmp/agent.sock 1000000000 abc bananabanana /home/somebody"
    assert SECRETS.redacted(text) == text
    assert SECRETS.named_in(text) is None


def test_a_text_with_a_key_in_it_is_told_by_the_variable() -> None:
    assert SECRETS.named_in("KEY = 'sk-ant-0123456789'") == "ANTHROPIC_API_KEY"
