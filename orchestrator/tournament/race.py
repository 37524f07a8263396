"""Solo races: is a candidate better than the commit it was branched from? Pure.

A race may be looked at after every sample: the evidence is valid at any stopping time. It ends as WON, as a discard when it is
unlikely to help (futility), as inconclusive at `max_repeats` (a near miss), or by its own fault.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.events import CandidateDecided, Evidence, Verdict
from orchestrator.ledger import Candidate, Ledger, Trial
from orchestrator.samples import Samples
from orchestrator.tournament.constraints import broken_constraint
from orchestrator.tournament.evidence import Contrast, EffectPrior, e_value, learn_prior, noise_floor, p_null
from orchestrator.tournament.settings import Settings
from workers.trial import Outcome

# A race is given up when the probability that it does not help is above this, after 1, 2, 3 and more samples: one
# sample's bad luck must not end what may be good. Best of nine settings tried on the landscape of 900 trials at sd 3e-4,
# 1e-3 and 2e-3: stricter loses the good, laxer spends trials on the null.
FUTILE_ABOVE = (0.85, 0.70, 0.50)
# While the noise itself is hardly known, one outlier widens it enough to hide a gain of five noise widths: patience.
EARLY_DF = 15
FUTILE_EARLY_ABOVE = (0.90, 0.80, 0.75)
# Running mean of the local false-discovery rate that holds the true share of false keeps under the rate asked for: half
# of it (reference simulation: .025 holds .05, .05 overspends to .07-.09).
LOCAL_FDR_SHARE = 0.5
LOCAL_FDR_CAP = 0.25
WIN_FROM = 2  # samples; real noise has heavier tails than the evidence believes, and one lucky sample is no record
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


def evidence_of(
    contrast: Contrast,
    samples: Samples,
    reference: Samples,
    null: float,
    rule: str,
    e_value_needed: float | None,
    p_null_allowed: float | None,
) -> Evidence:
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
        e_value_needed=e_value_needed,
        p_null=null,
        p_null_allowed=p_null_allowed,
        rule=rule,
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
    evidence, wins = _weigh(ledger, contrast, samples, reference, prior, settings)
    if wins and samples.n >= min(WIN_FROM, settings.max_repeats):
        return CandidateDecided(candidate.id, Verdict.WON, f"better: {_told(evidence)}", evidence)
    futile_above = FUTILE_ABOVE if contrast.noise_df >= EARLY_DF else FUTILE_EARLY_ABOVE
    if evidence.p_null > futile_above[min(samples.n, len(futile_above)) - 1]:
        return CandidateDecided(candidate.id, Verdict.DISCARD, f"not better: {_told(evidence)}", evidence)
    if samples.n >= settings.max_repeats:
        reason = f"near miss after {samples.n} trials: {_told(evidence)}"
        return CandidateDecided(candidate.id, Verdict.INCONCLUSIVE, reason, evidence)
    return None


def _weigh(
    ledger: Ledger, contrast: Contrast, samples: Samples, reference: Samples, prior: EffectPrior, settings: Settings
) -> tuple[Evidence, bool]:
    """The evidence as it stands, and whether it suffices for a keep at the campaign's error rate."""
    null = p_null(contrast, prior)
    keeps = len(ledger.race_wins)
    alpha, planned = settings.false_keep_rate, settings.planned_candidates
    needed: float | None
    allowed: float | None
    if settings.rule == "provable":  # online e-BH: valid under any dependence between races
        needed, allowed = planned / (alpha * (keeps + 1)), None
    else:
        allowed = max(0.0, min(LOCAL_FDR_CAP, LOCAL_FDR_SHARE * alpha * (keeps + 1) - ledger.wins_p_null))
        needed = planned / alpha if keeps == 0 else None  # the first keep is guarded: a null campaign keeps nothing
    evidence = evidence_of(contrast, samples, reference, null, settings.rule, needed, allowed)
    return evidence, (needed is None or evidence.e_value >= needed) and (allowed is None or null <= allowed)


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
