"""What a person says while the night runs: `program.md`, read anew for every proposal, and `ideas.md`, tried next.

Both are looked for in the run directory and then in the target's own folder; of `program.md` the first counts, of `ideas.md`
each does. An idea is a list item or a line of its own, with the indented lines under it; one that was tried is ticked off in
its file: `- [x] …`. Headings, comments and what is ticked already are no ideas.
"""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Sequence
from pathlib import Path

from orchestrator.config import Config
from orchestrator.run_directory import RunDirectory
from orchestrator.target import TargetError, resolve_target

PROGRAM, IDEAS = "program.md", "ideas.md"
MOST_BYTES = 256 << 10  # of either: what is longer is cut
_ITEM = re.compile(r"^(?:[-*+]|\d+[.)])\s+(?:\[(?P<box>[ xX])\]\s*)?(?P<text>\S.*)$")
_HEADING = re.compile(r"^(?:#|<!--|---|```)")


class Steering:
    """`folders`: where to look, most important first. `committed`: the program as the target has it, for want of a file."""

    def __init__(self, folders: Sequence[Path], committed: str | None = None) -> None:
        self._folders = tuple(dict.fromkeys(folders))
        self._committed = committed
        self._being_tried: set[str] = set()

    def program(self) -> str:
        texts = (_text(folder / PROGRAM) for folder in self._folders)
        return next((text for text in texts if text is not None), self._committed or "")

    def ideas(self) -> list[str]:
        """Those not ticked off and not being tried, the first in its file first."""
        found = (idea for folder in self._folders for idea in open_ideas(_text(folder / IDEAS) or ""))
        return [idea for idea in found if idea not in self._being_tried]

    def begin(self, idea: str) -> None:
        """It is being tried: nobody else of the campaign need take it up."""
        self._being_tried.add(idea)

    def end(self, idea: str) -> None:
        """What was tried is ticked off by now, or is open again."""
        self._being_tried.discard(idea)

    def tick(self, idea: str, note: str) -> None:
        """Cross an idea off, wherever it stands, saying what became of it. A file that cannot be written stays as it is."""
        for folder in self._folders:
            path = (folder / IDEAS).resolve()
            text = _text(path)
            whole = text is not None and path.stat().st_size < MOST_BYTES
            changed = ticked(text, idea, note) if text is not None and whole else None
            if changed is not None and changed != text:
                with contextlib.suppress(OSError):
                    _replace(path, changed)


def steering_of(run: RunDirectory, config: Config, committed: str | None) -> Steering:
    """What is said in the run, and in the target's own folder where it can be found from here."""
    try:
        return Steering([run.path, resolve_target(config.target.repo, Path.cwd(), must_be_clean=False).path], committed)
    except TargetError:
        return Steering([run.path], committed)


def open_ideas(text: str) -> list[str]:
    return [idea for _, idea, done in _items(text) if not done]


def ticked(text: str, idea: str, note: str) -> str:
    """`text` with the first open item that says `idea` crossed off."""
    lines = text.split("\n")
    for number, found, done in _items(text):
        if found == idea and not done:
            item = _ITEM.match(lines[number])
            said = item.group("text") if item else lines[number].strip()
            lines[number] = f"- [x] {said} ({note})"
            break
    return "\n".join(lines)


def _items(text: str) -> list[tuple[int, str, bool]]:
    """Line number, text and whether it is ticked, of each item."""
    found: list[tuple[int, str, bool]] = []
    in_comment = open_item = False
    for number, line in enumerate(text.split("\n")):
        in_comment = in_comment or line.lstrip().startswith("<!--")
        if in_comment or not line.strip() or _HEADING.match(line):
            in_comment = in_comment and "-->" not in line
            open_item = False
            continue
        item = _ITEM.match(line)
        if item is None and open_item and line[:1] in " \t":
            at, said, done = found[-1]
            found[-1] = (at, f"{said} {line.strip()}", done)
            continue
        said = item.group("text") if item else line.strip()
        found.append((number, said, bool(item and (item.group("box") or " ") in "xX")))
        open_item = True
    return found


def _text(path: Path) -> str | None:
    """None where there is no such file."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return None


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        draft.write_text(text, encoding="utf-8")
        os.chmod(draft, path.stat().st_mode & 0o777)  # noqa: PTH101  the person's own permissions stay
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
