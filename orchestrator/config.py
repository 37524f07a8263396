"""The campaign file: YAML in, one frozen `Config` out, or one `ConfigError` that lists everything that is wrong.

Each problem reads `file:line: key: what was given; what is allowed`. Unknown keys are refused; so are keys and values of a
coming version, with a word about what works today. Scalars follow YAML 1.2: `1e-3` is a number, `1:30` and `yes` are text.
Nothing outside the file is looked at: whether the target exists, and which runner it needs, is found out elsewhere
(`with_runner` then checks the config again).
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

# ------------------------------------------------------------------------------------------------ the keys


def _refuse(loc: tuple[str, ...], message: str) -> NoReturn:
    """Fail a check that spans several keys, in the name of the key `loc` (relative to the model that checks)."""
    raise PydanticCustomError("refused", "{message}", {"message": message, "at": loc})


def _later(words: tuple[str, ...], instead: str) -> BeforeValidator:
    """Known words of a coming version are refused by name rather than accepted and ignored."""

    def check(value: object) -> object:
        if value in words:
            raise ValueError(f"given {value!r}, which comes with a later version; {instead}")
        return value

    return BeforeValidator(check)


def _never_yet(message: str) -> BeforeValidator:
    def check(value: object) -> object:
        if value is not None:
            raise ValueError(message)
        return value

    return BeforeValidator(check)


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


def _ray_gpus(gpus: float) -> float:
    if gpus > 1 and gpus != int(gpus):
        raise ValueError(f"given {gpus}; a share of one GPU (0 to 1) or a whole number of them")
    return gpus


Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]*\S[^\x00]*$")]
MetricName = Annotated[str, Field(pattern=r"^[^\s:=]+$")]
Glob = Annotated[Text, AfterValidator(_checked_glob)]
Texts = Annotated[tuple[Text, ...], Field(strict=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Target(_Section):
    repo: Text
    editable: Annotated[tuple[Glob, ...], Field(strict=False), AfterValidator(_not_empty)]
    runner: Annotated[
        Literal["train", "command"] | None, _later(("kernel",), "use train or command, or leave it to the subject")
    ] = None  # None: by subject
    command: Text | None = None
    setup: Text | None = None
    guards: Texts = ()
    mounts: Texts = ()
    corpus: Text | None = None  # train runner: which corpus the subject's prepare.py offers; None: its default
    arch: Annotated[None, _never_yet("belongs to the kernel runner, which comes with a later version; remove the line")] = None

    @model_validator(mode="after")
    def _keys_fit_the_runner(self) -> Target:
        if self.runner == "command" and self.command is None:
            _refuse(("command",), "is missing; runner: command needs the command that measures")
        if self.runner == "train" and self.command is not None:
            _refuse(("command",), "given with runner: train, which measures by itself; remove it or use runner: command")
        if self.command is None:
            for key, value in (("setup", self.setup), ("guards", self.guards), ("mounts", self.mounts)):
                if value:
                    _refuse((key,), "belongs to the command runner; give target.command too, or remove it")
        if self.runner == "command" and self.corpus is not None:
            _refuse(("corpus",), "belongs to the train runner; remove it or use runner: train")
        return self


class Constraint(_Section):
    """What a candidate must keep to: absolute (`max`, `min`) or relative to its champion (`max_ratio`, `min_ratio`)."""

    max: Finite | None = None
    min: Finite | None = None
    max_ratio: Positive | None = None
    min_ratio: Positive | None = None

    @model_validator(mode="after")
    def _says_something_possible(self) -> Constraint:
        if self.max is self.min is self.max_ratio is self.min_ratio is None:
            _refuse((), "says nothing; give at least one of max, min, max_ratio, min_ratio")
        if self.min is not None and self.max is not None and self.min > self.max:
            _refuse(("min",), f"given {self.min}; at most max, which is {self.max}")
        if self.min_ratio is not None and self.max_ratio is not None and self.min_ratio > self.max_ratio:
            _refuse(("min_ratio",), f"given {self.min_ratio}; at most max_ratio, which is {self.max_ratio}")
        return self


class Objective(_Section):
    metric: MetricName
    direction: Literal["minimize", "maximize"] = "minimize"
    constraints: dict[MetricName, Constraint] = {}
    target: Finite | None = None
    noninferiority_margin: NotNegative = 0.0


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


ProposerEntry = Annotated[Replay | Knobs, Field(discriminator="kind")]


class Tournament(_Section):
    false_keep_rate: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    rule: Literal["calibrated", "provable"] = "calibrated"
    lanes: Annotated[Literal["auto", "solo"], _later(("blocks",), "use auto or solo")] = "auto"
    block: Literal["auto"] = "auto"
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
    worth_per_gpu_hour: Annotated[
        None, _never_yet("comes with a later version; use plateau, which stops when nothing is kept any more")
    ] = None


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
        trains = self.target.runner == "train" or self.target.command is None
        if trains and self.trial.timeout_s <= self.trial.budget_s:
            _refuse(
                ("trial", "timeout_s"),
                f"given {self.trial.timeout_s:g}; more than trial.budget_s, which is {self.trial.budget_s:g}: "
                "set-up and scoring take time too",
            )
        return self


_DEFAULTED = frozenset({"trial", "tournament", "limits", "prices", "cluster", "metrics"})

# ------------------------------------------------------------------------------------------------ in and out


class ConfigError(ValueError):
    """A config that cannot be used. `problems` holds every one; the message shows them, a line each."""

    SHOWN = 10

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        shown = [*self.problems[: self.SHOWN]]
        if len(self.problems) > self.SHOWN:
            shown.append(f"… and {len(self.problems) - self.SHOWN} more")
        super().__init__("\n".join(shown))


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The config in the file at `path`, with `overrides` (`key.path=value`, value in YAML) on top. Raises `ConfigError`."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except IsADirectoryError:
        raise ConfigError([f"{path}: is a folder; give a YAML file"]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{line}: not UTF-8 text (byte {error.start}: {error.reason})"]) from None
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"]) from None
    return parse_config(text, str(path), overrides)


def parse_config(text: str, source: str, overrides: Sequence[str] = ()) -> Config:
    """As `load_config`, from text; `source` names it in errors."""
    node, data = _read_yaml(text, source)
    if node is None or data is None:
        raise ConfigError([f"{source}: is empty; required: name, target, objective, proposers"])
    if not isinstance(data, dict):
        raise ConfigError([f"{source}:{node.start_mark.line + 1}: given {_shown(data)}; a mapping with name, target, …"])
    places = _Places(source, node, {})
    for override in overrides:
        places.overrides[_override(data, override)] = f"--set {override}"
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_problems(error, places)) from None


def dump_config(config: Config) -> str:
    """Every key of `config` as YAML, defaults included; `load_config` of it gives an equal config."""
    return yaml.dump(
        config.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )


def with_runner(config: Config, runner: Literal["train", "command"]) -> Config:
    """`config` with its runner decided, checked again: keys that do not fit that runner raise `ConfigError`."""
    data = config.model_dump()
    data["target"]["runner"] = runner
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        places = _Places(f"with runner {runner}", None, {})
        raise ConfigError(_problems(error, places)) from None


# ------------------------------------------------------------------------------------------------ YAML with lines

_SCALARS = {
    "tag:yaml.org,2002:null": (re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    "tag:yaml.org,2002:bool": (re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    "tag:yaml.org,2002:int": (re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789")),
    "tag:yaml.org,2002:float": (
        re.compile(
            r"^(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        list("-+.0123456789"),
    ),
    "tag:yaml.org,2002:merge": (re.compile(r"^<<$"), ["<"]),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012  (YAML 1.2's core schema instead of 1.1's, filled below)


class _Dumper(yaml.SafeDumper):
    """Quotes whatever either version of YAML would not read as text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


for _tag, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(_tag, _pattern, _first)
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)


def _read_yaml(text: str, source: str) -> tuple[yaml.Node | None, Any]:
    """The node tree (which knows lines) and the plain data of one YAML document."""
    try:
        for token in yaml.scan(text, Loader=_Loader):
            if isinstance(token, yaml.TagToken):
                line = token.start_mark.line + 1
                raise ConfigError([f"{source}:{line}: given a tag ('!…'); plain values only (quote text that begins with '!')"])
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, None
        duplicates = list(_duplicate_keys(node, source))
        if duplicates:
            raise ConfigError(duplicates)
        return node, loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        hint = " (YAML is indented with spaces)" if "\\t" in (error.problem or "") else ""
        said = "; ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError([f"{source}{at}: not valid YAML: {said}{hint}"]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError([f"{source}:{line}: not valid YAML: control character {error.character!r}"]) from None
    except RecursionError:
        raise ConfigError([f"{source}: nested too deeply"]) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise (error if isinstance(error, ConfigError) else ConfigError([f"{source}: not valid YAML: {error}"])) from None


def _duplicate_keys(root: yaml.Node, source: str) -> list[str]:
    """One problem for each key that its mapping has already had; YAML would silently take the last."""
    problems = []
    pending, visited = [root], set()
    while pending:
        node = pending.pop()
        if id(node) in visited or isinstance(node, yaml.ScalarNode):
            continue
        visited.add(id(node))
        if not isinstance(node, yaml.MappingNode):
            pending.extend(node.value)
            continue
        first: dict[str, int] = {}
        for key, value in node.value:
            pending.append(value)
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and first.setdefault(key.value, line) != line:
                problems.append(f"{source}:{line}: {key.value}: given twice, first on line {first[key.value]}; keep one")
    return problems


def _override(data: dict[Any, Any], override: str) -> tuple[str, ...]:
    """Put one `key.path=value` into `data`; its path."""
    label = f"--set {override}"
    path, equals, text = override.partition("=")
    keys = tuple(path.strip().split("."))
    if not equals or not all(keys):
        raise ConfigError([f"{label}: give key.path=value, for instance --set limits.trials=100"])
    _, value = _read_yaml(text, label)
    here: Any = data
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(here, list):
            if not (key.isdecimal() and int(key) < len(here)):
                raise ConfigError([f"{label}: {'.'.join(keys[:depth])} is a list; its items are 0 to {len(here) - 1}"])
            if last:
                here[int(key)] = value
            here = here[int(key)]
        elif isinstance(here, dict):
            if last:
                here[key] = value
            elif here.get(key) is None:
                here[key] = {}
            here = here[key]
        else:
            raise ConfigError([f"{label}: {'.'.join(keys[:depth])} has no keys under it; it is {_shown(here)}"])
    return keys


# ------------------------------------------------------------------------------------------------ what to say


class _Places:
    """Where a key was given: a line of the file, or a `--set`."""

    def __init__(self, source: str, root: yaml.Node | None, overrides: dict[tuple[str, ...], str]) -> None:
        self.source, self.root, self.overrides = source, root, overrides

    def of(self, loc: Sequence[str | int]) -> tuple[float, str]:
        names = tuple(str(part) for part in loc)
        for path in reversed(self.overrides):
            if names[: len(path)] == path:
                return float("inf"), self.overrides[path]
        if self.root is None:
            return 0, self.source
        line = self._line(loc)
        return line, f"{self.source}:{line}"

    def _line(self, loc: Sequence[str | int]) -> int:
        node, line = self.root, self.root.start_mark.line if self.root else 0
        for part in loc:
            if isinstance(node, yaml.MappingNode):
                found = [(key, value) for key, value in node.value if key.value == str(part)]
                if not found:
                    break
                line, node = found[0][0].start_mark.line, found[0][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
            else:
                break
        return line + 1


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    return short.repr(value)


def _without_tag(loc: Sequence[str | int]) -> tuple[str | int, ...]:
    """pydantic puts the kind of a proposer into the path of its keys; the file has no such level."""
    return (*loc[:2], *loc[3:]) if len(loc) > 2 and loc[0] == "proposers" else tuple(loc)


def _problems(error: ValidationError, places: _Places) -> list[str]:
    """One line about each of pydantic's errors, in the order of the file, what came by `--set` last."""
    found = [_problem(each, places) for each in error.errors(include_url=False)]
    return [f"{place}: {said}" for _, place, said in sorted(found, key=lambda problem: problem[0])]


def _problem(error: ErrorDetails, places: _Places) -> tuple[float, str, str]:
    """Line, place and text."""
    context, kind, given = error.get("ctx", {}), error["type"], error.get("input")
    loc = _without_tag(error["loc"])
    if kind == "refused":
        loc = (*loc, *context["at"])
    if kind.startswith("union_tag"):
        loc = (*loc, "kind")
    say = _SAYINGS.get(kind)
    if say is not None:
        said = say(given, context)
    elif kind == "extra_forbidden":
        said = f"unknown key{_suggestion(str(loc[-1]), _keys_at(error['loc'][:-1]))}"
    elif kind == "string_pattern_mismatch":
        said = f"given {_shown(given)}; {_TEXTS.get(context['pattern'], 'text that matches ' + context['pattern'])}"
    else:
        said = f"given {_shown(given)}; {error['msg'][:1].lower()}{error['msg'][1:]}"
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    line, place = places.of(loc)
    return line, place, f"{key or 'the file'}: {said}"


def _allowed(what: str) -> Callable[[object, Mapping[str, Any]], str]:
    """A saying `given …; <what>`, with pydantic's own bounds filled in."""
    return lambda given, context: f"given {_shown(given)}; {what.format(**context)}"


_SAYINGS: dict[str, Callable[[object, Mapping[str, Any]], str]] = {
    "refused": lambda _, context: str(context["message"]),
    "value_error": lambda _, context: str(context["error"]),
    "missing": lambda _, __: "is missing; it is required",
    "union_tag_not_found": lambda _, __: "is missing; replay or knobs",
    "union_tag_invalid": lambda _, context: (
        f"given '{context['tag']}', which comes with a later version; this version has replay and knobs"
        if context["tag"] in ("llm", "program")
        else f"given '{context['tag']}'; replay or knobs"
    ),
    "int_type": _allowed("a whole number"),
    "int_from_float": _allowed("a whole number"),
    "int_parsing_size": _allowed("a smaller number"),
    "float_type": _allowed("a number"),
    "finite_number": _allowed("a finite number"),
    "bool_type": _allowed("true or false"),
    "string_type": _allowed("text (in quotes where it looks like a number)"),
    "string_too_short": _allowed("text that is not empty"),
    "string_too_long": _allowed("at most {max_length} characters"),
    "literal_error": _allowed("{expected}"),
    "none_required": _allowed("nothing"),
    "greater_than": _allowed("a number above {gt}"),
    "greater_than_equal": _allowed("at least {ge}"),
    "less_than": _allowed("below {lt}"),
    "less_than_equal": _allowed("at most {le}"),
    "model_type": _allowed("a mapping of keys to values"),
    "model_attributes_type": _allowed("a mapping of keys to values"),
    "dict_type": _allowed("a mapping of keys to values"),
    "tuple_type": _allowed("a list, for instance [a, b]"),
}
_TEXTS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "letters, digits, '.', '_' and '-', a letter or digit first (it names a folder)",
    r"^[^\s:=]+$": "a metric's name, without spaces, ':' or '='",
    r"^[^\x00]*\S[^\x00]*$": "text that is not blank",
}


def _keys_at(loc: Sequence[str | int]) -> tuple[str, ...]:
    """The keys allowed under pydantic's path `loc`."""
    section: type[BaseModel] = Config
    for part in loc:
        if str(part) in _SECTIONS:
            section = _SECTIONS[str(part)]
        elif loc[:2] == ("objective", "constraints"):
            section = Constraint
    return tuple(section.model_fields)


_SECTIONS: dict[str, type[BaseModel]] = {
    name: field.annotation
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
} | {"replay": Replay, "knobs": Knobs}


def _suggestion(key: str, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, allowed, n=1, cutoff=0.6)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"; {meant}allowed here: {', '.join(allowed)}"
