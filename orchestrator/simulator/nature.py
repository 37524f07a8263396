"""What is true in one made-up night: the effects of its edits, which pairs interact or conflict, and what a trial reads.

Values are signed so that lower is better, and count from the base commit. Edits are numbers, from 0 in the order in which
they are proposed. What is true of an edit or a pair follows from the seed, the repeat and their numbers alone, so that
policies are compared on the same nights; the noise of trials is drawn as they come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.simulator.landscape import Landscape

_CHUNK = 1024  # edits and noises are drawn so many at a time
_CLASH, _INTERACTS, _ANGLE, _RADIUS = (np.array([n], dtype=np.uint64) for n in (1, 2, 3, 4))  # what a pair's hash is for


class Nature:
    def __init__(self, landscape: Landscape, seed: int, repeat: int) -> None:
        edits, gpus, noise, pairs = np.random.SeedSequence([seed, repeat]).spawn(4)
        self.landscape = landscape
        self._edit_rng, self._noise_rng = np.random.default_rng(edits), np.random.default_rng(noise)
        self._key = pairs.generate_state(1, np.uint64)
        self._effects: list[float] = []
        self._rows: dict[int, NDArray[np.float64]] = {}
        self._crashes_after: list[float] = []
        self._noise: list[float] = []
        offsets = np.random.default_rng(gpus).normal(0.0, landscape.gpus.offset_sd, landscape.gpus.count)
        self.offsets: list[float] = offsets.tolist()

    # -- edits and pairs

    def effect(self, edit: int) -> float:
        """True effect of an edit on its own."""
        self._draw_edits(edit)
        return self._effects[edit]

    def crashes_after(self, edit: int) -> float | None:
        """The part of a trial's time after which this edit crashes it; None where it does not."""
        self._draw_edits(edit)
        after = self._crashes_after[edit]
        return None if math.isnan(after) else after

    def clash(self, edit: int, others: Sequence[int]) -> bool:
        """Whether `edit` cannot be carried over to a tree that has gained `others`."""
        share = self.landscape.rates.conflict
        return bool(share and others and (self._uniform(edit, others, _CLASH) < share).any())

    @property
    def interacts(self) -> bool:
        """Whether any pair does."""
        told = self.landscape.interactions
        return bool(told.share and told.strength)

    def interaction(self, edit: int, others: Sequence[int]) -> float:
        """What `edit` does beyond its own effect in a tree that has `others`."""
        if not (self.interacts and others):
            return 0.0
        return float(self._row(edit, max(others))[np.asarray(others)].sum())

    def _row(self, edit: int, up_to: int) -> NDArray[np.float64]:
        """What `edit` does beyond its own effect beside each other edit; worked out once, and again when there are more."""
        row = self._rows.get(edit)
        if row is None or len(row) <= up_to:
            told = self.landscape.interactions
            others = np.arange((up_to // _CHUNK + 1) * _CHUNK)
            interacts = self._uniform(edit, others, _INTERACTS) < told.share
            # Box and Muller's transform: a normal from two uniforms, the first of them above 0
            radius = np.sqrt(-2.0 * np.log1p(-self._uniform(edit, others, _RADIUS)))
            normal = radius * np.cos(2.0 * np.pi * self._uniform(edit, others, _ANGLE))
            self._draw_edits(len(others))
            sizes = np.sqrt(np.abs(self.effect(edit) * np.asarray(self._effects[: len(others)])))
            row = self._rows[edit] = interacts * normal * sizes * told.strength
        return row

    def _draw_edits(self, up_to: int) -> None:
        while len(self._effects) <= up_to:
            rng, kinds = self._edit_rng, self.landscape.effects
            bounds = np.cumsum([kind.share for kind in kinds])[:-1]
            which = np.searchsorted(bounds, rng.random(_CHUNK), side="right")
            sizes = {
                "halfnormal": np.abs(rng.normal(size=_CHUNK)),
                "exponential": rng.exponential(size=_CHUNK),
                "constant": np.ones(_CHUNK),
            }
            signed = [sizes[kind.kind] * (kind.scale if kind.sign == "worse" else -kind.scale) for kind in kinds]
            self._effects += np.choose(which, signed).tolist()
            crashes = rng.random(_CHUNK) < self.landscape.rates.crash
            self._crashes_after += np.where(crashes, rng.random(_CHUNK), np.nan).tolist()

    def _uniform(self, edit: int, others: Sequence[int] | NDArray[np.int_], purpose: NDArray[np.uint64]) -> NDArray[np.float64]:
        """A number in [0, 1) for each pair, the same whichever of the two is named first."""
        second = np.asarray(others, dtype=np.uint64)
        first = np.full_like(second, edit)
        low, high = np.minimum(first, second), np.maximum(first, second)
        mixed = _mixed(_mixed(_mixed(self._key ^ low) ^ high) ^ purpose)
        return np.asarray((mixed >> np.uint64(11)) * 2.0**-53, dtype=np.float64)

    # -- trials

    def reads(self, value: float, gpu: int, hours: float) -> float:
        """What a trial of a tree worth `value`, begun `hours` into the night on this GPU, reads."""
        wrong = sum(bad.offset for bad in self.landscape.gpus.bad if bad.gpu == gpu and hours >= bad.from_h)
        return value + self.offsets[gpu] + wrong + self.landscape.gpus.drift_per_h * hours + self._next_noise()

    def _next_noise(self) -> float:
        if not self._noise:
            told = self.landscape.noise
            if told.df is None:
                drawn = self._noise_rng.normal(size=_CHUNK)
            else:
                drawn = self._noise_rng.standard_t(told.df, size=_CHUNK) * math.sqrt((told.df - 2) / told.df)
            self._noise = (drawn * told.sd).tolist()
        return self._noise.pop()


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): every bit of `x` moves every bit of the answer."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
