"""No secret comes out: neither one of the environment, nor one that looks like a key."""

from __future__ import annotations

import pytest

from orchestrator.proposers.redaction import GONE, Redaction

ENVIRONMENT = {
    "OPENAI_API_KEY": "correct-horse-battery",
    "HF_TOKEN": "staple",
    "DB_PASSWORD": "hunter2hunter2",
    "LONGER_TOKEN": "correct-horse-battery-and-more",
    "MAX_TOKENS": "1000000000",
    "SHORT_KEY": "abc",
    "MONKEY": "bananabanana",
    "SSH_AUTH_SOCK": "/run/user/1000/keyring/ssh",
    "HOME": "/home/somebody",
}


def test_values_of_secret_variables_are_gone_and_settings_stay() -> None:
    redaction = Redaction(ENVIRONMENT)
    settings = "1000000000 abc bananabanana /run/user/1000/keyring/ssh /home/somebody"
    text = f"correct-horse-battery-and-more correct-horse-battery hunter2hunter2 {settings}"
    assert redaction.of(text) == f"{GONE} {GONE} {GONE} {settings}"


@pytest.mark.parametrize(
    "secret",
    ["sk-ant-REDACTED", "ghp_abcdefghijklmnopqrstuvwxyz", "hf_abcdefghijklmnopqrst", "AKIAABCDEFGHIJKLMNOP"],
)
def test_what_looks_like_a_key_is_gone(secret: str) -> None:
    assert secret not in Redaction({}).of(f"key={secret}")


def test_a_text_with_a_secret_in_it_is_told_by_the_variable() -> None:
    redaction = Redaction(ENVIRONMENT)
    assert redaction.variable_in("KEY = 'correct-horse-battery-and-more'") == "LONGER_TOKEN"
    assert redaction.variable_in("KEY = 'correct-horse'") is None


def test_code_stays_as_it_is() -> None:
    code = "risk_free = ask_price - task_count  # sk-learn\nhf_model = pk_index\npath = hf_hub_download(r8_reduced_precision)\n"
    assert Redaction({}).of(code) == code
