"""The bar: what a keep needs at this moment, so that false keeps stay at the campaign's rate. Pure.

`provable` is online e-BH, valid under any dependence between candidates. `calibrated` holds the running mean of the local
false-discovery rate: each keep adds to the budget for error, and spends its own probability of being false. So a bar may fall
as a campaign goes on, and a near miss may pass it later.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.ledger import Ledger
from orchestrator.tournament.settings import Settings

# Share of the rate asked for that the running mean may reach, so that the true share of false keeps holds it: half where
# candidates share a champion's mean (reference simulation: .025 holds .05, .05 overspends to .07-.09), more in blocks.
RACE_SHARE = 0.5
BLOCK_SHARE = 0.8
MOST_OF_ONE = 0.25  # p_null that a single keep may have, however large the budget


@dataclass(frozen=True, slots=True)
class Bar:
    e_value: float | None  # at least; None where p_null alone decides
    p_null: float | None  # at most; None where the e-value alone decides

    def is_passed(self, e_value: float, p_null: float) -> bool:
        return (self.e_value is None or e_value >= self.e_value) and (self.p_null is None or p_null <= self.p_null)


def bar_for_race(ledger: Ledger, settings: Settings) -> Bar:
    """A campaign's first keep is guarded by an e-value too: one in which nothing helps keeps nothing."""
    bar = _bar(ledger, settings, RACE_SHARE)
    first = settings.rule != "provable" and not ledger.race_wins
    return Bar(settings.planned_candidates / settings.false_keep_rate, bar.p_null) if first else bar


def bar_for_block(ledger: Ledger, settings: Settings) -> Bar:
    """Blocks have a guard of their own, for the campaign as a whole: `Beliefs.may_keep`."""
    return _bar(ledger, settings, BLOCK_SHARE)


def _bar(ledger: Ledger, settings: Settings, share: float) -> Bar:
    keeps, alpha = len(ledger.race_wins), settings.false_keep_rate
    if settings.rule == "provable":
        return Bar(settings.planned_candidates / (alpha * (keeps + 1)), None)
    return Bar(None, max(0.0, min(MOST_OF_ONE, share * alpha * (keeps + 1) - ledger.wins_p_null)))
