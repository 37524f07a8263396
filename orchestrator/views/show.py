"""`regatta show`: a campaign, or one candidate and why it was kept, dropped or left open, in plain words. Text in, text out;
whatever candidates wrote is stripped of terminal control, and what they printed is quoted.
"""

from __future__ import annotations

import difflib

from orchestrator.earnings import by_family, by_model
from orchestrator.events import Purpose
from orchestrator.ledger import Candidate, CandidateState, Ledger, Trial
from orchestrator.proposers.llm.record import tokens_used
from orchestrator.quoting import quoted
from orchestrator.trial_files import cases_of, end_of_log
from orchestrator.views.beside import constraint_lines, parts_text
from orchestrator.views.cases import compared
from orchestrator.views.company import blocks_of, explanation, sent_solo, told
from orchestrator.views.diffs import diff_of
from orchestrator.views.front import front_lines, front_status, stand_of
from orchestrator.views.loading import Record
from orchestrator.views.plain import one_line
from orchestrator.views.rules import rule_of
from orchestrator.views.standing import leak_bound, provenance, told_effect
from orchestrator.views.status import count_candidates, earned_text
from orchestrator.views.stories import commit_name, evidence_lines, fate, finals_of, near_misses, samples_text, worth_porting
from orchestrator.views.words import better, change, duration, number, plural, with_error
from workers.trial import Outcome

DIFF_CHARACTERS = 40_000
LOG_CHARACTERS = 2_000
TRIALS_SHOWN = 40  # the latest; one that is in several blocks has many
FAMILIES_SHOWN = 12

_NAMES = ("kept", "discarded", "inconclusive", "rejected", "crashed", "violations", "conflicts", "pending")


class UnknownCandidateError(ValueError):
    """No such candidate; the message says which there are."""


def find_candidate(ledger: Ledger, name: str) -> Candidate:
    """The candidate `name`. Raises `UnknownCandidateError`."""
    found = ledger.candidates.get(name)
    if found is not None:
        return found
    names = list(ledger.candidates)
    if not names:
        raise UnknownCandidateError(f"{one_line(name, 60)}: nothing has been proposed in this run yet")
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    raise UnknownCandidateError(f"{one_line(name, 60)}: no such candidate; this run has {names[0]} to {names[-1]}{meant}")


def show(record: Record, candidate: str | None = None) -> str:
    """The overview, or all about one candidate. Raises `UnknownCandidateError`."""
    return overview(record) if candidate is None else about(record, find_candidate(record.ledger, candidate))


# -- the campaign


def overview(record: Record) -> str:
    ledger = record.ledger
    counts = count_candidates(ledger)
    lines = [f"{record.config.name}: {record.state}", "", *champion_lines(record), ""]
    front = front_status(ledger, record.config)
    lines += (
        [*_aligned([("" if n else "front", line) for n, line in enumerate(front_lines(front, str(record.run.path)))]), ""]
        if front is not None
        else []
    )
    kept = ledger.champion.kept if ledger.champion is not None else ()
    lines.append("kept, in this order:" if kept else "nothing was kept")
    lines += [_row(ledger, ledger.candidates[name]) for name in kept]
    winners = worth_porting(ledger)
    if winners:
        lines += ["", "won their race, but clash with the champion (worth porting by hand):"]
        lines += [_row(ledger, each) for each in winners]
    misses = near_misses(ledger, minimize=record.minimize)
    if misses:
        lines += ["", "near misses (not shown to help, not shown not to):", *(_row(ledger, each) for each in misses)]
    told = ", ".join(
        f"{counts[name]} {name if counts[name] != 1 else name.removesuffix('s')}" for name in _NAMES if counts[name]
    )
    lines += ["", f"{plural(counts['proposed'], 'candidate')}{': ' + told if told else ''}"]
    lines += [f"  {earned_text(each)}" for each in by_model(ledger, tokens_used(record.run.path / "exchanges"))]
    families = by_family(ledger)
    lines += ["", "families of ideas:", *(f"  {earned_text(each)}" for each in families[:FAMILIES_SHOWN])] if families else []
    if kept or misses:
        example = kept[-1] if kept else misses[0].id
        lines.append(f"why, and the diff: regatta show {record.run.path} {example}")
    return "\n".join(lines)


def champion_lines(record: Record) -> list[str]:
    """Champion against baseline, with standard errors and who measured."""
    ledger = record.ledger
    assert ledger.champion is not None
    commit = ledger.champion.commit
    metric = f"{ledger.objective} ({provenance(ledger, record.config).value})"
    lines = [f"  baseline  {_commit(ledger, ledger.base)}"]
    bound = leak_bound(ledger, commit)
    audited = [f"  audited   {bound}"] if bound is not None else []
    parts = parts_text(ledger, record.config, ledger.base)
    lines += [f"            {parts}"] if parts is not None else []
    if commit == ledger.base:
        return [f"  {metric}", *lines, "  champion  the baseline", *audited]
    gain = better(ledger.samples(commit).mean, ledger.samples(ledger.base).mean, minimize=record.minimize)
    lines.append(f"  champion  {_commit(ledger, commit)}{f': {gain}' if gain else ''}")
    parts = parts_text(ledger, record.config, commit)
    lines += [f"            {parts}"] if parts is not None else []
    return [f"  {metric}", *lines, *audited]


def _commit(ledger: Ledger, commit: str) -> str:
    samples = ledger.samples(commit)
    if not samples.n:
        return f"{commit[:10]}  not measured yet"
    return f"{commit[:10]}  {with_error(samples.mean, ledger.book.stderr(commit))} over {plural(samples.n, 'trial')}"


def _row(ledger: Ledger, candidate: Candidate) -> str:
    effect = change(*told_effect(ledger, candidate))
    return f"  {candidate.id}  {effect:<22} {one_line(candidate.proposed.description, 100)}"


# -- one candidate


def about(record: Record, candidate: Candidate) -> str:
    ledger, failed = record.ledger, _failed_trial(record.ledger, candidate)
    text = [f"{candidate.id}: {one_line(candidate.proposed.description)}", "", *_aligned(_rows(record, candidate, failed))]
    if candidate.trials:
        who = provenance(ledger, record.config).value
        text += ["", f"  trials ({ledger.objective} {who}):"]
        shown = candidate.trials[-TRIALS_SHOWN:]
        if len(candidate.trials) > len(shown):
            earlier = f"{len(candidate.trials) - len(shown)} earlier ones: regatta export {record.run.path} --rows trials"
            text.append(f"    {earlier} --format tsv")
        text += [_trial_line(ledger, ledger.trials[name]) for name in shown]
    cases = case_lines(record, candidate)
    if cases:
        beside = commit_name(ledger, candidate.base or "")
        text += ["", f"  the cases in which it differs from {beside}:", *(f"    {line}" for line in cases)]
    if failed is not None:
        text += ["", quoted(end_of_log(record.run, failed.id), LOG_CHARACTERS, f"the end of what {failed.id} printed")]
    return "\n".join([*text, "", _capped(record, candidate) or "(it changes nothing)"])


def case_lines(record: Record, candidate: Candidate) -> list[str]:
    """Why a kernel is faster or slower: case by case, what was compiled and measured of it and of what it was raced against."""
    ledger = record.ledger
    if ledger.opened is None or ledger.opened.runner != "kernel":
        return []
    sides = []
    for commit in (candidate.base, candidate.commit):
        trials = ledger.trials_of.get(commit or "", [])
        ok = [trial.id for trial in trials if trial.ended is not None and trial.ended.outcome is Outcome.OK]
        sides.append(cases_of(record.run, ok[-1]) if ok else ())
    return compared(*sides)


def _rows(record: Record, candidate: Candidate, failed: Trial | None) -> list[tuple[str, str]]:
    """What is known of it, label and text."""
    ledger, proposed = record.ledger, candidate.proposed
    broke_a_rule = candidate.state is CandidateState.VIOLATION
    rows = [("fate", fate(candidate, ledger.taken_out.get(candidate.id)))]
    if candidate.reason:
        rows.append(("because", one_line(candidate.reason)))
    rule = rule_of(candidate.reason) or rule_of(
        failed.ended.reason if failed is not None and failed.ended is not None else None
    )
    if rule is not None:
        found = f" (found in {failed.id})" if failed is not None else ""
        rows.append(("rule", f"{rule}{found}"))
    parents = f", continues {one_line(', '.join(proposed.parents))}" if proposed.parents else ""
    rows.append(("proposer", one_line(proposed.proposer) + parents))
    if proposed.model is not None:
        expected = (
            "" if proposed.expected_effect is None else f", expected {proposed.expected_effect:+.4g} (negative is better)"
        )
        rows.append(("model", f"{one_line(proposed.model, 100)}, ${proposed.usd:.4f}{expected}"))
    if proposed.family is not None:
        rows.append(("family", one_line(proposed.family, 60)))
    if candidate.admitted is not None:
        changed = plural(candidate.admitted.diff_lines, "line")
        rows.append(
            ("commit", f"{candidate.admitted.commit[:10]}, {changed} on {commit_name(ledger, candidate.admitted.base)}")
        )
        if broke_a_rule:
            rows.append(("branch", f"candidate/{candidate.id} in {record.run.repo}: it stays, to be looked at"))
    if candidate.evidence is not None and not broke_a_rule:
        lines = evidence_lines(candidate.evidence, candidate.state, minimize=record.minimize)
        rows += [("evidence" if i == 0 else "", line) for i, line in enumerate(lines)]
    rows += _in_blocks(ledger, candidate)
    if candidate.commit is not None and ledger.trials_of.get(candidate.commit):
        rows.append(("samples", samples_text(ledger, candidate.commit) + (" (not believed)" if broke_a_rule else "")))
        rows.append(("against", f"{samples_text(ledger, candidate.base or '')} ({commit_name(ledger, candidate.base or '')})"))
        rows += _parts(record, candidate)
        bound = leak_bound(ledger, candidate.commit)
        rows += [("audited", str(bound))] if bound is not None and not broke_a_rule else []
    bounds = [] if broke_a_rule else constraint_lines(ledger, record.config, candidate)
    rows += [("" if nth else "constraints", line) for nth, line in enumerate(bounds)]
    stands = stand_of(record, candidate)
    rows += [("front", stands)] if stands is not None else []
    return rows + [("final", final.text) for final in finals_of(ledger, candidate)]


def _parts(record: Record, candidate: Candidate) -> list[tuple[str, str]]:
    """The parts of a product, its own and the champion's."""
    ledger, config = record.ledger, record.config
    own, beside = (parts_text(ledger, config, commit or "") for commit in (candidate.commit, candidate.base))
    rows = [("parts", own)] if own is not None else []
    return rows + ([("", f"{beside} ({commit_name(ledger, candidate.base or '')})")] if beside is not None else [])


def _in_blocks(ledger: Ledger, candidate: Candidate) -> list[tuple[str, str]]:
    """What it was measured together with others, and why it no longer is."""
    blocks, sd = blocks_of(ledger, candidate), ledger.book.noise().sd
    rows = [row for seen in blocks for row in told(seen, commit_name(ledger, seen.base), sd)]
    if any(seen.effect is not None for seen in blocks):
        rows.append(("", explanation(blocks)))
    alone = sent_solo(candidate)
    return [*rows, ("alone", f"measured by itself since then: {one_line(alone)}")] if alone is not None else rows


_SPEAKS_AGAINST = {
    CandidateState.VIOLATION: (Outcome.VIOLATION,),
    CandidateState.CRASHED: (Outcome.CRASH, Outcome.TIMEOUT),
}


def _failed_trial(ledger: Ledger, candidate: Candidate) -> Trial | None:
    """The trial that decided a candidate by its failure: one that held nobody else, where there is any."""
    outcomes = _SPEAKS_AGAINST.get(candidate.state, ())
    trials = [ledger.trials[name] for name in reversed(candidate.trials)]
    failed = [trial for trial in trials if trial.ended is not None and trial.ended.outcome in outcomes]
    return min(failed, key=lambda trial: len(trial.started.candidates), default=None)


def _capped(record: Record, candidate: Candidate) -> str:
    """The diff, as much of it as a person reads on a terminal."""
    diff = diff_of(record, candidate).rstrip("\n")
    if len(diff) <= DIFF_CHARACTERS:
        return diff
    where = f"git -C {record.run.repo} show candidate/{candidate.id}"
    return f"{diff[:DIFF_CHARACTERS]}\n… {len(diff) - DIFF_CHARACTERS} characters more: {where}"


def _aligned(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(label) for label, _ in rows)
    return [f"  {label:<{width}}  {text}" for label, text in rows]


def _trial_line(ledger: Ledger, trial: Trial) -> str:
    started, ended = trial.started, trial.ended
    head = f"    {trial.id}  {started.purpose.value:<5}  "
    tail = f"seed {started.seed}, {trial.worker}"
    if started.block is not None:
        tail = f"{started.block} row {started.row}, {tail}"
    if len(started.candidates) > 1:
        tail += f", with {plural(len(started.candidates) - 1, 'other edit')}"
    if ended is None:
        return f"{head}{'running':<9}  {UNMEASURED}  {tail}"
    counts = started.purpose is not Purpose.SMOKE
    value = number(ended.metric(ledger.objective), ledger.book.noise().sd) if counts else "runs" if not ended.reason else ""
    reason = f": {one_line(ended.reason)}" if ended.reason else ""
    return f"{head}{ended.outcome.value:<9}  {value:>10}  {tail}, {duration(ended.wall_s)}{reason}"


UNMEASURED = f"{'':>10}"
