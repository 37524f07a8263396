"""Solo races: is a candidate better than the commit it was branched from? Pure.

A race may be looked at after every sample: the evidence is valid at any stopping time. It ends as WON, as a discard when it is
unlikely to help (futility), as inconclusive at `max_repeats` (a near miss), or by its own fault.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from orchestrator.events import CandidateDecided, Evidence, Verdict
from orchestrator.ledger import Candidate, Ledger, Trial
from orchestrator.samples import Samples
from orchestrator.tournament.bar import Bar, bar_for_race
from orchestrator.tournament.constraints import broken_constraint
from orchestrator.tournament.evidence import Contrast, EffectPrior, e_value, learn_prior, noise_floor, p_null
from orchestrator.tournament.margin import margin_for
from orchestrator.tournament.settings import Settings
from workers.trial import Outcome

# A race is given up when the probability that it does not help is above this, after 1, 2, 3 and more samples: one
# sample's bad luck must not end what may be good. Best of nine settings tried on the landscape of 900 trials at sd 3e-4,
# 1e-3 and 2e-3: stricter loses the good, laxer spends trials on the null.
FUTILE_ABOVE = (0.85, 0.70, 0.50)
# While the noise itself is hardly known, one outlier widens it enough to hide a gain of five noise widths: patience.
EARLY_DF = 15
FUTILE_EARLY_ABOVE = (0.90, 0.80, 0.75)
WIN_FROM = 2  # samples; real noise has heavier tails than the evidence believes, and one lucky sample is no record
# And where an e-value guards a keep, it must not rest on one wild sample: under t(3) noise 15 % of campaigns in which nothing
# helps would keep something (`_stands_without_luck`; without it, over 40 simulated nights).
INFRA_BUDGET = 3  # a candidate whose trials the machines failed this often is left open


class LearntPrior:
    """The distribution of effects, learnt anew as races are decided: at each fifth, later at each tenth part more.

    A function of the decided races alone, so a resumed campaign learns the same.
    """

    def __init__(self) -> None:
        self._learnt_from: list[Evidence] = []
        self._prior = EffectPrior.start()

    def of(self, decided: list[Evidence], minimize: bool) -> EffectPrior:
        step = 0
        while (following := step + max(5, step // 10)) <= len(decided):
            step = following
        if decided[:step] != self._learnt_from:  # a race is taken back when its winner turns out to have broken a rule
            self._learnt_from = decided[:step]
            learnt = [contrast_of(evidence, minimize) for evidence in self._learnt_from]
            self._prior = learn_prior(learnt) if learnt else EffectPrior.start()
        return self._prior


def contrast_of(evidence: Evidence, minimize: bool) -> Contrast:
    """The contrast that a past decision was based on."""
    factor = 1 / evidence.samples + 1 / evidence.reference_samples
    effect = evidence.effect if minimize else -evidence.effect
    return Contrast(effect, factor, evidence.noise_sd, max(1, evidence.noise_df))


def contrast_between(ledger: Ledger, samples: Samples, reference: Samples, settings: Settings) -> Contrast | None:
    """The effect of `samples` over `reference`; None while there is no repeat from which to know the noise."""
    noise = ledger.book.noise()
    if noise.sd is None or not samples.n or not reference.n:
        return None
    sd = max(noise.sd, noise_floor(samples.mean, reference.mean))
    effect = settings.signed(samples.mean) - settings.signed(reference.mean)
    return Contrast(effect, 1 / samples.n + 1 / reference.n, sd, noise.df)


def evidence_of(contrast: Contrast, samples: Samples, reference: Samples, null: float, rule: str, bar: Bar) -> Evidence:
    """The numbers behind a decision, as the journal keeps them."""
    return Evidence(
        mean=samples.mean,
        samples=samples.n,
        reference_mean=reference.mean,
        reference_samples=reference.n,
        effect=samples.mean - reference.mean,
        stderr=contrast.stderr,
        noise_sd=contrast.noise_sd,
        noise_df=contrast.noise_df,
        e_value=e_value(contrast),
        e_value_needed=bar.e_value,
        p_null=null,
        p_null_allowed=bar.p_null,
        rule=rule,
        margin=contrast.margin,
    )


def judge_race(ledger: Ledger, candidate: Candidate, prior: EffectPrior, settings: Settings) -> CandidateDecided | None:
    """The verdict on a racing candidate, or None while its race goes on."""
    trials = [ledger.trials[name] for name in candidate.race_trials]
    fault = own_fault(trials)
    if fault is not None:
        return CandidateDecided(candidate.id, *fault)
    if any(trial.ended is None for trial in trials) or candidate.commit is None or candidate.base is None:
        return None
    if sum(outcome_of(trial) is Outcome.INFRA for trial in trials) >= INFRA_BUDGET:
        reason = f"the machines failed {INFRA_BUDGET} of its trials; nothing is held against it"
        return CandidateDecided(candidate.id, Verdict.INCONCLUSIVE, reason)
    broken = broken_constraint(ledger, trials, candidate.base, settings.constraints)
    if broken is not None:
        return CandidateDecided(candidate.id, Verdict.DISCARD, broken)
    samples, reference = ledger.samples(candidate.commit), ledger.samples(candidate.base)
    contrast = contrast_between(ledger, samples, reference, settings)
    if contrast is None or reference.n < 2:
        return None
    contrast = contrast.shifted(margin_for(ledger, settings, candidate))
    return _judge_numbers(ledger, candidate, contrast, samples, reference, prior, settings)


def _judge_numbers(
    ledger: Ledger,
    candidate: Candidate,
    contrast: Contrast,
    samples: Samples,
    reference: Samples,
    prior: EffectPrior,
    settings: Settings,
) -> CandidateDecided | None:
    null, bar = p_null(contrast, prior), bar_for_race(ledger, settings)
    evidence = evidence_of(contrast, samples, reference, null, settings.rule, bar)
    wins = bar.is_passed(evidence.e_value, null)
    if wins and bar.e_value is not None:
        wins = _stands_without_luck(ledger, samples, reference, contrast.margin, bar.e_value, settings)
    if wins and samples.n >= min(WIN_FROM, settings.max_repeats):
        return CandidateDecided(
            candidate.id, Verdict.WON, f"{'no worse' if evidence.margin else 'better'}: {_told(evidence)}", evidence
        )
    futile_above = FUTILE_ABOVE if contrast.noise_df >= EARLY_DF else FUTILE_EARLY_ABOVE
    if evidence.p_null > futile_above[min(samples.n, len(futile_above)) - 1]:
        return CandidateDecided(candidate.id, Verdict.DISCARD, f"not better: {_told(evidence)}", evidence)
    if samples.n >= settings.max_repeats:
        reason = f"near miss after {samples.n} trials: {_told(evidence)}"
        return CandidateDecided(candidate.id, Verdict.INCONCLUSIVE, reason, evidence)
    return None


def _stands_without_luck(
    ledger: Ledger, samples: Samples, reference: Samples, margin: float, needed: float, settings: Settings
) -> bool:
    """Whether the evidence is at least half as strong, as its logarithm goes, when the luckiest sample of one side is left out:
    the candidate's best, or its reference's worst."""
    if samples.n < 2 or reference.n < 2:
        return settings.max_repeats < 2
    best, worst = (min, max) if settings.minimize else (max, min)
    for ours, theirs in (
        (samples.without(best(samples.values)), reference),
        (samples, reference.without(worst(reference.values))),
    ):
        contrast = contrast_between(ledger, ours, theirs, settings)
        if contrast is None or e_value(contrast.shifted(margin)) < math.sqrt(needed):
            return False
    return True


def own_fault(trials: Iterable[Trial]) -> tuple[Verdict, str] | None:
    """A crash, time-out or violation among the ended trials, in words."""
    for trial in trials:
        ended = trial.ended
        if ended is not None and ended.outcome is Outcome.VIOLATION:
            return Verdict.VIOLATION, ended.reason or "broke a rule"
        if ended is not None and ended.outcome in (Outcome.CRASH, Outcome.TIMEOUT):
            return Verdict.CRASH, ended.reason or ended.outcome.value
    return None


def outcome_of(trial: Trial) -> Outcome | None:
    return trial.ended.outcome if trial.ended else None


def _told(evidence: Evidence) -> str:
    plural = "" if evidence.samples == 1 else "s"
    return (
        f"{evidence.effect:+.4g} ± {evidence.stderr:.2g} over {evidence.samples} trial{plural}, "
        f"p(no help) {evidence.p_null:.2g}, e-value {evidence.e_value:.3g}"
    )
