"""A campaign file as text: YAML with the lines of its keys, overrides on top, and what to say about each thing that is wrong.

Scalars follow YAML 1.2: `1e-3` is a number, `1:30` and `yes` are text. Knows nothing of which keys there are (config.py does).
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

KeysAt = Callable[[Sequence[str | int]], tuple[str, ...]]
Moved = Callable[[Sequence[str | int]], tuple[str | int, ...]]


class ConfigError(ValueError):
    """A config that cannot be used. `problems` holds every one; the message shows them, a line each."""

    SHOWN = 10

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        shown = [*self.problems[: self.SHOWN]]
        if len(self.problems) > self.SHOWN:
            shown.append(f"… and {len(self.problems) - self.SHOWN} more")
        super().__init__("\n".join(shown))


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


class Dumper(yaml.SafeDumper):
    """Quotes whatever either version of YAML would not read as text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


for _tag, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(_tag, _pattern, _first)
    Dumper.add_implicit_resolver(_tag, _pattern, _first)


def read_text(path: str | Path) -> str:
    """The text of a file that a person wrote. Raises `ConfigError`."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except IsADirectoryError:
        raise ConfigError([f"{path}: is a folder; give a YAML file"]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{line}: not UTF-8 text (byte {error.start}: {error.reason})"]) from None
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"]) from None


def read_yaml(text: str, source: str) -> tuple[yaml.Node | None, Any]:
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


def override_one(data: dict[Any, Any], override: str) -> tuple[str, ...]:
    """Put one `key.path=value` into `data`; its path."""
    label = f"--set {override}"
    path, equals, text = override.partition("=")
    keys = tuple(path.strip().split("."))
    if not equals or not all(keys):
        raise ConfigError([f"{label}: give key.path=value, for instance --set limits.trials=100"])
    _, value = read_yaml(text, label)
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
            raise ConfigError([f"{label}: {'.'.join(keys[:depth])} has no keys under it; it is {shown(here)}"])
    return keys


# ------------------------------------------------------------------------------------------------ what to say


class Places:
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


def shown(value: object) -> str:
    if value is None:
        return "nothing"
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    return short.repr(value)


def _without_tag(loc: Sequence[str | int]) -> tuple[str | int, ...]:
    """pydantic puts the kind of a proposer into the path of its keys; the file has no such level."""
    return (*loc[:2], *loc[3:]) if len(loc) > 2 and loc[0] == "proposers" else tuple(loc)


def problems(error: ValidationError, places: Places, keys_at: KeysAt, given_at: Moved = tuple) -> list[str]:
    """One line about each of pydantic's errors, in the order of the file, what came by `--set` last.

    `given_at` says where in the file a key of the checked data was given, where that is elsewhere.
    """
    found = [_problem(each, places, keys_at, given_at) for each in error.errors(include_url=False)]
    return [f"{place}: {said}" for _, place, said in sorted(found, key=lambda problem: problem[0])]


def _problem(error: ErrorDetails, places: Places, keys_at: KeysAt, given_at: Moved) -> tuple[float, str, str]:
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
        said = f"unknown key{_suggestion(str(loc[-1]), keys_at(error['loc'][:-1]))}"
    elif kind == "string_pattern_mismatch":
        said = f"given {shown(given)}; {_TEXTS.get(context['pattern'], 'text that matches ' + context['pattern'])}"
    else:
        said = f"given {shown(given)}; {error['msg'][:1].lower()}{error['msg'][1:]}"
    loc = given_at(loc)
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    line, place = places.of(loc)
    return line, place, f"{key or 'the file'}: {said}"


def _allowed(what: str) -> Callable[[object, Mapping[str, Any]], str]:
    """A saying `given …; <what>`, with pydantic's own bounds filled in."""
    return lambda given, context: f"given {shown(given)}; {what.format(**context)}"


_SAYINGS: dict[str, Callable[[object, Mapping[str, Any]], str]] = {
    "refused": lambda _, context: str(context["message"]),
    "value_error": lambda _, context: str(context["error"]),
    "missing": lambda _, __: "is missing; it is required",
    "union_tag_not_found": lambda _, __: "is missing; replay, knobs, llm or program",
    "union_tag_invalid": lambda _, context: f"given '{context['tag']}'; replay, knobs, llm or program",
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


def _suggestion(key: str, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, allowed, n=1, cutoff=0.6)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"; {meant}allowed here: {', '.join(allowed)}"
