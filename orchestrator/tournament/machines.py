"""Bad machines: is there a worker whose numbers, or whose pace, disagree with the others'? Pure.

A worker that reads too high shifts each contrast of a block by its own pattern. What the contrasts look like without it is
known: few large, most small, as the learnt distribution of effects says. So for each worker and each size of offset it is asked
how much better the contrasts are explained when that offset is taken away from its rows. A plain test of residuals needs many
columns left empty for the same power, and missed most in the prototype.

That is a suspicion, and where noise is small against the effects it is often wrong. So the suspect and the others then repeat
the block's base, at the same time, and only if these repeats disagree is it set aside: fishtest's chi-square on champion
repeats, asked where there is reason to. A worker whose last trials took clearly fewer steps than the others' is a suspect
too, whose repeats are compared by their steps. What a worker that is set aside has measured for the undecided is void, and is
measured again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from orchestrator.block_book import Block
from orchestrator.design import hadamard
from orchestrator.events import MachineCleared, MachineDoubted, MachineSuspected, Purpose, TrialVoided, WorkerState
from orchestrator.ledger import Ledger, Trial
from orchestrator.roster import STEPS
from orchestrator.tournament.beliefs import Beliefs
from workers.trial import Outcome

Array = NDArray[np.float64]

SUSPECTED_FROM = 10.0  # log ratio; sound machines pass it in one night of five, and are cleared for four trials
REPEATS = 2  # of the block's base, on the suspect and beside it
DOUBTED_FROM = 3.5  # standard errors between the two
SLOW_BELOW = 0.9  # of the others' steps in a trial's budget
PACES_FROM = 6  # trials of each worker: edits change the pace as well, but fall on all workers alike
_OFFSETS: Array = np.concatenate([-np.geomspace(1, 100, 30), np.geomspace(1, 100, 30)])  # in noise sds
_TABLE = 3001  # points at which the mixture's density is worked out; between them it is interpolated


def suspected(ledger: Ledger, block: Block, beliefs: Beliefs) -> MachineSuspected | None:
    """The worker that most likely reads wrong, of those that ran the rows of a block whose rows are all in."""
    whole = not block.struck and all(row.value is not None for row in block.rows.values())
    sound = sum(worker not in ledger.roster.doubted for worker in ledger.workers)
    if not whole or not block.rows or sound <= max(2, len(ledger.workers) // 2):
        return None
    found = _most_doubtful(block, beliefs)
    if found is None or found.worker not in ledger.workers or (found.worker, block.name) in ledger.roster.cleared:
        return None
    return None if found.worker in ledger.roster.doubted else found


def wanted_repeat(ledger: Ledger, free: Sequence[str]) -> tuple[str, str] | None:
    """(worker, commit) of a repeat that an open suspicion waits for."""
    if ledger.roster.suspicion is None:
        return None
    suspect, base = ledger.roster.suspicion.event.worker, _base_of(ledger)
    of_suspect, of_others = _repeats(ledger)
    if suspect in free and len(of_suspect) < REPEATS:
        return suspect, base
    other = next((worker for worker in free if worker != suspect), None)
    return None if other is None or len(of_others) >= REPEATS else (other, base)


def slowed_down(ledger: Ledger) -> MachineSuspected | None:
    """The slowest worker, where its last trials took far fewer steps than those of the others."""
    paces = {w: median(each) for w, each in ledger.roster.paces.items() if len(each) >= PACES_FROM and w in ledger.workers}
    if len(paces) < 3 or ledger.champion is None:
        return None
    slowest = min(paces, key=lambda worker: (paces[worker], worker))
    pace = paces[slowest] / median(each for worker, each in paces.items() if worker != slowest)
    if pace >= SLOW_BELOW:
        return None
    return MachineSuspected(slowest, "", 0.0, 0.0, pace, ledger.champion.commit)


def settled(ledger: Ledger, noise_sd: float | None, *, give_up: bool) -> MachineCleared | MachineDoubted | None:
    """What the repeats say of the suspect; None while they are under way. `give_up`: no more trials can be spent on it."""
    if ledger.roster.suspicion is None:
        return None
    event = ledger.roster.suspicion.event
    worker, block = event.worker, event.block
    metric = ledger.objective if event.pace is None else STEPS
    found = [[t.ended.metric(metric) for t in each if t.ended is not None] for each in _repeats(ledger)]
    told, beside = ([value for value in each if value is not None] for each in found)
    if len(told) < REPEATS or len(beside) < REPEATS:
        gone = worker not in ledger.workers or ledger.workers[worker].state is not WorkerState.IDLE
        return MachineCleared(worker, block, "it could not be looked into") if gone or give_up else None
    if event.pace is not None:
        return _settled_by_pace(worker, told, beside)
    assert noise_sd is not None, "a block was suspected before the baseline was there"
    difference = math.fsum(told) / len(told) - math.fsum(beside) / len(beside)
    error = noise_sd * math.sqrt(1 / len(told) + 1 / len(beside))
    text = f"{len(told)} repeats on it are {difference:+.3g} ± {error:.2g} off those on others"
    if abs(difference) < DOUBTED_FROM * error:
        return MachineCleared(worker, block, text)
    return MachineDoubted(worker, block, f"{text}: it reads wrong")


def _settled_by_pace(worker: str, told: Sequence[float], beside: Sequence[float]) -> MachineCleared | MachineDoubted:
    pace = math.fsum(told) / len(told) / (math.fsum(beside) / len(beside))
    text = f"{len(told)} repeats on it took {100 * pace:.0f} % of the steps of those on others"
    if pace >= SLOW_BELOW:
        return MachineCleared(worker, "", text)
    return MachineDoubted(worker, "", f"{text}: it has slowed down")


def _base_of(ledger: Ledger) -> str:
    assert ledger.roster.suspicion is not None
    if ledger.roster.suspicion.event.commit is not None:
        return ledger.roster.suspicion.event.commit
    return ledger.blocks.blocks[ledger.roster.suspicion.event.block].opened.base


def _repeats(ledger: Ledger) -> tuple[list[Trial], list[Trial]]:
    """Repeats since the suspicion, on the suspect and on others, those that are running included."""
    assert ledger.roster.suspicion is not None
    suspect, since = ledger.roster.suspicion.event.worker, ledger.roster.suspicion.since
    of_base = [
        trial
        for trial in ledger.trials_of.get(_base_of(ledger), [])
        if trial.nth >= since
        and trial.started.purpose is Purpose.REPEAT
        and (trial.ended is None or trial.ended.outcome is Outcome.OK)
    ]
    return [t for t in of_base if t.worker == suspect], [t for t in of_base if t.worker != suspect]


def void_of(ledger: Ledger) -> TrialVoided | None:
    """A row of an open block, or a trial of an open race, that a doubted worker has measured."""
    if not ledger.roster.doubted:
        return None
    for block in ledger.blocks.open.values():
        for row in block.rows.values():
            if row.outcome is Outcome.OK and row.worker in ledger.roster.doubted:
                return TrialVoided(row.trial, _void(row.worker))
    for candidate in ledger.racing.values():
        for trial in map(ledger.trials.__getitem__, candidate.race_trials):
            if trial.ended is not None and trial.ended.outcome is Outcome.OK and trial.worker in ledger.roster.doubted:
                return TrialVoided(trial.id, _void(trial.worker))
    return None


def _void(worker: str) -> str:
    return f"{worker} was set aside: it disagrees with the others"


def _most_doubtful(block: Block, beliefs: Beliefs) -> MachineSuspected | None:
    size = block.opened.size
    signs = hadamard(size).astype(np.float64)
    signs = -signs[:, 1:] * signs[:1, 1:]  # -1: not in the row
    values = np.array([block.rows[row].value for row in range(size)], dtype=np.float64)
    workers = [block.rows[row].worker for row in range(size)]
    if len(set(workers)) < 3:
        return None
    contrasts = 2 / size * (signs.T @ values)
    used = np.zeros(size - 1, dtype=bool)
    used[[column - 1 for column in block.opened.columns]] = True
    spread = 2 / np.sqrt(size)
    sd = spread * beliefs.noise_sd
    reach = 1.5 * max(float(np.abs(contrasts).max()), 8 * sd)
    axis = np.linspace(-reach, reach, _TABLE)
    table = beliefs.log_mixture(axis, spread)

    def log_likelihood(told: Array) -> Array:
        empty = -0.5 * ((told[..., ~used] / sd) ** 2).sum(axis=-1)
        return np.asarray(np.interp(told[..., used], axis, table).sum(axis=-1) + empty)

    without = float(log_likelihood(contrasts))
    best: MachineSuspected | None = None
    offsets = _OFFSETS * beliefs.noise_sd
    for worker in sorted(set(workers)):
        pattern = 2 / size * signs[[nth for nth, each in enumerate(workers) if each == worker]].sum(axis=0)
        ratios = log_likelihood(contrasts - offsets[:, None] * pattern) - without
        nth = int(ratios.argmax())
        if ratios[nth] > (SUSPECTED_FROM if best is None else best.log_ratio):
            best = MachineSuspected(worker, block.name, float(offsets[nth]), float(ratios[nth]))
    return best
