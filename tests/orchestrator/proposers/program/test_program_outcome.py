"""What is read out of the output of agents, in the forms that they print, and what is not believed."""

from __future__ import annotations

import json

import pytest

from orchestrator.proposers.program.outcome import heard, one_line_of

CLAUDE = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": "I raised the rate.\n\n**HYPOTHESIS:** a higher rate learns faster\nEXPECTED: -0.002 bpb\nFAMILY: optimiser",
    "total_cost_usd": 0.1234,
    "modelUsage": {"small": {"costUSD": 0.01}, "large": {"costUSD": 0.11}},
}
CODEX = [
    {"type": "thread.started", "thread_id": "x"},
    {"type": "item.completed", "item": {"id": "1", "type": "reasoning", "text": "thinking"}},
    {"type": "item.completed", "item": {"id": "2", "type": "agent_message", "text": "HYPOTHESIS: wider is better"}},
    {"type": "turn.completed", "usage": {"input_tokens": 1, "output_tokens": 2}},
]


def test_plain_lines_say_what_the_edit_is_for() -> None:
    said = heard(b"working\nHYPOTHESIS: more heads\nEXPECTED: \xe2\x88\x920.5\nFAMILY: architecture\nHYPOTHESIS: another\n")
    assert (said.description, said.expected, said.family, said.usd) == ("more heads", -0.5, "architecture", 0.0)


@pytest.mark.parametrize("indent", [None, 2])
def test_one_json_object_with_result_and_cost(indent: int | None) -> None:
    said = heard(json.dumps(CLAUDE, indent=indent).encode())
    assert said.description == "a higher rate learns faster"
    assert (said.expected, said.family, said.usd, said.model) == (-0.002, "optimiser", 0.1234, "large")


def test_a_list_of_json_objects_ends_with_the_result() -> None:
    assert heard(json.dumps([{"type": "system"}, CLAUDE]).encode()).usd == 0.1234


def test_json_lines_hold_the_agents_last_message() -> None:
    assert heard("\n".join(map(json.dumps, CODEX)).encode()).description == "wider is better"


def test_a_line_with_the_cost_may_stand_among_others() -> None:
    said = heard(b'HYPOTHESIS: x\n{"total_cost_usd": 0.02}\nbye\n')
    assert (said.description, said.usd) == ("x", 0.02)


def test_the_costs_that_aider_prints_are_those_of_the_session() -> None:
    said = heard(b"Tokens: 2.4k sent, 148 received. Cost: $0.0095 message, $0.0195 session.\n")
    assert said.usd == 0.0195


@pytest.mark.parametrize("figure", ["-1", "true", '"3"', "1e99", "null", "[1]"])
def test_a_cost_that_makes_no_sense_is_passed_over(figure: str) -> None:
    assert heard(f'{{"total_cost_usd": {figure}}}'.encode()).usd == 0.0


def test_a_cost_that_is_only_quoted_is_not_taken_for_one() -> None:
    quoted = {"result": 'I saw {"total_cost_usd": 99}\n{"total_cost_usd": 98}', "total_cost_usd": 0.5}
    assert heard(json.dumps(quoted).encode()).usd == 0.5


@pytest.mark.parametrize("output", [b"", b"\xff\xfe\x00", b"{" * 10_000, b"[" * 200_000, b'{"result": 3, "item": []}', b"null"])
def test_output_of_any_kind_says_nothing_rather_than_fail(output: bytes) -> None:
    assert heard(output).description is None


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    assert heard(b"HYPOTHESIS: \x1b[31mred\x1b[0m\n").description == "red"


@pytest.mark.parametrize(("text", "number"), [("+0.5", 0.5), ("some 3", None), ("2%", None), ("-1e-3", -1e-3), ("1e999", None)])
def test_an_expected_effect_is_a_number_or_nothing(text: str, number: float | None) -> None:
    assert heard(f"HYPOTHESIS: x\nEXPECTED: {text}\n".encode()).expected == number


def test_a_commit_subject_or_a_file_is_a_description_by_its_first_line() -> None:
    assert one_line_of("\n  tune it\nmore") == "tune it"
    assert one_line_of("feat: x\nHYPOTHESIS: y") == "y"
    assert one_line_of(" \n") is None
