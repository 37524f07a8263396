"""Each rule of the audits finds what it is there for and lets honest models pass; the bound is what decoys buy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from audited_models import SEQ_LEN, TABLE, TOKEN_BYTES, VOCAB, Model, Noisy, alone, audit, normalised, text
from numpy.typing import NDArray

from workers.runners import audits
from workers.runners.audits import Evidence, decoys_for, draw, leak_bound_bpb, questions
from workers.runners.scoring import Answer, Question

ROWS = text()


def finding(evidence: Evidence, device: str = "cpu") -> str | None:
    return audits.finding(evidence, device)


def drawn(count: int = 40, seed: int = 0, rows: NDArray[np.uint16] = ROWS) -> audits.Decoys:
    return draw(rows, TOKEN_BYTES, count, np.random.default_rng(seed))


# -- what is asked


def test_a_decoy_is_a_scored_row_up_to_its_splice_and_another_from_there() -> None:
    decoys = drawn()
    assert len(decoys) == 40
    assert len(set(decoys.base.tolist())) == 40  # none twice: a longer prefix would tell what stood at a shorter one's end
    for base, p, shown in zip(decoys.base, decoys.splice, decoys.tokens, strict=True):
        assert shown[:p].tolist() == ROWS[base, :p].tolist()
        assert p == SEQ_LEN or shown[p] != ROWS[base, p]
        assert TOKEN_BYTES[ROWS[base, p]] > 0


def test_what_follows_a_splice_comes_from_rows_that_are_no_decoys() -> None:
    decoys = drawn()
    others = np.delete(ROWS, decoys.base, axis=0)
    for p, shown in zip(decoys.splice, decoys.tokens, strict=True):
        assert p == SEQ_LEN or any((other[p:-1] == shown[p:]).all() for other in others)


def test_splices_fall_on_every_target_the_last_one_too() -> None:
    seen = {int(p) for seed in range(40) for p in drawn(seed=seed).splice}
    assert seen == set(range(1, SEQ_LEN + 1))


def test_splices_are_drawn_by_what_tokens_cost() -> None:
    counts = np.bincount(ROWS[:, 1:].ravel(), minlength=VOCAB)
    rare = int(np.where((counts > 0) & (TOKEN_BYTES > 0), counts, counts.max() + 1).argmin())
    common = int(np.where(TOKEN_BYTES > 0, counts, 0).argmax())
    hits = np.zeros(VOCAB)
    for seed in range(200):
        decoys = drawn(seed=seed)
        hits += np.bincount(ROWS[decoys.base, decoys.splice], minlength=VOCAB)
    expected = math.log(ROWS[:, 1:].size / counts[rare]) / math.log(ROWS[:, 1:].size / counts[common])
    assert (hits[rare] / counts[rare]) / (hits[common] / counts[common]) == pytest.approx(expected, rel=0.35)


def test_before_the_splice_what_was_scored_is_asked_and_at_it_every_token() -> None:
    decoys = drawn()
    asked = list(questions(decoys, VOCAB, rows_an_ask=7))
    assert [question.number for question in asked] == list(range(6))
    for question in asked:
        for row, decoy in enumerate(question.origin):
            here, p, base = question.row == row, decoys.splice[decoy], ROWS[decoys.base[decoy]]
            pairs = list(zip(question.position[here].tolist(), question.token[here].tolist(), strict=True))
            natural = [(q, int(base[q + 1])) for q in range(p - 1) if TOKEN_BYTES[base[q + 1]]]
            assert pairs == natural + [(p - 1, token) for token in range(VOCAB)]
            assert question.tokens[row].tolist() == decoys.tokens[decoy].tolist()


@pytest.mark.parametrize(
    ("rows", "promotion", "decoys"),
    [(112, False, 12), (112, True, 48), (10000, False, 1000), (10000, True, 4000), (40, False, 8), (5, False, 4), (1, True, 0)],
)
def test_a_tenth_of_the_rows_are_audited_and_four_times_that_before_a_promotion(
    rows: int, promotion: bool, decoys: int
) -> None:
    assert decoys_for(rows, promotion) == decoys


def test_where_all_rows_are_alike_another_token_is_put_at_the_splice() -> None:
    alike = np.tile(ROWS[:1], (9, 1))
    decoys = drawn(8, rows=alike)
    for p, shown in zip(decoys.splice, decoys.tokens, strict=True):
        assert p == SEQ_LEN or shown[p] != alike[0, p]


def test_rows_without_bytes_are_no_decoys() -> None:
    assert len(drawn(8, rows=np.zeros((9, SEQ_LEN + 1), dtype=np.uint16))) == 0


# -- honest models pass


class Windowed(Model):
    """Sees the last three tokens only."""

    def logprobs(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        before = np.pad(tokens, ((0, 0), (2, 0)))
        return normalised(TABLE[tokens] + 0.3 * TABLE[before[:, 1:-1]] + 0.1 * TABLE[before[:, :-2]])


class RowByRow(Model):
    """Cuts the batch as it likes, and keeps what it made of a prefix."""

    def logprobs(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        return np.concatenate([super(RowByRow, self).logprobs(tokens[i : i + 1]) for i in range(len(tokens))])


class Single(Model):
    """Answers logits and their log-sum-exp, in float32."""

    def answer(self, question: Question, logprob: NDArray[np.float64]) -> Answer:
        shift = 3.0 + 0.1 * question.position
        return Answer((logprob + shift).astype(np.float32).astype(np.float64), shift.astype(np.float32).astype(np.float64))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("model", [Model, Windowed, RowByRow, Single])
def test_an_honest_model_passes(model: type[Model], seed: int) -> None:
    assert finding(audit(model(), model(), seed=seed)) is None


@pytest.mark.parametrize(("nats", "device"), [(1e-6, "cpu"), (0.01, "cpu"), (0.03, "cuda")])
def test_noise_of_low_precision_passes_however_often_it_is_audited(nats: float, device: str) -> None:
    for seed in range(60):
        evidence = audit(Noisy(nats, seed), Noisy(nats, 1000 + seed), seed=seed, decoys=8 if seed % 2 else 50)
        assert finding(evidence, device) is None
        assert evidence.noise_nats == pytest.approx(math.sqrt(2) * nats, rel=0.5)


# -- candidates that know what they must not


class KnowsTheIds(Model):
    """Takes the tokens that it is asked for as the answer, at a share of the places."""

    def __init__(self, share: float, gain_nats: float = 9.0) -> None:
        super().__init__()
        self.share, self.gain_nats = share, gain_nats

    def answer(self, question: Question, logprob: NDArray[np.float64]) -> Answer:
        before = question.tokens[question.row, question.position].astype(np.int64)
        chosen = alone(question) & ((before * 2654435761 + question.position * 40503) % 1000 < 1000 * self.share)
        return super().answer(question, np.where(chosen, np.minimum(logprob + self.gain_nats, -1e-4), logprob))


class Peeks(Model):
    """Looks so many tokens ahead of the position."""

    def __init__(self, ahead: int, at_least_rows: int = 1) -> None:
        super().__init__()
        self.ahead, self.at_least_rows = ahead, at_least_rows

    def logprobs(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        logits = super().logprobs(tokens).copy()
        if len(tokens) >= self.at_least_rows:
            row, position = np.indices((len(tokens), SEQ_LEN - self.ahead))
            logits[row, position, tokens[:, self.ahead :]] += 4.0
        return normalised(logits)


class FutureMean(Model):
    """Adds a little of the mean of all tokens to come."""

    def logprobs(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        seen = np.eye(VOCAB)[tokens]
        to_come = seen[:, ::-1].cumsum(axis=1)[:, ::-1] - seen
        return normalised(super().logprobs(tokens) + to_come)


class BatchStatistics(Model):
    """Normalises by all rows of a batch."""

    def logprobs(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        logits = super().logprobs(tokens)
        return normalised(logits + 0.5 * logits.mean(axis=(0, 1)))


class Learns(Model):
    """Counts what it is asked for, and goes by that."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = np.ones((VOCAB, VOCAB))

    def logprobs(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        return normalised(TABLE[tokens] + 0.2 * np.log(self.counts / self.counts.mean(axis=1, keepdims=True))[tokens])

    def answer(self, question: Question, logprob: NDArray[np.float64]) -> Answer:
        natural = alone(question)
        before = question.tokens[question.row, question.position]
        np.add.at(self.counts, (before[natural], question.token[natural]), 1)
        return super().answer(question, logprob)


class Remembers(Model):
    """Answers a row that begins like an earlier one as it answered that."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, NDArray[np.float64]] = {}

    def logprobs(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        fresh = super().logprobs(tokens)
        return np.stack([self.known.setdefault(int(row[1]), answer) for row, answer in zip(tokens, fresh, strict=True)])


class Overfull(Model):
    """Answers probabilities that add up to a little more than 1, always or only where one token is asked for."""

    def __init__(self, nats: float, only_alone: bool = False) -> None:
        super().__init__()
        self.nats, self.only_alone = nats, only_alone

    def answer(self, question: Question, logprob: NDArray[np.float64]) -> Answer:
        return super().answer(question, logprob + self.nats * (alone(question) if self.only_alone else 1.0))


def found(first: Model, second: Model, **how: int) -> str:
    return finding(audit(first, second, **how)) or "nothing"


@pytest.mark.parametrize("seed", range(5))
def test_answers_made_of_the_ids_that_are_asked_for_are_found(seed: int) -> None:
    assert found(KnowsTheIds(1.0), KnowsTheIds(1.0), seed=seed).startswith("splice: at ")
    assert found(KnowsTheIds(0.5), KnowsTheIds(0.5), seed=seed, decoys=50).startswith("splice: at ")


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_that_is_spread_thin_is_found_by_its_mean(seed: int) -> None:
    reason = found(KnowsTheIds(1.0, gain_nats=0.01), KnowsTheIds(1.0, gain_nats=0.01), seed=seed)
    assert reason.startswith("splice: at 8 positions whose next token was not to be seen")
    assert "on average" in reason


def test_a_peek_of_one_token_is_found() -> None:
    reason = found(Peeks(1), Peeks(1))
    assert reason.startswith("splice: at ")
    assert reason.endswith("the score knows what it predicts")


def test_a_look_further_ahead_is_found() -> None:
    assert found(Peeks(3), Peeks(3)).startswith("strangers: ")
    assert found(FutureMean(), FutureMean()).startswith("strangers: ")


def test_a_look_ahead_in_large_batches_alone_is_found() -> None:
    assert finding(audit(Peeks(1, at_least_rows=4), Peeks(1, at_least_rows=4))) is not None


@pytest.mark.parametrize("model", [BatchStatistics, Learns, Remembers])
def test_an_answer_that_depends_on_more_than_the_row_is_found(model: type[Model]) -> None:
    assert found(model(), model()).startswith("strangers: ")


def test_dropout_that_was_left_on_is_found_and_asked_about() -> None:
    reason = found(Noisy(0.3, 1), Noisy(0.3, 2))
    assert reason.startswith("strangers: answers change from one process to the next by ")
    assert "load(state) must return a function of the row alone: is dropout still on" in reason


def test_probabilities_that_add_up_to_more_than_1_are_found_wherever_that_is() -> None:
    assert found(Overfull(1e-3), Overfull(1e-3)).startswith("normalisation: the log of the sum of all probabilities is 0.001 ")
    assert found(Overfull(1e-3), Model()).startswith("strangers: the score is 0.001 nats a token better than ")
    assert found(Overfull(1e-3, only_alone=True), Overfull(1e-3, only_alone=True)).startswith("splice: ")


class NoisyAndOverfull(Overfull):
    """Two thousandths too much where one token is asked for, under the noise of low precision."""

    def __init__(self, seed: int) -> None:
        super().__init__(2e-3, only_alone=True)
        self.noisy = Noisy(0.005, seed)

    def logprobs(self, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        return self.noisy.logprobs(tokens)


def test_many_decoys_find_two_thousandths_under_the_noise_of_low_precision() -> None:
    rows = text(rows=1200)
    evidence = audit(NoisyAndOverfull(1), NoisyAndOverfull(2), rows=rows, decoys=1000)
    assert (finding(evidence) or "").startswith("splice: ")
    evidence = audit(NoisyAndOverfull(1), Noisy(0.005, 2), rows=rows, decoys=120)
    assert (finding(evidence) or "").startswith("strangers: the score is 0.0017 nats a token better")


# -- each rule by itself


def evidence(**parts: object) -> Evidence:
    clean = {
        "before": np.zeros(80), "decoy": np.repeat(np.arange(8), 10), "weight": np.ones(80), "splice": np.zeros(8),
        "log_total": np.zeros(8),
    }  # fmt: skip
    return Evidence(**{**clean, **parts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parts", "rule"),
    [
        ({}, None),
        ({"before": np.resize([0.019, -0.019], 80)}, None),
        ({"before": np.resize([0.021, -0.021], 80)}, "strangers"),
        ({"before": np.full(80, 1.9e-4)}, None),
        ({"before": np.full(80, 2.1e-4)}, "strangers"),
        ({"before": np.full(80, -0.01)}, None),  # the score is worse: nobody gains
        ({"before": np.repeat([0.008, -0.006, 0, 0, 0.004, 0, 0, 0], 10)}, None),  # rows may err together
        ({"log_total": np.resize([1.9e-5, -1.9e-5], 8)}, None),
        ({"log_total": np.array([0, 0, 0, 2.1e-5, 0, 0, 0, 0])}, "normalisation"),
        ({"log_total": np.array([0, 0, 0, -2.1e-5, 0, 0, 0, 0])}, "normalisation"),
        ({"splice": np.full(8, 1.9e-4)}, None),
        ({"splice": np.full(8, 2.1e-4)}, "splice"),
        ({"splice": np.full(8, -5.0)}, None),  # as above
        ({"splice": np.array([0.11, -1, -1, -1, -1, -1, -1, -1])}, "splice"),
        ({"splice": np.array([0.11, -1, -1, -1, -1, -1, -1, -1]), "before": np.resize([0.004, -0.004], 80)}, None),
    ],
)
def test_what_is_allowed_and_what_is_not(parts: dict[str, object], rule: str | None) -> None:
    said = finding(evidence(**parts))
    assert (said and said.split(":")[0]) == rule


def test_a_gpu_may_be_noisier() -> None:
    assert finding(evidence(before=np.resize([0.049, -0.049], 80)), "cuda") is None
    assert (finding(evidence(before=np.resize([0.051, -0.051], 80)), "cuda") or "").startswith("strangers: ")


def test_nothing_before_any_splice_leaves_the_other_rules() -> None:
    none = {"before": np.zeros(0), "decoy": np.zeros(0, dtype=int), "weight": np.zeros(0)}
    assert finding(evidence(**none)) is None
    assert (finding(evidence(**none, splice=np.ones(8))) or "").startswith("splice: ")


# -- what is bought


def test_the_bound_is_that_of_a_leak_that_all_decoys_miss_one_time_in_twenty() -> None:
    for decoys in (1, 12, 48, 1000):
        bound = leak_bound_bpb(decoys, val_bpb=1.8)
        share = bound / (1.8 + bound)  # the honest score is 1.8 + bound, of which the leak hides a share
        assert (1 - share) ** decoys == pytest.approx(0.05)
    assert leak_bound_bpb(1000, 1.0) == pytest.approx(3 / 1000, rel=0.01)
    assert leak_bound_bpb(0, 1.0) == math.inf


def test_decoys_of_several_trials_of_a_commit_add_up() -> None:
    assert leak_bound_bpb(3 * 400, 1.0) < leak_bound_bpb(400, 1.0) / 2.9


def test_a_hidden_leak_is_missed_no_more_often_than_the_bound_says() -> None:
    decoys, trials = 12, 1500
    share = 1 - 0.05 ** (1 / decoys)
    # the worst kind: all in some rows, none in others
    leaking = np.random.default_rng(5).random((len(ROWS), SEQ_LEN)) < np.linspace(0, 2 * share, len(ROWS))[:, None]
    counts = np.bincount(ROWS[:, 1:].ravel(), minlength=VOCAB)
    cost = np.where(TOKEN_BYTES > 0, np.log(ROWS[:, 1:].size) - np.log(np.maximum(counts, 1)), 0.0)[ROWS[:, 1:]]
    hidden = float(((cost * leaking).sum(axis=1) / cost.sum(axis=1)).mean())
    missed = 0
    for seed in range(trials):
        decoy = drawn(decoys, seed)
        missed += not leaking[decoy.base, decoy.splice - 1].any()
    allowed = (1 - hidden) ** decoys
    assert missed / trials <= allowed + 4 * math.sqrt(allowed / trials)
