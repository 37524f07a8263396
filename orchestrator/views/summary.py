"""What a run says when it ends: the champion against the baseline, what was kept and why, and what to type next."""

from __future__ import annotations

import shlex

from orchestrator.events import EndState, StopReason
from orchestrator.ledger import Candidate, Ledger
from orchestrator.proposers.llm.record import tokens_used
from orchestrator.views.champion_file import CHAMPION_FILE
from orchestrator.views.diffs import diff_of
from orchestrator.views.loading import Record
from orchestrator.views.plain import one_line
from orchestrator.views.show import champion_lines
from orchestrator.views.standing import held_out, told_effect
from orchestrator.views.status import count_candidates, earned_with_money, held_out_text
from orchestrator.views.stories import worth_porting
from orchestrator.views.words import change, duration, plural

DIFF_LINES = 14  # of one edit; more is for `regatta show`
EDITS_WITH_DIFF = 5


def fetch_line(record: Record) -> str:
    """What brings the champion into the user's own repository, typed there."""
    repo = shlex.quote(str(record.run.repo.absolute()))
    branch = f"regatta/{record.config.name}"
    opened = record.ledger.opened
    if opened is None or not opened.folder:
        return f"git fetch {repo} champion:{branch}"
    # A folder's campaign has a history of its own, with the folder as its root.
    picked = f"git cherry-pick -X subtree={shlex.quote(opened.folder)} {opened.base[:12]}..{branch}"
    return f"git fetch {repo} champion:{branch} && {picked}"


def summary(record: Record) -> str:
    """The last screenful of `regatta run`."""
    ledger = record.ledger
    kept = ledger.champion.kept if ledger.champion is not None else ()
    lines = [f"{record.config.name}: {_ending(record)}", "", *champion_lines(record)]
    found = held_out(ledger)
    lines += [f"  held out  {held_out_text(found)}", ""] if found is not None and kept else [""]
    lines += _kept(record, kept) if kept else [_nothing_kept(ledger)]
    winners = worth_porting(ledger)
    if winners:
        lines.append(f"worth porting by hand (won their race, then clashed with the champion): {_names(winners)}")
    earned = earned_with_money(ledger, tokens_used(record.run.path / "exchanges"))
    lines += ["", "what proposals cost and brought:", *(f"  {text}" for text in earned)] if earned else []
    lines += ["", *_next(record, bool(kept))]
    return "\n".join(lines)


def _names(candidates: list[Candidate]) -> str:
    more = f" and {len(candidates) - 6} more" if len(candidates) > 6 else ""
    return ", ".join(candidate.id for candidate in candidates[:6]) + more


def _ending(record: Record) -> str:
    stopped = record.ledger.stopped
    ran = duration(record.ledger.running_s())
    trials = plural(len(record.ledger.trials), "trial")
    if stopped is None:
        return f"{record.state} after {ran}, {trials}"
    why = f" ({stopped.reason.value})" if stopped.reason is not None else ""
    detail = f": {one_line(stopped.detail)}" if stopped.detail else ""
    return f"{stopped.state.value}{why} after {ran}, {trials}{detail}"


def _nothing_kept(ledger: Ledger) -> str:
    counts = count_candidates(ledger)
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count and name != "proposed")
    return f"nothing was kept of {plural(counts['proposed'], 'candidate')}{' (' + told + ')' if told else ''}"


def _kept(record: Record, kept: tuple[str, ...]) -> list[str]:
    counts = count_candidates(record.ledger)
    lines = [f"kept {len(kept)} of {plural(counts['proposed'], 'candidate')}:"]
    for name in kept:
        candidate = record.ledger.candidates[name]
        effect = change(*told_effect(record.ledger, candidate))
        lines.append(f"  {name}  {effect}  {one_line(candidate.proposed.description, 90)}")
        if len(kept) <= EDITS_WITH_DIFF:
            lines += _short_diff(record, candidate)
    return lines


def _short_diff(record: Record, candidate: Candidate) -> list[str]:
    """The changed lines alone."""
    changed = [
        line for line in diff_of(record, candidate).splitlines() if line[:1] in "+-" and line and line[:3] not in ("+++", "---")
    ]
    shown = [f"        {line[:120]}" for line in changed[:DIFF_LINES]]
    if len(changed) > DIFF_LINES:
        shown.append(f"        … {len(changed) - DIFF_LINES} more: regatta show {record.run.path} {candidate.id}")
    return shown


def _next(record: Record, any_kept: bool) -> list[str]:
    run = shlex.quote(str(record.run.path))
    rows = []
    if record.run.report.is_file():
        rows.append(("report", str(record.run.report.absolute())))
    if any_kept:
        rows.append(("take it home", f"{fetch_line(record)}    (in your own repository)"))
        if (record.run.path / CHAMPION_FILE).is_file():
            rows.append(("the kernel", f"{record.run.path / CHAMPION_FILE}    (one file, to be imported)"))
    stopped = record.ledger.stopped
    if stopped is not None and stopped.state is EndState.FAILED and not record.ledger.book.count:
        rows.append(("next", "mend the target or the config, then begin a new run (--run-dir)"))
    elif stopped is not None and stopped.reason is StopReason.PROPOSALS:
        rows.append(("another idea", f"regatta propose {run} --patch FILE --description TEXT; regatta resume {run}"))
    else:
        rows.append(("go on", f"regatta resume {run}{_more(record)}"))
    width = max(len(label) for label, _ in rows)
    return [f"  {label:<{width}}  {text}" for label, text in rows]


def _more(record: Record) -> str:
    """The limit to raise: the one that ended the campaign, doubled."""
    stopped, limits = record.ledger.stopped, record.config.limits
    reason = stopped.reason.value if stopped is not None and stopped.reason is not None else ""
    key = {"energy": "energy_wh"}.get(reason, reason)
    limit = getattr(limits, key, None)
    if isinstance(limit, int | float):
        return f" --set limits.{key}={2 * limit:g}"
    return ""
