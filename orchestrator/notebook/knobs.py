"""Which knobs edits have turned: NAMES in capitals whose assignment differs between a search text and its replacement. Pure.

A whole-file edit does not say what it changes; its knobs are not counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from orchestrator.edits import Edit

_ASSIGNED = re.compile(r"^[ \t]*([A-Z][A-Z0-9_]*)[ \t]*(?::[^=\n]*)?=(?!=)[ \t]*([^\n#]*)", re.MULTILINE)


def knobs_turned(edits: Iterable[Edit]) -> Iterator[str]:
    """Their names."""
    for edit in edits:
        if edit.search is not None and edit.replace is not None:
            before, after = (set(_ASSIGNED.findall(text)) for text in (edit.search, edit.replace))
            yield from (name for name, _ in before ^ after)
