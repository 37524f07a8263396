"""The inbox: what one process leaves is what the other reads, in order and once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator import inbox
from orchestrator.edits import Edit
from orchestrator.inbox import PersonsProposal
from orchestrator.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    with RunDirectory.creating(tmp_path / "run"):
        pass
    return RunDirectory(tmp_path / "run")


def test_a_proposal_arrives_as_it_was_sent_with_its_token(run: RunDirectory) -> None:
    edits = (Edit("a.py", search="x", replace="y"), Edit("b.py", content="ü\r\n"), Edit("c.py", delete=True))
    path = inbox.send(run, PersonsProposal("an idea", edits, "a1b2"))
    assert run.messages() == [path]
    assert inbox.read(path) == PersonsProposal("an idea", edits, "a1b2", path.stem)


def test_a_message_that_is_still_being_written_is_not_there_yet(run: RunDirectory) -> None:
    (run.inbox / ".half.json").write_text("{")
    assert run.messages() == []


def test_messages_come_oldest_first(run: RunDirectory) -> None:
    sent = [inbox.send(run, PersonsProposal(str(number), (), "a1b2")) for number in range(4)]
    for age, path in enumerate(reversed(sent)):
        os.utime(path, ns=(0, age))
    assert run.messages() == sent[::-1]


def test_two_proposals_never_share_a_token(run: RunDirectory) -> None:
    proposal = PersonsProposal("same", (Edit("a", content=""),), "a1b2")
    assert inbox.send(run, proposal).stem != inbox.send(run, proposal).stem


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"{}",
        b'{"description": 5, "edits": []}',
        b'{"description": "x", "edits": [{"path": "a"}]}',
        b'{"description": "\xff", "edits": []}',
    ],
)
def test_what_cannot_be_understood_is_said_and_named(run: RunDirectory, content: bytes) -> None:
    path = run.inbox / "odd.json"
    path.write_bytes(content)
    found = inbox.read(path)
    assert isinstance(found, str)
    assert found.startswith("odd.json in the inbox was not understood and is dropped: ")


def test_a_run_without_an_inbox_has_no_messages(run: RunDirectory) -> None:
    run.inbox.rmdir()
    assert run.messages() == []


def test_a_proposal_can_be_left_where_the_inbox_is_gone(run: RunDirectory) -> None:
    run.inbox.rmdir()
    inbox.send(run, PersonsProposal("an idea", (), "a1b2"))
    assert len(run.messages()) == 1


def test_text_that_is_not_unicode_leaves_no_message(run: RunDirectory) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        inbox.send(run, PersonsProposal("an idea", (Edit("a.py", content="caf\udce9"),), "a1b2"))
    assert run.messages() == []
