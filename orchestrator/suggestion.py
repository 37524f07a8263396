"""A person's own idea: from a patch or a file of edits to a message in the run's inbox.

What can be said at once is said at once: an edit out of scope, a link, text that does not compile or carries data, or a
search text that the champion does not have never gets into the queue. The campaign checks again when it takes the message: the
champion may have moved.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from orchestrator.admission import Admission
from orchestrator.edits import Edit, EditError
from orchestrator.inbox import PersonsProposal, send
from orchestrator.repository import CampaignRepository, RepositoryError
from orchestrator.run_directory import RunDirectoryError
from orchestrator.target import scope_of
from orchestrator.views.loading import Record


class SuggestionError(RunDirectoryError):
    """The idea cannot be tried as it is given: wrong arguments, exit 2."""


def edits_of_file(path: Path) -> tuple[Edit, ...]:
    """The edits in a JSON file: a list of them, or an object with `edits`, as a line of a replay file."""
    try:
        raw = msgspec.json.decode(path.read_bytes())
        inside = raw.get("edits") if isinstance(raw, dict) else raw
        return msgspec.convert(inside, tuple[Edit, ...])
    except (OSError, UnicodeDecodeError) as error:
        raise SuggestionError(f"--edits {path}: cannot be read: {error}") from error
    except (msgspec.ValidationError, msgspec.DecodeError, EditError) as error:
        raise SuggestionError(
            f"--edits {path}: {error}; allowed: a JSON list of "
            '{"path", "search", "replace"}, {"path", "content"} or {"path", "delete": true}'
        ) from error


def edits_of_patch(record: Record, patch: Path) -> tuple[Edit, ...]:
    """The edits that a unified diff makes on the champion as it is now."""
    if not patch.is_file():
        raise SuggestionError(f"--patch {patch}: there is no such file")
    repository = CampaignRepository(record.run.repo)
    try:
        assert record.ledger.champion is not None
        champion = record.ledger.champion.commit
        folder = record.ledger.opened.folder if record.ledger.opened is not None else ""
        texts = repository.texts_after_patch(champion, patch, folder)
    except RepositoryError as error:
        raise SuggestionError(f"--patch {patch}: cannot be applied to the champion: {error}") from error
    finally:
        repository.close()
    return tuple(Edit(path, delete=True) if text is None else Edit(path, content=text) for path, text in texts.items())


def suggest(record: Record, description: str, edits: tuple[Edit, ...]) -> None:
    """Put the idea into the run's inbox. Raises `SuggestionError`."""
    if not edits:
        raise SuggestionError("there is nothing to try: the file holds no edits")
    assert record.ledger.champion is not None
    champion = record.ledger.champion.commit
    repository = CampaignRepository(record.run.repo)
    try:
        target = record.config.target
        scoping = scope_of(repository.files(record.ledger.base), target.editable, target.runner, has_command=False)
        objection = Admission(repository, scoping).objection(edits, champion)
        if objection is not None:
            raise SuggestionError(objection)
    finally:
        repository.close()
    try:
        send(record.run, PersonsProposal(description, edits, champion))
    except UnicodeEncodeError as error:
        raise SuggestionError(f"only UTF-8 text can be proposed: {error}") from error
