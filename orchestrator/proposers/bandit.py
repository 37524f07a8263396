"""How proposals are shared among the proposers of a campaign: towards those whose candidates are kept, per dollar. Pure.

A proposer's worth is its rate of kept candidates over what one of its candidates costs: its own dollars and those of the
trials that measured it. Both are drawn towards the campaign's average as long as little is known (`PRIOR`), so a lucky
start decides nothing, and no proposer falls below `LEAST` of the share that its weight alone would give it. Nothing is drawn
at random: the ledger gives the shares, and whose turn it is follows from them and from the last `WINDOW` proposals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from orchestrator.ledger import PENDING, CandidateState, Ledger

PRIOR = 12.0  # decided candidates: so much weight has the campaign's average in a proposer's own figures
KEEP_RATE = 0.05  # of a campaign of which nothing is known yet
LEAST = 0.2  # of its share by weight
WINDOW = 60  # proposals
USD_PER_GPU_HOUR = 2.0  # where the config gives no price: a candidate's trials are never free
CPU_SHARE = 0.05  # of that price, for an hour of a trial without a GPU


@dataclass(slots=True)
class Account:
    """What one proposer, or one model, has brought and cost so far."""

    candidates: int = 0
    decided: int = 0
    kept: int = 0
    usd: float = 0.0  # its own: what its models charged
    trial_usd: float = 0.0


def accounts(ledger: Ledger, usd_per_gpu_hour: float = 0.0) -> dict[str, Account]:
    """By proposer. Trials that held several candidates are shared among them."""
    price = (usd_per_gpu_hour or USD_PER_GPU_HOUR) / 3600
    found: dict[str, Account] = {}
    for candidate in ledger.candidates.values():
        account = found.setdefault(candidate.proposed.proposer, Account())
        account.candidates += 1
        account.usd += candidate.proposed.usd
        account.decided += candidate.state not in PENDING
        account.kept += candidate.state is CandidateState.KEPT
        for trial in (ledger.trials[name] for name in candidate.trials):
            if trial.ended is not None:
                share = (trial.started.gpus or CPU_SHARE) / len(trial.started.candidates)
                account.trial_usd += trial.ended.wall_s * share * price
    return found


def shares(ledger: Ledger, weights: Mapping[str, float], usd_per_gpu_hour: float = 0.0) -> dict[str, float]:
    """The share of the next proposals that each of `weights` deserves; they add up to 1."""
    by_name = accounts(ledger, usd_per_gpu_hour)
    own = {name: by_name.get(name, Account()) for name in weights}
    decided = sum(each.decided for each in own.values())
    spent = sum(each.usd + each.trial_usd for each in own.values())
    total = sum(weights.values())
    even = {name: weight / total for name, weight in weights.items()}
    if not decided or spent <= 0:
        return even
    rate = (sum(each.kept for each in own.values()) + KEEP_RATE * PRIOR) / (decided + PRIOR)
    cost = spent / decided
    deserved = {name: even[name] * _worth(each, rate, cost) for name, each in own.items()}
    all_deserved = sum(deserved.values())
    return {name: LEAST * even[name] + (1 - LEAST) * deserved[name] / all_deserved for name in weights}


def _worth(account: Account, rate: float, cost: float) -> float:
    """Kept candidates per dollar, with the campaign's average for a beginning."""
    own_rate = (account.kept + rate * PRIOR) / (account.decided + PRIOR)
    own_cost = (account.usd + account.trial_usd + cost * PRIOR) / (account.decided + PRIOR)
    return own_rate / own_cost


def recently(ledger: Ledger) -> dict[str, int]:
    """How many of the last proposals each proposer has given."""
    found: dict[str, int] = {}
    for candidate in islice(reversed(ledger.candidates.values()), WINDOW):
        found[candidate.proposed.proposer] = found.get(candidate.proposed.proposer, 0) + 1
    return found
