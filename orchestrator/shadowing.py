"""New files that would be found in place of what is not a candidate's own: a sealed file, a library, a tool's settings.

Pure: what is importable where trials run is part of the `Scope`.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import PurePosixPath

from orchestrator.scope import Scope, folded

# fmt: off
# New files of these names change how sealed code runs. Names that begin with a dot are refused as such.
_MEDDLING_NAMES = frozenset({
    "sitecustomize.py", "usercustomize.py", "conftest.py", "pyvenv.cfg",
    "pytest.ini", "tox.ini", "setup.cfg", "setup.py", "pyproject.toml", "pytest.toml", "noxfile.py", "uv.toml",
    "makefile", "gnumakefile", "bsdmakefile", "justfile", "package.json", "build.rs", "go.work", "rust-toolchain",
    "rust-toolchain.toml", "cmakeuserpresets.json", "entry_points.txt"
})
# Compiled, archived or linked code that Python, or the loader, finds before or beside a source.
_MEDDLING_SUFFIXES = (".pth", "._pth", ".pyc", ".pyo", ".so", ".pyd", ".dll", ".dylib", ".egg", ".egg-link", ".pyz", ".whl")
_MEDDLING_FOLDERS = (".dist-info", ".egg-info", ".data-info")  # their entry points are loaded as plugins
# fmt: on


def shadow_problem(path: str, scope: Scope, existing: Collection[str]) -> str | None:
    """Why a new file at `path` would be found in place of something that is not its own; `existing`: every path on the base."""
    *folders, name = map(folded, path.split("/"))
    if name in _MEDDLING_NAMES or name.endswith(_MEDDLING_SUFFIXES):
        return f"{path}: a new {name} would change how sealed files are read or run"
    if any(folder == "__pycache__" or folder.endswith(_MEDDLING_FOLDERS) for folder in folders):
        return f"{path}: would change how sealed files are read or run: its folder is Python's own"
    for folder, module in _new_modules(path, existing):
        beside = folded(f"{folder}/{module}.py" if folder else f"{module}.py")
        importable = _imports_start_at(folder, existing)
        if beside in scope.sealed_paths or (folded(module) in scope.sealed_modules and importable):
            return f"{path}: a new module {module!r} would shadow the sealed one"
        if importable and (folded(module) in sys.stdlib_module_names or folded(module) in scope.known_libraries):
            return f"{path}: a new module {module!r} would shadow the library of that name"
    return None


def _new_modules(path: str, existing: Collection[str]) -> list[tuple[str, str]]:
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


def _imports_start_at(folder: str, existing: Collection[str]) -> bool:
    """True for the top, and for every folder that is there and no package: scripts in it, or a search path, may begin there."""
    if not folder:
        return True
    there = any(name.startswith(f"{folder}/") for name in existing)
    return there and f"{folder}/__init__.py" not in existing


def clash(path: str, files: Collection[str]) -> str | None:
    """Why `path` cannot stand beside `files`: a file is no folder, and two names that differ in case alone are one on some
    systems."""
    for parent in PurePosixPath(path).parents:
        if str(parent) in files:
            return f"{path}: {parent} is a file, not a folder"
    if any(name.startswith(path + "/") for name in files):
        return f"{path}: is a folder"
    there = {prefix for name in files for prefix in _prefixes(name)}
    taken = {folded(prefix): prefix for prefix in there}
    for prefix in _prefixes(path):
        if prefix not in there and folded(prefix) in taken:
            return f"{path}: differs from {taken[folded(prefix)]} in its letters' case or form alone"
    return None


def _prefixes(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
