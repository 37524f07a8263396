"""Why a candidate was kept, dropped or left open, in plain words. Pure; `show` and the report tell the same story."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.events import Evidence
from orchestrator.ledger import Candidate, CandidateState, Ledger, Stack
from orchestrator.views.plain import one_line
from orchestrator.views.words import clock, comparison, number, odds, plural, probability, with_and_without

_FATES = {
    CandidateState.PROPOSED: "open: the gates have not spoken",
    CandidateState.WAITING: "open: it waits for its first trial",
    CandidateState.RACING: "open: it is racing",
    CandidateState.IN_BLOCKS: "open: it is measured together with others, in blocks",
    CandidateState.WON: "open: it has won; its final on the current champion decides",
    CandidateState.KEPT: "kept: it is on the champion branch",
    CandidateState.DISCARDED: "dropped",
    CandidateState.INCONCLUSIVE: "left open: neither shown to help nor shown not to",
    CandidateState.REJECTED: "refused before any trial",
    CandidateState.CRASHED: "crashed, by its own fault",
    CandidateState.VIOLATION: "broke a rule while running",
    CandidateState.CONFLICT: "could not be carried over to the champion as it had become",
}


def fate(candidate: Candidate) -> str:
    """What became of it, and when."""
    when = "" if candidate.decided_at is None else f" ({clock(candidate.decided_at)})"
    return _FATES[candidate.state] + when


def commit_name(ledger: Ledger, commit: str) -> str:
    """What a commit is called by people: the baseline, or the champion of its time."""
    if commit == ledger.base:
        return "the baseline"
    kept = 0
    for _, move in ledger.moves:
        kept += len(move.kept)
        if move.commit == commit:
            return f"the champion with {plural(kept, 'edit')} kept, the last {move.kept[-1]}"
    stack = next((each.built for each in ledger.stacks.values() if each.built.commit == commit), None)
    if stack is not None:
        return f"the stack {stack.stack} ({', '.join(stack.candidates)} on {commit_name(ledger, stack.base)})"
    return f"commit {commit[:10]}"


def samples_text(ledger: Ledger, commit: str, limit: int = 12) -> str:
    """The values measured on a commit, in order."""
    samples = ledger.samples(commit)
    if not samples.n:
        return "none"
    sd = ledger.book.noise().sd
    shown = " ".join(number(value, sd) for value in samples.values[-limit:])
    earlier = f"… ({samples.n - limit} earlier) " if samples.n > limit else ""
    return earlier + shown


def evidence_lines(evidence: Evidence, state: CandidateState, *, minimize: bool) -> list[str]:
    """The numbers behind a decision, a sentence each: the effect, the odds, the threshold of that moment."""
    against = "the champion's" if evidence.rule != "final" else "the current champion's"
    first = (
        with_and_without(evidence, minimize=minimize)
        if evidence.blocks
        else comparison(evidence, minimize=minimize, against=against)
    )
    lines = [first[0].upper() + first[1:]]
    lines.append(
        f"The noise between repeats was {number(evidence.noise_sd, evidence.noise_sd)} "
        f"(known from {plural(evidence.noise_df, 'degree')} of freedom)"
    )
    if evidence.margin:
        margin = number(evidence.margin, evidence.margin)
        lines.append(f"It makes the program smaller, so it may be worse by up to {margin} (the campaign's margin)")
    not_so = "is worse by that much or more" if evidence.margin else "does not help"
    lines.append(f"The probability that it {not_so} was {probability(evidence.p_null)}{_allowed(evidence)}")
    if evidence.e_value_needed is not None:
        lines.append(f"A keep needed an e-value of {odds(evidence.e_value_needed)} and it had {odds(evidence.e_value)}")
    else:
        against = "so much worse" if evidence.margin else "no better"
        lines.append(f"The evidence against “{against}” stood at {odds(evidence.e_value)} to 1 (its e-value)")
    if state is CandidateState.INCONCLUSIVE:
        used_up = f"After {plural(len(evidence.blocks), 'block')}" if evidence.blocks else "When its trials were used up"
        lines.append(f"{used_up} that was not enough: a near miss, worth another idea")
    return lines


def _allowed(evidence: Evidence) -> str:
    if evidence.p_null_allowed is None:
        return ""
    return f"; a keep allowed at most {probability(evidence.p_null_allowed)}"


@dataclass(frozen=True, slots=True)
class Final:
    """A final that a candidate took part in."""

    stack: str
    text: str
    evidence: Evidence | None


def finals_of(ledger: Ledger, candidate: Candidate) -> list[Final]:
    """Every final that held this candidate, oldest first."""
    return [_final(ledger, stack, candidate) for stack in ledger.stacks.values() if candidate.id in stack.built.candidates]


def _final(ledger: Ledger, stack: Stack, candidate: Candidate) -> Final:
    built, decided = stack.built, stack.decided
    others = [name for name in built.candidates if name != candidate.id]
    company = f"together with {', '.join(others)}" if others else "alone"
    outcome = (
        "not decided yet" if decided is None else f"{'kept' if decided.kept else 'turned down'}: {one_line(decided.reason)}"
    )
    at_once = [block.name for block in ledger.blocks.blocks.values() if block.opened.stack == built.stack]
    as_row_0 = f" (its first trial was row 0 of {at_once[0]}, which stands on it)" if at_once else ""
    text = f"{company} on {commit_name(ledger, built.base)}: {outcome}{as_row_0}"
    return Final(built.stack, text, decided.evidence if decided is not None else None)


def near_misses(ledger: Ledger, *, minimize: bool, limit: int = 5) -> list[Candidate]:
    """Candidates left open whose numbers looked better than the champion's, the most probable first."""
    found = [
        candidate
        for candidate in ledger.candidates.values()
        if candidate.state is CandidateState.INCONCLUSIVE
        and candidate.evidence is not None
        and (candidate.evidence.effect < 0) == minimize
        and candidate.evidence.effect != 0
    ]
    return sorted(found, key=lambda c: c.evidence.p_null if c.evidence else 1.0)[:limit]


def worth_porting(ledger: Ledger) -> list[Candidate]:
    """Candidates that won their race and then did not fit on the champion as it had become, the strongest first."""
    found = [
        candidate
        for candidate in ledger.candidates.values()
        if candidate.state is CandidateState.CONFLICT
        and candidate.evidence is not None
        and any(step.startswith(f"{CandidateState.WON}:") for step in candidate.history)
    ]
    return sorted(found, key=lambda c: c.evidence.p_null if c.evidence else 1.0)
