"""The `replay` proposer: a file of proposals, line by line, whatever is in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.config import ConfigError
from orchestrator.edits import Edit
from orchestrator.proposers.base import Brief, Proposal, ProposalError
from orchestrator.proposers.replay import ReplayProposer

GOOD = '{"description": "deeper", "edits": [{"path": "train.py", "search": "a", "replace": "b"}]}'


def brief(proposed: int) -> Brief:
    return Brief("c" * 40, dict[str, str]().get, (), (), proposed)


def replay(folder: Path, *lines: str | bytes) -> ReplayProposer:
    raw = [line if isinstance(line, bytes) else line.encode() for line in lines]
    (folder / "p.jsonl").write_bytes(b"\n".join(raw))
    return ReplayProposer("p.jsonl", working_dir=folder)


def everything(proposer: ReplayProposer, start: int = 0) -> list[str]:
    """Descriptions, and the reasons of malformed lines, from the `start`-th on."""
    told: list[str] = []
    while True:
        try:
            proposal = proposer.propose(brief(start + len(told)))
        except ProposalError as error:
            told.append(error.reason)
            continue
        if proposal is None:
            return told
        told.append(proposal.description)


def test_a_line_becomes_a_proposal_with_every_form_of_edit(tmp_path: Path) -> None:
    edits = [
        {"path": "train.py", "search": "a", "replace": ""},
        {"path": "new.py", "content": "x\n"},
        {"path": "old.py", "delete": True},
    ]
    proposer = replay(tmp_path, json.dumps({"description": " deeper\n net ", "edits": edits}))
    assert proposer.propose(brief(0)) == Proposal(
        "deeper net",
        (Edit("train.py", search="a", replace=""), Edit("new.py", content="x\n"), Edit("old.py", delete=True)),
    )


def test_lines_come_in_the_order_of_the_file_and_blank_ones_do_not_count(tmp_path: Path) -> None:
    proposer = replay(tmp_path, "", GOOD, "  ", GOOD.replace("deeper", "wider"), "\r", "")
    assert proposer.planned() == 2
    assert everything(proposer) == ["deeper", "wider"]
    assert proposer.exhausted_reason == "p.jsonl is used up"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "p.jsonl:1: Input data was truncated"),
        ("not json", "p.jsonl:1: JSON is malformed"),
        ("[]", "p.jsonl:1: Expected `object`, got `array`"),
        ('{"edits": []}', "p.jsonl:1: Object missing required field `description`"),
        ('{"description": "x"}', "p.jsonl:1: Object missing required field `edits`"),
        ('{"description": "x", "edits": []}', "p.jsonl:1: 'edits' is empty"),
        ('{"description": " ", "edits": [{"path": "a", "delete": true}]}', "p.jsonl:1: 'description' is blank"),
        (GOOD.replace('"edits"', '"why": 1, "edits"'), "p.jsonl:1: Object contains unknown field `why`"),
        (GOOD.replace('"train.py"', "3"), "p.jsonl:1: Expected `str`, got `int` - at `$.edits[0].path`"),
        (GOOD.replace('"replace"', '"content"'), "p.jsonl:1: edit of 'train.py': give exactly one of"),
        (GOOD.replace('"search": "a"', '"search": ""'), "p.jsonl:1: edit of 'train.py': 'search' is empty"),
        (GOOD.encode().replace(b"deeper", b"\xff"), "p.jsonl:1: "),
        ("[" * 100_000, "p.jsonl:1: "),
    ],
)
def test_a_malformed_line_is_a_proposal_error_with_its_place_and_what_is_wrong(
    tmp_path: Path, line: str | bytes, reason: str
) -> None:
    with pytest.raises(ProposalError) as caught:
        replay(tmp_path, line).propose(brief(0))
    assert caught.value.reason.startswith(reason)
    assert caught.value.description


def test_a_malformed_line_keeps_its_description_where_it_has_one(tmp_path: Path) -> None:
    with pytest.raises(ProposalError) as caught:
        replay(tmp_path, '{"description": "deeper", "edits": 3}').propose(brief(0))
    assert caught.value.description == "deeper"


def test_after_a_malformed_line_the_next_one_follows(tmp_path: Path) -> None:
    told = everything(replay(tmp_path, GOOD, "oops", GOOD))
    assert [told[0], told[2]] == ["deeper", "deeper"]
    assert told[1].startswith("p.jsonl:2: ")


@pytest.mark.parametrize("start", [0, 1, 2, 3, 4])
def test_a_fresh_one_goes_on_behind_what_was_given(tmp_path: Path, start: int) -> None:
    lines = [GOOD, "", "oops", GOOD.replace("deeper", "wider"), ""]
    before = everything(replay(tmp_path, *lines))
    assert everything(replay(tmp_path, *lines), start) == before[start:]


def test_asked_for_an_earlier_proposal_it_gives_it_again(tmp_path: Path) -> None:
    proposer = replay(tmp_path, GOOD, GOOD.replace("deeper", "wider"))
    everything(proposer)
    again = proposer.propose(brief(0))
    assert again is not None
    assert again.description == "deeper"


def test_each_line_of_a_long_file_is_read_once(tmp_path: Path) -> None:
    proposer = replay(tmp_path, *[GOOD] * 3_000)
    for given in range(100):
        proposer.propose(brief(given))
    # What has been given is not looked at again: overwriting it changes nothing.
    text = (tmp_path / "p.jsonl").read_bytes()
    head = len((GOOD + "\n") * 100)
    (tmp_path / "p.jsonl").write_bytes(b"\n" * head + text[head:])
    assert len(everything(proposer, 100)) == 2_900


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    assert everything(replay(tmp_path, b"\xef\xbb\xbf" + GOOD.encode())) == ["deeper"]


def test_an_empty_file_is_used_up_at_once(tmp_path: Path) -> None:
    proposer = replay(tmp_path, "")
    assert (proposer.planned(), proposer.propose(brief(0))) == (0, None)


@pytest.mark.parametrize(("path", "why"), [("none.jsonl", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_an_error_of_the_config_key(tmp_path: Path, path: str, why: str) -> None:
    with pytest.raises(ConfigError, match=rf"^proposers\[2\]\.path: given '{path}'; .*{why}.*{tmp_path}"):
        ReplayProposer(path, working_dir=tmp_path, key="proposers[2].path")
