"""The journal gives back what was written, to any number of readers, and names what it cannot read."""

from __future__ import annotations

import math
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator import events as ev
from orchestrator.edits import Edit
from orchestrator.journal import SCHEMA_VERSION, Journal, JournalError

NOTE = ev.Note("hello")

numbers = st.floats(allow_nan=False, allow_infinity=False)
an_edit = st.one_of(
    st.builds(Edit, path=st.text(), search=st.text(min_size=1), replace=st.text()),
    st.builds(Edit, path=st.text(), content=st.text()),
    st.builds(Edit, path=st.text(), delete=st.just(True)),
)


def any_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field: as hypothesis would, but plain dicts, numbers that JSON knows, and edits that are edits."""
    if hint is float:
        return numbers
    if hint is Edit:
        return an_edit
    if is_dataclass(hint):
        return st.builds(hint, **{name: any_of(of) for name, of in get_type_hints(hint).items()})
    arguments = get_args(hint)
    if get_origin(hint) is tuple:
        return st.lists(any_of(arguments[0]), max_size=4).map(tuple)
    if get_origin(hint) is Mapping:
        return st.dictionaries(any_of(arguments[0]), any_of(arguments[1]), max_size=4)
    if arguments:
        return st.one_of(*map(any_of, arguments))
    return st.from_type(hint)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.mark.parametrize("kind", sorted(ev.EVENT_TYPES))
def test_every_kind_of_event_is_read_back_as_it_was_written(kind: str, path: Path) -> None:
    journal = Journal.create(path)

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(any_of(ev.EVENT_TYPES[kind]), st.floats(0, 1e11))
    def written(event: ev.Event, at: float) -> None:
        entry = journal.append(event, at)
        assert list(journal.entries(after=entry.seq - 1)) == [entry]
        assert type(next(iter(journal.entries(after=entry.seq - 1))).event) is type(event)

    written()
    journal.close()


def test_events_come_in_the_order_they_were_written(path: Path) -> None:
    journal = Journal.create(path)
    for number in range(50):
        journal.append(ev.Note(str(number)), 0.0)
    assert [entry.event.text for entry in journal.entries()] == [str(n) for n in range(50)]  # type: ignore[union-attr]
    assert [entry.seq for entry in journal.entries(after=48)] == [49, 50]
    journal.close()


def test_a_reader_sees_what_is_written_while_it_reads(path: Path) -> None:
    writer, reader = Journal.create(path), Journal.read_only(path)
    writer.append(NOTE, 1.0)
    reading = reader.entries()
    assert next(reading).seq == 1
    for _ in range(100):
        writer.append(NOTE, 2.0)  # not blocked by the reader in the middle of its reading
    assert len(list(reader.entries())) == 101
    reading.close()  # type: ignore[attr-defined]
    reader.close()
    writer.close()


def test_a_reader_cannot_write(path: Path) -> None:
    Journal.create(path).close()
    reader = Journal.read_only(path)
    with pytest.raises(JournalError, match="readonly"):
        reader.append(NOTE, 0.0)
    reader.close()


@pytest.mark.parametrize("folder", ["with space", "50%25", "what?", "a#b", "ü"])
def test_the_folder_may_have_any_name(folder: str, tmp_path: Path) -> None:
    path = tmp_path / folder / "journal.sqlite"
    path.parent.mkdir()
    writer = Journal.create(path)
    writer.append(NOTE, 0.0)
    reader = Journal.read_only(path)
    assert [entry.event for entry in reader.entries()] == [NOTE]
    reader.close()
    writer.close()


def test_what_is_there_already_is_not_created_over(path: Path) -> None:
    Journal.create(path).close()
    with pytest.raises(JournalError, match="there already"):
        Journal.create(path)


@pytest.mark.parametrize("opening", [Journal.open, Journal.read_only])
def test_a_missing_journal_says_what_makes_one(opening: object, path: Path) -> None:
    with pytest.raises(JournalError, match="regatta run makes one"):
        opening(path)  # type: ignore[operator]


@pytest.mark.parametrize("opening", [Journal.open, Journal.read_only])
def test_a_file_that_is_no_database_is_named(opening: object, path: Path) -> None:
    path.write_bytes(b"name: overnight\n" * 200)
    with pytest.raises(JournalError, match="is not a journal"):
        opening(path)  # type: ignore[operator]


@pytest.mark.parametrize("opening", [Journal.open, Journal.read_only])
def test_a_journal_of_another_version_is_refused_with_both_versions(opening: object, path: Path) -> None:
    Journal.create(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(JournalError, match=f"schema {SCHEMA_VERSION + 1}, this regatta reads {SCHEMA_VERSION}"):
        opening(path)  # type: ignore[operator]


def tampered(path: Path, kind: str, body: bytes) -> Journal:
    journal = Journal.create(path)
    journal.append(NOTE, 0.0)
    journal.close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO events (at, kind, body) VALUES (0, ?, ?)", (kind, body))
    connection.close()
    return Journal.open(path)


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("Surprise", b"{}", "event 2 is of the unknown kind 'Surprise'"),
        ("Note", b"{", r"event 2 \(Note\) is damaged"),
        ("Note", b'{"text": 5}', r"event 2 \(Note\) is damaged"),
        ("Note", b"\xff\xfe", r"event 2 \(Note\) is damaged"),
        ("Note", b'{"text": "\xff"}', r"event 2 \(Note\) is damaged"),
        ("Proposed", b'{"candidate":"c","proposer":"p","description":"d","edits":[{"path":"x"}]}', r"event 2 .* is damaged"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(path: Path, kind: str, body: bytes, said: str) -> None:
    journal = tampered(path, kind, body)
    with pytest.raises(JournalError, match=said):
        list(journal.entries())
    journal.close()


def test_a_damaged_file_is_an_error_and_not_a_shorter_journal(path: Path) -> None:
    journal = Journal.create(path)
    for _ in range(2000):
        journal.append(ev.Note("x" * 100), 0.0)
    journal.close()
    data = bytearray(path.read_bytes())
    data[8192:40960] = b"\xa5" * (40960 - 8192)
    path.write_bytes(data)
    journal = Journal.open(path)
    with pytest.raises(JournalError, match="cannot be read"):
        list(journal.entries())
    journal.close()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_could_not_be_read_back_is_refused_before_it_is_written(path: Path, value: float) -> None:
    journal = Journal.create(path)
    with pytest.raises(JournalError, match="ChampionMoved cannot be written"):
        journal.append(ev.ChampionMoved("a", "b", (), (), value, None, 1, "s"), 0.0)
    assert list(journal.entries()) == []
    journal.close()


def test_an_event_without_a_newer_field_is_read_with_its_default(path: Path) -> None:
    journal = tampered(
        path, "TrialStarted", b'{"trial":"t1","purpose":"race","commit":"c","candidates":[],"seed":1,"worker":"w"}'
    )
    assert list(journal.entries())[1].event == ev.TrialStarted("t1", ev.Purpose.RACE, "c", (), 1, "w", 0.0, None)
    journal.close()


WRITER = """
import sys
from pathlib import Path
from orchestrator.events import Note
from orchestrator.journal import Journal
journal = Journal.open(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    journal.append(Note(str(number)), 0.0)
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 37, 300])
def test_a_writer_killed_in_the_middle_loses_nothing_that_was_appended(path: Path, after: int) -> None:
    Journal.create(path).close()
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= after:
                writer.send_signal(signal.SIGKILL)
                break
        told = [after, *(int(line) for line in writer.stdout if line.endswith("\n"))]
    journal = Journal.open(path)
    found = [int(entry.event.text) for entry in journal.entries()]  # type: ignore[union-attr]
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= told[-1]
    journal.append(NOTE, 0.0)
    journal.close()
