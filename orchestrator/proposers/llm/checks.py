"""What is wrong with a candidate of an answer, in words for the model that wrote it. Pure.

The same gates that admission has, over the texts that the model was shown, so that a slip is mended before it is a candidate.
What only the campaign can know (tried before, changed meanwhile) is left to admission.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from orchestrator.edits import Edit, EditError, apply_edit, apply_edits
from orchestrator.gates import check_scope, check_syntax
from orchestrator.proposers.llm.answers import Draft
from orchestrator.scope import Scope


def problems_of(draft: Draft, texts: Mapping[str, str], files: tuple[str, ...], scope: Scope) -> list[str]:
    """`texts`: of the editable files, as the model was shown them; `files`: every path of the target."""
    if draft.problems:
        return draft.problems
    edits = tuple(draft.edits)
    refusal = check_scope(edits, scope, files)
    if refusal is not None:
        return [f"{refusal.reason}; editable: {', '.join(sorted(texts)[:10]) or 'nothing that you were shown'}"]
    missing = [edit.path for edit in edits if edit.content is None and edit.path not in files and not _made(edit.path, edits)]
    if missing:
        close = get_close_matches(missing[0], list(texts), n=1)
        return [f"{missing[0]}: there is no such file{f'; did you mean {close[0]}?' if close else ''}"]
    known = tuple(edit for edit in edits if edit.path in texts or _made(edit.path, edits))
    try:
        changed = apply_edits(known, texts.get)
    except EditError as error:
        return [str(error)]
    if known == edits and all(text == texts.get(path) for path, text in changed.items()):
        return ["these edits change nothing"]
    broken = (check_syntax(path, text) for path, text in changed.items() if text is not None)
    return [refusal.reason for refusal in broken if refusal is not None]


def aligned(edits: Sequence[Edit], texts: Mapping[str, str]) -> list[Edit]:
    """Blocks are read as whole lines. One that is found only as a part of a line, or of a last line without an end, loses its
    line end: the exact text that stands there is meant."""
    now = dict(texts)
    result = []
    for edit in edits:
        text = now.get(edit.path)
        if text is not None and edit.search is not None and edit.replace is not None:
            search, replace = edit.search.removesuffix("\n"), edit.replace.removesuffix("\n")
            if edit.search not in text and search and search in text:
                edit = Edit(edit.path, search=search, replace=replace)
        result.append(edit)
        try:
            changed = apply_edit(edit, text)
        except EditError:
            continue
        if changed is None:
            now.pop(edit.path, None)
        else:
            now[edit.path] = changed
    return result


def _made(path: str, edits: tuple[Edit, ...]) -> bool:
    return any(edit.path == path and edit.content is not None for edit in edits)
