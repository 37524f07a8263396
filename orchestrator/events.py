"""The events of a campaign: frozen, and the only way anything is remembered.

Every event is a frozen dataclass of plain values. The journal stores it as JSON under its `KIND`; the ledger folds it into the
state. Nothing here acts or decides. A field is only ever added with a default, so that every past journal can be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import get_args

from orchestrator.edits import Edit
from workers.trial import Outcome


class Purpose(StrEnum):
    """Why a trial is run."""

    BASELINE = "baseline"  # the base commit, before anything is compared with it
    REPEAT = "repeat"  # a commit that others race against, beside them
    RACE = "race"  # a candidate against the commit that it was branched from
    FINAL = "final"  # a stack of winners, exactly as it would become champion
    BLOCK = "block"  # a row of a block: its base and about half of its candidates
    SMOKE = "smoke"  # a short run of several candidates at once, to see whether they run at all; its numbers count for nothing


class Verdict(StrEnum):
    """What the tournament decided about a candidate. WON is not yet KEPT: the final on the current champion follows."""

    WON = "won"
    DISCARD = "discard"
    INCONCLUSIVE = "inconclusive"
    CRASH = "crash"
    VIOLATION = "violation"


class StopReason(StrEnum):
    """Which limit, or what else, ended a campaign."""

    TRIALS = "trials"
    CANDIDATES = "candidates"
    HOURS = "hours"
    GPU_HOURS = "gpu_hours"
    USD = "usd"
    ENERGY = "energy"
    TARGET = "target"
    PLATEAU = "plateau"
    WORTH = "worth"
    PROPOSALS = "proposals"


class EndState(StrEnum):
    """How a head stopped. A head that was killed leaves none of these."""

    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class WorkerState(StrEnum):
    BUSY = "busy"
    IDLE = "idle"
    LOST = "lost"  # its process or node is gone; Ray is asked for another
    SET_ASIDE = "set_aside"  # it answers, but its numbers cannot be compared with the others'


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a decision was based on, in the metric's own units where not said otherwise."""

    mean: float
    samples: int
    reference_mean: float  # of the commit it was measured against
    reference_samples: int
    effect: float  # mean - reference_mean, sign as measured
    stderr: float  # of the effect
    noise_sd: float  # pooled over the campaign
    noise_df: int
    e_value: float  # against "no better", valid at any stopping time
    e_value_needed: float | None  # what a keep needed at that moment; None where p_null alone decided
    p_null: float  # posterior probability that it does not help, from what the campaign has learnt
    p_null_allowed: float | None  # the largest that a keep allowed at that moment; None where e_value alone decided
    rule: str  # calibrated, provable, or final
    blocks: tuple[str, ...] = ()  # in which it was measured; empty for a race of its own
    margin: float = 0.0  # by which it may be worse, since it makes the program smaller: "no better" then means worse than that


@dataclass(frozen=True, slots=True)
class CampaignOpened:
    """First event of every journal."""

    name: str
    base: str  # commit, 40 hex
    target: str  # as given in the config
    runner: str
    seed: int
    planned_candidates: int  # over how many the error rate is spent
    folder: str = ""  # where in the user's repository the target lies; "" for all of it, or none


@dataclass(frozen=True, slots=True)
class HeadStarted:
    pid: int
    host: str
    metrics_port: int
    sandbox: str


@dataclass(frozen=True, slots=True)
class HeadStopped:
    state: EndState
    reason: StopReason | None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class LimitReached:
    """No new trial or proposal from here on; what runs is finished and decided."""

    reason: StopReason


@dataclass(frozen=True, slots=True)
class WorkerChanged:
    worker: str
    node: str
    device: str
    state: WorkerState
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class ProposalsEnded:
    """This proposer has nothing more to give."""

    proposer: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Proposed:
    candidate: str  # c0001, in the order of arrival
    proposer: str
    description: str
    edits: tuple[Edit, ...]
    parents: tuple[str, ...] = ()  # candidates that it continues
    token: str | None = None  # the proposer's own handle, given back with the result
    usd: float = 0.0
    against: str | None = None  # the commit that the edits were written against; None: the champion of that moment
    model: str | None = None  # which model wrote it, where one did
    family: str | None = None  # what kind of idea, in the proposer's word: optimiser, schedule, …
    expected_effect: float | None = None  # on the objective, as its proposer foresees it; negative is better


@dataclass(frozen=True, slots=True)
class Admitted:
    """The gates passed and the candidate is a commit on `base`. A second one means: re-applied to a newer champion."""

    candidate: str
    commit: str
    base: str
    diff_lines: int  # added + removed
    fingerprint: str  # of the normalised syntax of what it changed: the duplicate gate's key
    change: str = ""  # of the change itself, whatever else the base holds: equal for one edit on two champions
    smaller: bool = False  # it takes statements and lines away


@dataclass(frozen=True, slots=True)
class Rejected:
    """A gate said no before any trial."""

    candidate: str
    gate: str  # edit, scope, syntax, source, duplicate, sandbox
    reason: str
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class Conflicted:
    """It could not be carried over to the champion as it is now."""

    candidate: str
    onto: str
    reason: str


@dataclass(frozen=True, slots=True)
class SentSolo:
    """It is not to be measured together with others any more, but in a race of its own."""

    candidate: str
    reason: str


@dataclass(frozen=True, slots=True)
class Composed:
    """Which of the candidates that were `asked` about fit on `base` and on each other, in that order."""

    base: str
    asked: tuple[str, ...]
    candidates: tuple[str, ...]
    room: int | None = None  # for how many there was room at most


@dataclass(frozen=True, slots=True)
class BlockOpened:
    """Candidates that are measured together, each in about half of the rows; row 0 is the base itself."""

    block: str
    base: str  # the commit that every row stands on
    size: int  # rows; the order of the Hadamard matrix
    candidates: tuple[str, ...]
    columns: tuple[int, ...]  # of the matrix, one a candidate
    order: tuple[int, ...]  # in which the rows are run
    stack: str | None = None  # whose final row 0 is


@dataclass(frozen=True, slots=True)
class BlockClosed:
    """What the rows say: each candidate's effect, all others' held apart (least squares), in the metric's own units."""

    block: str
    candidates: tuple[str, ...]  # those of the block that its rows tell something about
    effects: tuple[float, ...]
    spreads: tuple[float, ...]  # standard error of each effect, in standard deviations of the noise
    rows_with: tuple[int, ...]  # in how many rows each of them was
    rows: int  # that gave a number
    base_mean: float  # of the base, as the rows together say
    residual_squares: float
    residual_df: int


@dataclass(frozen=True, slots=True)
class TrialStarted:
    trial: str
    purpose: Purpose
    commit: str
    candidates: tuple[str, ...]  # whose edits are in the commit and not in its base: many to many
    seed: int
    worker: str
    gpus: float = 0.0
    stack: str | None = None
    block: str | None = None
    row: int | None = None


@dataclass(frozen=True, slots=True)
class TrialRestarted:
    """The same trial handed out again after the head died: it still counts once."""

    trial: str
    attempt: int
    worker: str


@dataclass(frozen=True, slots=True)
class TrialEnded:
    trial: str
    attempt: int
    outcome: Outcome
    reason: str | None
    measured: Mapping[str, float]
    reported: Mapping[str, float]
    wall_s: float
    energy_j: float | None
    worker: str
    device: str
    started_at: float  # Unix time
    ended_at: float
    fingerprint: str | None

    def metric(self, name: str) -> float | None:
        value = self.measured.get(name)
        return self.reported.get(name) if value is None else value


@dataclass(frozen=True, slots=True)
class MachineSuspected:
    """A block's rows are better explained if this worker reads wrong. The block waits until repeats of one commit, on it and
    beside it, have shown whether it does."""

    worker: str
    block: str
    offset: float  # by which it seems to read, in the metric's own units
    log_ratio: float  # log of how much better the rows are explained with that offset than without
    pace: float | None = None  # the steps that it takes in a trial, as a share of the others', where that is what is suspected
    commit: str | None = None  # which is repeated then; the block's base otherwise


@dataclass(frozen=True, slots=True)
class MachineCleared:
    worker: str
    block: str
    reason: str


@dataclass(frozen=True, slots=True)
class MachineDoubted:
    """This worker's repeats disagree with the others': it is set aside, and what it measured for open blocks is void."""

    worker: str
    block: str
    reason: str


@dataclass(frozen=True, slots=True)
class TrialVoided:
    """Its number does not count after all, by the machine's fault; the row is run again."""

    trial: str
    reason: str


@dataclass(frozen=True, slots=True)
class CandidateDecided:
    candidate: str
    verdict: Verdict
    reason: str  # plain words, one line
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class StackBuilt:
    """Winners on top of the champion, in order, as one line of commits; its tip is measured in a final."""

    stack: str
    base: str  # the champion it stands on
    commit: str  # the tip
    candidates: tuple[str, ...]
    commits: tuple[str, ...]  # one a candidate, the last is the tip


@dataclass(frozen=True, slots=True)
class StackDecided:
    stack: str
    kept: bool
    reason: str
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class ChampionMoved:
    """Written before the branch `champion` moves; resume makes the branch agree."""

    commit: str
    previous: str
    kept: tuple[str, ...]  # candidates that this move added, in order
    commits: tuple[str, ...]
    mean: float
    stderr: float | None
    trials: int
    stack: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person should know, decided by nobody: a port that was taken, an inbox file that was not understood."""

    text: str
    level: str = "info"  # info, warning
    data: Mapping[str, str] = field(default_factory=dict)


Event = (
    CampaignOpened
    | HeadStarted
    | HeadStopped
    | LimitReached
    | WorkerChanged
    | ProposalsEnded
    | Proposed
    | Admitted
    | Rejected
    | Conflicted
    | SentSolo
    | Composed
    | BlockOpened
    | BlockClosed
    | TrialStarted
    | TrialRestarted
    | TrialEnded
    | TrialVoided
    | MachineSuspected
    | MachineCleared
    | MachineDoubted
    | CandidateDecided
    | StackBuilt
    | StackDecided
    | ChampionMoved
    | Note
)

EVENT_TYPES: dict[str, type[Event]] = {cls.__name__: cls for cls in get_args(Event)}
