"""The sections of the notebook: which entries each has, and in what words. Text is made for those alone that are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.candidate import Candidate, CandidateState
from orchestrator.ledger import Ledger
from orchestrator.notebook.compiled import compiled_entries
from orchestrator.notebook.fitting import Entry, Section
from orchestrator.notebook.reading import FAMILIES, Alike, Reading, Tally, alike
from orchestrator.notebook.wording import listed, words
from orchestrator.quoting import quoted
from orchestrator.views.plain import plain
from orchestrator.views.words import change, number, plural, probability
from workers.trial import Outcome

LogTail = Callable[[str], str]
LOGS_SHOWN = 3
LEAST_LOG, MOST_LOG = 150, 900  # characters of one
NAMES_SHOWN = 40

_HAS_SUBMITTED = "checkpoint_mb"  # the worker measured a checkpoint: what was printed after that is not for proposers


@dataclass(frozen=True, slots=True)
class Sources:
    """What the sections are written from."""

    ledger: Ledger
    reading: Reading
    minimize: bool
    log_tail: LogTail | None
    log_characters: int
    unturned: Sequence[str]  # knobs of the champion that no candidate has turned


def sections(of: Sources) -> list[Section]:
    """In the order in which they are read."""
    found = of.reading
    crashed = alike(found.crashed, lambda candidate: candidate.reason or "")
    broken = alike(found.violations, lambda candidate: candidate.reason or "")
    refused = alike(found.refused, lambda candidate: candidate.reason or "")
    untried = list(_untried(of))
    told = _worth_telling(found)
    compiled = list(compiled_entries(of.ledger))
    return [
        Section("Kept, the largest effect first", "what was kept", len(found.kept), _kept(of), weight=6),
        Section("Families of ideas", "families", len(told), (_family(of, each) for each in told), weight=4),
        Section("Nobody has tried", "things untried", len(untried), iter(untried), weight=4),
        Section("Near misses, the most probable first", "near misses", len(found.near_misses), _near_misses(of), weight=4),
        Section("Clashed with the champion", "clashes", len(found.clashed), _clashed(of), weight=2),
        Section("What the compiler made of it", "kernels", len(compiled), iter(compiled), weight=3),
        Section("Being measured", "what is being measured", len(found.pending), _pending(of), weight=2),
        Section("Crashed, the newest first", "kinds of crashes", len(crashed), _crashed(of, crashed), weight=3),
        Section("Broke a rule", "kinds of violations", len(broken), map(_failed, broken), weight=2),
        Section("No better, the newest first", "what was no better", len(found.dropped), _dropped(of), weight=4),
        Section("Refused before any trial", "kinds of refusals", len(refused), map(_failed, refused), weight=2),
        Section("Proposers", "proposers", len(found.proposers), (_proposer(of, each) for each in found.proposers), weight=3),
    ]


def _worth_telling(found: Reading) -> list[Tally]:
    """No family was ever named: then there is nothing to compare."""
    return found.families if any(tally.name for tally in found.families) else []


def _idea(candidate: Candidate) -> str:
    return words(candidate.proposed.description)


def _of_family(candidate: Candidate) -> str:
    return "" if candidate.proposed.family is None else f" ({words(candidate.proposed.family, 40)})"


def _effect(candidate: Candidate) -> str:
    evidence = candidate.evidence
    return "" if evidence is None else f" {change(evidence.effect, evidence.stderr)}"


def _kept(of: Sources) -> Iterator[Entry]:
    for candidate in of.reading.kept:
        effect = change(*of.reading.effects[candidate.id])
        admitted = candidate.admitted
        lines = "" if admitted is None else f", {plural(admitted.diff_lines, 'line')}"
        yield (f"- {candidate.id} {effect}{lines}: {_idea(candidate)}{_of_family(candidate)}",)


def _near_misses(of: Sources) -> Iterator[Entry]:
    for candidate in of.reading.near_misses:
        assert candidate.evidence is not None
        odds = probability(1 - candidate.evidence.p_null)
        yield (f"- {candidate.id}{_effect(candidate)}, helps with probability {odds}: {_idea(candidate)}",)


def _clashed(of: Sources) -> Iterator[Entry]:
    for candidate in of.reading.clashed:
        won = " won its race with" if candidate.evidence is not None else ""
        line = f"- {candidate.id}{won}{_effect(candidate)}: {_idea(candidate)}"
        yield f"{line}, {words(candidate.reason or '')}", line


def _pending(of: Sources) -> Iterator[Entry]:
    for candidate in of.reading.pending:
        paths = list(dict.fromkeys(edit.path for edit in candidate.proposed.edits))
        where = f" in {', '.join(words(path, 60) for path in paths[:3])}" if paths else ""
        won = ", won its race" if candidate.state is CandidateState.WON else ""
        yield (f"- {candidate.id}{won}: {_idea(candidate)}{where}",)


def _dropped(of: Sources) -> Iterator[Entry]:
    for candidate in of.reading.dropped:
        why = _effect(candidate) or f", {words(candidate.reason or '')}"
        yield (f"- {candidate.id}{why}: {_idea(candidate)}{_of_family(candidate)}",)


def _failed(group: Alike) -> Entry:
    """What failed in the same words, as one entry."""
    candidate = group.latest
    names = f" (likewise {listed(group.names[1:], 6)})" if len(group.names) > 1 else ""
    return (f"- {candidate.id}: {_idea(candidate)}, {words(candidate.reason or 'no reason given', 240)}{names}",)


def _crashed(of: Sources, groups: list[Alike]) -> Iterator[Entry]:
    for shown, group in enumerate(groups):
        line = _failed(group)
        log = _log(of, group.latest) if shown < LOGS_SHOWN else None
        yield line if log is None else (f"{line[0]}\n{log}", *line)


def _log(of: Sources, candidate: Candidate) -> str | None:
    """The end of what a crashed trial printed, in a fence that no line of it can end; None for what had submitted a checkpoint:
    scoring follows in the same log, and shows what no proposer may learn."""
    if of.log_tail is None or of.log_characters < LEAST_LOG:
        return None
    for name in reversed(candidate.trials):
        ended = of.ledger.trials[name].ended
        if ended is not None and ended.outcome in (Outcome.CRASH, Outcome.TIMEOUT):
            if _HAS_SUBMITTED in ended.measured:
                return None
            text = _last_lines(of.log_tail(name), of.log_characters)
            if not text:
                return None
            said = quoted(text, 2 * of.log_characters, f"the end of what {name} printed").replace("\t", "    ")
            return f"```text\n{said}\n```"
    return None


def _last_lines(text: str, most: int) -> str:
    """Whole lines where one begins in time."""
    text = plain(text).rstrip()
    cut = text[-most:]
    return cut if len(text) <= most else cut[cut.find("\n") + 1 :].lstrip("\n")


def _family(of: Sources, tally: Tally) -> Entry:
    name = words(tally.name, 40) if tally.name else "without a name"
    best = ""
    if tally.best is not None:
        best = f"; best {change(*of.reading.effects[tally.best.id])} ({tally.best.id})"
    elif tally.closest is not None:
        best = f"; closest{_effect(tally.closest)} ({tally.closest.id}, left open)"
    return (f"- {name}: {_tried(tally)}{best}",)


def _tried(tally: Tally) -> str:
    counts = (
        (tally.states[CandidateState.CRASHED], "crashed"),
        (tally.states[CandidateState.REJECTED], "refused"),
        (tally.pending, "being measured"),
    )
    more = "".join(f", {count} {what}" for count, what in counts if count)
    return f"{tally.kept} of {tally.decided} kept{more}"


def _proposer(of: Sources, tally: Tally) -> Entry:
    line = f"- {words(tally.name, 60)}: {_tried(tally)}"
    if not tally.foreseen:
        return (line,)
    sign = 1 if of.minimize else -1
    noise = of.ledger.book.noise().sd
    expected, measured = (_signed(sign * value, noise) for value in tally.medians())
    count = len(tally.foreseen)
    told = f"expected {expected}, measured {measured} (medians of {count}), {tally.as_good_as_foreseen()} as good as expected"
    return f"{line}; {told}", line


def _signed(value: float, noise: float | None) -> str:
    text = number(value, noise)
    return text if text.startswith("-") else f"+{text}"


def _untried(of: Sources) -> Iterator[Entry]:
    named = {tally.name for tally in of.reading.families}
    missing = [family for family in FAMILIES if family not in named]
    if missing and named != {""} and named:
        yield (f"- Families: {', '.join(missing)}.",)
    if of.unturned:
        yield (
            f"- Knobs of the champion that no search-and-replace edit has turned: {listed(list(of.unturned), NAMES_SHOWN)}.",
        )
