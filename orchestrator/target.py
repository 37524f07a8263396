"""The target as the user names it: a git repository, a committed folder in one, or a subject that ships with Regatta.

Only looks; what is found is imported into the campaign's own repository by repository.py. Every refusal is a `TargetError`
that says what was given, what is allowed and what to type.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from importlib.resources import files
from pathlib import Path

import git

from orchestrator.scope import LIBRARIES, Scope


class TargetError(Exception):
    """The target cannot be used; nothing was started."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the base commit comes from."""

    given: str
    repository: Path | None  # the user's repository; None for a subject that ships with Regatta
    folder: str  # inside the repository, "" for all of it
    path: Path  # the files themselves
    head: str | None  # commit, 40 hex

    @property
    def whole(self) -> bool:
        """True when the campaign continues the user's own history."""
        return self.repository is not None and not self.folder


@dataclass(frozen=True, slots=True)
class Scoping:
    """What of a base commit may be edited."""

    runner: str
    scope: Scope
    editable: tuple[str, ...]
    sealed: tuple[str, ...]


# Those that make git look at another repository than the one that it is in.
_LEADING_ELSEWHERE = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_NAMESPACE"}
)
SEALED_BY_RUNNER = {"train": ("prepare.py",), "kernel": ("reference.py", "cases.py"), "command": ()}
FILES_BY_RUNNER = {"train": ("prepare.py", "train.py"), "kernel": ("kernel.py", "reference.py", "cases.py")}


def shipped_subjects() -> dict[str, Path]:
    """Subjects that come with this installation, by name."""
    package = Path(str(files("orchestrator")))
    roots = (package / "shipped", package.parent)  # an installed wheel, a checkout
    found: dict[str, Path] = {}
    for root in roots:
        if (root / "nanotrain" / "prepare.py").is_file():
            found.setdefault("nanotrain", root / "nanotrain")
        for cases in sorted(root.glob("kernels/*/cases.py")):
            found.setdefault(f"kernels/{cases.parent.name}", cases.parent)
    return found


_NOBODYS = frozenset({"docs", "example", "examples", "benchmarks", "scripts", "src", "tests", "tools"})


@cache
def installed_modules() -> frozenset[str]:
    """Top-level modules of the packages that are installed here, as they are where workers run."""
    return frozenset(packages_distributions()) - _NOBODYS


def resolve_target(given: str, working_dir: Path, *, must_be_clean: bool = True) -> Target:
    """Find the target that `target.repo` names. Raises `TargetError`."""
    path = working_dir / (Path.home() / given[2:] if given.startswith("~/") else given)
    if not path.exists():
        subject = shipped_subjects().get(given.rstrip("/"))
        if subject is None:
            known = ", ".join(shipped_subjects())
            raise TargetError(
                f"target.repo: {given}: there is no such folder in {working_dir}; allowed: a git repository, a committed "
                f"folder in one, or a subject that ships with Regatta ({known})"
            )
        return _resolve(given, subject, True, must_be_clean)
    if not path.is_dir():
        raise TargetError(f"target.repo: {given}: is a file; give the folder that holds it")
    return _resolve(given, path.resolve(), False, must_be_clean)


def _resolve(given: str, path: Path, shipped: bool, must_be_clean: bool) -> Target:
    try:
        with without_git_variables():
            return _resolve_folder(given, path, shipped, must_be_clean)
    except git.CommandError as error:  # e.g. a repository of another user, which git declines to read; or there is no git
        said = error.stderr.strip().removeprefix("stderr: ").strip("'") or " ".join(str(error).split())
        raise TargetError(f"target.repo: {given}: git cannot read it: {said}") from error


@contextlib.contextmanager
def without_git_variables() -> Iterator[None]:
    """Inside a hook or `git rebase --exec`, variables such as GIT_DIR would lead to that repository."""
    saved = {name: os.environ.pop(name) for name in list(os.environ) if name in _LEADING_ELSEWHERE}
    try:
        yield
    finally:
        os.environ.update(saved)


def _resolve_folder(given: str, path: Path, shipped: bool, must_be_clean: bool) -> Target:
    try:
        repo = git.Repo(path, search_parent_directories=True)
        top = Path(repo.working_tree_dir or repo.git_dir).resolve()
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        if shipped:
            return Target(given, None, "", path, None)
        raise TargetError(
            f"target.repo: {given}: is not under git; type: "
            f"git -C {path} init && git -C {path} add -A && git -C {path} commit -m base"
        ) from None
    with repo:
        repo.git.set_persistent_git_options(c=_harmless(repo))
        folder = "" if repo.bare else path.resolve().relative_to(top).as_posix()
        folder = "" if folder == "." else folder
        repo.git.rev_parse("--git-dir")  # fails where git declines to read what GitPython would take for an empty repository
        if shipped and not (repo.head.is_valid() and _is_committed(repo.head.commit.tree, folder)):
            return Target(given, None, "", path, None)  # installed somewhere below a repository of another project
        if not repo.head.is_valid():
            raise TargetError(f"target.repo: {given}: has no commit yet; type: git -C {path} add -A && git -C {path} commit")
        head = repo.head.commit
        if not folder and Path(repo.common_dir, "shallow").is_file():
            raise TargetError(f"target.repo: {given}: is a shallow clone; type: git -C {path} fetch --unshallow")
        if folder and not _is_committed(head.tree, folder):
            raise TargetError(
                f"target.repo: {given}: the folder is not committed in {top}; type: git add {given} && git commit -m base"
            )
        if must_be_clean and not repo.bare:
            look = ("--porcelain", "--untracked-files=normal", "--ignore-submodules=dirty", "--", str(path))
            dirty = repo.git.status(*look).splitlines()
            if dirty:
                shown = ", ".join(line[3:] for line in dirty[:5]) + (", …" if len(dirty) > 5 else "")
                raise TargetError(f"target.repo: {given}: has changes that are not committed ({shown}); commit or stash them")
        return Target(given, top, folder, path, head.hexsha)


def _harmless(repo: git.Repo) -> list[str]:
    """Settings with which git looks at the user's repository and runs none of its programs: no hook, monitor or filter.

    What is to be ignored and whom to trust stay as the user says.
    """
    asked = repo.git.config("--null", "--name-only", "--get-regexp", r"^filter\..*", with_exceptions=False)
    drivers = {key.rpartition(".")[0] for key in asked.split("\0") if key}
    off = [f"{driver}.{what}=" for driver in sorted(drivers) for what in ("clean", "smudge", "process")]
    required = [f"{driver}.required=false" for driver in sorted(drivers)]
    return ["core.fsmonitor=false", f"core.hooksPath={os.devnull}", "core.pager=", *off, *required]


def _is_committed(tree: git.Tree, folder: str) -> bool:
    try:
        return (tree / folder).type == "tree"
    except KeyError:
        return False


_EDITED = {"train": "train.py", "kernel": "kernel.py", "command": "solve.py"}


def _by_files(files: tuple[str, ...]) -> str | None:
    """The runner that a target without a command is made for."""
    return "train" if "prepare.py" in files else "kernel" if {"cases.py", "reference.py"} <= set(files) else None


def scope_of(files_at_base: tuple[str, ...], editable: tuple[str, ...], runner: str | None, has_command: bool) -> Scoping:
    """Decide the runner, and what may be edited at the base commit. Raises `TargetError`."""
    chosen = runner or ("command" if has_command else _by_files(files_at_base))
    if chosen is None:
        raise TargetError(
            "target.runner: the target has no prepare.py (as a training has) and no cases.py (as a kernel has), so it is "
            "measured by a command: give target.command"
        )
    missing = [name for name in FILES_BY_RUNNER.get(chosen, ()) if name not in files_at_base]
    if missing:
        raise TargetError(f"target.runner: {chosen} needs {' and '.join(missing)} in the target; or give target.command")
    sealed_names = SEALED_BY_RUNNER[chosen]
    for glob in editable:
        single = Scope((glob,), frozenset())
        if glob.startswith("!"):
            continue
        matched = [path for path in files_at_base if single.matches(path)]
        if not matched:
            shown = ", ".join(files_at_base[:12]) + (", …" if len(files_at_base) > 12 else "")
            raise TargetError(f"target.editable: {glob!r} matches no file of the target; it has: {shown}")
    whole = Scope(editable, frozenset())
    caught = [name for name in sealed_names if name in files_at_base and whole.matches(name)]
    if caught:
        raise TargetError(
            f"target.editable: {', '.join(editable)} includes {caught[0]}, which the {chosen} runner seals: "
            f"it holds what a score is made of; name the files to be edited, such as {_EDITED[chosen]}"
        )
    sealed = tuple(path for path in files_at_base if not whole.matches(path))
    matching = tuple(path for path in files_at_base if whole.matches(path))
    if not matching:
        raise TargetError(
            f"target.editable: {', '.join(editable)} leave no file to edit; name the files, such as {_EDITED[chosen]}"
        )
    return Scoping(chosen, Scope(editable, frozenset(sealed), LIBRARIES | installed_modules()), matching, sealed)
