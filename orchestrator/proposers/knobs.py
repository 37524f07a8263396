"""The `knobs` proposer: turns one or two of the champion's knobs at a time; needs no model, no key and no network.

Which knobs a proposal turns is drawn from (seed, number of proposals given); by how much, Optuna's TPE samples from the
results so far. A turn is a ratio in [-1, 1] relative to the champion's present value (`literals.turned`), so what was learned
stays meaningful when the champion moves. No state but what the journal holds: seed, brief and the results in their order
give the next proposal, and each token carries its ratios, so a resumed campaign goes on as if it had not stopped.

TPE sees the latest results only (`HISTORY` to twice that), which bounds the cost of a proposal.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from orchestrator.proposers.base import Brief, Proposal, Result
from orchestrator.proposers.literals import Knob, edits_for, find_knobs, turned

if TYPE_CHECKING:
    import numpy
    import optuna

HISTORY = 300  # results
TRIES = 40  # at values that this champion has not seen yet
ASKED = 10  # of those tries by TPE; then uniformly, because TPE insists
TWO_KNOBS = 0.35  # share of proposals that turn two
FAILED = ("crash", "violation")  # statuses that speak against the values; rejected and conflict say nothing about them


class KnobsProposer:
    def __init__(self, *, seed: int | Sequence[int], name: str = "knobs", only: Sequence[str] | None = None) -> None:
        """`only`: shell patterns of the names to turn; None for every knob."""
        self.name = name
        self._only = only
        self.exhausted_reason: str | None = None
        self._seed = [seed] if isinstance(seed, int) else list(seed)
        self._champion: str | None = None
        self._knobs: tuple[Knob, ...] = ()
        self._results: list[tuple[dict[str, float], float]] = []  # ratios and effect, in the order of the journal
        self._seen: dict[str, set[str]] = {}  # champion to the values proposed on it
        self._study: optuna.Study | None = None
        self._told = 0  # how many of `_results` the study has
        self._asked = 0  # how many it was asked since it was built

    def planned(self) -> int | None:
        return None

    def propose(self, brief: Brief) -> Proposal | None:
        import numpy as np

        self._look_at(brief)
        if not self._knobs:
            among = f" that matches {', '.join(self._only)}" if self._only is not None else ""
            self.exhausted_reason = (
                f"no knobs: no editable .py file assigns a number to a NAME in capitals{among} at its top level"
            )
            return None
        rng = np.random.default_rng([*self._seed, brief.proposed])
        study = self._informed_study(int(rng.integers(2**31)))
        seen = self._seen.setdefault(brief.champion, set())
        for attempt in range(TRIES):
            ratios = self._ratios(self._drawn(rng), study if attempt < ASKED else None, rng)
            turns = [(knob, new) for knob, ratio in ratios if (new := turned(knob, ratio)) is not None]
            values = _values(turns)
            if len(turns) == len(ratios) and values not in seen:
                seen.add(values)
                token = json.dumps({"champion": brief.champion, "ratios": {k.key: r for k, r in ratios}, "values": values})
                return Proposal(self._description(turns), edits_for(turns, brief.read), token=token)
        self.exhausted_reason = f"{TRIES} draws in a row gave values that this champion has already seen"
        return None

    def learn(self, result: Result) -> None:
        ratios = self._remember(result.token)
        effect = math.inf if result.status in FAILED else result.effect
        if ratios is None or effect is None:
            return
        self._results.append((ratios, effect if math.isfinite(effect) else math.inf))
        if len(self._results) >= 2 * HISTORY:
            del self._results[:HISTORY]
            self._study = None

    def _look_at(self, brief: Brief) -> None:
        if brief.champion != self._champion:
            self._champion = brief.champion
            texts = ((path, brief.read(path)) for path in sorted(brief.editable) if path.endswith(".py"))
            found = (knob for path, text in texts if text is not None for knob in find_knobs(path, text))
            self._knobs = tuple(knob for knob in found if self._may_turn(knob.name))
        for token in brief.outstanding:
            self._remember(token)

    def _may_turn(self, name: str) -> bool:
        return self._only is None or any(fnmatchcase(name, pattern) for pattern in self._only)

    def _remember(self, token: str | None) -> dict[str, float] | None:
        """Note that a token's values were proposed; its ratios, or None for a token that is not ours."""
        try:
            told = json.loads(token or "")
            ratios = {str(key): float(ratio) for key, ratio in told["ratios"].items()}
            self._seen.setdefault(str(told["champion"]), set()).add(str(told["values"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return ratios

    def _drawn(self, rng: numpy.random.Generator) -> list[Knob]:
        count = 2 if len(self._knobs) > 1 and rng.random() < TWO_KNOBS else 1
        return [self._knobs[i] for i in sorted(rng.choice(len(self._knobs), size=count, replace=False))]

    def _ratios(
        self, knobs: Sequence[Knob], study: optuna.Study | None, rng: numpy.random.Generator
    ) -> list[tuple[Knob, float]]:
        """A ratio for each knob: from TPE, or uniform without a study. A switch has but one way to go."""
        sampled: Mapping[str, Any] = {}
        space = {knob.key: _distribution() for knob in knobs if not isinstance(knob.value, bool)}
        if study is not None and space:
            from optuna.trial import TrialState

            trial = study.ask(fixed_distributions=space)
            sampled = trial.params
            study.tell(trial, state=TrialState.FAIL)  # its result comes later, as a trial of its own
            self._asked += 1
        return [
            (knob, 1.0 if knob.key not in space else round(float(sampled.get(knob.key, rng.uniform(-1, 1))), 4))
            for knob in knobs
        ]

    def _informed_study(self, seed: int) -> optuna.Study:
        """The study with every result in it, and a sampler that knows nothing but `seed` of what was asked before."""
        import optuna

        if self._study is None or self._asked > HISTORY:
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            self._study = optuna.create_study()
            self._told = self._asked = 0
        for ratios, effect in self._results[self._told :]:
            space = {key: _distribution() for key in ratios}
            self._study.add_trial(optuna.trial.create_trial(params=ratios, distributions=space, value=effect))
        self._told = len(self._results)
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        return self._study

    def _description(self, turns: Sequence[tuple[Knob, str]]) -> str:
        names = [knob.name for knob in self._knobs]
        return "; ".join(
            f"{knob.name if names.count(knob.name) == 1 else knob.key} {knob.literal} -> {new}" for knob, new in turns
        )


def _values(turns: Sequence[tuple[Knob, str]]) -> str:
    return " ".join(f"{knob.key}={new}" for knob, new in turns)


def _distribution() -> optuna.distributions.BaseDistribution:
    from optuna.distributions import FloatDistribution

    return FloatDistribution(-1.0, 1.0)
