"""Audits of a score: what a second process is asked, and what its answers say about the first one's. Pure.

A candidate sees every question whole, in its own process, so the ids of the true next tokens are in its hands when it is
scored. What it cannot do is carry anything from one process to another. So another process is asked about *decoys*: rows
that share a prefix with a scored row, and from position p on belong to a stranger. There it does not know the token that
stood at p. It is asked for the probabilities of *all* tokens at p, which must add up to 1, so what it says about the true
one is a score without a leak, and the first process must agree with it (rule `splice`). Before p it is asked what the first
process was asked, among other rows: the answers must agree too (rule `strangers`: batch statistics, packed rows, caches,
learning from the test, answers that are drawn, looks further ahead than to the next token).

The text of a decoy is shown nowhere past its splice: the rows that lend the rest are never decoys themselves, and no row is
a decoy twice. Otherwise the second process could find there what it must not know.

*What was bought.* The splices are drawn with each row's unigram costs as weights. If the score leaks at a hidden share f of
these weights, m decoys in rows drawn without replacement miss it with probability (1-f)^m at most (Maclaurin's inequality).
So with 95 % confidence f is at most 1 - 0.05^(1/m). *Assumed*: where the score leaks, honest costs are no higher, measured in
unigram costs, than they are on average. Then a leak of all the cost at a share f turns an honest H into val_bpb ≥ H·(1-f),
and is worth val_bpb·f/(1-f) at most. A leak that is spread thin over all targets is another matter: it shows in the mean
over decoys, and what passes there is `mean_allowance_nats`, which falls with the noise and with the root of m.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.runners.scoring import Answer, Question

# A tenth of the rows, so that an audit puts a tenth of the questions that a score does; of a small text 8 rows, which are
# the fewest that say much (a leak everywhere is seen by one, a leak at a third of the targets by 8 with 96 %).
_SHARE, _FEWEST = 0.1, 8
_PROMOTION = 4  # times as many where the champion may move: rare, and what is published rests on it
_LENDERS = 8  # one row in so many lends its text to decoys

# Differences between two honest processes come from the order of sums, which depends on the shape of a batch: 1e-6 nats in
# float32 and 0.004 to 0.007 in bfloat16 (nanotrain, measured on a CPU). On a GPU, with larger models and logits, several
# times that. What is noisier hides too much: dropout left on, or another row's influence, makes 0.04 and more.
_MOST_NOISE_NATS = {"cpu": 0.02, "cuda": 0.05}
# No honest model has shown a mean difference of this size; 0.0002 nats a token are 0.0001 bpb, below what a race can see.
_FLOOR_NATS = 2e-4
_SIGMAS = 5.0  # for a mean: one honest trial in three million
_SPLICE_FLOOR_NATS, _SPLICE_SIGMAS = 0.1, 8.0  # for the worst of thousands of decoys, whose noise has heavier tails
# The log of the sum of 2,048 to 131,072 float32 probabilities, measured: 5e-7 from log_softmax, 2e-6 from logits and their
# log-sum-exp, 7e-6 from the logarithm of softmax.
_MOST_LOG_TOTAL = 2e-5
_CONFIDENCE = 0.95


def decoys_for(rows: int, promotion: bool) -> int:
    """How many decoys audit a score on so many rows. None where there is no stranger to lend text."""
    wanted = max(_FEWEST, math.ceil(_SHARE * rows)) * (_PROMOTION if promotion else 1)
    return max(0, min(wanted, rows - _lenders(rows)))


def leak_bound_bpb(decoys: int, val_bpb: float) -> float:
    """With 95 % confidence no hidden leak is worth more (see the module's docstring, and its assumption).

    Decoys of several trials of one commit add up: pass their sum, and the mean of the scores. Without decoys: infinity.
    """
    if decoys <= 0:
        return math.inf
    share = -math.expm1(math.log(1.0 - _CONFIDENCE) / decoys)
    return val_bpb * share / (1.0 - share)


@dataclass(frozen=True, slots=True)
class Decoys:
    """Rows to ask a second process about. `splice`: p, from 1 to seq_len; at seq_len nothing of the row itself is a
    stranger's, but the last target, which no row shows, is still not told."""

    base: NDArray[np.int64]  # [m]: the row of the text whose prefix it has
    splice: NDArray[np.int64]  # [m]
    tokens: NDArray[np.int32]  # [m, seq_len]: what is shown
    truth: NDArray[np.int32]  # [m, seq_len]: the base row's targets
    weight: NDArray[np.float64]  # [m, seq_len]: unigram costs of these, 0 where there are no bytes

    def __len__(self) -> int:
        return len(self.base)


def draw(rows: NDArray[np.uint16], token_bytes: NDArray[np.uint16], count: int, rng: np.random.Generator) -> Decoys:
    """`count` decoys, as `decoys_for` allows, on as many different rows [n, seq_len + 1]; fewer where rows have no bytes."""
    costs = _unigram_costs(rows, token_bytes)
    order = rng.permutation(len(rows))
    lenders = rows[order[len(rows) - _lenders(len(rows)) :]]
    truth = np.asarray(rows[order[:count], 1:], dtype=np.int32)
    weight = costs[truth]
    spliceable = weight.sum(axis=1) > 0
    base, truth, weight = order[:count][spliceable], truth[spliceable], weight[spliceable]
    tokens = np.asarray(rows[base, :-1], dtype=np.int32)
    splice = np.empty(len(base), dtype=np.int64)
    for i in range(len(base)):
        splice[i] = p = 1 + rng.choice(weight.shape[1], p=weight[i] / weight[i].sum())
        if p < tokens.shape[1]:
            tokens[i, p:] = _lent(tokens[i], p, lenders, len(token_bytes), rng)
    return Decoys(base, splice, tokens, truth, weight)


def questions(decoys: Decoys, vocab_size: int, rows_an_ask: int) -> Iterator[Question]:
    """For each decoy: the targets with bytes before its splice, as the score asks them, and at the splice all tokens."""
    everything = np.arange(vocab_size, dtype=np.int32)
    for number, first in enumerate(range(0, len(decoys), rows_an_ask)):
        origin = np.arange(first, min(first + rows_an_ask, len(decoys)))
        splice = decoys.splice[origin]
        row, position = np.nonzero(_before_splice(decoys, origin))
        yield Question(
            number,
            decoys.tokens[origin],
            np.concatenate([row, np.repeat(np.arange(len(origin)), vocab_size)]).astype(np.int32),
            np.concatenate([position, np.repeat(splice - 1, vocab_size)]).astype(np.int32),
            np.concatenate([decoys.truth[origin][row, position], np.tile(everything, len(origin))]),
            origin,
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What two processes said about the same targets: nats that the second one needs more than the first, which made the
    score. Above zero: the score knew better."""

    before: NDArray[np.float64]  # [n]: targets before a splice
    decoy: NDArray[np.int64]  # [n]: which decoy each belongs to
    weight: NDArray[np.float64]  # [n]: their unigram costs
    splice: NDArray[np.float64]  # [m]: the true token at each splice
    log_total: NDArray[np.float64]  # [m]: log of the sum of the second one's probabilities at each splice

    @property
    def noise_nats(self) -> float:
        """Root mean square before the splices, weighted as splices are drawn, so that it is the noise at a splice too."""
        return math.sqrt(np.average(self.before**2, weights=self.weight)) if len(self.before) else 0.0


class Comparison:
    """Collects the second process's answers beside the first one's. `first`: [m, seq_len], nats."""

    def __init__(self, decoys: Decoys, first: NDArray[np.float64]) -> None:
        self._decoys, self._first = decoys, first
        self._second = np.full(first.shape, np.nan)
        self._log_total = np.full(len(decoys), np.nan)

    def add(self, question: Question, answer: Answer) -> None:
        """Questions as `questions` built them: at the end of each, all tokens for every row."""
        origin = question.origin
        rows, decoys = len(origin), self._decoys
        known = np.count_nonzero(_before_splice(decoys, origin))
        self._second[origin[question.row[:known]], question.position[:known]] = answer.nats[:known]
        logprob = -answer.nats[known:].reshape(rows, -1)
        top = logprob.max(axis=1)
        self._log_total[origin] = top + np.log(np.exp(logprob - top[:, None]).sum(axis=1))
        at = decoys.splice[origin] - 1
        said = logprob[np.arange(rows), decoys.truth[origin, at]]
        self._second[origin, at] = self._log_total[origin] - said

    @property
    def evidence(self) -> Evidence:
        """When all answers are in."""
        more = self._second - self._first
        decoy, position = np.nonzero(_before_splice(self._decoys, np.arange(len(self._decoys))))
        splice = more[np.arange(len(self._decoys)), self._decoys.splice - 1]
        return Evidence(more[decoy, position], decoy, self._decoys.weight[decoy, position], splice, self._log_total)


def finding(evidence: Evidence, device: str) -> str | None:
    """The rule that is broken and how, for a person; None where two honest processes could have said this."""
    return _strangers(evidence, _MOST_NOISE_NATS[device]) or _normalisation(evidence) or _splice(evidence)


def mean_allowance_nats(noise_nats: float, decoys: int) -> float:
    """What the mean over all splices may be off: a leak that is spread as thin as this is not seen by one trial."""
    return _FLOOR_NATS + _SIGMAS * noise_nats / math.sqrt(decoys)


def _strangers(evidence: Evidence, most_nats: float) -> str | None:
    if not len(evidence.before):
        return None
    off = max(math.sqrt(np.mean(evidence.before**2)), evidence.noise_nats)
    if off > most_nats:
        return (
            f"strangers: answers change from one process to the next by {off:.2g} nats (rms, allowed "
            f"are {most_nats:g}); load(state) must return a function of the row alone: is dropout still on, or does "
            "an answer depend on later tokens, on other rows or on earlier questions?"
        )
    mean, stderr, quantile = _mean_by_decoy(evidence)
    allowed = _FLOOR_NATS + quantile * stderr
    if mean > allowed:
        return (
            f"strangers: the score is {mean:.2g} nats a token better than what another process answers to the same questions "
            f"among other rows (allowed are {allowed:.2g}); load(state) must return a function of the row alone"
        )
    return None


def _normalisation(evidence: Evidence) -> str | None:
    worst = evidence.log_total[np.abs(evidence.log_total).argmax()]
    if abs(worst) > _MOST_LOG_TOTAL:
        return (
            f"normalisation: the log of the sum of all probabilities is {worst:.2g} where it should be 0 "
            f"(allowed are {_MOST_LOG_TOTAL:g})"
        )
    return None


def _splice(evidence: Evidence) -> str | None:
    noise, count = evidence.noise_nats, len(evidence.splice)
    worst, allowed = evidence.splice.max(), _SPLICE_FLOOR_NATS + _SPLICE_SIGMAS * noise
    if worst > allowed:
        found = np.count_nonzero(evidence.splice > allowed)
        return (
            f"splice: at {found} of {count} positions whose next token was not to be seen, another process gives the true one "
            f"up to {worst:.2g} nats less than the score has it (allowed are {allowed:.2g}): the score knows what it predicts"
        )
    mean, allowed = float(evidence.splice.mean()), mean_allowance_nats(noise, count)
    if mean > allowed:
        return (
            f"splice: at {count} positions whose next token was not to be seen, another process gives the true one "
            f"{mean:.2g} nats less than the score has it, on average (allowed are {allowed:.2g})"
        )
    return None


def _mean_by_decoy(evidence: Evidence) -> tuple[float, float, float]:
    """The mean before the splices, its standard error where targets of one row may err together, and how many of these a
    mean of so few rows may be off: Student's quantile for what `_SIGMAS` are to a normal one (Gaver & Kafadar 1984)."""
    count = np.bincount(evidence.decoy)
    rows, count = np.count_nonzero(count), count[count > 0]
    mean = float(evidence.before.mean())
    if rows < 3:
        return mean, math.inf, 1.0
    sums = np.bincount(evidence.decoy, weights=evidence.before - mean)[np.unique(evidence.decoy)]
    stderr = math.sqrt(rows / (rows - 1) * float((sums**2).sum())) / float(count.sum())
    df = rows - 1
    return mean, stderr, math.sqrt(df * math.expm1(_SIGMAS**2 * (df - 1.5) / (df - 1) ** 2))


def _before_splice(decoys: Decoys, some: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[some, seq_len]: targets of some decoys that both processes are asked for and that the decoy shows."""
    return (np.arange(decoys.truth.shape[1]) < decoys.splice[some, None] - 1) & (decoys.weight[some] > 0)


def _unigram_costs(rows: NDArray[np.uint16], token_bytes: NDArray[np.uint16]) -> NDArray[np.float64]:
    """[vocab_size]: what each token costs under the text's own frequencies, nats; 0 for those without bytes."""
    counts = np.bincount(np.asarray(rows[:, 1:]).ravel(), minlength=len(token_bytes))
    return np.where(token_bytes > 0, np.log(counts.sum() + 1.0) - np.log(np.maximum(counts, 1)), 0.0)


def _lenders(rows: int) -> int:
    return max(1, rows // _LENDERS)


def _lent(
    base: NDArray[np.int32], splice: int, lenders: NDArray[np.uint16], vocab_size: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Tokens from the splice on, of a row that differs there; where none does, another token is put in its place."""
    different = np.flatnonzero(lenders[:, splice] != base[splice])
    lender = lenders[rng.choice(different) if len(different) else rng.integers(len(lenders))]
    lent = np.asarray(lender[splice : len(base)], dtype=np.int32)
    if not len(different):
        lent[0] = (base[splice] + rng.integers(1, vocab_size)) % vocab_size
    return lent
