"""Samples of the objective by commit, and the noise that their repeats show. Pure arithmetic.

The pooled variance is Σ (nᵢ-1)·sᵢ² / Σ (nᵢ-1) over the commits measured more than once: the spread between trials of one
and the same commit, whatever its mean. What the designs of blocks leave unexplained is pooled with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class Samples:
    """The values measured on one commit, in order, with their running mean and squared deviations (Welford 1962)."""

    values: list[float] = field(default_factory=list)
    mean: float = math.nan
    squares: float = 0.0

    @property
    def n(self) -> int:
        return len(self.values)

    def add(self, value: float) -> None:
        self.values.append(value)
        if self.n == 1:
            self.mean = value
            return
        delta = value - self.mean
        self.mean += delta / self.n
        self.squares += delta * (value - self.mean)

    def without(self, value: float) -> Samples:
        """The same without one of its values."""
        kept, found = Samples(), False
        for each in self.values:
            if each == value and not found:
                found = True
            else:
                kept.add(each)
        return kept


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviation between repeats, pooled; `df` its degrees of freedom. `sd` is None while nothing was repeated."""

    sd: float | None
    df: int
    repeats: int  # samples on commits that were measured more than once


class SampleBook:
    """All samples of a campaign."""

    def __init__(self) -> None:
        self._by_commit: dict[str, Samples] = {}
        self._squares = 0.0
        self._df = 0
        self._repeats = 0
        self._disowned: set[str] = set()
        self.count = 0

    def of(self, commit: str) -> Samples:
        return self._by_commit.get(commit) or Samples()

    def add(self, commit: str, value: float) -> None:
        samples = self._by_commit.setdefault(commit, Samples())
        before = samples.squares
        samples.add(value)
        self.count += 1
        if commit in self._disowned:
            return
        self._squares += samples.squares - before
        if samples.n > 1:
            self._df += 1
            self._repeats += 2 if samples.n == 2 else 1

    def withdraw(self, commit: str, value: float) -> None:
        """Take back a value that should not have been added."""
        samples = self._by_commit[commit]
        left = list(samples.values)
        left.remove(value)
        if commit not in self._disowned and samples.n > 1:
            self._squares -= samples.squares
            self._df -= samples.n - 1
            self._repeats -= samples.n
        self.count -= samples.n
        samples.values, samples.mean, samples.squares = [], math.nan, 0.0  # the same object: other commits may share it
        for each in left:
            self.add(commit, each)

    def disown(self, commit: str) -> None:
        """The values of `commit` say nothing about the noise, those that may still come included. They stay to be seen."""
        if commit not in self._disowned:
            self._disowned.add(commit)
            samples = self.of(commit)
            if samples.n > 1:
                self._squares -= samples.squares
                self._df -= samples.n - 1
                self._repeats -= samples.n

    def add_residuals(self, squares: float, df: int) -> None:
        """What is left of a block's rows when its candidates' effects are taken away: noise, on `df` degrees of freedom."""
        self._squares += squares
        self._df += df

    def share(self, commit: str, other: str) -> None:
        """From here on `other` is the same thing as `commit`: one tree under two commits."""
        self._by_commit[other] = self._by_commit.setdefault(commit, Samples())

    def noise(self) -> Noise:
        sd = math.sqrt(max(0.0, self._squares) / self._df) if self._df else None
        return Noise(sd, self._df, self._repeats)

    def stderr(self, commit: str) -> float | None:
        """Standard error of the mean of `commit`, from the pooled noise; None while that is unknown."""
        samples, noise = self.of(commit), self.noise()
        return None if noise.sd is None or not samples.n else noise.sd / math.sqrt(samples.n)
