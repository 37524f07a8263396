"""The config of a fleet: that of a campaign, with a list `targets` in place of `target.repo`.

What is under `target` holds for all; a target that gives the same key overrides it. Every member's config is checked as that of
any campaign, and a problem is told where its key was given. Nothing outside the file is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from orchestrator import config as campaign
from orchestrator.config import Config, ConfigError, Count, Text
from orchestrator.config_section import Positive
from orchestrator.config_text import Dumper, Places, override_one, problems, read_text, read_yaml

_TAKEN = frozenset({"fleet.yaml", "lock", "head.json", "index.html"})  # what else lies in a fleet's directory
NAME_LENGTH = 100  # as of any campaign

Loc = Sequence[str | int]


class Turn(BaseModel):
    """How the turns are given."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    candidates: Count = 6  # that one turn proposes
    patience: Count = 3  # turns in a row without a keep, after which a target gets no more


class _Entry(BaseModel):
    """One of `targets`; its further keys are those of `target` and are checked with them."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    repo: Text
    share: Positive | None = None


def _not_empty(entries: tuple[_Entry, ...]) -> tuple[_Entry, ...]:
    if not entries:
        raise ValueError("given an empty list; at least one target, such as {repo: kernels/rmsnorm}")
    return entries


class _Keys(BaseModel):
    """What a fleet has beside a campaign's keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    targets: Annotated[tuple[_Entry, ...], Field(strict=False), AfterValidator(_not_empty)]
    turn: Turn = Field(default_factory=Turn)


@dataclass(frozen=True, slots=True)
class Member:
    """One target of a fleet."""

    name: str  # of its run directory
    share: float  # of the model's time, as given; only its proportion to the others' counts
    config: Config  # its campaign's; the limits are the fleet's


@dataclass(frozen=True, slots=True)
class FleetConfig:
    name: str
    members: tuple[Member, ...]
    turn: Turn

    @property
    def common(self) -> Config:
        """What holds for all: everything but name and target."""
        return self.members[0].config

    @property
    def shares(self) -> dict[str, float]:
        """Of each member, by name; together 1."""
        whole = sum(member.share for member in self.members)
        return {member.name: member.share / whole for member in self.members}

    @property
    def minimize(self) -> bool:
        return self.common.objective.direction == "minimize"


# ------------------------------------------------------------------------------------------------ in and out


def names_several_targets(path: str | Path) -> bool:
    """Whether the config at `path` is a fleet's. What cannot be read is not: reading it as a campaign's says why."""
    if not Path(path).is_file():  # a pipe can be read once only
        return False
    try:
        _, data = read_yaml(read_text(path), str(path))
    except ConfigError:
        return False
    return isinstance(data, dict) and "targets" in data


def load_fleet(path: str | Path, overrides: Sequence[str] = ()) -> FleetConfig:
    """The fleet's config at `path`, with `overrides` (`key.path=value`, value in YAML) on top. Raises `ConfigError`."""
    return parse_fleet(read_text(path), str(path), overrides)


def parse_fleet(text: str, source: str, overrides: Sequence[str] = ()) -> FleetConfig:
    """As `load_fleet`, from text; `source` names it in errors."""
    node, data = read_yaml(text, source)
    if not isinstance(data, dict):
        raise ConfigError([f"{source}: given no mapping; one with name, targets, objective, …"])
    places = Places(source, node, {})
    for override in overrides:
        places.overrides[override_one(data, override)] = f"--set {override}"
    keys = _fleet_keys(data, places)
    common = {key: value for key, value in data.items() if key not in _Keys.model_fields}
    found = _problems_between_keys(keys, common, places)
    members = []
    for index, name in enumerate(names_of([entry.repo for entry in keys.targets])):
        try:
            members.append(_member(index, name, data["targets"][index], common, places))
        except ConfigError as error:
            found += error.problems
    if found:
        raise ConfigError(list(dict.fromkeys(found)))  # what is wrong with a common key is wrong with every member
    return FleetConfig(str(common["name"]), tuple(members), keys.turn)


def dump_fleet(fleet: FleetConfig) -> str:
    """Every key of `fleet` as YAML, defaults included; `load_fleet` of it gives an equal config."""
    common = fleet.common.model_dump(mode="json", exclude={"name", "target"})
    targets = [
        {"repo": each.config.target.repo, "share": each.share, **each.config.target.model_dump(mode="json", exclude={"repo"})}
        for each in fleet.members
    ]
    data = {"name": fleet.name, "targets": targets, "turn": fleet.turn.model_dump(mode="json"), **common}
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)


def names_of(repos: Sequence[str]) -> tuple[str, ...]:
    """A name for each target's run directory: the last part of its `repo`, then `name-2`, `name-3` for further ones."""
    names: list[str] = []
    for repo in repos:
        last = repo.rstrip("/").rpartition("/")[2]
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip("._-")[:NAME_LENGTH] or "target"
        unique, number = name, 2
        while unique in names or unique in _TAKEN:
            unique, number = f"{name}-{number}", number + 1
        names.append(unique)
    return tuple(names)


# ------------------------------------------------------------------------------------------------ the parts


def _fleet_keys(data: Mapping[str, Any], places: Places) -> _Keys:
    given = {key: data[key] for key in _Keys.model_fields if key in data and not (key == "turn" and data[key] is None)}
    try:
        return _Keys.model_validate(given)
    except ValidationError as error:
        raise ConfigError(problems(error, places, _keys_at)) from None


def _problems_between_keys(keys: _Keys, common: Mapping[str, Any], places: Places) -> list[str]:
    """What is wrong with keys that are right by themselves."""
    found = []
    target, limits = common.get("target"), common.get("limits")
    if isinstance(target, dict) and "repo" in target:
        where = places.of(("target", "repo"))[1]
        found.append(f"{where}: target.repo: given beside targets; each of targets names its own repo: remove this one")
    without = [index for index, entry in enumerate(keys.targets) if entry.share is None]
    if without and len(without) < len(keys.targets):
        where = places.of(("targets", without[0]))[1]
        found.append(f"{where}: targets[{without[0]}].share: is missing; give a share to every target, or to none")
    candidates = limits.get("candidates") if isinstance(limits, dict) else None
    if isinstance(candidates, int) and 0 < candidates < len(keys.targets):
        where = places.of(("limits", "candidates"))[1]
        allowed = f"at least {len(keys.targets)}: each target has a first turn"
        found.append(f"{where}: limits.candidates: given {candidates}; {allowed}")
    return found


def _member(index: int, name: str, entry: Mapping[str, Any], common: Mapping[str, Any], places: Places) -> Member:
    """One target as a campaign. Raises `ConfigError`."""
    own = {key: value for key, value in entry.items() if key != "share"}
    shared = common.get("target")
    target = {**(shared or {}), **own} if isinstance(shared, dict | None) else shared

    def given_at(loc: Loc) -> tuple[str | int, ...]:
        of_its_own = len(loc) > 1 and loc[0] == "target" and loc[1] in own
        return ("targets", index, *loc[1:]) if of_its_own else tuple(loc)

    try:
        config = Config.model_validate({**common, "target": target})
    except ValidationError as error:
        raise ConfigError(problems(error, places, _keys_at, given_at)) from None
    share = entry.get("share")
    # In the user's own repository champions lie side by side, as branches with these names.
    named = config.model_copy(update={"name": f"{config.name}-{name}"[:NAME_LENGTH]})
    return Member(name, 1.0 if share is None else float(share), named)


def _keys_at(loc: Loc) -> tuple[str, ...]:
    """The keys allowed under pydantic's path `loc`."""
    match tuple(loc):
        case ():
            return (*Config.model_fields, *_Keys.model_fields)
        case ("turn", *_):
            return tuple(Turn.model_fields)
        case ("target",):
            return (*campaign.Target.model_fields, "share")
        case _:
            return campaign.keys_at(loc)
