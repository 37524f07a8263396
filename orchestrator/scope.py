"""Which paths a candidate may touch, and which no candidate may: pure functions of names, the same on every file system.

A name is judged as the most lenient file system would read it: without regard to case, to compatibility forms of letters, or to
what Windows and macOS drop from a name.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

# fmt: off
# What subjects and benchmarks import, wherever they run; a file of that name would be found first.
LIBRARIES = frozenset({
    "torch", "torchvision", "torchaudio", "triton", "numpy", "scipy", "pynvml", "tokenizers", "pyarrow", "pandas",
    "msgspec", "pydantic", "ray", "jax", "jaxlib", "transformers", "datasets", "tiktoken", "einops", "flash_attn",
    "xformers", "bitsandbytes", "cupy", "numba", "sklearn", "matplotlib", "requests", "yaml", "tqdm", "psutil",
    "pytest", "orchestrator", "workers"
})
# fmt: on
# git's folder, the files that steer it, and the short names that Windows gives to these
_GITS_OWN = re.compile(r"\.git(attributes|modules)?|git~\d+|git(mod|att)~\d+|gi[0-9a-f]{4}~\d+")
_UNSEEN = ("Cc", "Cf", "Zl", "Zp")  # control characters, and those that file systems or readers pass over


@dataclass(frozen=True)
class Scope:
    """Which paths a candidate may touch: those that the globs match, sealed files excepted."""

    editable_globs: tuple[str, ...]
    sealed_names: frozenset[str]  # paths of the base's sealed files
    libraries: frozenset[str] = LIBRARIES  # importable where trials run; Python's own are known besides

    @cached_property
    def _spec(self) -> GitIgnoreSpec:
        from pathspec import GitIgnoreSpec  # late: a head that only reads has no use for it

        return GitIgnoreSpec.from_lines(self.editable_globs)

    @cached_property
    def sealed_modules(self) -> frozenset[str]:
        """Names, folded, under which sealed Python files, or the folders that hold them, can be imported."""
        names: set[str] = set()
        for name in self.sealed_names:
            path = PurePosixPath(name)
            if path.suffix == ".py":
                names.update(path.parent.parts if path.stem == "__init__" else (path.stem, *path.parent.parts[:1]))
        return frozenset(map(folded, names))

    @cached_property
    def sealed_paths(self) -> frozenset[str]:
        """The sealed files, folded."""
        return frozenset(map(folded, self.sealed_names))

    @cached_property
    def known_libraries(self) -> frozenset[str]:
        return frozenset(map(folded, self.libraries))

    def matches(self, path: str) -> bool:
        """True when `path` may be changed, added or deleted."""
        return path not in self.sealed_names and self._spec.match_file(path)


def folded(name: str) -> str:
    """The name as a file system sees it that knows no case and takes letters of one look for one letter."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def path_problem(path: str) -> str | None:
    """Why `path` cannot be a file of the target; None when it can."""
    if not path:
        return "the path is empty"
    shown = _shown(path)
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return f"{shown}: the path cannot be written as UTF-8"
    parts = path.split("/")
    if size > 4096 or any(len(part.encode()) > 255 for part in parts):
        return f"{shown}: the path is too long"
    if any(unicodedata.category(char) in _UNSEEN for char in path):
        return f"{shown}: the path has control characters"
    if "\\" in path:
        return f"{shown}: write the path with '/'"
    if path.startswith("/"):
        return f"{shown}: the path must be relative to the target"
    if ".." in parts:
        return f"{shown}: the path leads out of the target"
    if any(part in ("", ".") for part in parts):
        return f"{shown}: write the path without '.', '//' or a trailing '/'"
    if any(_GITS_OWN.fullmatch(folded(part).split(":")[0].rstrip(". ")) for part in parts):
        return f"{shown}: git's own files are out of scope"
    return None


def new_name_problem(path: str) -> str | None:
    """Why a file that is not there yet must not get this name: not every system and tool would take it for what it says."""
    for part in path.split("/"):
        if part.startswith("-"):
            return f"{_shown(path)}: a command would take {part!r} for an option"
        if part.startswith("."):
            return f"{_shown(path)}: a new {part} would change how sealed files are read or run: such names are the tools' own"
        if part != part.strip() or part.endswith(".") or ":" in part:
            return f"{_shown(path)}: write the path without ':', outer spaces and final dots"
    return None


def _shown(path: str) -> str:
    return repr(path if len(path) <= 100 else path[:99] + "…")
