"""A worktree of its own for one run of a program: made from a commit of the campaign's repository, looked at, removed.

`FOLDER/worktree` holds the commit's files and a git repository of its own that only borrows the campaign's objects: whatever
the program does with git (commits, branches, a reset, hooks, no repository at all) stays there. No hook and no filter runs.
What changed is read from the files as they lie there, by git on the campaign's side and an index that the program never saw;
what the target ignores is not looked at. Whoever kills the head leaves a worktree behind, which `sweep` removes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from orchestrator.proposers.program.assignment import FOLDER
from workers.git import GitError, git

MOST_FILE_BYTES = 2_000_000  # of a file that becomes part of a candidate, and of all of them
DESCRIPTION_BYTES = 64_000
MOST_CHANGES = 200  # in scope; more than that is no edit but an accident
_WORKTREE = "worktree"
_MODES = {"120000": "a symbolic link", "160000": "a submodule"}
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "user.name": "Regatta",  # commits of the program's are thrown away: they must not fail for want of a name, or ask for a key
    "user.email": "regatta@localhost",
    "commit.gpgSign": "false",
    "gc.auto": "0",
}


class WorkplaceError(Exception):
    """The program has left no worktree that can be looked at."""


@dataclass(frozen=True, slots=True)
class Change:
    """One path that is not as it was."""

    path: str
    added: bool = False
    deleted: bool = False
    unfit: str | None = None  # what lies there instead of a plain file


class Workplace:
    """Use as a context manager: leaving it removes the worktree."""

    def __init__(self, repository: Path, folder: Path, commit: str) -> None:
        self.folder, self.worktree = folder, (folder / _WORKTREE).absolute()
        self._repository, self._commit = repository.absolute(), commit
        self._index = (folder / "index").absolute()

    def __enter__(self) -> Workplace:
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._remove()

    def _make(self) -> None:
        self.worktree.mkdir(parents=True)
        own = self.worktree / ".git"
        self._own("init", "--quiet", "--template=", "--initial-branch=proposal")
        (own / "objects/info").mkdir(exist_ok=True)
        (own / "objects/info/alternates").write_text(f"{self._repository / 'objects'}\n", encoding="utf-8")
        for key, value in _SETTINGS.items():
            self._own("config", key, value)
        (own / "info").mkdir(exist_ok=True)
        (own / "info/exclude").write_text(f"/{FOLDER}/\n", encoding="utf-8")
        (own / "info/attributes").write_text("* -text -ident -filter -working-tree-encoding\n", encoding="utf-8")
        for ref in ("refs/heads/proposal", "refs/tags/champion"):
            self._own("update-ref", ref, self._commit)
        self._own("reset", "--hard", "--quiet", self._commit)
        shutil.copy2(own / "index", self._index)

    def tell(self, files: dict[str, str]) -> None:
        """Lay down what the program is to read."""
        told = self.worktree / FOLDER
        if told.is_symlink() or told.is_file():
            told.unlink()  # the target's own; it is not part of what is measured
        told.mkdir(exist_ok=True)
        for name, text in files.items():
            (told / name).unlink(missing_ok=True)
            (told / name).write_text(text, encoding="utf-8", errors="replace")

    # -- what became of it

    def changes(self) -> list[Change]:
        """What differs from the commit, sorted; neither what is ignored nor `.regatta/`. Raises `WorkplaceError`."""
        if not self.worktree.is_dir() or self.worktree.is_symlink():
            raise WorkplaceError("it removed its worktree")
        try:
            self._looking("update-index", "-q", "--refresh", may_fail=True)
            raw = self._looking("diff-files", "--raw", "-z", "--no-renames", "--ignore-submodules=all")
            new = self._looking("ls-files", "--others", "--exclude-standard", "-z")
        except GitError as error:
            raise WorkplaceError(f"git cannot look at its worktree: {error}") from error
        found = [*_changed(raw.split("\0")), *(_added(path) for path in new.split("\0") if path)]
        return sorted((each for each in found if each.path.split("/")[0] != FOLDER), key=lambda each: each.path)

    def existing(self) -> tuple[str, ...]:
        """Every path of the commit."""
        listing = git(self._repository, "ls-tree", "-r", "-z", "--name-only", self._commit)
        return tuple(path for path in _text(listing).split("\0") if path)

    def before(self, path: str) -> str | None:
        """The text of the commit's file; None where there is none. Bytes that are not UTF-8 become surrogates."""
        try:
            return _text(git(self._repository, "cat-file", "blob", f"{self._commit}:{path}"))
        except GitError:
            return None

    def after(self, path: str) -> str:
        """The text that lies at `path` now. Raises `WorkplaceError` where that is no plain text."""
        content = read_plain_file(self.worktree / path, MOST_FILE_BYTES)
        if isinstance(content, str):
            raise WorkplaceError(f"{path}: {content}")
        try:
            if b"\0" not in content:
                return content.decode()
        except UnicodeDecodeError:
            pass
        raise WorkplaceError(f"{path}: is a binary file; a proposal changes text, in UTF-8")

    def subject(self) -> str | None:
        """The subject of the last commit that the program made itself; None where it made none."""
        with contextlib.suppress(GitError, OSError):
            said = self._own("log", "-1", "--format=%s", f"{self._commit}..HEAD").decode("utf-8", "replace").strip()
            return said or None
        return None

    # -- git

    def _own(self, *arguments: str) -> bytes:
        """In the worktree's own repository, which the program may have changed as it likes."""
        return git(self.worktree / ".git", *arguments, extra={"GIT_WORK_TREE": str(self.worktree)})

    def _looking(self, *arguments: str, may_fail: bool = False) -> str:
        """From the campaign's side: nothing that the program wrote tells git how to look."""
        extra = {"GIT_WORK_TREE": str(self.worktree), "GIT_INDEX_FILE": str(self._index)}
        try:
            return _text(git(self._repository, "-C", str(self.worktree), *arguments, extra=extra))
        except GitError:
            if may_fail:
                return ""
            raise

    def _remove(self) -> None:
        remove(self.worktree)
        self._index.unlink(missing_ok=True)


def _changed(rows: list[str]) -> Iterator[Change]:
    for about, path in zip(rows[::2], rows[1::2], strict=False):
        old_mode, new_mode, *_, status = about.lstrip(":").split()
        if status == "D":
            yield Change(path, deleted=True)
        else:
            unfit = next((_MODES[mode] for mode in (new_mode, old_mode) if mode in _MODES), None)
            yield Change(path, unfit=unfit)


def _added(path: str) -> Change:
    return Change(path.rstrip("/"), added=True, unfit="a git repository of its own" if path.endswith("/") else None)


def read_plain_file(path: Path, most_bytes: int) -> bytes | str:
    """What a program wrote; a text instead says why it is not read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return "is a symbolic link" if path.is_symlink() else f"cannot be read ({error.strerror})"
    with os.fdopen(descriptor, "rb") as file:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            return "is no plain file"
        if seen.st_size > most_bytes:
            return f"has {seen.st_size:,} bytes; at most {most_bytes:,}"
        return file.read(most_bytes)


def remove(folder: Path) -> None:
    """Remove a folder, also one whose parts were made read-only. What cannot be removed now is swept with the next start."""

    def ignore(_function: object, path: str, _error: object) -> None:
        with contextlib.suppress(OSError):
            Path(path).parent.chmod(0o700)
            Path(path).chmod(0o700)

    if folder.is_symlink():
        folder.unlink()
    for _ in range(3):  # with what was made writable in the round before
        if not folder.exists():
            return
        shutil.rmtree(folder, onerror=ignore)


def sweep(folder: Path) -> int:
    """Remove the worktrees that a killed head left in the folders below `folder`; how many."""
    left = list(folder.glob(f"*/{_WORKTREE}"))
    for worktree in left:
        remove(worktree)
    for index in folder.glob("*/index"):
        index.unlink(missing_ok=True)
    return len(left)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
