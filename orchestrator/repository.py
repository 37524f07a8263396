"""The campaign's own git repository: everything git that the head does, through GitPython.

Bare; `champion` is its HEAD, each candidate is a branch `candidate/<id>` (the losers too), stacks in finals are under
`refs/regatta/stacks/`. The head writes objects and refs, never a working tree: worktrees belong to the workers, which get
commits as bundles. Hooks, filters and the user's git configuration are off. Objects are on the disk before the journal speaks
of them and refs are written after, so `reconcile` can make the refs agree with the journal after a crash, or a power cut, at
any instant.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import git
from git.objects.fun import tree_entries_from_data
from gitdb import IStream

from orchestrator.durable import sync
from orchestrator.target import Target, without_git_variables

IDENTITY = git.Actor("Regatta", "regatta@localhost")
CHAMPION = "refs/heads/champion"
BASE = "refs/regatta/base"
_ISOLATED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
}
_SETTINGS = (
    *(f"core.{name}={os.devnull}" for name in ("hooksPath", "attributesFile", "excludesFile")),
    *("core.fsmonitor=false", "core.protectHFS=true", "core.protectNTFS=true"),
    "core.fsync=all",
    *("gc.auto=0", "protocol.allow=never", "protocol.file.allow=always"),
)
_FOLDER = 0o040000  # mode of a tree in a tree
_NO_TEXT = {"120000": "a symbolic link", "160000": "a submodule"}  # by mode in a tree
_EMPTY_TREE = bytes.fromhex("4b825dc642cb6eb9a060e54bf8d69288fbee4904")
# The user's word that a repository of another owner is safe lies in the settings that are off; to have named it is enough.
_UPLOAD = "--upload-pack=git -c safe.directory=* upload-pack"
_QUIET = tuple(argument for setting in _SETTINGS for argument in ("-c", setting))


class RepositoryError(Exception):
    """Git failed, or the campaign's repository is not what the journal says."""


def candidate_ref(candidate: str) -> str:
    return f"refs/heads/candidate/{candidate}"


def stack_ref(stack: str) -> str:
    return f"refs/regatta/stacks/{stack}"


class CampaignRepository:
    """`RUN/repo`. Paths are relative to the target's root; texts are UTF-8."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with without_git_variables():
            self._repo = git.Repo(path)
        self._repo.git.update_environment(**_ISOLATED, **_here(path.absolute()))
        self._repo.git.set_persistent_git_options(c=list(_SETTINGS))
        self._bundle_of = lru_cache(maxsize=256)(self._bundle)
        self._files_of = lru_cache(maxsize=16)(self._files)
        self._unsynced: list[Path] = []  # loose objects
        self._changed_between = lru_cache(maxsize=16)(self._changed)

    # -- making

    @classmethod
    def create(cls, path: Path, target: Target) -> tuple[CampaignRepository, str]:
        """A repository at `path` with the target's base commit as `champion`. Returns it and the base commit."""
        _git(path.parent, "init", "--quiet", "--bare", "--initial-branch=champion", str(path))
        if target.whole:
            assert target.repository is not None
            assert target.head is not None
            _git(path, "fetch", "--quiet", "--no-tags", _UPLOAD, str(target.repository), target.head)
            base = target.head
        elif target.repository is not None:
            assert target.head is not None
            _git(path, "fetch", "--quiet", "--no-tags", _UPLOAD, "--depth=1", f"file://{target.repository}", target.head)
            tree = _git(path, "rev-parse", f"{target.head}:{target.folder}").strip()
            when = _git(path, "show", "-s", "--format=%ct", target.head).strip()
            base = _root_commit(path, tree, f"Base of the campaign: {target.folder} at {target.head[:12]}\n", when)
            (path / "shallow").unlink(missing_ok=True)
        else:
            base = _root_commit(path, _tree_of_folder(path, target.path), "Base of the campaign, as shipped\n", "0")
        _git(path, "update-ref", CHAMPION, base)
        _git(path, "update-ref", BASE, base)
        (path / "FETCH_HEAD").unlink(missing_ok=True)
        _git(path, "prune", "--expire=now")  # what came along with a folder's commit
        return cls(path), base

    # -- reading

    def files(self, commit: str) -> tuple[str, ...]:
        """Every path in a commit's tree, sorted."""
        return self._files_of(commit)

    def _files(self, commit: str) -> tuple[str, ...]:
        listing = self._repo.git.ls_tree("-r", "-z", "--name-only", commit)
        return tuple(sorted(name for name in listing.split("\0") if name))

    def read(self, commit: str, path: str) -> str | None:
        """The text of a file; None where there is none. Bytes that are not UTF-8 survive a round trip."""
        try:
            blob = self._repo.commit(commit).tree / path
        except KeyError:
            return None
        if blob.type != "blob":
            return None
        return blob.data_stream.read().decode("utf-8", "surrogateescape")  # type: ignore[no-any-return]

    def is_regular(self, commit: str, path: str) -> bool:
        """False where the path is a symbolic link or a submodule, which an edit of text must not touch."""
        try:
            return bool((self._repo.commit(commit).tree / path).mode in (0o100644, 0o100755))
        except KeyError:
            return True

    def changed(self, old: str, new: str) -> tuple[str, ...]:
        """Paths whose content or mode differs between two commits, sorted. Those of the latest pairs are kept."""
        return self._changed_between(old, new)

    def _changed(self, old: str, new: str) -> tuple[str, ...]:
        listing = self._repo.git.diff_tree("-r", "-z", "--name-only", "--no-renames", "--end-of-options", old, new)
        return tuple(sorted(name for name in listing.split("\0") if name))

    def diff_lines(self, old: str, new: str) -> int:
        """Lines added plus lines removed."""
        total = 0
        for line in self._repo.git.diff("--numstat", "--no-ext-diff", "--no-textconv", old, new).splitlines():
            added, removed, _ = line.split("\t", 2)
            total += sum(int(number) for number in (added, removed) if number != "-")
        return total

    def merge_texts(self, theirs: str, base: str, mine: str) -> str | None:
        """Three-way merge of one file's texts by `git merge-file`; None when they conflict."""
        with tempfile.TemporaryDirectory(prefix="regatta-merge-") as folder:
            names = []
            for name, text in (("theirs", theirs), ("base", base), ("mine", mine)):
                path = Path(folder, name)
                path.write_bytes(text.encode("utf-8", "surrogateescape"))
                names.append(str(path))
            done = subprocess.run(
                ["git", "merge-file", "-p", "-q", *names],
                capture_output=True,
                cwd=folder,
                env={**_clean_environment(), **_ISOLATED, "GIT_DIR": str(self.path.absolute())},
                check=False,
            )
        return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else None

    def texts_after_patch(self, commit: str, patch: Path, folder: str = "") -> dict[str, str | None]:
        """The new text of each file that a patch changes when it is applied to `commit`; None where it deletes one.

        `folder`: where in the user's repository the target lies; a patch made there may name its files from the root. Raises
        `RepositoryError` where it does not apply.
        """
        strip = 1 + (len(folder.split("/")) if folder and self._all_below(patch, folder) else 0)
        with tempfile.TemporaryDirectory(prefix="regatta-patch-") as folder:
            env = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
            _git(self.path, "read-tree", commit, env=env)
            _git(self.path, "apply", "--cached", "--whitespace=nowarn", f"-p{strip}", str(patch.resolve()), env=env)
            tree = _git(self.path, "write-tree", env=env).strip()
        rows = _git(self.path, "diff-tree", "-r", "-z", "--no-renames", commit, tree).split("\0")
        return {path: self._text_after(tree, about, path) for about, path in zip(rows[::2], rows[1::2], strict=False)}

    def _all_below(self, patch: Path, folder: str) -> bool:
        rows = [row for row in _git(self.path, "apply", "--numstat", "-z", str(patch.resolve())).split("\0") if row]
        return bool(rows) and all(row.split("\t")[-1].startswith(f"{folder}/") for row in rows)

    def _text_after(self, tree: str, about: str, path: str) -> str | None:
        """The text that a patch leaves at `path`; `about`: a line of `git diff-tree`. Raises where it is no plain text."""
        old_mode, new_mode = about.lstrip(":").split()[:2]
        unfit = _NO_TEXT.get(old_mode) or _NO_TEXT.get(new_mode)
        if unfit is not None:
            raise RepositoryError(f"{path}: is {unfit}; a proposal changes the text of plain files alone")
        if new_mode == "000000":
            return None
        if old_mode != new_mode and "100755" in (old_mode, new_mode):
            raise RepositoryError(f"{path}: its mode would become {new_mode}; a proposal changes texts, not modes")
        content = _git_bytes(self.path, "cat-file", "blob", f"{tree}:{path}")
        try:
            if b"\0" not in content:
                return content.decode()
        except UnicodeDecodeError:
            pass
        raise RepositoryError(f"{path}: would become a binary file; a proposal changes text, in UTF-8")

    def bundle(self, commit: str, base: str) -> bytes:
        """What a worker that has `base` needs to have `commit`. The latest are kept: a commit is measured many times."""
        return self._bundle_of(commit, base)

    def base_bundle(self) -> bytes:
        """All of the base commit, for a node that has nothing."""
        return _git_bytes(self.path, "bundle", "create", "--quiet", "-", BASE)

    def _bundle(self, commit: str, base: str) -> bytes:
        ref = f"refs/regatta/sent/{commit}"  # a bundle is made of refs; nobody else needs this one
        self.set_ref(ref, commit)
        try:
            return _git_bytes(self.path, "bundle", "create", "--quiet", "-", ref, f"^{base}")
        finally:
            (self.path / ref).unlink(missing_ok=True)

    # -- writing

    def commit(self, parent: str, changes: Mapping[str, str | None], message: str, at: float) -> str:
        """A commit on `parent` with these new texts (None: deleted). The same arguments give the same commit."""
        return self._commit_tree(self._tree(self._tree_of(parent), changes), parent, message, at)

    def recommit(self, parent: str, like: str, message: str, at: float) -> str:
        """A commit on `parent` with the tree of `like`."""
        return self._commit_tree(self._tree_of(like), parent, message, at)

    def _tree_of(self, commit: str) -> bytes:
        return bytes(self._repo.commit(commit).tree.binsha)

    def _commit_tree(self, tree: bytes, parent: str, message: str, at: float) -> str:
        # By hand: GitPython's own would look into the user's settings for an encoding.
        who = f"{IDENTITY.name} <{IDENTITY.email}> {int(at)} +0000"
        text = f"tree {tree.hex()}\nparent {parent}\nauthor {who}\ncommitter {who}\n\n{message}"
        commit = self._store("commit", text.encode()).hex()
        self._sync()
        return commit

    def _tree(self, tree: bytes | None, changes: Mapping[str, str | None]) -> bytes:
        """A copy of `tree` with `changes` in it; folders that become empty vanish."""
        entries = self._entries(tree) if tree is not None else {}
        below: dict[str, dict[str, str | None]] = {}
        for path, text in changes.items():
            first, _, rest = path.partition("/")
            if rest:
                below.setdefault(first, {})[rest] = text
            elif text is None:
                entries.pop(first, None)
            else:
                mode = entries[first][1] if first in entries and entries[first][1] in (0o100644, 0o100755) else 0o100644
                entries[first] = (self._store("blob", text.encode("utf-8", "surrogateescape")), mode)
        for folder, inside in below.items():
            old, mode = entries.pop(folder, (None, _FOLDER))
            new = self._tree(old if mode == _FOLDER else None, inside)
            if new != _EMPTY_TREE:
                entries[folder] = (new, _FOLDER)
        named = sorted(((os.fsencode(name), sha, mode) for name, (sha, mode) in entries.items()), key=_git_order)
        return self._store("tree", b"".join(b"%o %s\0%s" % (mode, name, sha) for name, sha, mode in named))

    def _entries(self, tree: bytes) -> dict[str, tuple[bytes, int]]:
        """Object and mode by name. As they lie there: GitPython's own entries have no names for submodules."""
        read = tree_entries_from_data(self._repo.odb.stream(tree).read())
        return {str(name): (bytes(sha), mode) for sha, mode, name in read}

    def _store(self, kind: str, data: bytes) -> bytes:
        stored = self._repo.odb.store(IStream(kind.encode(), len(data), BytesIO(data)))
        name = stored.hexsha.decode()
        self._unsynced.append(self.path / "objects" / name[:2] / name[2:])
        return bytes(stored.binsha)

    def _sync(self) -> None:
        """Have the disk hold what was stored; what git had packed already is there."""
        written = [path for path in self._unsynced if path.exists()]
        for path in (*written, *{path.parent for path in written}, self.path / "objects"):
            sync(path)
        self._unsynced.clear()

    def set_ref(self, ref: str, commit: str) -> None:
        """Point `ref` at `commit`, whatever it was."""
        git.Reference(self._repo, ref, check_path=False).set_object(commit)

    # -- after a crash

    def reconcile(self, champion: str, candidates: Mapping[str, str]) -> int:
        """Make the refs agree with the journal: `champion` and each candidate's commit. Returns how many were mended.

        Raises `RepositoryError` when a commit that the journal knows is not in the repository.
        """
        for lock in [*self.path.glob("*.lock"), *self.path.glob("refs/**/*.lock")]:
            lock.unlink(missing_ok=True)  # the run lock is ours: whoever held these is dead
        listed = _git(self.path, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads")
        present = {ref: sha for sha, _, ref in (line.partition(" ") for line in listed.splitlines())}
        wanted = {CHAMPION: champion, **{candidate_ref(name): commit for name, commit in candidates.items()}}
        mended = 0
        for ref, commit in wanted.items():
            if present.get(ref) == commit:
                continue
            if ref not in present:
                (self.path / ref).unlink(missing_ok=True)  # a power cut may leave a file without content
            try:
                self.set_ref(ref, commit)
            except (ValueError, git.BadName, OSError) as error:
                raise RepositoryError(f"{self.path}: commit {commit} of {ref} is missing: {error}") from error
            mended += 1
        return mended

    def close(self) -> None:
        self._repo.close()


def _git_order(entry: tuple[bytes, bytes, int]) -> bytes:
    """Git orders a folder as if its name ended in a slash."""
    name, _, mode = entry
    return name + b"/" if mode == _FOLDER else name


def _root_commit(path: Path, tree: str, message: str, when: str) -> str:
    dated = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", str(IDENTITY.name)), ("EMAIL", str(IDENTITY.email)), ("DATE", f"@{when} +0000"))
    }
    return _git(path, "commit-tree", tree, "-m", message, env=dated).strip()


def _tree_of_folder(path: Path, folder: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="regatta-import-") as temporary:
        env = {"GIT_INDEX_FILE": str(Path(temporary, "index"))}
        caches = (":(exclude,glob)**/__pycache__/**", ":(exclude,glob)**/*.pyc")
        _git(path, f"--work-tree={folder}", "add", "--all", "--", str(folder), *caches, env=env)
        return _git(path, "write-tree", env=env).strip()


def _git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    return _git_bytes(folder, *arguments, env=env).decode("utf-8", "surrogateescape")


def _git_bytes(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> bytes:
    done = subprocess.run(
        ["git", "-C", str(folder), *_QUIET, *arguments],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={**_clean_environment(), **_ISOLATED, **(env or {})},
        check=False,
    )
    if done.returncode != 0:
        shown = " ".join(a for a in arguments if not a.startswith("-"))
        raise RepositoryError(f"git {shown}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _here(path: Path) -> dict[str, str]:
    """What keeps git in the repository at `path` though the environment leads elsewhere (as inside a hook)."""
    return {
        "GIT_DIR": str(path),
        "GIT_COMMON_DIR": str(path),
        "GIT_WORK_TREE": str(path),
        "GIT_OBJECT_DIRECTORY": str(path / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
        "GIT_INDEX_FILE": str(path / "index"),
        "GIT_NAMESPACE": "",
        "GIT_CONFIG_COUNT": "0",
        "GIT_CONFIG_PARAMETERS": "",
    }


def _clean_environment() -> dict[str, str]:
    """The environment, less what would point git at another repository (as inside a hook)."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
