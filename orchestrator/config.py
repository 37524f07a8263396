"""The campaign file: YAML in, one frozen `Config` out, or one `ConfigError` that lists everything that is wrong.

Each problem reads `file:line: key: what was given; what is allowed`. Unknown keys are refused. Scalars follow YAML 1.2: `1e-3`
is a number, `1:30` and `yes` are text.
Nothing outside the file is looked at: whether the target exists, and which runner it needs, is found out elsewhere
(`with_runner` then checks the config again).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, model_validator

from orchestrator.config_section import NotNegative, Positive
from orchestrator.config_section import Section as _Section
from orchestrator.config_section import refuse as _refuse
from orchestrator.config_text import ConfigError as ConfigError
from orchestrator.config_text import Dumper, Places, override_one, problems, read_text, read_yaml, shown
from orchestrator.design import SIZES
from orchestrator.objective import Constraint, Objective

# ------------------------------------------------------------------------------------------------ the keys


def _block(value: object) -> object:
    if value == "auto":
        return value
    if isinstance(value, bool) or value not in SIZES:
        raise ValueError(f"given {shown(value)}; auto, or the rows of a design: {', '.join(map(str, SIZES))}")
    return value


def _checked_glob(glob: str) -> str:
    from pathspec import GitIgnoreSpec  # late: only a config that is being checked needs it

    try:
        GitIgnoreSpec.from_lines([glob])
    except ValueError as error:
        raise ValueError(f"given {glob!r}; a glob in gitignore syntax ({error})") from None
    return glob


def _not_empty(items: tuple[Any, ...]) -> tuple[Any, ...]:
    if not items:
        raise ValueError("given an empty list; at least one")
    return items


def _an_arch(name: str) -> str:
    from workers.kernel.arch import ARCHS

    if name not in ARCHS:
        raise ValueError(f"given {name!r}; {', '.join(ARCHS)}")
    return name


def _ray_gpus(gpus: float) -> float:
    if gpus > 1 and gpus != int(gpus):
        raise ValueError(f"given {gpus}; a share of one GPU (0 to 1) or a whole number of them")
    return gpus


def _an_address(address: str) -> str:
    from orchestrator.proposers.llm.addresses import has_credentials, host_of

    if not address.startswith(("http://", "https://")) or not host_of(address):
        raise ValueError(f"given {address!r}; an address such as http://127.0.0.1:8000/v1")
    if has_credentials(address):
        raise ValueError("holds a key or a password; keys come from the environment, as litellm reads them")
    return address


Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Text = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]*\S[^\x00]*$")]
ModelName = Annotated[Text, Field(max_length=200)]
Glob = Annotated[Text, AfterValidator(_checked_glob)]
Texts = Annotated[tuple[Text, ...], Field(strict=False)]


class Target(_Section):
    repo: Text
    editable: Annotated[tuple[Glob, ...], Field(strict=False), AfterValidator(_not_empty)]
    runner: Literal["train", "kernel", "command"] | None = None  # None: by subject
    command: Text | None = None
    setup: Text | None = None
    guards: Texts = ()
    mounts: Texts = ()
    corpus: Text | None = None  # train runner: which corpus the subject's prepare.py offers; None: its default
    arch: Annotated[str, AfterValidator(_an_arch)] | None = None  # kernel runner: what is compiled for; None: the workers' GPU
    gates_ahead: bool | None = None  # kernel runner: while one is timed, the next passes the gates; None: yes

    @model_validator(mode="after")
    def _keys_fit_the_runner(self) -> Target:
        if self.runner == "command" and self.command is None:
            _refuse(("command",), "is missing; runner: command needs the command that measures")
        if self.runner in ("train", "kernel") and self.command is not None:
            _refuse(
                ("command",), f"given with runner: {self.runner}, which measures by itself; remove it or use runner: command"
            )
        if self.command is None:
            for key, value in (("setup", self.setup), ("guards", self.guards), ("mounts", self.mounts)):
                if value:
                    _refuse((key,), "belongs to the command runner; give target.command too, or remove it")
        if self.runner in ("command", "kernel") and self.corpus is not None:
            _refuse(("corpus",), "belongs to the train runner; remove it or use runner: train")
        if self.runner in ("command", "train"):
            for key in ("arch", "gates_ahead"):
                if getattr(self, key) is not None:
                    _refuse((key,), "belongs to the kernel runner; remove it or use runner: kernel")
        return self


class Trial(_Section):
    budget_s: Positive = 300.0
    timeout_s: Positive = 900.0
    gpus: Annotated[NotNegative, AfterValidator(_ray_gpus)] | None = None  # None: 1 where there is a GPU, else 0
    cpus: Count = 1


class Replay(_Section):
    kind: Literal["replay"]
    path: Text
    weight: Positive = 1.0


class Knobs(_Section):
    kind: Literal["knobs"]
    only: Annotated[Texts, AfterValidator(_not_empty)] | None = None  # names to turn, shell patterns; None: every knob
    weight: Positive = 1.0


class Program(_Section):
    """Edits by an agent or a script that works in a worktree."""

    kind: Literal["program"]
    command: Text  # for /bin/sh, in a worktree of the champion; {prompt} is the file that says what to do
    timeout_s: Positive = 600.0
    parallel: Annotated[int, Field(ge=1, le=256)] = 1  # how many may work at a time
    weight: Positive = 1.0


class TokenPrice(_Section):
    """Dollars for a million tokens."""

    input_per_mtok: NotNegative
    output_per_mtok: NotNegative


class Llm(_Section):
    """Edits written by a model. Keys come from the environment, never from here."""

    kind: Literal["llm"]
    model: ModelName | None = None  # as litellm names it; required but for replay
    fallbacks: Annotated[tuple[ModelName, ...], Field(strict=False)] = ()  # asked in order where the model does not answer
    api_base: Annotated[Text, AfterValidator(_an_address)] | None = None  # of the model alone, not of its fallbacks
    weight: Positive = 1.0
    price: TokenPrice | None = None  # of the model; None: litellm's
    timeout_s: Positive = 300.0  # of one request
    retries: Annotated[int, Field(ge=0, le=20)] = 2  # of one request, with backoff
    backoff_s: Positive = 10.0  # the first wait after no model has answered; it doubles, up to 300
    patience_s: Positive = 4 * 3600.0  # how long no model may answer before the campaign goes on without
    max_tokens: Count = 8192  # of one answer
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None  # None: the model's own
    requests_per_minute: Count | None = None
    in_flight: Annotated[int, Field(ge=1, le=256)] = 8  # requests at a time
    replay: Text | None = None  # a run whose exchanges are played again, without a model or a key

    @model_validator(mode="after")
    def _has_something_to_ask(self) -> Llm:
        if self.model is None and self.replay is None:
            _refuse(("model",), "is missing; a model as litellm names it, such as anthropic/claude-sonnet-4-5")
        return self


ProposerEntry = Annotated[Replay | Knobs | Llm | Program, Field(discriminator="kind")]


class Tournament(_Section):
    false_keep_rate: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    rule: Literal["calibrated", "provable"] = "calibrated"
    lanes: Literal["auto", "solo", "blocks"] = "auto"
    block: Annotated[Literal["auto"] | int, BeforeValidator(_block)] = "auto"  # rows
    max_repeats: Annotated[int, Field(ge=1, le=10_000)] = 8
    baseline_repeats: Annotated[int, Field(ge=2, le=10_000)] = 4  # one measurement alone has no spread
    common_seeds: bool = False


class Limits(_Section):
    trials: Count | None = None
    candidates: Count | None = None
    hours: Positive | None = None
    gpu_hours: Positive | None = None
    usd: Positive | None = None
    energy_wh: Positive | None = None
    plateau: Count | None = None
    worth_per_gpu_hour: Positive | None = None  # in the objective's own units


class Prices(_Section):
    usd_per_gpu_hour: NotNegative | None = None
    usd_per_kwh: NotNegative | None = None


class Cluster(_Section):
    address: Text = "local"
    cpu_slots: Annotated[int, Field(ge=1, le=4096)] = 2


class Metrics(_Section):
    port: Annotated[int, Field(ge=0, le=65535)] = 9464


class Config(_Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    target: Target
    objective: Objective
    proposers: Annotated[tuple[ProposerEntry, ...], Field(strict=False), AfterValidator(_not_empty)]
    trial: Trial = Field(default_factory=Trial)
    tournament: Tournament = Field(default_factory=Tournament)
    limits: Limits = Field(default_factory=Limits)
    prices: Prices = Field(default_factory=Prices)
    cluster: Cluster = Field(default_factory=Cluster)
    sandbox: Literal["auto", "none"] = "auto"
    metrics: Metrics = Field(default_factory=Metrics)
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0

    @model_validator(mode="before")
    @classmethod
    def _empty_sections_are_defaults(cls, data: Any) -> Any:
        """`limits:` with every line under it commented out says nothing, so the defaults hold."""
        if not isinstance(data, dict):
            return data
        return {k: v for k, v in data.items() if v is not None or k not in _DEFAULTED}

    @model_validator(mode="after")
    def _a_trial_outlasts_its_training(self) -> Config:
        untold = self.target.runner is None and self.target.command is None  # then `with_runner` asks again
        trains = self.target.runner == "train" or (untold and "budget_s" in self.trial.model_fields_set)
        if trains and self.trial.timeout_s <= self.trial.budget_s:
            _refuse(
                ("trial", "timeout_s"),
                f"given {self.trial.timeout_s:g}; more than trial.budget_s, which is {self.trial.budget_s:g}: "
                "set-up and scoring take time too",
            )
        return self


_DEFAULTED = frozenset({"trial", "tournament", "limits", "prices", "cluster", "metrics"})

# ------------------------------------------------------------------------------------------------ in and out


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The config in the file at `path`, with `overrides` (`key.path=value`, value in YAML) on top. Raises `ConfigError`."""
    return parse_config(read_text(path), str(path), overrides)


def parse_config(text: str, source: str, overrides: Sequence[str] = ()) -> Config:
    """As `load_config`, from text; `source` names it in errors."""
    node, data = read_yaml(text, source)
    if node is None or data is None:
        raise ConfigError([f"{source}: is empty; required: name, target, objective, proposers"])
    if not isinstance(data, dict):
        raise ConfigError([f"{source}:{node.start_mark.line + 1}: given {shown(data)}; a mapping with name, target, …"])
    places = Places(source, node, {})
    for override in overrides:
        places.overrides[override_one(data, override)] = f"--set {override}"
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(problems(error, places, keys_at)) from None


def dump_config(config: Config) -> str:
    """Every key of `config` as YAML, defaults included; `load_config` of it gives an equal config."""
    return yaml.dump(
        config.model_dump(mode="json"), Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )


def with_runner(config: Config, runner: str) -> Config:
    """`config` with its runner decided, checked again: keys that do not fit that runner raise `ConfigError`."""
    data = config.model_dump()
    data["target"]["runner"] = runner
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        places = Places(f"with runner {runner}", None, {})
        raise ConfigError(problems(error, places, keys_at)) from None


def keys_at(loc: Sequence[str | int]) -> tuple[str, ...]:
    """The keys allowed under pydantic's path `loc`."""
    section: type[BaseModel] = Config
    for part in loc:
        if str(part) in _SECTIONS:
            section = _SECTIONS[str(part)]
        elif part == "price":
            section = TokenPrice
        elif loc[:2] == ("objective", "constraints"):
            section = Constraint
    return tuple(section.model_fields)


_SECTIONS: dict[str, type[BaseModel]] = {
    name: field.annotation
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
} | {"replay": Replay, "knobs": Knobs, "llm": Llm, "program": Program}
