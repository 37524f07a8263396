"""What has been tried already, and how it went: no GPU measures a change again, and its proposer hears the result. Pure.

A change is recognised on whatever champion it is made: by which statements of which scope become which others (of files other
than Python's: which lines), in their normal form; where constants alone change, by which of a statement become which, whatever
its others are by now. What changed meanwhile close by may hide it, which costs a few trials.

On the champion as it is, nothing is tried twice. What was tried on an earlier champion is refused only while it is still being
measured there, or where every try was clearly worse: a near miss, a crash or a race without a clear end may fare better on
another champion, and so may what was kept once and is no longer there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from orchestrator.candidate import PENDING, Candidate, CandidateState
from orchestrator.ledger import Ledger
from orchestrator.syntax import Changes, Statement, normalise, statements
from orchestrator.views.plain import one_line
from orchestrator.views.words import change as effect_text

CLEARLY = 2.0  # standard errors of the effect
MOST_COMPARED = 2_000  # statements between the first and the last that differ; more are one change
_REASON_WIDTH = 200

_FATES = {
    CandidateState.DISCARDED: "discarded",
    CandidateState.INCONCLUSIVE: "left open",
    CandidateState.CRASHED: "crashed",
    CandidateState.VIOLATION: "broke a rule",
    CandidateState.CONFLICT: "did not fit on a later champion",
    CandidateState.KEPT: "kept",
}


# -- the same change


def change_fingerprint(changes: Changes) -> str:
    """SHA-256 (hex) of a change, whatever else its base holds; "" where nothing of the program changes."""
    hunks = []
    for path, (old, new) in sorted(changes.items()):
        if old != new and normalise(path, old) != normalise(path, new):
            hunks.append([path, old is None, new is None, list(_hunks(_of(path, old), _of(path, new)))])
    return hashlib.sha256(json.dumps(hunks).encode()).hexdigest() if hunks else ""


def _of(path: str, text: str | None) -> Sequence[Statement]:
    return () if text is None else statements(path, text)


def _hunks(old: Sequence[Statement], new: Sequence[Statement]) -> Iterator[list[object]]:
    """What is removed and added, with where that is: its scopes, and which of several like places it is."""
    for start, stop, added in _differences(old, new):
        removed = old[start:stop]
        if _forms(removed) == _forms(added):
            for at, (was, now) in enumerate(zip(removed, added, strict=True), start):
                if was != now:
                    yield [_forms([was]), _constants(was, now), _nth(_forms(old), _forms([was]), at)]
        else:
            anchor = removed or old[max(0, start - 1) : start]  # of an insertion: behind what it stands
            yield [removed, added, None if removed else anchor, _nth(old, anchor, start if removed else start - 1)]


def _forms(of: Sequence[Statement]) -> list[tuple[str, str]]:
    return [(scope, form) for scope, form, _ in of]


def _constants(was: Statement, now: Statement) -> list[tuple[int, str, str]]:
    return [(i, old, new) for i, (old, new) in enumerate(zip(was[2], now[2], strict=True)) if old != new]


def _differences(old: Sequence[Statement], new: Sequence[Statement]) -> Iterator[tuple[int, int, Sequence[Statement]]]:
    """(first, behind the last, what stands there instead) of each stretch of `old` that changes."""
    most = min(len(old), len(new))
    head = next((i for i in range(most) if old[i] != new[i]), most)
    most -= head
    tail = next((i for i in range(most) if old[-1 - i] != new[-1 - i]), most)
    was, now = old[head : len(old) - tail], new[head : len(new) - tail]
    if not was or not now or max(len(was), len(now)) > MOST_COMPARED:
        yield head, head + len(was), now
        return
    for tag, i, j, k, m in SequenceMatcher(None, was, now, autojunk=False).get_opcodes():
        if tag != "equal":
            yield head + i, head + j, now[k:m]


def _nth(among: Sequence[object], stretch: Sequence[object], at: int) -> int:
    """How many stretches like this one begin before it."""
    if not stretch:
        return 0
    size = len(stretch)
    return sum(among[i] == stretch[0] and among[i : i + size] == stretch for i in range(at))


# -- how it went


class Tried(Mapping[str, str]):
    """What a proposer is told of what was tried before, by fingerprint: of a program on the champion as it is, or of a change
    on an earlier one. It shows the ledger as that stands when it is asked."""

    def __init__(self, ledger: Ledger, *, minimize: bool, on_earlier_champions: bool = True) -> None:
        assert ledger.champion is not None
        self._ledger = ledger
        self._champion = ledger.champion.commit
        self._sign = 1 if minimize else -1
        self._earlier = on_earlier_champions

    def __getitem__(self, fingerprint: str) -> str:
        name = self._programs.get(fingerprint)
        if name is not None and self._ledger.candidates[name].state is not CandidateState.KEPT:
            return f"{name}, on this champion: {how_it_went(self._ledger.candidates[name])}"
        tries = self._tries_elsewhere(fingerprint)
        measured = [each for each in tries if each.state in PENDING]
        if measured:
            return f"{measured[-1].id}, on an earlier champion: {how_it_went(measured[-1])}"
        if tries and all(self._clearly_worse(each) for each in tries):
            return f"{tries[-1].id}, tried on an earlier champion: {how_it_went(tries[-1])} (clearly worse)"
        raise KeyError(fingerprint)

    def __iter__(self) -> Iterator[str]:
        changes = {c.admitted.change: None for c in self._ledger.candidates.values() if c.admitted is not None}
        return (key for key in dict.fromkeys([*self._programs, *changes]) if self.get(key) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def _programs(self) -> Mapping[str, str]:
        return self._ledger.syntax_seen.get(self._champion, {})

    def _tries_elsewhere(self, change: str) -> list[Candidate]:
        """Every candidate that made this change on another commit than the champion, oldest first."""
        if not change or not self._earlier:
            return []
        return [
            candidate
            for candidate in self._ledger.candidates.values()
            if candidate.admitted is not None
            and candidate.admitted.change == change
            and candidate.admitted.base != self._champion
        ]

    def _clearly_worse(self, candidate: Candidate) -> bool:
        evidence = candidate.evidence
        if candidate.state is not CandidateState.DISCARDED or evidence is None:
            return False
        worse_by = self._sign * evidence.effect
        return worse_by > 0 and worse_by >= CLEARLY * evidence.stderr


def how_it_went(candidate: Candidate) -> str:
    """What became of a candidate, in a few words: "+0.0030 ± 0.0004, discarded"."""
    if candidate.state in PENDING:
        return "it is still being measured"
    fate = _FATES.get(candidate.state, candidate.state.value)
    if candidate.state in (CandidateState.CRASHED, CandidateState.VIOLATION):
        return f"{fate}: {one_line(candidate.reason or 'no reason given', _REASON_WIDTH)}"
    if candidate.evidence is None:
        return fate
    return f"{effect_text(candidate.evidence.effect, candidate.evidence.stderr)}, {fate}"
