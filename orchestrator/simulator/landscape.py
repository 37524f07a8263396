"""The landscape file: what a made-up night is like. YAML in, one frozen `Landscape` out, or one `ConfigError`.

Problems read as those of a campaign file: `file:line: key: what was given; what is allowed`. Every section may be left out;
the defaults are the landscape that the reference figures were made on, with sound GPUs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.config_text import ConfigError, Places, problems, read_text, read_yaml, shown

Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
MAX_GPUS = 100_000


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Effects(_Section):
    """One kind of edit: how many of all there are, and how large their true effect on the metric is."""

    share: Share
    kind: Literal["halfnormal", "exponential", "constant"]
    scale: NotNegative
    sign: Literal["better", "worse"]


class Interactions(_Section):
    """A pair of edits in one tree interacts with probability `share`, by N(0, strength·√|d1·d2|)."""

    share: Share = 0.0
    strength: NotNegative = 0.0


class Noise(_Section):
    """Of one trial. `sd` is the standard deviation for either kind, however heavy the tails."""

    kind: Literal["normal", "student_t"] = "normal"
    sd: NotNegative = 1e-3
    df: Annotated[float, Field(gt=2, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _df_fits_the_kind(self) -> Noise:
        if self.kind == "student_t" and self.df is None:
            _refuse(("df",), "is missing; kind: student_t needs the degrees of freedom, above 2")
        if self.kind == "normal" and self.df is not None:
            _refuse(("df",), f"given {self.df:g} with kind: normal, which has none; remove it or use kind: student_t")
        return self


class BadGpu(_Section):
    """A GPU whose trials read worse by `offset` from `from_h` hours on."""

    gpu: Annotated[int, Field(ge=0, lt=MAX_GPUS)]
    offset: Finite
    from_h: NotNegative = 0.0


class Gpus(_Section):
    count: Annotated[int, Field(ge=1, le=MAX_GPUS)] = 16
    offset_sd: NotNegative = 0.0  # between GPUs, for the whole night
    drift_per_h: Finite = 0.0  # every trial on every GPU reads worse by this much an hour
    bad: Annotated[tuple[BadGpu, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _bad_ones_are_there(self) -> Gpus:
        for nth, bad in enumerate(self.bad):
            if bad.gpu >= self.count:
                _refuse(("bad", nth, "gpu"), f"given {bad.gpu}; GPUs are 0 to {self.count - 1}, as gpus.count says")
        return self


class Rates(_Section):
    crash: Share = 0.0  # of candidates: each of their trials crashes
    conflict: Share = 0.0  # of pairs: neither can be carried over to a champion that has gained the other
    node_failures_per_h: NotNegative = 0.0  # in the whole cluster; each takes one worker and its trial


class Durations(_Section):
    trial_s: Positive = 300.0
    overhead_s: NotNegative = 25.0
    proposal_s: NotNegative = 60.0
    proposals_in_flight: Annotated[int, Field(ge=1, le=1_000_000)] = 8


def _refuse(loc: tuple[str | int, ...], message: str) -> None:
    raise PydanticCustomError("refused", "{message}", {"message": message, "at": loc})


def _adding_up(effects: tuple[Effects, ...]) -> tuple[Effects, ...]:
    total = math.fsum(each.share for each in effects)
    if abs(total - 1) > 1e-6:
        raise ValueError(f"given shares that add up to {total:g}; shares that add up to 1")
    return effects


_USUAL_EFFECTS = (
    Effects(share=0.50, kind="halfnormal", scale=5e-3, sign="worse"),
    Effects(share=0.35, kind="halfnormal", scale=3e-4, sign="worse"),
    Effects(share=0.15, kind="exponential", scale=1.5e-3, sign="better"),
)


def _none_is_default(section: type[BaseModel]) -> BeforeValidator:
    """A section whose lines are all commented out says nothing, so the defaults hold."""
    return BeforeValidator(lambda value: section() if value is None else value)


class Landscape(_Section):
    effects: Annotated[tuple[Effects, ...], Field(strict=False), AfterValidator(_adding_up)] = _USUAL_EFFECTS
    interactions: Annotated[Interactions, _none_is_default(Interactions)] = Interactions()
    noise: Annotated[Noise, _none_is_default(Noise)] = Noise()
    gpus: Annotated[Gpus, _none_is_default(Gpus)] = Gpus()
    rates: Annotated[Rates, _none_is_default(Rates)] = Rates()
    durations: Annotated[Durations, _none_is_default(Durations)] = Durations()

    def with_gpus(self, count: int) -> Landscape:
        """The same landscape on another number of GPUs; the bad ones that are not among them are left out."""
        bad = tuple(each for each in self.gpus.bad if each.gpu < count)
        return self.model_copy(update={"gpus": self.gpus.model_copy(update={"count": count, "bad": bad})})


def load_landscape(path: str | Path) -> Landscape:
    """The landscape in the file at `path`. Raises `ConfigError`."""
    return parse_landscape(read_text(path), str(path))


def parse_landscape(text: str, source: str) -> Landscape:
    """As `load_landscape`, from text; `source` names it in errors."""
    node, data = read_yaml(text, source)
    if node is None or data is None:
        raise ConfigError([f"{source}: is empty; allowed here: {', '.join(Landscape.model_fields)}"])
    if not isinstance(data, dict):
        raise ConfigError([f"{source}:{node.start_mark.line + 1}: given {shown(data)}; a mapping with effects, noise, …"])
    try:
        return Landscape.model_validate(data)
    except ValidationError as error:
        raise ConfigError(problems(error, Places(source, node, {}), _keys_at)) from None


def _keys_at(loc: Sequence[str | int]) -> tuple[str, ...]:
    """The keys allowed under pydantic's path `loc`."""
    sections: dict[Any, type[BaseModel]] = {
        "effects": Effects,
        "interactions": Interactions,
        "noise": Noise,
        "gpus": BadGpu if loc[1:2] == ("bad",) else Gpus,
        "rates": Rates,
        "durations": Durations,
    }
    return tuple((sections[loc[0]] if loc else Landscape).model_fields)
