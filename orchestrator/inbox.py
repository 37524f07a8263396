"""The inbox: what another process asks of the head of a run. `regatta propose` writes, the campaign reads.

A message is one JSON file, in place by one rename. Its name is its token, so that it is taken once even when the head dies
between taking it and removing the file.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from orchestrator.edits import Edit
from orchestrator.run_directory import RunDirectory


@dataclass(frozen=True, slots=True)
class PersonsProposal:
    description: str
    edits: tuple[Edit, ...]
    against: str | None = None  # the champion that the person looked at
    token: str = ""


def send(run: RunDirectory, proposal: PersonsProposal) -> Path:
    """Leave a proposal for the head, at once or at the next `resume`."""
    run.inbox.mkdir(exist_ok=True)
    name = f"{uuid.uuid4().hex}.json"
    draft = run.inbox / f".{name}"
    draft.write_bytes(msgspec.json.encode(proposal))
    return draft.rename(run.inbox / name)


def read(path: Path) -> PersonsProposal | str:
    """The message in a file of the inbox, or what is wrong with it."""
    try:
        message = msgspec.json.decode(path.read_bytes(), type=PersonsProposal)
    except (OSError, msgspec.DecodeError, ValueError) as error:  # ValueError: an EditError, or bytes that are not UTF-8
        return f"{path.name} in the inbox was not understood and is dropped: {error}"
    return replace(message, token=path.stem)
