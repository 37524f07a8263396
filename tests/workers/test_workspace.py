"""Workspaces hold the commit's files and the base's sealed ones, whatever the commit or a candidate does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from workers_support import Repository

from workers.git import GitError
from workers.workspace import MissingBaseError, NodeRepository

SEALED = ("bench.sh", "data/cases.txt")


@pytest.fixture
def node(root: Path, repository: Repository) -> NodeRepository:
    made = NodeRepository(root)
    made.receive(repository.bundle(repository.base))
    return made


def received(node: NodeRepository, repository: Repository, commit: str) -> str:
    node.receive(repository.bundle(f"{repository.base}..{commit}"))
    return commit


def test_a_workspace_holds_the_commits_files(node: NodeRepository, repository: Repository) -> None:
    commit = received(node, repository, repository.commit({"code.py": "x = 2\n", "new/file.py": "y\n"}))
    with node.workspace(commit, repository.base, SEALED) as workspace:
        assert (workspace.path / "code.py").read_text() == "x = 2\n"
        assert (workspace.path / "new/file.py").read_text() == "y\n"
        assert (workspace.path / "bench.sh").read_text() == "echo METRIC t=1.5\n"
        assert sorted(path.name for path in workspace.path.iterdir()) == ["bench.sh", "code.py", "data", "new"]
    assert not workspace.folder.exists()
    assert git(node.root / "repository.git", "worktree", "list").count("\n") == 0  # the repository itself


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def is_sealed_as_before(path: Path) -> None:
    assert (path / "bench.sh").read_text() == "echo METRIC t=1.5\n"
    assert os.access(path / "bench.sh", os.X_OK)
    assert not (path / "bench.sh").is_symlink()
    assert (path / "data/cases.txt").read_text() == "1 2 3\n"
    assert not (path / "data").is_symlink()
    assert not (path / "data/cases.txt").is_symlink()


def test_sealed_files_that_the_commit_edited_are_restored(node: NodeRepository, repository: Repository) -> None:
    commit = received(node, repository, repository.commit({"bench.sh": "echo METRIC t=0\n", "data/cases.txt": None}))
    with node.workspace(commit, repository.base, SEALED) as workspace:
        is_sealed_as_before(workspace.path)


def test_the_mode_of_sealed_files_is_restored(node: NodeRepository, repository: Repository) -> None:
    repository.commit()
    (repository.path / "bench.sh").chmod(0o644)
    (repository.path / "data/cases.txt").chmod(0o755)
    commit = received(node, repository, repository.record())
    with node.workspace(commit, repository.base, SEALED) as workspace:
        is_sealed_as_before(workspace.path)
        assert not os.access(workspace.path / "data/cases.txt", os.X_OK)


def test_a_sealed_file_replaced_by_a_link_or_a_folder_is_restored(
    node: NodeRepository, repository: Repository, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "cases.txt").write_text("easy\n")
    repository.commit({"bench.sh": None, "data/cases.txt": None})
    repository.write({"bench.sh/inside": "x"})
    (repository.path / "data").rmdir() if (repository.path / "data").exists() else None
    (repository.path / "data").symlink_to(outside)
    commit = received(node, repository, repository.record())
    with node.workspace(commit, repository.base, SEALED) as workspace:
        is_sealed_as_before(workspace.path)
    assert (outside / "cases.txt").read_text() == "easy\n"  # nothing was written through the link


def test_attributes_of_the_commit_do_not_change_content(node: NodeRepository, repository: Repository) -> None:
    attributes = "* text eol=crlf ident\nbench.sh text eol=crlf\n"
    commit = received(node, repository, repository.commit({".gitattributes": attributes}))
    with node.workspace(commit, repository.base, SEALED) as workspace:
        assert (workspace.path / "code.py").read_bytes() == b"x = 1\n"
        is_sealed_as_before(workspace.path)


def test_configuration_and_hooks_of_the_machine_have_no_say(
    node: NodeRepository, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = tmp_path / "hooks/post-checkout"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    (tmp_path / ".gitconfig").write_text(f"[core]\nhooksPath = {hook.parent}\nautocrlf = true\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with node.workspace(repository.base, repository.base, SEALED) as workspace:
        is_sealed_as_before(workspace.path)
    assert not (tmp_path / "hooked").exists()


def test_a_bundle_on_an_unknown_base_says_which(root: Path, repository: Repository) -> None:
    empty = NodeRepository(root)
    commit = repository.commit({"code.py": "x = 3\n"})
    with pytest.raises(MissingBaseError) as caught:
        empty.receive(repository.bundle(f"{repository.base}..{commit}"))
    assert caught.value.commits == (repository.base,)
    empty.receive(repository.bundle(commit))
    assert empty.has(commit)


def test_a_damaged_bundle_is_a_git_error(node: NodeRepository, repository: Repository) -> None:
    with pytest.raises(GitError, match="not a git bundle"):
        node.receive(b"not a bundle")
    with pytest.raises(GitError):
        node.receive(repository.bundle(repository.commit({"code.py": "x = 4\n"}))[:-20])


def test_an_unknown_commit_is_a_missing_base(node: NodeRepository, repository: Repository) -> None:
    with pytest.raises(MissingBaseError):
        node.workspace("0" * 40, repository.base, SEALED)


def test_a_sealed_path_that_the_base_lacks_is_an_error(node: NodeRepository, repository: Repository) -> None:
    with pytest.raises(GitError, match=r"does not have: nope\.py"):
        node.workspace(repository.base, repository.base, ("nope.py",))


def test_removal_survives_what_a_candidate_did(node: NodeRepository, repository: Repository, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("keep")
    workspace = node.workspace(repository.base, repository.base, SEALED)
    (workspace.path / "link").symlink_to(precious)
    (workspace.path / "deep/er").mkdir(parents=True)
    (workspace.path / "deep/er/file").write_text("")
    (workspace.path / "deep/er").chmod(0)
    (workspace.path / "deep").chmod(0)
    workspace.remove()
    assert not workspace.folder.exists()
    assert (precious / "file").read_text() == "keep"
    workspace.remove()  # once more is no harm


def test_workspaces_of_dead_workers_are_removed_and_those_of_living_ones_are_not(
    node: NodeRepository, repository: Repository
) -> None:
    own = node.workspace(repository.base, repository.base, SEALED)
    program = f"""
import os, signal
from pathlib import Path
from workers.workspace import NodeRepository
node = NodeRepository(Path({str(node.root)!r}))
node.workspace({repository.base!r}, {repository.base!r}, {SEALED!r})
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    assert len(list((node.root / "workers").iterdir())) == 2
    NodeRepository(node.root)
    assert own.path.exists()
    assert len(list((node.root / "workers").iterdir())) == 2  # the two of this process
    assert not list((node.root / "repository.git").glob("worktrees/*"))
