"""Winners onto the champion: the stack that a final measures, and the commits that the branch `champion` gets.

The commits of the branch have the trees that were measured and messages that say what was measured, which could not be
known before.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.admission import subject_line
from orchestrator.composing import ClashError, Composer
from orchestrator.events import Admitted, ChampionMoved, Conflicted, Evidence, StackBuilt
from orchestrator.ledger import Candidate, Ledger, Stack
from workers.trial import MODELLED


@dataclass(frozen=True, slots=True)
class Stacking:
    composer: Composer
    ledger: Ledger

    def build(self, name: str, candidates: tuple[str, ...], at: float) -> tuple[StackBuilt | None, list[Admitted | Conflicted]]:
        """The stack of those winners that fit on each other, in order; and what becomes of those that do not.

        One that clashes with another winner waits for the next stack. One that clashes with the champion itself is a
        conflict, or, where it is a whole-file edit that may stand as it is, a candidate again: it must race against what it
        undoes.
        """
        assert self.ledger.champion is not None
        admission, base = self.composer.admission, self.ledger.champion.commit
        taken: list[Candidate] = []
        commits: list[str] = []
        left_out: list[Admitted | Conflicted] = []
        for candidate in (self.ledger.candidates[each] for each in candidates):
            try:
                texts = self.composer.texts(base, [*taken, candidate])
            except ClashError as error:
                if error.on_base:
                    assert candidate.admitted is not None
                    left_out.append(admission.carry_over(candidate.proposed, candidate.admitted, base, candidate.proposed_at))
                continue
            message = f"{name}: {subject_line(candidate.proposed.description)}\n\nCandidate: {candidate.id}\nStack: {name}\n"
            commits.append(admission.repository.commit(commits[-1] if commits else base, texts, message, at))
            taken.append(candidate)
        names = tuple(candidate.id for candidate in taken)
        return StackBuilt(name, base, commits[-1], names, tuple(commits)) if taken else None, left_out

    def champion_commits(self, stack: Stack, at: float) -> ChampionMoved:
        """Write the commits with which the champion moves to `stack`."""
        ledger, built = self.ledger, stack.built
        samples = ledger.samples(built.commit)
        stderr = ledger.book.stderr(built.commit)
        tip = built.base
        commits = []
        for name, measured in zip(built.candidates, built.commits, strict=True):
            message = self._message(ledger.candidates[name], stack, is_tip=measured == built.commit)
            tip = self.composer.admission.repository.recommit(tip, measured, message, at)
            commits.append(tip)
        return ChampionMoved(tip, built.base, built.candidates, tuple(commits), samples.mean, stderr, samples.n, built.stack)

    def _message(self, candidate: Candidate, stack: Stack, is_tip: bool) -> str:
        ledger, built = self.ledger, stack.built
        final = stack.decided.evidence if stack.decided else None
        metric = ledger.objective
        if is_tip and final is not None:
            stderr = ledger.book.stderr(built.commit)
            printed = ", modelled" if metric in MODELLED else ", reported" if _is_reported(ledger, built.commit) else ""
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
        where = f"blocks {' '.join(race.blocks)}" if race.blocks else "race"
        parts.append(
            f"{where} {race.effect:+.4g} ± {race.stderr:.2g} (n={race.samples} vs {race.reference_samples}), "
            f"e-value {race.e_value:.3g}, p(no help) {race.p_null:.2g}, rule {race.rule}"
        )
    if final is not None:
        parts.append(f"final {final.effect:+.4g} ± {final.stderr:.2g} (n={final.samples} vs {final.reference_samples})")
    return "; ".join(parts) or "none"
