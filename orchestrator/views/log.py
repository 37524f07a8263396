"""`regatta log`: what happened, one plain line an event, also as it happens; and what one trial printed.

`line_for` is what `regatta run` prints where there is no terminal. Whatever candidates wrote is stripped of terminal control.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterator

from orchestrator import events as ev
from orchestrator.config import load_config
from orchestrator.ledger import Ledger
from orchestrator.run_directory import RunDirectory
from orchestrator.views.loading import Record, entries
from orchestrator.views.plain import one_line, plain
from orchestrator.views.words import change, clock, duration, number, plural, with_error
from workers.trial import Outcome

DESCRIPTION_WIDTH = 90
CLEAREST = 3  # effects of a block that a line tells
_TRIAL_EVENTS = (ev.TrialStarted, ev.TrialRestarted)
_VERDICTS = {
    ev.Verdict.WON: "won, its final follows",
    ev.Verdict.DISCARD: "dropped",
    ev.Verdict.INCONCLUSIVE: "left open",
    ev.Verdict.CRASH: "crashed",
    ev.Verdict.VIOLATION: "broke a rule",
}


class UnknownTrialError(ValueError):
    """No such trial; the message says which there are."""


def log(record: Record) -> Iterator[str]:
    """Every event so far, a line each, oldest first."""
    ledger = Ledger(record.ledger.objective)
    for entry in entries(record.run):
        ledger.apply(entry.event, entry.at)
        line = line_for(entry.event, entry.at, ledger)
        if line is not None:
            yield line


def follow(run: RunDirectory, poll_s: float = 0.5, wait: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """Every event so far and then each new one, until nobody runs the campaign any more."""
    ledger = Ledger(load_config(run.config).objective.name)
    seen = 0
    while True:
        held = run.holder() is not None  # first: who lets go while we read has written its last word
        for entry in entries(run, after=seen):
            seen = entry.seq
            ledger.apply(entry.event, entry.at)
            line = line_for(entry.event, entry.at, ledger)
            if line is not None:
                yield line
        if not held:
            return
        wait(poll_s)


def line_for(event: ev.Event, at: float, ledger: Ledger, *, quiet: bool = False) -> str | None:
    """One line about an event that `ledger` already holds: local time, kind, plain words. None where there is nothing to say.

    `quiet` leaves out the comings and goings of single trials that ended well.
    """
    if quiet and (isinstance(event, _TRIAL_EVENTS) or (isinstance(event, ev.TrialEnded) and event.outcome is Outcome.OK)):
        return None
    words = words_for(event, ledger)
    return None if words is None else f"{clock(at)}  {words[0]:<9}  {words[1]}"


def words_for(event: ev.Event, ledger: Ledger) -> tuple[str, str] | None:
    """The kind of an event, and its words."""
    match event:
        case ev.Proposed() | ev.Admitted() | ev.Rejected() | ev.Conflicted() | ev.SentSolo() | ev.CandidateDecided():
            return _about_a_candidate(event, ledger)
        case ev.BlockOpened() | ev.BlockClosed():
            return "block", _about_a_block(event, ledger)
        case ev.TrialStarted() | ev.TrialRestarted() | ev.TrialEnded():
            return "trial", _about_a_trial(event, ledger)
        case ev.MachineSuspected() | ev.MachineCleared() | ev.MachineDoubted() | ev.TrialVoided():
            return "worker", _about_a_machine(event)
        case ev.StackBuilt():
            return "final", f"{event.stack}: {', '.join(event.candidates)} on the champion {event.base[:10]}, to be measured"
        case ev.StackDecided():
            return "final", f"{event.stack} {'won' if event.kept else 'lost'}: {one_line(event.reason)}"
        case ev.ChampionMoved():
            return "kept", _about_a_move(event, ledger)
        case _:
            return _about_the_campaign(event)


def _about_the_campaign(event: ev.Event) -> tuple[str, str] | None:
    match event:
        case ev.CampaignOpened():
            return "campaign", f"{event.name}: {event.target} at {event.base[:10]}, {event.runner} runner, seed {event.seed}"
        case ev.HeadStarted():
            metrics = f", metrics on http://127.0.0.1:{event.metrics_port}/metrics" if event.metrics_port else ""
            return "campaign", f"head started, process {event.pid} on {event.host}, sandbox: {event.sandbox}{metrics}"
        case ev.HeadStopped():
            reason = f" ({event.reason.value})" if event.reason is not None else ""
            return "campaign", f"{event.state.value}{reason}{': ' + one_line(event.detail) if event.detail else ''}"
        case ev.LimitReached():
            return "campaign", f"limit reached: {event.reason.value}; what runs is finished and decided"
        case ev.WorkerChanged():
            detail = f": {one_line(event.detail)}" if event.detail else ""
            state = "ready" if event.state is ev.WorkerState.IDLE else event.state.value.replace("_", " ")
            return "worker", f"{event.worker} {state}, {one_line(event.device)} on {one_line(event.node)}{detail}"
        case ev.ProposalsEnded():
            why = f": {one_line(event.reason)}" if event.reason else ""
            return "proposer", f"{one_line(event.proposer)} has nothing more to propose{why}"
        case ev.Note():
            return "warning" if event.level == "warning" else "note", one_line(event.text)
        case _:
            return None


def _about_a_candidate(
    event: ev.Proposed | ev.Admitted | ev.Rejected | ev.Conflicted | ev.SentSolo | ev.CandidateDecided, ledger: Ledger
) -> tuple[str, str]:
    name = event.candidate
    what = describe(ledger, name)
    match event:
        case ev.Proposed():
            return "proposed", f"{name} by {one_line(event.proposer)}: {what}"
        case ev.Admitted():
            return "admitted", f"{name} as {event.commit[:10]}, {plural(event.diff_lines, 'line')} on {event.base[:10]}"
        case ev.Rejected():
            return "rejected", f"{name} refused, {one_line(event.gate)}: {one_line(event.reason)}"
        case ev.Conflicted():
            return "conflict", f"{name} does not fit on the champion {event.onto[:10]}: {one_line(event.reason)} ({what})"
        case ev.SentSolo():
            return "block", f"{name} is not measured together with others any more: {one_line(event.reason)} ({what})"
        case ev.CandidateDecided():
            return "decided", f"{name} {_VERDICTS[event.verdict]}: {one_line(event.reason)} ({what})"


def _about_a_block(event: ev.BlockOpened | ev.BlockClosed, ledger: Ledger) -> str:
    if isinstance(event, ev.BlockOpened):
        base = f"the stack {event.stack}, whose final it begins with" if event.stack is not None else event.base[:10]
        count = plural(len(event.candidates), "edit")
        return f"{event.block} opened: {count} in {event.size} trials, about half of them in each, on {base}"
    if not event.candidates:
        return f"{event.block} closed: its {plural(event.rows, 'trial')} that ended well tell of no edit"
    noise = ledger.book.noise().sd or 0.0
    found = sorted(zip(event.candidates, event.effects, event.spreads, strict=True), key=lambda each: -abs(each[1]) / each[2])
    shown = ", ".join(f"{name} {change(effect, spread * noise)}" for name, effect, spread in found[:CLEAREST])
    told = f"the clearest of {plural(len(found), 'effect')}" if len(found) > CLEAREST else "effects"
    return f"{event.block} closed, {plural(event.rows, 'trial')} ended well; {told}: {shown}"


def _about_a_machine(event: ev.MachineSuspected | ev.MachineCleared | ev.MachineDoubted | ev.TrialVoided) -> str:
    match event:
        case ev.MachineSuspected():
            seems = f"read {change(event.offset)} beside the others in {event.block}"
            if event.pace is not None:
                seems = f"take {100 * event.pace:.0f} % of the others' steps"
            return f"{event.worker} seems to {seems}: repeats of one commit, on it and elsewhere, will show"
        case ev.MachineCleared():
            return f"{event.worker} does as the others do: {one_line(event.reason)}"
        case ev.MachineDoubted():
            return f"{event.worker} set aside: {one_line(event.reason)}; its numbers of the undecided are measured again"
        case ev.TrialVoided():
            return f"{event.trial} does not count after all: {one_line(event.reason)}"


def _about_a_trial(event: ev.TrialStarted | ev.TrialRestarted | ev.TrialEnded, ledger: Ledger) -> str:
    match event:
        case ev.TrialStarted():
            return f"{event.trial} on {event.worker}: {purpose_text(event, ledger)}"
        case ev.TrialRestarted():
            return f"{event.trial} handed out again to {event.worker}, attempt {event.attempt}: its head had died"
        case ev.TrialEnded():
            started = ledger.trials[event.trial].started
            if event.outcome is Outcome.OK and started.purpose is ev.Purpose.SMOKE:
                return f"{event.trial} ok: {_some(started.candidates)} run, in {duration(event.wall_s)}"
            if event.outcome is not Outcome.OK:
                why = one_line(event.reason or "no reason given")
                return f"{event.trial} {event.outcome.value} after {duration(event.wall_s)}{_blamed(started, event)}: {why}"
            value = number(event.metric(ledger.objective), ledger.book.noise().sd)
            return f"{event.trial} ok: {ledger.objective} {value} in {duration(event.wall_s)}"


def _about_a_move(event: ev.ChampionMoved, ledger: Ledger) -> str:
    before = ledger.samples(event.previous)
    decided = ledger.stacks[event.stack].decided
    evidence = decided.evidence if decided is not None else None
    effect = f" ({change(evidence.effect, evidence.stderr)})" if evidence is not None else ""
    was = f"{number(before.mean, event.stderr)} → " if before.n else ""
    kept = "; ".join(f"{name} kept: {describe(ledger, name)}" for name in event.kept)
    return f"{kept}: {ledger.objective} {was}{with_error(event.mean, event.stderr)}{effect}"


def describe(ledger: Ledger, candidate: str, width: int = DESCRIPTION_WIDTH) -> str:
    return one_line(ledger.candidates[candidate].proposed.description, width)


def _some(candidates: tuple[str, ...], limit: int = 8) -> str:
    more = f" and {len(candidates) - limit} more" if len(candidates) > limit else ""
    return ", ".join(candidates[:limit]) + more


def _blamed(started: ev.TrialStarted, ended: ev.TrialEnded) -> str:
    """Whom a failure of several candidates together is held against: nobody, before one fails alone."""
    at_fault = ended.outcome.by_own_fault
    if not at_fault or len(started.candidates) < 2:
        return ""
    if started.purpose is ev.Purpose.SMOKE:
        return f", one of {len(started.candidates)} is at fault and each half is tested by itself"
    return f" with {len(started.candidates)} edits together, blamed on none of them" if started.block is not None else ""


def purpose_text(started: ev.TrialStarted, ledger: Ledger) -> str:
    """Why a trial is run, in words."""
    match started.purpose:
        case ev.Purpose.BASELINE:
            return "baseline"
        case ev.Purpose.REPEAT:
            return "champion again, beside the others"
        case ev.Purpose.RACE:
            return f"race of {', '.join(started.candidates)} ({describe(ledger, started.candidates[0])})"
        case ev.Purpose.FINAL:
            row = "" if started.block is None else f", as the base of {started.block}"
            return f"final of {', '.join(started.candidates)}{row}"
        case ev.Purpose.BLOCK:
            held = plural(len(started.candidates), "edit") + " together" if started.candidates else "its base alone"
            return f"{started.block} row {started.row}: {held}"
        case ev.Purpose.SMOKE:
            return f"smoke test of {plural(len(started.candidates), 'edit')}: {_some(started.candidates)}"


# -- what one trial printed


def trial_log(record: Record, trial: str) -> str:
    """The log of a trial. Where it was too long, it says itself what was left out. Raises `UnknownTrialError`."""
    _known(record.ledger, trial)
    try:
        return plain(record.run.trial_log(trial).read_bytes().decode("utf-8", "replace"))
    except FileNotFoundError:
        return ""


def follow_trial(record: Record, trial: str, poll_s: float = 0.5, wait: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """The lines of a trial's log as they come, until the trial has ended or nobody runs the campaign. Raises
    `UnknownTrialError`."""
    _known(record.ledger, trial)
    decoder, partial, offset = codecs.getincrementaldecoder("utf-8")("replace"), "", 0
    ended, seen = record.ledger.trials[trial].ended is not None, 0
    while True:
        over = ended or record.run.holder() is None
        try:
            with record.run.trial_log(trial).open("rb") as file:
                file.seek(offset)
                new = file.read()
        except FileNotFoundError:
            new = b""
        offset += len(new)
        *lines, partial = (partial + decoder.decode(new, final=over)).split("\n")
        yield from (plain(line) for line in lines)
        if over:
            if partial:
                yield plain(partial)
            return
        wait(poll_s)
        for entry in entries(record.run, after=seen):  # the log is complete before the journal says that the trial ended
            seen = entry.seq
            ended = ended or (isinstance(entry.event, ev.TrialEnded) and entry.event.trial == trial)


def _known(ledger: Ledger, trial: str) -> None:
    if trial not in ledger.trials:
        last = next(reversed(ledger.trials), None)
        there = f"this run has t000001 to {last}" if last is not None else "none was started yet"
        raise UnknownTrialError(f"{one_line(trial, 60)}: no such trial; {there}")
