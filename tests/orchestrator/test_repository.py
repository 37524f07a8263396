"""The campaign's repository: an exact base, exact bytes, and the same commit for the same arguments."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from campaign_repository import AT, blob, made, with_files
from subject import FILES, commit, git, init, write

from orchestrator.repository import CampaignRepository, RepositoryError, candidate_ref, stack_ref
from orchestrator.target import Target

# -- the base


def test_the_base_of_a_whole_repository_is_the_users_own_commit(tmp_path: Path) -> None:
    user = init(tmp_path / "user")
    commit(user, {"train.py": "LR = 2\n"}, "second")
    repository, base = made(tmp_path)
    assert base == git(user, "rev-parse", "HEAD")
    assert git(repository.path, "rev-list", "--count", "champion") == "2"
    assert git(repository.path, "symbolic-ref", "HEAD") == "refs/heads/champion"


@pytest.mark.parametrize("checkout", ["detached", "bare", "worktree"])
def test_any_form_of_repository_gives_its_commit(tmp_path: Path, checkout: str) -> None:
    user = init(tmp_path / "user")
    head, given = git(user, "rev-parse", "HEAD"), "user"
    if checkout == "detached":
        git(user, "checkout", "--quiet", "--detach")
        head = commit(user, {"train.py": "LR = 7\n"})  # on no branch
    elif checkout == "bare":
        git(tmp_path, "clone", "--quiet", "--bare", str(user), "bare.git")
        given = "bare.git"
    else:
        git(user, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "tree"))
        given = "tree"
    assert made(tmp_path, given)[1] == head


def test_the_base_of_a_folder_has_the_folders_tree_and_nothing_else(tmp_path: Path) -> None:
    user = init(tmp_path / "user", {"big.bin": b"\0" * 5000, "sub/train.py": "LR = 1\n", "sub/deep/a.txt": "a"})
    repository, base = made(tmp_path, "user/sub")
    assert git(repository.path, "rev-parse", f"{base}^{{tree}}") == git(user, "rev-parse", "HEAD:sub")
    assert repository.files(base) == ("deep/a.txt", "train.py")
    assert git(repository.path, "rev-list", "--count", "--all") == "1"
    assert git(user, "rev-parse", "HEAD:big.bin") not in git(
        repository.path, "cat-file", "--batch-all-objects", "--batch-check"
    )


def test_a_folder_gives_the_same_base_whenever_it_is_imported(tmp_path: Path) -> None:
    init(tmp_path / "user", {"sub/train.py": "LR = 1\n"})
    assert made(tmp_path, "user/sub", "one")[1] == made(tmp_path, "user/sub", "two")[1]


def test_a_folder_of_a_shallow_clone_is_imported(tmp_path: Path) -> None:
    user = init(tmp_path / "user", {"sub/train.py": "LR = 1\n"})
    commit(user, {"sub/train.py": "LR = 2\n"})
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{user}", "clone")
    repository, base = made(tmp_path, "clone/sub")
    assert repository.read(base, "train.py") == "LR = 2\n"
    assert git(repository.path, "fsck", "--strict") == ""


def test_a_shipped_subject_is_imported_without_caches(tmp_path: Path) -> None:
    folder = tmp_path / "shipped"
    write(folder, {**FILES, "__pycache__/train.cpython-311.pyc": b"\0", "deep/__pycache__/x.pyc": b"\0"})
    target = Target("nanotrain", None, "", folder, None)
    repository, base = CampaignRepository.create(tmp_path / "repo", target)
    assert repository.files(base) == tuple(sorted(FILES))
    assert CampaignRepository.create(tmp_path / "again", target)[1] == base


# -- commits


def test_the_same_arguments_give_the_same_commit(tmp_path: Path) -> None:
    init(tmp_path / "user")
    (one, base), (two, _) = made(tmp_path, name="one"), made(tmp_path, name="two")
    changes = {"train.py": "LR = 5\n", "new/a.py": "x"}
    assert one.commit(base, changes, "ü idea\n", AT) == two.commit(base, changes, "ü idea\n", AT)


def test_files_are_added_changed_and_deleted_at_any_depth(tmp_path: Path) -> None:
    repository, base = with_files(tmp_path, {"a/b/one.py": "1", "a/b/two.py": "2", "a/c.py": "3", "top.py": "4"})
    changes = {"a/b/one.py": None, "a/b/two.py": None, "a/c.py": "33", "a/d/e/f.py": "new", "top.py": None, "z": "last"}
    tip = repository.commit(base, changes, "all at once", AT)
    assert repository.files(tip) == ("a/c.py", "a/d/e/f.py", "z")
    assert repository.read(tip, "a/c.py") == "33"
    assert repository.read(base, "top.py") == "4"
    assert git(repository.path, "fsck", "--strict", "--no-dangling") == ""


def test_a_tree_is_as_git_itself_would_write_it(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"a.py": "1", "a/x.py": "2", "a0": "3", "b/y": "4"}
    repository, base = with_files(tmp_path, files)
    tip = repository.commit(base, {"a-": "5", "a/z.py": "6", "b/y": None}, "m", AT)
    user = tmp_path / "user"
    (user / "b/y").unlink()
    commit(user, {"a-": "5", "a/z.py": "6"})
    assert git(repository.path, "rev-parse", f"{tip}^{{tree}}") == git(user, "rev-parse", "HEAD^{tree}")


def test_an_executable_stays_executable(tmp_path: Path) -> None:
    user = init(tmp_path / "user", {"run.sh": "echo 1\n"})
    (user / "run.sh").chmod(0o755)
    commit(user, {})
    repository, base = made(tmp_path)
    tip = repository.commit(base, {"run.sh": "echo 2\n"}, "m", AT)
    assert git(repository.path, "ls-tree", tip, "run.sh").startswith("100755 ")


def test_links_and_submodules_stay_as_they_are(tmp_path: Path) -> None:
    user, other = init(tmp_path / "user"), init(tmp_path / "other")
    (user / "link.py").symlink_to("train.py")
    git(user, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "vendored")
    commit(user, {})
    repository, base = made(tmp_path)
    tip = repository.commit(base, {"train.py": "LR = 3\n", "vendored.py": "x"}, "m", AT)
    for path in ("link.py", "vendored", ".gitmodules"):
        assert git(repository.path, "rev-parse", f"{tip}:{path}") == git(user, "rev-parse", f"HEAD:{path}")
    assert not repository.is_regular(base, "link.py")
    assert not repository.is_regular(base, "vendored")
    assert repository.is_regular(base, "train.py")
    assert repository.is_regular(base, "not/there.py")
    assert repository.read(base, "vendored") is None
    assert repository.diff_lines(base, tip) > 0


def test_every_byte_of_a_text_survives(tmp_path: Path) -> None:
    odd = b"a = 1\r\nb = 'caf\xe9'\r\n\xff\xfe\0 no newline at the end"
    repository, base = with_files(tmp_path, {"odd.py": odd, "train.py": "x"})
    text = repository.read(base, "odd.py")
    assert text is not None
    tip = repository.commit(base, {"odd.py": text + "!"}, "m", AT)
    assert blob(repository, tip, "odd.py") == odd + b"!"


def test_file_names_may_be_any_bytes(tmp_path: Path) -> None:
    user = init(tmp_path / "user")
    (user / os.fsdecode(b"caf\xe9.txt")).write_text("latin")
    (user / "日本 \n.py").write_text("utf-8")
    commit(user, {})
    repository, base = made(tmp_path)
    tip = repository.commit(base, {"train.py": "LR = 3\n"}, "m", AT)
    changed = git(repository.path, "diff", "--name-only", base, tip)
    assert changed == "train.py"
    assert os.fsdecode(b"caf\xe9.txt") in repository.files(tip)


def test_a_missing_file_is_none_and_not_empty(tmp_path: Path) -> None:
    repository, base = with_files(tmp_path, {"empty": "", "a/b": "x"})
    assert repository.read(base, "empty") == ""
    assert repository.read(base, "nothing") is None
    assert repository.read(base, "a") is None
    assert repository.read(base, "empty/below") is None


def test_lines_added_and_removed_are_counted(tmp_path: Path) -> None:
    repository, base = with_files(tmp_path, {"a.py": "1\n2\n3\n", "b\tc.py": "1\n"})
    tip = repository.commit(base, {"a.py": "1\nx\n3\n4\n", "b\tc.py": None, "new": "n\n"}, "m", AT)
    assert repository.diff_lines(base, tip) == 2 + 1 + 1 + 1


def test_a_champion_commit_has_the_tree_that_was_measured(tmp_path: Path) -> None:
    repository, base = with_files(tmp_path, {"a.py": "1\n"})
    measured = repository.commit(base, {"a.py": "2\n"}, "measured", AT)
    kept = repository.recommit(base, measured, "kept\n\nCandidate: c0001\n", AT)
    assert kept != measured
    assert git(repository.path, "diff", measured, kept) == ""
    assert git(repository.path, "rev-parse", f"{kept}^") == base


# -- bundles


def test_a_bundle_is_all_that_a_node_with_the_base_needs(tmp_path: Path) -> None:
    repository, base = with_files(tmp_path, {"a.py": "1\n"})
    below = repository.commit(base, {"a.py": "2\n"}, "m", AT)
    tip = repository.commit(below, {"a.py": "3\n"}, "m", AT)
    node = tmp_path / "node"
    node.mkdir()
    git(node, "init", "--quiet", "--bare")
    for name, data in (("base", repository.base_bundle()), ("tip", repository.bundle(tip, base))):
        (tmp_path / name).write_bytes(data)
        git(node, "fetch", "--quiet", str(tmp_path / name), "refs/*:refs/*")
    assert git(node, "show", f"{tip}:a.py") == "3"
    assert git(node, "fsck", "--strict") == ""
    assert "sent" not in git(repository.path, "for-each-ref")


def test_the_latest_bundles_are_kept(tmp_path: Path) -> None:
    repository, base = with_files(tmp_path, {"a.py": "1\n"})
    tip = repository.commit(base, {"a.py": "2\n"}, "m", AT)
    assert repository.bundle(tip, base) is repository.bundle(tip, base)


# -- after a crash


def test_the_refs_are_made_to_agree_with_the_journal(tmp_path: Path) -> None:
    repository, base = with_files(tmp_path, {"a.py": "1\n"})
    tips = [repository.commit(base, {"a.py": f"{n}\n"}, "m", AT) for n in range(2, 5)]
    repository.set_ref(candidate_ref("c0001"), tips[1])  # of an earlier champion
    (repository.path / "refs/heads/champion.lock").touch()
    (repository.path / "refs/heads/candidate/c0002.lock").touch()
    (repository.path / "packed-refs.lock").touch()
    mended = repository.reconcile(tips[2], {"c0001": tips[0], "c0002": tips[1]})
    assert mended == 3
    assert git(repository.path, "rev-parse", "champion", "candidate/c0001", "candidate/c0002").split() == [
        tips[2], tips[0], tips[1]
    ]  # fmt: skip
    assert repository.reconcile(tips[2], {"c0001": tips[0], "c0002": tips[1]}) == 0
    git(repository.path, "pack-refs", "--all")  # no lock is left
    assert repository.reconcile(tips[2], {"c0001": tips[0], "c0002": tips[1]}) == 0


def test_a_commit_of_the_journal_that_is_missing_is_named(tmp_path: Path) -> None:
    repository, base = with_files(tmp_path, {"a.py": "1\n"})
    with pytest.raises(RepositoryError, match=f"commit {'ab' * 20} of refs/heads/candidate/c0001 is missing"):
        repository.reconcile(base, {"c0001": "ab" * 20})


def test_a_ref_moves_wherever_it_was(tmp_path: Path) -> None:
    repository, base = with_files(tmp_path, {"a.py": "1\n"})
    tip = repository.commit(base, {"a.py": "2\n"}, "m", AT)
    for target in (tip, base):
        repository.set_ref(stack_ref("s0001"), target)
        assert git(repository.path, "rev-parse", stack_ref("s0001")) == target


# -- a power cut


def test_a_commit_is_on_the_disk_with_all_that_it_needs_before_anyone_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, base = with_files(tmp_path, {"src/a.py": "x = 1\n", "b.txt": "b"})
    objects = repository.path / "objects"
    before = set(objects.rglob("*"))
    synced: list[Path] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    repository.commit(base, {"src/a.py": "x = 2\n", "src/new/c.py": "c"}, "change", AT)
    written = {path for path in objects.rglob("*") if path not in before}
    files = {path for path in written if path.is_file()}
    assert len(files) == 2 + 3 + 1  # texts, trees, the commit
    assert {path.resolve() for path in files} <= set(synced)
    folders = {path.parent.resolve() for path in files} | {objects.resolve()}
    assert folders <= set(synced[len(files) :]), "names after what they name"


def test_what_git_itself_stores_of_the_base_is_synced_too(tmp_path: Path) -> None:
    repository, _ = with_files(tmp_path, {"a.py": "x = 1\n"})
    assert repository._repo.git.config("core.fsync") == "all"


@pytest.mark.parametrize("left", [b"", b"\0" * 41], ids=["nothing", "zeros"])
def test_refs_that_a_power_cut_left_empty_are_mended_from_the_journal(tmp_path: Path, left: bytes) -> None:
    repository, base = with_files(tmp_path, {"a.py": "x = 1\n"})
    edited = repository.commit(base, {"a.py": "x = 2\n"}, "change", AT)
    repository.set_ref(candidate_ref("c0001"), edited)
    for ref in ("refs/heads/champion", candidate_ref("c0001")):
        (repository.path / ref).write_bytes(left)
    repository.close()
    again = CampaignRepository(repository.path)
    assert again.reconcile(base, {"c0001": edited}) == 2
    assert git(repository.path, "rev-parse", "champion", candidate_ref("c0001")).split() == [base, edited]
    git(repository.path, "fsck", "--strict")
