"""The journal: the append-only record of every event of a campaign, in one SQLite file. The only memory.

Guarantees: events are read in the order they were written; `append` returns after its transaction is on disk (WAL,
synchronous=FULL), so that what was acted upon is always remembered; a reader never blocks the writer. One process writes
(the head, under the run lock); any number read. Nothing is ever changed or removed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from orchestrator.events import EVENT_TYPES, Event

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE events (
    seq  INTEGER PRIMARY KEY,
    at   REAL NOT NULL,   -- Unix time, s
    kind TEXT NOT NULL,
    body BLOB NOT NULL    -- JSON
) STRICT;
"""


class JournalError(Exception):
    """The journal is missing, damaged, or from a version of Regatta that this one does not know."""


@dataclass(frozen=True, slots=True)
class Entry:
    seq: int
    at: float  # Unix time, s
    event: Event


_DECODERS = {kind: msgspec.json.Decoder(cls) for kind, cls in EVENT_TYPES.items()}
_ENCODER = msgspec.json.Encoder()


class Journal:
    """Open for writing with `Journal.create` or `Journal.open`, for reading with `Journal.read_only`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    def create(cls, path: Path) -> Journal:
        """A new journal at `path`, which must not exist."""
        if path.exists():
            raise JournalError(f"{path}: a journal is there already")
        connection = _connect(path)
        connection.executescript(f"PRAGMA user_version = {SCHEMA_VERSION}; {_SCHEMA}")
        return cls(connection, path)

    @classmethod
    def open(cls, path: Path) -> Journal:
        """The existing journal at `path`, to append to. Raises `JournalError`."""
        _must_exist(path)
        try:
            journal = cls(_connect(path), path)
        except sqlite3.DatabaseError as error:
            raise JournalError(f"{path}: is not a journal: {error}") from error
        journal._check_version()
        return journal

    @classmethod
    def read_only(cls, path: Path) -> Journal:
        """The existing journal at `path`, also while another process writes it. Raises `JournalError`."""
        _must_exist(path)
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=30)
        journal = cls(connection, path)
        journal._check_version()
        return journal

    def append(self, event: Event, at: float) -> Entry:
        """Remember `event`; it is on disk when this returns. Raises `JournalError`, and then nothing was written."""
        kind = type(event).__name__
        try:
            body = _ENCODER.encode(event)
            _DECODERS[kind].decode(body)  # JSON has no NaN: what could never be read again must not get in
            cursor = self._connection.execute("INSERT INTO events (at, kind, body) VALUES (?, ?, ?)", (at, kind, body))
        except (ValueError, msgspec.DecodeError) as error:
            raise JournalError(f"{self.path}: {kind} cannot be written: {error}") from error
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: cannot be written: {error}") from error
        assert cursor.lastrowid is not None
        return Entry(cursor.lastrowid, at, event)

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Every event behind number `after`, oldest first. Raises `JournalError` at one that cannot be read."""
        try:
            rows = self._connection.execute("SELECT seq, at, kind, body FROM events WHERE seq > ? ORDER BY seq", (after,))
            for seq, at, kind, body in rows:
                yield Entry(seq, at, self._decode(seq, kind, body))
        except sqlite3.DatabaseError as error:
            raise JournalError(f"{self.path}: cannot be read: {error}") from error

    def close(self) -> None:
        self._connection.close()

    def _decode(self, seq: int, kind: str, body: bytes) -> Event:
        decoder = _DECODERS.get(kind)
        if decoder is None:
            raise JournalError(f"{self.path}: event {seq} is of the unknown kind {kind!r}; use a newer regatta")
        try:
            return decoder.decode(body)
        except (msgspec.DecodeError, ValueError) as error:
            raise JournalError(f"{self.path}: event {seq} ({kind}) is damaged: {error}") from error

    def _check_version(self) -> None:
        try:
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.DatabaseError as error:
            raise JournalError(f"{self.path}: is not a journal: {error}") from error
        if version != SCHEMA_VERSION:
            raise JournalError(f"{self.path}: has schema {version}, this regatta reads {SCHEMA_VERSION}")


def _connect(path: Path) -> sqlite3.Connection:
    # Autocommit: one INSERT is one transaction. The head's main thread owns the connection.
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise JournalError(f"{path.parent}: no journal here; give the directory of a run (regatta run makes one)")
