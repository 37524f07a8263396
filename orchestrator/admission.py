"""From proposal to candidate: gates, commit, and carrying it over to a champion that has moved.

Reads and writes commits through the repository; decides nothing about worth. What comes back are events for the journal; refs
are the caller's to set once the journal has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.edits import Edit, EditError, apply_edits, merge_touching
from orchestrator.events import Admitted, Conflicted, Proposed, Rejected
from orchestrator.gates import Refusal, check_duplicate, check_scope, check_source, check_syntax, syntax_fingerprint
from orchestrator.novelty import change_fingerprint
from orchestrator.payload import check_payload
from orchestrator.pieces import merge_pieces
from orchestrator.repository import BASE, CampaignRepository
from orchestrator.simplicity import makes_smaller
from orchestrator.target import Scoping

Texts = dict[str, str | None]


class ConflictError(Exception):
    """An edit that cannot be carried over to another commit; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Admission:
    repository: CampaignRepository
    scoping: Scoping

    def admit(self, proposed: Proposed, champion: str, at: float, seen: Mapping[str, str]) -> Admitted | Rejected | Conflicted:
        """Pass the gates and become a commit on the champion.

        Edits are applied to the champion as it is now; those that do not fit there, and whole files, are taken as they were
        written, against `proposed.against`, and carried over. `seen`: fingerprints of changes already tried on the champion.
        """
        origin = proposed.against or champion
        if origin != champion and not self._fits_as_written(proposed.edits, origin, champion):
            return self._admit_from(proposed, origin, champion, at, seen)
        texts = self._texts_on(proposed, champion)
        if isinstance(texts, Rejected):
            if origin == champion or texts.gate != "edit":
                return texts
            return self._admit_from(proposed, origin, champion, at, seen)
        return self._refused(proposed, champion, texts, seen) or self._admitted(proposed, champion, texts, at)

    def objection(self, edits: tuple[Edit, ...], champion: str) -> str | None:
        """What the gates would say at once against edits of the champion as it is; that it was tried before is not asked."""
        proposed = Proposed("", "", "", edits)
        texts = self._texts_on(proposed, champion)
        refused = texts if isinstance(texts, Rejected) else self._refuse_payload(proposed, champion, texts)
        return None if refused is None else refused.reason

    def _fits_as_written(self, edits: tuple[Edit, ...], origin: str, champion: str) -> bool:
        """False for whole files and deletions, and for a search text that stands for something else on the champion."""
        if any(edit.whole_file or edit.delete for edit in edits):
            return False
        paths = dict.fromkeys(edit.path for edit in edits)
        was, now = ({path: self.repository.read(commit, path) or "" for path in paths} for commit in (origin, champion))
        return all(_stand_alike([edit for edit in edits if edit.path == path], was[path], now[path]) for path in paths)

    def _admit_from(
        self, proposed: Proposed, origin: str, champion: str, at: float, seen: Mapping[str, str]
    ) -> Admitted | Rejected | Conflicted:
        """Admit what was written against `origin`, an earlier champion."""
        texts = self._texts_on(proposed, origin)
        if isinstance(texts, Rejected):
            return texts
        refused = self._refuse_duplicate(proposed, origin, texts, {})
        if refused is not None:
            return refused
        try:
            carried = self.carried_texts(
                proposed.edits, self._admitted(proposed, origin, texts, at), champion, whole_files_stand=True
            )
        except ConflictError as error:
            return Conflicted(proposed.candidate, champion, str(error))
        return self._refused(proposed, champion, carried, seen) or self._admitted(proposed, champion, carried, at)

    def _texts_on(self, proposed: Proposed, base: str) -> Texts | Rejected:
        """The new texts on `base`, or which gate says no: scope, edit, syntax."""
        refusal = check_scope(proposed.edits, self.scoping.scope, self.repository.files(base))
        if refusal is not None:
            return Rejected(proposed.candidate, refusal.gate, refusal.reason)
        for edit in proposed.edits:
            if not self.repository.is_regular(base, edit.path):
                return Rejected(proposed.candidate, "scope", f"{edit.path}: is a symbolic link or a submodule")
        try:
            texts = apply_edits(proposed.edits, lambda path: self.repository.read(base, path))
        except EditError as error:
            return Rejected(proposed.candidate, "edit", str(error))
        for path, text in texts.items():
            refusal = None if text is None else check_syntax(path, text) or self._check_source(path, text)
            if refusal is not None:
                return Rejected(proposed.candidate, refusal.gate, refusal.reason)
        return texts

    def _check_source(self, path: str, text: str) -> Refusal | None:
        return check_source(path, text) if self.scoping.runner == "kernel" else None

    def _refused(self, proposed: Proposed, champion: str, texts: Texts, seen: Mapping[str, str]) -> Rejected | None:
        """What is said no to about texts that are in scope and compile."""
        return self._refuse_duplicate(proposed, champion, texts, seen) or self._refuse_payload(proposed, champion, texts)

    def _refuse_payload(self, proposed: Proposed, onto: str, texts: Texts) -> Rejected | None:
        refusal = self.payload(onto, texts)
        return None if refusal is None else Rejected(proposed.candidate, refusal.gate, refusal.reason)

    def payload(self, onto: str, texts: Texts) -> Refusal | None:
        """Where weights are what is learnt, none may come in with the text: of one candidate, nor of many together."""
        if self.scoping.runner != "train":
            return None
        read = self.repository.read
        paths = sorted({*self.repository.changed(BASE, onto), *texts})
        return check_payload({path: (read(BASE, path), texts[path] if path in texts else read(onto, path)) for path in paths})

    def _refuse_duplicate(self, proposed: Proposed, base: str, texts: Texts, seen: Mapping[str, str]) -> Rejected | None:
        changes = {path: (self.repository.read(base, path), text) for path, text in texts.items()}
        refusal = check_duplicate(changes, seen)
        return None if refusal is None else Rejected(proposed.candidate, refusal.gate, refusal.reason)

    def carry_over(self, proposed: Proposed, old: Admitted, onto: str, at: float) -> Admitted | Conflicted:
        """The same candidate on another commit, where it has yet to race."""
        try:
            texts = self.carried_texts(proposed.edits, old, onto, whole_files_stand=True)
        except ConflictError as error:
            return Conflicted(proposed.candidate, onto, str(error))
        refusal = self.payload(onto, texts)  # by itself it passed: the champion has grown meanwhile
        if refusal is not None:
            return Conflicted(proposed.candidate, onto, refusal.reason)
        return self._admitted(proposed, onto, texts, at)

    def carried_texts(self, edits: tuple[Edit, ...], old: Admitted, onto: str, *, whole_files_stand: bool) -> Texts:
        """New texts of the files that `edits` touch, on `onto`. Raises `ConflictError`.

        A file that `onto` has as it was is simply replaced. Else search texts are applied again; where one is gone, three
        ways are merged; where that fails, and `whole_files_stand`, a whole-file edit stands as it is, undoing what `onto` had
        gained there (a race must decide); anything else is a conflict.
        """
        texts: Texts = {}
        for path in dict.fromkeys(edit.path for edit in edits):
            of_path = [edit for edit in edits if edit.path == path]
            base, mine, theirs = (self.repository.read(commit, path) for commit in (old.base, old.commit, onto))
            texts[path] = (
                mine if theirs in (base, mine) else self._carried(path, of_path, base, mine, theirs, whole_files_stand)
            )
            refusal = None if texts[path] == mine else check_syntax(path, texts[path] or "")  # alone it has passed
            if refusal is not None:
                raise ConflictError(f"{path}: does not compile together with what the champion has gained: {refusal.reason}")
        if all(text == self.repository.read(onto, path) for path, text in texts.items()):
            raise ConflictError("the champion has it already")
        return texts

    def _carried(
        self, path: str, edits: list[Edit], base: str | None, mine: str | None, theirs: str | None, whole_files_stand: bool
    ) -> str | None:
        try:
            if not any(edit.whole_file or edit.delete for edit in edits) and _stand_alike(edits, base or "", theirs or ""):
                return apply_edits(edits, lambda _: theirs)[path]
        except EditError:
            pass
        if base is not None and mine is not None and theirs is not None:
            merged = self.repository.merge_texts(theirs, base, mine)
            merged = merge_touching(base, mine, theirs) if merged is None else merged
            merged = merge_pieces(base, mine, theirs) if merged is None else merged
            if merged is not None:
                return merged
        if whole_files_stand and mine is not None and edits[-1].whole_file:
            return mine
        raise ConflictError(f"{path}: the champion has changed the same lines")

    def _admitted(self, proposed: Proposed, base: str, texts: Texts, at: float) -> Admitted:
        commit = self.repository.commit(base, texts, candidate_message(proposed), at)
        changes = {path: (self.repository.read(base, path), text) for path, text in texts.items()}
        lines = self.repository.diff_lines(base, commit)
        prints = syntax_fingerprint(changes), change_fingerprint(changes)
        return Admitted(proposed.candidate, commit, base, lines, *prints, makes_smaller(changes))


def _stand_alike(edits: list[Edit], base: str, theirs: str) -> bool:
    """False where a search text is by now the middle of a longer word or number: `LR = 0.1` is gone from `LR = 0.15`."""
    for edit in edits:
        search, replace = edit.search or "", edit.replace or ""
        was, now = base.find(search), theirs.find(search)
        for offset in (0, len(search)):
            if was >= 0 and now >= 0 and _inside_a_word(theirs, now + offset) and not _inside_a_word(base, was + offset):
                return False
        base, theirs = base.replace(search, replace, 1), theirs.replace(search, replace, 1)
    return True


def _inside_a_word(text: str, at: int) -> bool:
    return 0 < at < len(text) and all(char.isalnum() or char in "_." for char in text[at - 1 : at + 1])


def subject_line(text: str) -> str:
    """A description as the first line of a commit message, which git takes neither for a comment nor for its end (`---`)."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split()).lstrip("#- ")
    return line if len(line) <= 100 else line[:99] + "…"


def candidate_message(proposed: Proposed) -> str:
    trailers = [f"Candidate: {proposed.candidate}", f"Proposer: {subject_line(proposed.proposer)}"]
    return "\n".join([subject_line(proposed.description) or "(no description)", "", *trailers, ""])
