"""The gates that cost no trial: scope, syntax and duplicate. Pure functions of text: no git, no files, no clock.

Each gate returns a `Refusal` with a reason that a person reads, or None. The `edit` gate's refusals come from
`edits.EditError` and `proposers.base.ProposalError`; they share the type.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from orchestrator.edits import Edit
from orchestrator.syntax import Changes, is_no_op, syntax_fingerprint, syntax_problem

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

__all__ = [
    "Refusal",
    "Scope",
    "check_duplicate",
    "check_scope",
    "check_syntax",
    "is_no_op",
    "path_problem",
    "syntax_fingerprint",
]

# fmt: off
# New files of these names change how sealed code runs or how git reads the tree.
_MEDDLING_NAMES = frozenset({
    "sitecustomize.py", "usercustomize.py", "conftest.py", ".gitattributes", ".gitmodules", ".gitignore",
    "pyvenv.cfg", "pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg", "setup.py", "pyproject.toml"
})
_MEDDLING_SUFFIXES = (".pth", ".pyc", ".so", ".pyd")
# What subjects and benchmarks import; a file of that name would be found first.
_LIBRARIES = frozenset({
    "torch", "torchvision", "torchaudio", "triton", "numpy", "scipy", "pynvml", "tokenizers", "pyarrow", "pandas",
    "msgspec", "pydantic", "ray", "jax", "jaxlib", "transformers", "datasets", "tiktoken", "einops", "flash_attn",
    "xformers", "bitsandbytes", "cupy", "numba", "sklearn", "matplotlib", "requests", "yaml", "tqdm", "psutil",
    "pytest", "orchestrator", "workers"
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Refusal:
    """A gate said no, and why."""

    gate: Literal["edit", "scope", "syntax", "duplicate"]
    reason: str


@dataclass(frozen=True)
class Scope:
    """Which paths a candidate may touch: those that the globs match, sealed files excepted."""

    editable_globs: tuple[str, ...]
    sealed_names: frozenset[str]  # paths of the base's sealed files

    @cached_property
    def _spec(self) -> GitIgnoreSpec:
        from pathspec import GitIgnoreSpec  # late: a head that only reads has no use for it

        return GitIgnoreSpec.from_lines(self.editable_globs)

    @cached_property
    def sealed_modules(self) -> frozenset[str]:
        """Names under which sealed Python files, or the folders that hold them, can be imported."""
        names: set[str] = set()
        for name in self.sealed_names:
            path = PurePosixPath(name)
            if path.suffix == ".py":
                names.update(path.parent.parts if path.stem == "__init__" else (path.stem, *path.parent.parts[:1]))
        return frozenset(names)

    def matches(self, path: str) -> bool:
        """True when `path` may be changed, added or deleted."""
        return path not in self.sealed_names and self._spec.match_file(path)


def path_problem(path: str) -> str | None:
    """Why `path` cannot be a file of the target; None when it can."""
    if not path:
        return "the path is empty"
    shown = repr(path if len(path) <= 100 else path[:99] + "…")
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return f"{shown}: the path cannot be written as UTF-8"
    parts = path.split("/")
    if size > 4096 or any(len(part.encode()) > 255 for part in parts):
        return f"{shown}: the path is too long"
    if any(unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") for char in path):
        return f"{shown}: the path has control characters"
    if "\\" in path:
        return f"{shown}: write the path with '/'"
    if path.startswith("/"):
        return f"{shown}: the path must be relative to the target"
    if ".." in parts:
        return f"{shown}: the path leads out of the target"
    if any(part in ("", ".") for part in parts):
        return f"{shown}: write the path without '.', '//' or a trailing '/'"
    if any(part.lower() == ".git" for part in parts):
        return f"{shown}: git's own files are out of scope"
    return None


def check_scope(edits: Sequence[Edit], scope: Scope, existing: Collection[str]) -> Refusal | None:
    """Refuse edits outside of `scope` and new files that would shadow others; `existing`: every path on the base."""
    before = frozenset(existing)
    files = set(before)
    for edit in edits:
        reason = path_problem(edit.path)
        if reason is None and not scope.matches(edit.path):
            reason = f"{edit.path}: out of scope; editable: {', '.join(scope.editable_globs)}"
        if reason is None and edit.path not in before:
            reason = _shadow_problem(edit.path, scope, before)
        if reason is None and edit.content is not None:
            reason = _folder_problem(edit.path, files)
        if reason is not None:
            return Refusal("scope", reason)
        if edit.delete:
            files.discard(edit.path)
        elif edit.content is not None:
            files.add(edit.path)
    return None


def _folder_problem(path: str, files: Collection[str]) -> str | None:
    """A path cannot be a file and a folder."""
    for parent in PurePosixPath(path).parents:
        if str(parent) in files:
            return f"{path}: {parent} is a file, not a folder"
    if any(name.startswith(path + "/") for name in files):
        return f"{path}: is a folder"
    return None


def _shadow_problem(path: str, scope: Scope, existing: frozenset[str]) -> str | None:
    """Why a new file at `path` would be found in place of something that is not its own."""
    name = PurePosixPath(path).name
    if name.lower() in _MEDDLING_NAMES or name.lower().endswith(_MEDDLING_SUFFIXES):
        return f"{path}: a new {name} would change how sealed files are read or run"
    for folder, module in _new_modules(path, existing):
        beside = f"{folder}/{module}.py" if folder else f"{module}.py"
        importable = _imports_start_at(folder, existing)
        if beside in scope.sealed_names or (module in scope.sealed_modules and importable):
            return f"{path}: a new module {module!r} would shadow the sealed one"
        if importable and (module in sys.stdlib_module_names or module in _LIBRARIES):
            return f"{path}: a new module {module!r} would shadow the library of that name"
    return None


def _new_modules(path: str, existing: frozenset[str]) -> list[tuple[str, str]]:
    """(folder, module) for everything that becomes importable with `path`: itself, and each folder that is new."""
    parts = path.split("/")
    modules = []
    for depth, part in enumerate(parts):
        here = "/".join(parts[: depth + 1])
        is_file = depth == len(parts) - 1
        becomes_package = is_file or parts[depth + 1 :] == ["__init__.py"]
        known_folder = any(other.startswith(here + "/") for other in existing)
        if (is_file and part.endswith(".py") and part != "__init__.py") or (
            not is_file and (becomes_package or not known_folder)
        ):
            modules.append(("/".join(parts[:depth]), part.removesuffix(".py")))
    return modules


def _imports_start_at(folder: str, existing: frozenset[str]) -> bool:
    """True for the top, and for a folder of scripts: Python files and no `__init__.py`."""
    if not folder:
        return True
    inside = [name for name in existing if str(PurePosixPath(name).parent) == folder]
    return f"{folder}/__init__.py" not in existing and any(name.endswith(".py") for name in inside)


def check_syntax(path: str, text: str) -> Refusal | None:
    """Refuse text that is not UTF-8, and Python that does not compile. Any other file passes."""
    problem = syntax_problem(path, text)
    return None if problem is None else Refusal("syntax", problem)


def check_duplicate(changes: Changes, seen: Mapping[str, str]) -> Refusal | None:
    """Refuse what changes nothing, and what `seen` (fingerprint to candidate, on the same base) already holds."""
    if is_no_op(changes):
        return Refusal("duplicate", "changes nothing but comments or formatting")
    earlier = seen.get(syntax_fingerprint(changes))
    return None if earlier is None else Refusal("duplicate", f"comes to the same program as {earlier}")
