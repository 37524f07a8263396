"""Many candidates on one commit: which of them get along, and the tree with all of them. Reads the repository; writes nothing.

Each candidate is first put on the commit by itself and taken apart into pieces of its files (pieces.py); whose pieces keep
clear of each other are put together in memory, in one pass. So any part of what fits together fits too, in any order; what
remains to be looked at is whether the outcome compiles, and whether it carries no more than one candidate may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from orchestrator.admission import Admission, ConflictError, Texts
from orchestrator.candidate import Candidate
from orchestrator.edits import Edit
from orchestrator.gates import Refusal, check_syntax
from orchestrator.pieces import Piece, joined, meet, pieces_of

_REMEMBERED = 4096  # changes; those of a few blocks


@dataclass(frozen=True, slots=True)
class FileChange:
    """What a candidate does to one file: pieces of its text; or, where it makes or deletes the file, the outcome alone."""

    pieces: tuple[Piece, ...] | None
    whole: str | None = None


Change = Mapping[str, FileChange]


class ClashError(Exception):
    """A candidate that does not fit; the message is the reason. `on_base`: not even by itself."""

    def __init__(self, candidate: str, reason: str, *, on_base: bool = False) -> None:
        super().__init__(reason)
        self.candidate = candidate
        self.on_base = on_base


@dataclass(frozen=True, slots=True)
class Fits:
    """Which candidates fit on a commit and on each other, in order; and which do not fit on the commit itself, and why."""

    together: tuple[str, ...]
    not_on_base: Mapping[str, str]


class Composer:
    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self._changes: dict[tuple[str, str], Change | str] = {}  # by base and candidate's commit; a text: why it does not fit
        self._passed: dict[str, list[frozenset[str]]] = {}  # by base: who was found to fit together
        self._text = lru_cache(maxsize=64)(admission.repository.read)

    def fits(self, base: str, candidates: Sequence[Candidate], room: int) -> Fits:
        """Greedily, in this order, `room` of them at most."""
        taken: list[tuple[Candidate, Change]] = []
        not_on_base: dict[str, str] = {}
        for candidate in candidates:
            change = self._change(base, candidate)
            if isinstance(change, str):
                not_on_base[candidate.id] = change
            elif len(taken) < room and not any(self._clash(base, change, other) for _, other in taken):
                taken.append((candidate, change))
        while taken and (at_fault := self._at_fault(base, taken)) is not None:
            taken = [each for each in taken if each[0].id != at_fault.candidate]
        self._passed.setdefault(base, []).append(frozenset(candidate.id for candidate, _ in taken))
        return Fits(tuple(candidate.id for candidate, _ in taken), not_on_base)

    def texts(self, base: str, candidates: Sequence[Candidate]) -> Texts:
        """The new texts of all files that these candidates change together on `base`. Raises `ClashError`."""
        taken: list[tuple[Candidate, Change]] = []
        known = self._has_passed(base, candidates)
        for candidate in candidates:
            change = self._change(base, candidate)
            if isinstance(change, str):
                raise ClashError(candidate.id, change, on_base=True)
            others = () if known else taken
            other = next((each.id for each, before in others if self._clash(base, change, before)), None)
            if other is not None:
                raise ClashError(candidate.id, f"it changes the same lines as {other}, or is the same change")
            taken.append((candidate, change))
        at_fault = self._at_fault(base, taken)
        if at_fault is not None:
            raise at_fault
        return self._joined(base, [change for _, change in taken])

    def _change(self, base: str, candidate: Candidate) -> Change | str:
        """What a candidate changes on `base`; or why it cannot be put there."""
        admitted = candidate.admitted
        assert admitted is not None
        key = base, admitted.commit
        if key not in self._changes:
            if len(self._changes) >= _REMEMBERED:
                self._changes.clear()
                self._passed.clear()
            edits = candidate.proposed.edits
            try:
                texts = self.admission.carried_texts(edits, admitted, base, whole_files_stand=False)
            except ConflictError as error:
                self._changes[key] = str(error)
            else:
                self._changes[key] = {
                    path: self._file_change(base, path, text, [edit for edit in edits if edit.path == path])
                    for path, text in texts.items()
                }
        return self._changes[key]

    def _file_change(self, base: str, path: str, new: str | None, edits: list[Edit]) -> FileChange:
        old = self._text(base, path)
        if old is None or new is None:
            return FileChange(None, new)
        return FileChange(pieces_of(edits, old, new))

    def _clash(self, base: str, change: Change, other: Change) -> bool:
        """Whether two candidates get into each other's way, or one of them is nothing beside the other."""
        if _is_part(change, other) or _is_part(other, change):
            return True
        if any(_is_below(path, another) for path in change for another in other):
            return True
        for path in change.keys() & other.keys():
            ours, theirs = change[path].pieces, other[path].pieces
            if ours is None or theirs is None:
                if change[path] != other[path]:
                    return True
            elif any(meet(a, b, self._text(base, path) or "") for a in ours for b in theirs):
                return True
        return False

    def _joined(self, base: str, changes: Sequence[Change]) -> Texts:
        texts: Texts = {}
        pieces: dict[str, set[Piece]] = {}
        for change in changes:
            for path, of_file in change.items():
                if of_file.pieces is None:
                    texts[path] = of_file.whole
                else:
                    pieces.setdefault(path, set()).update(of_file.pieces)
        for path, found in pieces.items():
            texts[path] = joined(self._text(base, path) or "", sorted(found))
            assert texts[path] is not None, f"{path}: pieces that were found to keep clear of each other meet"
        return texts

    def _at_fault(self, base: str, taken: Sequence[tuple[Candidate, Change]]) -> ClashError | None:
        """The first candidate with which those before it make something that a gate refuses; None where no gate does."""
        refused = self._refused(base, taken)
        if refused is None:
            return None
        passes, fails = 0, len(taken)
        while fails - passes > 1:
            middle = (passes + fails) // 2
            found = self._refused(base, taken[:middle])
            if found is None:
                passes = middle
            else:
                fails, refused = middle, found
        return ClashError(taken[fails - 1][0].id, f"together with others: {refused.reason}", on_base=fails == 1)

    def _refused(self, base: str, taken: Sequence[tuple[Candidate, Change]]) -> Refusal | None:
        texts = self._joined(base, [change for _, change in taken])
        compiled = (check_syntax(path, text) for path, text in texts.items() if text is not None)
        refusal = next((each for each in compiled if each is not None), None)
        if refusal is None and not self._has_passed(base, [candidate for candidate, _ in taken]):
            refusal = self.admission.payload(base, texts)  # a part of what has passed adds no more than that
        return refusal

    def _has_passed(self, base: str, candidates: Sequence[Candidate]) -> bool:
        """Whether these were all among some that get along, and together carry no more than one may."""
        names = {candidate.id for candidate in candidates}
        return any(names <= passed for passed in self._passed.get(base, ()))


def _is_part(change: Change, other: Change) -> bool:
    """Whether all that a candidate changes, another changes too."""
    return all(path in other and _is_part_of_file(of_file, other[path]) for path, of_file in change.items())


def _is_part_of_file(ours: FileChange, theirs: FileChange) -> bool:
    if ours.pieces is None or theirs.pieces is None:
        return ours == theirs
    return set(ours.pieces) <= set(theirs.pieces)


def _is_below(path: str, other: str) -> bool:
    """Whether one of two paths would be a folder to the other."""
    return path.startswith(f"{other}/") or other.startswith(f"{path}/")
