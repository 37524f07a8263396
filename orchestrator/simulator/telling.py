"""A forecast in plain words: each number with the range of the middle nine tenths of the nights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from orchestrator.config import Config
from orchestrator.simulator.forecast import Forecast, Outcome, stderr, upper95
from orchestrator.simulator.landscape import Landscape

ENOUGH = 10  # nights, to speak of a range or of a bound


def forecast_text(found: Forecast, config: Config, landscape: Landscape, seed: int) -> str:
    """What a person reads before the night is paid for."""
    nights = len(found.nights)
    policy = "the config's tournament" if found.policy == config.tournament.lanes else found.policy
    head = f"{config.name}: {policy} on {_count(landscape.gpus.count, 'GPU')}, {_count(nights, 'made-up night')}, seed {seed}"
    lines = [*_worth(found, config), *_costs(found, config)]
    gave_up = sum(night.gave_up for night in found.nights)
    if gave_up:
        lines.append(("given up", f"{gave_up} of {nights} nights: the machines failed too often to go on"))
    lines.append(("simulated in", f"{found.wall_s:.1f} s"))
    return "\n".join([head, *(f"  {name:13} {text}" for name, text in lines)])


def _worth(found: Forecast, config: Config) -> list[tuple[str, str]]:
    gains, shares = found.of(lambda night: night.gain), found.of(lambda night: night.false_keep_share)
    error = stderr(gains)
    unsure = "" if error is None else f" ± {error:.2g}"
    sure = f"; under {upper95(shares):.1%} with 95 % confidence" if len(shares) >= ENOUGH else ""
    any_keep = sum(night.keeps > 0 for night in found.nights)
    return [
        ("true gain", f"{np.mean(gains):.4g}{unsure} of {config.objective.name}{_range(gains, '{:.4g}')}"),
        (
            "keeps",
            _told(found, lambda night: night.keeps, "{:.3g}") + f"; any at all in {any_keep} of {len(found.nights)} nights",
        ),
        ("false keeps", f"{np.mean(shares):.1%} of what is kept{sure}"),
    ]


def _costs(found: Forecast, config: Config) -> list[tuple[str, str]]:
    price = config.prices.usd_per_gpu_hour
    kinds = sorted({entry.kind for entry in config.proposers})
    dollars = "unknown: the config has no prices.usd_per_gpu_hour"
    if price is not None:
        dollars = _told(found, lambda night: night.gpu_hours * price, "{:.2f}") + " for GPUs; energy is not simulated"
    return [
        ("trials", _told(found, lambda night: night.trials, "{:.0f}")),
        ("hours", _told(found, lambda night: night.hours, "{:.3g}")),
        ("GPU-hours", _told(found, lambda night: night.gpu_hours, "{:.4g}")),
        ("occupancy", _told(found, lambda night: night.occupancy, "{:.1%}")),
        ("dollars", dollars),
        ("tokens", f"none: {' and '.join(kinds)} ask no model"),
    ]


def _told(found: Forecast, number: Callable[[Outcome], float], form: str) -> str:
    values = found.of(number)
    return form.format(np.mean(values)) + _range(values, form)


def _range(values: Sequence[float], form: str) -> str:
    """The middle nine tenths, where there are enough values to speak of any."""
    low, high = (form.format(np.quantile(values, q)) for q in (0.05, 0.95))
    return f" ({low} to {high} in 9 nights of 10)" if len(values) >= ENOUGH and low != high else ""


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
