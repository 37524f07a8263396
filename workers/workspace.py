"""A node's git cache, and the private folders in which trials run.

`NodeRepository` is one bare repository per node, shared by the node's workers: bundles are received into it, and
workspaces are detached worktrees of it. A workspace holds the commit's files except that sealed ones are the base
commit's, byte for byte: each is hashed after the checkout and rewritten where it differs. Content is what git stores:
no filter, hook, line-ending or configuration, of the machine or of the commit, has a say. A workspace belongs to the
process that made it; those of dead workers are removed when a repository is opened.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from workers.git import GitError, git
from workers.locks import Lock, locked

_RAW = "* -text !eol -ident -filter -working-tree-encoding\n"  # info/attributes: outranks a commit's .gitattributes
_BUNDLE = re.compile(rb"# v\d git bundle\n(?:@[^\n]*\n)*((?:[-0-9a-f][^\n]*\n)*)\n")
_SUBMODULE = "160000"  # git's mode of one
_LOOSE_BYTES = 1 << 20  # packs up to this size become loose objects
_MOST_LOOSE, _MOST_PACKS = 100_000, 50


class MissingBaseError(GitError):
    """A bundle, or a trial, builds on commits that this node does not have: send the full bundle."""

    def __init__(self, commits: Sequence[str]) -> None:
        super().__init__(f"this node lacks {', '.join(commits)}: send a bundle that contains them")
        self.commits = tuple(commits)

    def __reduce__(self) -> tuple[type[MissingBaseError], tuple[tuple[str, ...]]]:
        return type(self), (self.commits,)


@dataclass(frozen=True, slots=True)
class Blob:
    """One file of a commit."""

    mode: str  # git's: 100644, 100755, 120000 (symbolic link)
    object_id: str


@dataclass(slots=True)
class Workspace:
    """A checked-out commit and a private home and temporary folder beside it. Leaving the context removes it all."""

    folder: Path  # everything of this workspace lies below
    path: Path  # the files of the commit
    home: Path
    tmp: Path
    _repository: NodeRepository
    _sealed: Mapping[str, Blob]
    _was_used: bool = False  # by a process of the candidate

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.remove()

    @property
    def sealed(self) -> tuple[str, ...]:
        """The files in it that are the base commit's."""
        return tuple(path for path, blob in self._sealed.items() if blob.mode != _SUBMODULE)

    def mend(self) -> None:
        """Make it fit for the next process, whatever the last one did: its folders exist and sealed files are as sealed."""
        for folder in (self.folder, self.path, self.home, self.tmp):
            if not folder.is_dir():
                folder.unlink(missing_ok=True)
                folder.mkdir(mode=0o700)
        if self._was_used:
            self._repository.restore(self.path, self._sealed)
        self._was_used = True

    def remove(self) -> None:
        """Remove it, whatever a candidate did to it."""
        remove_tree(self.folder)


class NodeRepository:
    """The git cache under `root` (node-local; made when it is not there) and this process's workspaces."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._git_dir = root / "repository.git"
        self._trees: dict[str, Mapping[str, Blob]] = {}
        self._received: set[str] = set()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(root / "repository.lock"):
            if not (self._git_dir / "info/attributes").exists():
                self._git("init", "--bare", "--quiet", str(self._git_dir))
                (self._git_dir / "info").mkdir(exist_ok=True)
                (self._git_dir / "info/attributes").write_text(_RAW)
            self._remove_orphans()
            if self._is_overgrown():
                remove_tree(self._git_dir / "objects")
                (self._git_dir / "objects/pack").mkdir(parents=True)
            self._own = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self._workers_folder()))
            self._own_lock = Lock(self._own / "lock")  # held while this process lives

    @property
    def private_folder(self) -> Path:
        """This process's own: gone, at the latest, when the next worker of this node starts after this one's death."""
        self._own.mkdir(mode=0o700, exist_ok=True)  # a candidate may have removed it
        return self._own

    def receive(self, bundle: bytes) -> frozenset[str]:
        """Take in a git bundle; the commits that it names. MissingBaseError where it builds on unknown commits."""
        commits, prerequisites, pack = _taken_apart(bundle)
        if commits <= self._received:
            return commits
        lacking = [commit for commit in prerequisites if not self.has(commit)]
        if lacking:
            raise MissingBaseError(lacking)
        # Loose, not as git fetch would leave it: a pack a candidate makes every command slower, sevenfold behind 2,000.
        unpack = ("unpack-objects", "-q") if len(pack) <= _LOOSE_BYTES else ("index-pack", "--stdin", "--fix-thin")
        with locked(self.root / "repository.lock"):
            self._git(*unpack, given=pack)
        self._received |= commits
        return commits

    def take_from(self, repository: Path, commits: Iterable[str]) -> None:
        """Fetch commits straight from a repository on this machine."""
        refs = [f"+{commit}:refs/received/{commit}" for commit in commits]
        with locked(self.root / "repository.lock"):
            self._git("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(repository.resolve()), *refs)

    def commit_of_folder(self, commit: str, folder: str) -> str:
        """A commit whose root is a folder of another commit: the same one every time."""
        when = "1970-01-01T00:00:00Z"
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "regatta"), ("EMAIL", "regatta@localhost"), ("DATE", when))
        }
        made = self._git("commit-tree", f"{commit}:{folder}", "-m", f"{folder} of {commit}", extra=who)
        return made.decode().strip()

    def has(self, commit: str) -> bool:
        if commit not in self._received:
            try:
                self._git("cat-file", "-e", f"{commit}^{{commit}}")
            except GitError:
                return False
            self._received.add(commit)
        return True

    def files(self, commit: str) -> Mapping[str, Blob]:
        """Every file of a commit by its path. Kept in memory for the few commits that are bases."""
        if commit not in self._trees:
            if not self.has(commit):
                raise MissingBaseError([commit])
            if len(self._trees) > 16:
                self._trees.pop(next(iter(self._trees)))
            self._trees[commit] = dict(_tree_entries(self._git("ls-tree", "-r", "-z", commit)))
        return self._trees[commit]

    def read(self, commit: str, path: str) -> bytes:
        """The content of a file of a commit. Raises GitError where there is none."""
        return self._git("cat-file", "blob", f"{commit}:{path}")

    def sealed_blobs(self, base_commit: str, sealed: Iterable[str]) -> dict[str, Blob]:
        """The base commit's version of each sealed path. GitError where the base has no such file."""
        files = self.files(base_commit)
        lacking = sorted(path for path in sealed if path not in files)
        if lacking:
            raise GitError(f"sealed paths that the base commit {base_commit[:12]} does not have: {', '.join(lacking)}")
        return {path: files[path] for path in sealed}

    def workspace(self, commit: str, base_commit: str, sealed: Iterable[str]) -> Workspace:
        """A fresh private folder with the files of `commit`, the sealed ones from `base_commit`."""
        blobs = self.sealed_blobs(base_commit, sealed)
        if not self.has(commit):
            raise MissingBaseError([commit])
        folder = Path(tempfile.mkdtemp(prefix="trial-", dir=self.private_folder))
        # git names its record of a worktree after the last part of the path: unique, so that it is known
        workspace = Workspace(folder, folder / folder.name, folder / "home", folder / "tmp", self, blobs)
        try:
            workspace.home.mkdir(mode=0o700)
            workspace.tmp.mkdir(mode=0o700)
            with locked(self.root / "repository.lock"):
                self._git("worktree", "add", "--quiet", "--force", "--detach", str(workspace.path), commit)
                remove_tree(self._git_dir / "worktrees" / workspace.path.name)
            (workspace.path / ".git").unlink()  # it led to a repository that no candidate can see
            self.restore(workspace.path, blobs)
        except BaseException:
            workspace.remove()
            raise
        return workspace

    def restore(self, root: Path, blobs: Mapping[str, Blob]) -> None:
        """Make every sealed path what the base says: a file of its own, with that content and mode."""
        _clear_parents(root, blobs)
        for path, blob in blobs.items():
            if blob.mode != _SUBMODULE and not _is(root / path, blob):  # a submodule is no file
                content = self._git("cat-file", "blob", blob.object_id)
                _write(root / path, blob, content)

    def _git(self, *arguments: str, extra: Mapping[str, str] | None = None, given: bytes = b"") -> bytes:
        return git(self._git_dir, *arguments, extra=extra, given=given)

    def _workers_folder(self) -> Path:
        folder = self.root / "workers"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _remove_orphans(self) -> None:
        """What workers left that were killed: a lock that nobody holds marks the dead."""
        for folder in self._workers_folder().iterdir():
            try:
                Lock(folder / "lock").release()
            except BlockingIOError:
                continue
            remove_tree(folder)
        for record in self._git_dir.glob("worktrees/*"):
            checkout = record / "gitdir"
            if not checkout.exists() or not Path(checkout.read_text().strip()).exists():
                remove_tree(record)

    def _is_overgrown(self) -> bool:
        """True when the cache holds more than a few campaigns, and nobody else on this node uses it."""
        one_of_256 = self._git_dir / "objects/00"
        loose = 256 * len(list(one_of_256.iterdir())) if one_of_256.is_dir() else 0
        packs = len(list(self._git_dir.glob("objects/pack/*.pack")))
        return (loose > _MOST_LOOSE or packs > _MOST_PACKS) and not any(self._workers_folder().iterdir())

    def close(self) -> None:
        """Give up this process's folder."""
        self._own_lock.release()
        remove_tree(self._own)


def _taken_apart(bundle: bytes) -> tuple[frozenset[str], list[str], bytes]:
    """The commits that a bundle names, those that it builds on, and its pack (gitformat-bundle)."""
    header = _BUNDLE.match(bundle)
    if header is None:
        raise GitError("what was received is not a git bundle")
    lines = header[1].decode("utf-8", "replace").splitlines()
    named = frozenset(line.split()[0] for line in lines if not line.startswith("-"))
    return named, [line[1:].split()[0] for line in lines if line.startswith("-")], bundle[header.end() :]


def remove_tree(folder: Path) -> None:
    """Remove a folder even where a candidate took away its own rights to it; nothing is followed out of it."""
    if not os.path.lexists(folder):
        return
    try:
        shutil.rmtree(folder)
    except OSError:
        for where, folders, _ in os.walk(folder):
            for name in folders:
                path = Path(where) / name
                if not path.is_symlink():
                    path.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)


def _tree_entries(listing: bytes) -> Iterable[tuple[str, Blob]]:
    for line in listing.split(b"\0"):
        if line:
            about, _, path = line.partition(b"\t")
            mode, _, object_id = about.decode().split()
            yield os.fsdecode(path), Blob(mode, object_id)


def _clear_parents(root: Path, paths: Iterable[str]) -> None:
    """See to it that every folder above a sealed path is a real folder and not a link to elsewhere, or a file."""
    parents = {parent for path in paths for parent in Path(path).parents}
    for parent in sorted(parents, key=lambda parent: len(parent.parts)):
        folder = root / parent
        if not os.path.lexists(folder):
            folder.mkdir()
        elif not stat.S_ISDIR(folder.lstat().st_mode):
            folder.unlink()
            folder.mkdir()


def _is(path: Path, blob: Blob) -> bool:
    """Whether the file at `path` is exactly this blob."""
    try:
        mode = path.lstat().st_mode
        if blob.mode == "120000":
            content = os.fsencode(path.readlink())  # OSError where it is no link
        elif stat.S_ISREG(mode) and bool(mode & 0o100) == (blob.mode == "100755"):
            content = path.read_bytes()
        else:
            return False
    except OSError:
        return False
    kind = hashlib.sha1 if len(blob.object_id) == 40 else hashlib.sha256
    return kind(b"blob %d\0" % len(content) + content).hexdigest() == blob.object_id


def _write(path: Path, blob: Blob, content: bytes) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
    if blob.mode == "120000":
        path.symlink_to(os.fsdecode(content))
        return
    path.write_bytes(content)
    path.chmod(0o755 if blob.mode == "100755" else 0o644)
