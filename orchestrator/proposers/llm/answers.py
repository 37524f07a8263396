"""A model's answer into candidates: strict about what counts, deaf to everything around it. Pure.

A candidate begins with a line `HYPOTHESIS: …`, may go on with `EXPECTED: …` and `FAMILY: …`, then its edits: a line with the
path, then a block `<<<<<<< SEARCH` … `=======` … `>>>>>>> REPLACE`, or a fenced block that is the whole new file. Further
blocks without a path of their own belong to the path before; where only one file can be edited, it need not be named. A block
that cannot be read is a problem of its candidate, said with its line, in words that the model can act on.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from orchestrator.edits import Edit

MOST_CHARS = 400_000  # of an answer: several whole files; what is longer is no answer
MOST_CANDIDATES = 8
_DECORATION = " \t*_`#>-:"
_KEY = re.compile(r"^[\s*_`#>\-]*(HYPOTHESIS|EXPECTED|FAMILY)[*_`]*\s*:[*_`]*\s*(.*?)\s*$")
_PATH = re.compile(r"^[\w.+@-]+(?:/[\w.+@-]+)*$")
_FENCE = re.compile(r"^(`{3,}|~{3,})[^`]*$")
_NUMBER = re.compile(r"[-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
SEARCH, DIVIDER, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"


@dataclass(slots=True)
class Draft:
    """One candidate of an answer, as it was read."""

    hypothesis: str
    expected: str | None = None
    family: str | None = None
    edits: list[Edit] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def expected_change(self) -> float | None:
        """The first number of EXPECTED; None where there is none, or it is a percentage."""
        found = _NUMBER.search(self.expected or "")
        if found is None or self.expected is None or self.expected[found.end() :].lstrip().startswith("%"):
            return None
        return float(found.group().replace("−", "-"))


@dataclass(frozen=True, slots=True)
class Answer:
    drafts: tuple[Draft, ...]
    problem: str | None = None  # why there is no candidate at all


def parse(text: str, editable: Collection[str]) -> Answer:
    """`editable`: the paths of the files that can be edited and exist."""
    if not text.strip():
        return Answer((), "the answer is empty")
    if len(text) > MOST_CHARS:
        return Answer((), f"the answer has {len(text):,} characters; at most {MOST_CHARS:,} are read: give small edits")
    drafts = _Reader(text, editable).read()
    if not drafts:
        return Answer((), "the answer holds no edit: neither a line HYPOTHESIS: nor a SEARCH/REPLACE block was found")
    for draft in drafts:
        if not draft.hypothesis:
            draft.problems.insert(0, "a line `HYPOTHESIS: …` must come before the edits, with its text on the same line")
        if not draft.edits and not draft.problems:
            draft.problems.append("no edit follows this hypothesis: give a path and a SEARCH/REPLACE block, or a whole file")
    return Answer(tuple(drafts[:MOST_CANDIDATES]))


class _Reader:
    """Goes through the lines once."""

    def __init__(self, text: str, editable: Collection[str]) -> None:
        self.lines = text.replace("\r\n", "\n").split("\n")
        self.editable = editable
        self.at = 0
        self.drafts: list[Draft] = []
        self.path: str | None = next(iter(editable)) if len(editable) == 1 else None
        self.named: str | None = None  # the path on the line before, if that was one

    def read(self) -> list[Draft]:
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if (key := _KEY.match(line)) is not None:
                self._key(key.group(1), key.group(2))
            elif line.rstrip() == SEARCH:
                self._block()
            elif (fence := _FENCE.match(line)) is not None and self.named is not None and not self._holds_a_block():
                self._whole_file(fence.group(1))
            elif line.strip() in (DIVIDER, REPLACE):
                self._trouble(f"line {self.at + 1}: {line.strip()} without {SEARCH} before it")
                self.at += 1
            else:
                self._prose(line)
        return self.drafts

    def _draft(self) -> Draft:
        if not self.drafts:
            self.drafts.append(Draft(""))
        return self.drafts[-1]

    def _trouble(self, problem: str) -> None:
        self._draft().problems.append(problem)

    def _key(self, key: str, value: str) -> None:
        value = value.strip(" *_`")
        if key == "HYPOTHESIS":
            self.drafts.append(Draft(" ".join(value.split())))
            self.path = next(iter(self.editable)) if len(self.editable) == 1 else None
        elif key == "EXPECTED":
            self._draft().expected = value or None
        else:
            self._draft().family = family(value)
        self.named = None
        self.at += 1

    def _prose(self, line: str) -> None:
        """Remember a path; anything else is ignored. A fence or an empty line may stand between a path and its block."""
        path = self._as_path(line)
        if path is not None:
            self.named = path
        elif line.strip() and not _FENCE.match(line):
            self.named = None
        self.at += 1

    def _as_path(self, line: str) -> str | None:
        bare = line.strip()
        if bare in self.editable:
            return bare
        bare = re.sub(r"^[Ff]ile(?:name)?:\s*", "", bare.strip(_DECORATION)).strip(_DECORATION)
        bare = bare.removeprefix("./")
        if bare in self.editable:
            return bare
        plausible = _PATH.match(bare) and ("." in bare.strip(".") or "/" in bare)
        return bare if plausible and any(char.isalpha() for char in bare) else None

    def _holds_a_block(self) -> bool:
        """Whether a fence is only the wrapping of SEARCH/REPLACE blocks, as aider writes them."""
        behind = next((line for line in self.lines[self.at + 1 :] if line.strip()), "")
        return behind.rstrip() == SEARCH or (self._as_path(behind) is not None and self._block_follows_path())

    def _block_follows_path(self) -> bool:
        behind = [line for line in self.lines[self.at + 1 : self.at + 5] if line.strip()]
        return len(behind) > 1 and behind[1].rstrip() == SEARCH

    def _block(self) -> None:
        began = self.at + 1
        self.path = self.named or self.path
        self.named = None
        search = self._until(DIVIDER)
        replace = None if search is None else self._until(REPLACE)
        if search is None or replace is None:
            lacks = DIVIDER if search is None else REPLACE
            self._trouble(f"line {began}: the block that begins here has no line `{lacks}`")
            self.at = began
            return
        self.at += 1
        if self.path is None:
            self._trouble(f"line {began}: no line with a path stands before this block; editable: {_listed(self.editable)}")
        elif search:
            self._draft().edits.append(Edit(self.path, search=search, replace=replace))
        elif self.path in self.editable:
            self._trouble(f"line {began}: {self.path}: the search text is empty; copy the lines that are to be replaced")
        else:
            self._draft().edits.append(Edit(self.path, content=replace))

    def _until(self, mark: str) -> str | None:
        """The lines after this one up to `mark`, on which the reader then stands; None when another mark comes first."""
        start = self.at + 1
        for number in range(start, len(self.lines)):
            line = self.lines[number].rstrip()
            if line == mark:
                self.at = number
                return "".join(f"{each}\n" for each in self.lines[start:number])
            if line in (SEARCH, REPLACE):
                return None
        return None

    def _whole_file(self, fence: str) -> None:
        began, path = self.at + 1, self.named
        assert path is not None
        self.named = None
        for number in range(self.at + 1, len(self.lines)):
            if self.lines[number].rstrip() == fence:
                content = "".join(f"{line}\n" for line in self.lines[self.at + 1 : number])
                self._draft().edits.append(Edit(path, content=content))
                self.path = path
                self.at = number + 1
                return
        self._trouble(f"line {began}: the file that begins here has no closing {fence}; was the answer cut off?")
        self.at = len(self.lines)


def family(text: str) -> str | None:
    """A kind of idea as one short word or two, so that counts of families add up."""
    words = re.findall(r"[a-z0-9]+", text.lower().replace("optimizer", "optimiser"))
    return " ".join(words[:3])[:40] or None


def _listed(paths: Collection[str], most: int = 10) -> str:
    listed = sorted(paths)
    return ", ".join(listed[:most]) + (", …" if len(listed) > most else "")
