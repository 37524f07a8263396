"""The `replay` proposer: proposals from a file, one JSON object a line, in the order of the file.

A line that cannot be read is a `ProposalError` that names file and line, and counts as a proposal; blank lines do not count.
`brief.proposed` says where to go on, so nothing but the file and the journal is needed after a crash. The file is read
forwards once, from where the last proposal ended; it is never held open and never written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from orchestrator.config import ConfigError
from orchestrator.edits import Edit, EditError
from orchestrator.proposers.base import Brief, Proposal, ProposalError, Result


class _EditLine(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    search: str | UnsetType = UNSET
    replace: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    delete: bool = False

    def edit(self) -> Edit:
        return Edit(self.path, _given(self.search), _given(self.replace), _given(self.content), self.delete)


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    description: str
    edits: list[_EditLine]


def _given(text: str | UnsetType) -> str | None:
    return None if isinstance(text, UnsetType) else text


class ReplayProposer:
    """Gives the lines of `path` (relative to `working_dir`); `key` is the config key that named it, for errors."""

    def __init__(self, path: str, *, name: str = "replay", working_dir: Path, key: str = "proposers[].path") -> None:
        self.name = name
        self.exhausted_reason: str | None = None
        self._path = path
        self._file = working_dir / path
        self._offset = 0  # of the first byte not read yet
        self._line = 0  # number of the last line read
        self._given = 0  # how many lines that are not blank lie before `_offset`
        try:
            with self._file.open("rb") as file:
                self._planned = sum(1 for line in file if line.strip())
        except OSError as error:
            where = "" if Path(path).is_absolute() else f" (looked in {working_dir})"
            said = f"{key}: given {path!r}; a file with one proposal a line: {error.strerror}{where}"
            raise ConfigError([said]) from None

    def planned(self) -> int:
        return self._planned

    def propose(self, brief: Brief) -> Proposal | None:
        if brief.proposed < self._given:
            self._offset = self._line = self._given = 0
        for line in self._lines():
            if self._given > brief.proposed:
                return replace(self._proposal(line), against=brief.base)  # written before there was a champion
        self.exhausted_reason = f"{self._path} is used up"
        return None

    def learn(self, result: Result) -> None:
        """A file does not learn."""

    def _lines(self) -> Iterator[bytes]:
        """What is left of the file, without blank lines; the position moves with every line."""
        with self._file.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                self._offset += len(line)
                self._line += 1
                if line.strip():
                    self._given += 1
                    yield line

    def _proposal(self, line: bytes) -> Proposal:
        where = f"{self._path}:{self._line}"
        if self._line == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            read = msgspec.json.decode(line, type=_Line)
            edits = tuple(each.edit() for each in read.edits)
        except (msgspec.DecodeError, EditError, UnicodeDecodeError, RecursionError) as error:
            raise ProposalError(_description(line) or where, f"{where}: {error}") from None
        description = _one_line(read.description)
        if not description:
            raise ProposalError(where, f"{where}: 'description' is blank; say in one line what the edit is for")
        if not edits:
            raise ProposalError(description, f"{where}: 'edits' is empty; give at least one")
        return Proposal(description, edits)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _description(line: bytes) -> str | None:
    """What a malformed line says it is, where that much can be read."""
    try:
        read = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    said = read.get("description") if isinstance(read, dict) else None
    return _one_line(said) if isinstance(said, str) else None
