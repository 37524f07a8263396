"""Winners onto the champion: the stack that a final measures, and the commits that the branch `champion` gets.

The commits of the branch have the trees that were measured and messages that say what was measured, which could not be
known before.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.admission import Admission, ConflictError, subject_line
from orchestrator.events import Admitted, ChampionMoved, Conflicted, Evidence, StackBuilt
from orchestrator.ledger import Candidate, Ledger, Stack


@dataclass(frozen=True, slots=True)
class Stacking:
    admission: Admission
    ledger: Ledger

    def build(self, name: str, candidates: tuple[str, ...], at: float) -> tuple[StackBuilt | None, list[Admitted | Conflicted]]:
        """The stack of those winners that fit on each other, in order; and what becomes of those that do not.

        One that clashes with another winner waits for the next stack. One that clashes with the champion itself is a
        conflict, or, where it is a whole-file edit that may stand as it is, a candidate again: it must race against what it
        undoes.
        """
        assert self.ledger.champion is not None
        base = tip = self.ledger.champion.commit
        taken: list[str] = []
        commits: list[str] = []
        left_out: list[Admitted | Conflicted] = []
        for candidate in (self.ledger.candidates[each] for each in candidates):
            assert candidate.admitted is not None
            proposed, old = candidate.proposed, candidate.admitted
            try:
                texts = self.admission.carried_texts(proposed.edits, old, tip, whole_files_stand=False)
            except ConflictError:
                if tip == base:
                    left_out.append(self.admission.carry_over(proposed, old, base, candidate.proposed_at))
                continue
            message = f"{name}: {subject_line(proposed.description)}\n\nCandidate: {candidate.id}\nStack: {name}\n"
            tip = self.admission.repository.commit(tip, texts, message, at)
            taken.append(candidate.id)
            commits.append(tip)
        built = StackBuilt(name, base, tip, tuple(taken), tuple(commits)) if taken else None
        return built, left_out

    def champion_commits(self, stack: Stack, at: float) -> ChampionMoved:
        """Write the commits with which the champion moves to `stack`."""
        ledger, built = self.ledger, stack.built
        samples = ledger.samples(built.commit)
        stderr = ledger.book.stderr(built.commit)
        tip = built.base
        commits = []
        for name, measured in zip(built.candidates, built.commits, strict=True):
            message = self._message(ledger.candidates[name], stack, is_tip=measured == built.commit)
            tip = self.admission.repository.recommit(tip, measured, message, at)
            commits.append(tip)
        return ChampionMoved(tip, built.base, built.candidates, tuple(commits), samples.mean, stderr, samples.n, built.stack)

    def _message(self, candidate: Candidate, stack: Stack, is_tip: bool) -> str:
        ledger, built = self.ledger, stack.built
        final = stack.decided.evidence if stack.decided else None
        metric = ledger.objective
        if is_tip and final is not None:
            stderr = ledger.book.stderr(built.commit)
            printed = ", reported" if _is_reported(ledger, built.commit) else ""
            measured = f"{metric} {final.mean:.6g} ± {_short(stderr)} (n={final.samples}{printed})"
        else:
            measured = f"{metric} not measured alone, but as part of stack {built.stack}"
        baseline = ledger.samples(ledger.base)
        trailers = {
            "Candidate": candidate.id,
            "Proposer": subject_line(candidate.proposed.proposer),
            "Metric": measured,
            "Baseline": f"{metric} {baseline.mean:.6g} ± {_short(ledger.book.stderr(ledger.base))} (n={baseline.n})",
            "Evidence": _told(candidate.evidence, final if is_tip else None),
        }
        subject = subject_line(candidate.proposed.description) or candidate.id
        return "\n".join([subject, "", *(f"{key}: {value}" for key, value in trailers.items()), ""])


def _is_reported(ledger: Ledger, commit: str) -> bool:
    """Whether a commit's number is one that the code under test has printed."""
    ended = (trial.ended for trial in ledger.trials_of.get(commit, []))
    return any(each is not None and ledger.objective in each.reported for each in ended)


def _short(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2g}"


def _told(race: Evidence | None, final: Evidence | None) -> str:
    parts = []
    if race is not None:
        parts.append(
            f"race {race.effect:+.4g} ± {race.stderr:.2g} (n={race.samples} vs {race.reference_samples}), "
            f"e-value {race.e_value:.3g}, p(no help) {race.p_null:.2g}, rule {race.rule}"
        )
    if final is not None:
        parts.append(f"final {final.effect:+.4g} ± {final.stderr:.2g} (n={final.samples} vs {final.reference_samples})")
    return "; ".join(parts) or "none"
