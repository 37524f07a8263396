"""The campaign's repository: an exact base, exact bytes, the same commit for the same arguments, and no foreign influence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from subject import FILES, commit, git, init, write

from orchestrator.repository import CampaignRepository, RepositoryError, candidate_ref, stack_ref
from orchestrator.target import Target, TargetError, resolve_target

AT = 1_700_000_000.5


def made(tmp_path: Path, given: str = "user", name: str = "repo") -> tuple[CampaignRepository, str]:
    return CampaignRepository.create(tmp_path / name, resolve_target(given, tmp_path))


def with_files(tmp_path: Path, files: dict[str, str | bytes]) -> tuple[CampaignRepository, str]:
    init(tmp_path / "user", files)
    return made(tmp_path)


def blob(repository: CampaignRepository, at: str, path: str) -> bytes:
    return git(repository.path, "show", f"{at}:{path}").encode("utf-8", "surrogateescape")


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


# -- merges and patches


def test_changes_of_different_lines_are_merged(tmp_path: Path) -> None:
    repository, _ = with_files(tmp_path, {"a": "x"})
    base = "".join(f"{n}\n" for n in range(12))
    merged = repository.merge_texts(base.replace("1\n", "one\n", 1), base, base.replace("10\n", "ten\n"))
    assert merged == base.replace("1\n", "one\n", 1).replace("10\n", "ten\n")


def test_changes_of_the_same_line_are_a_conflict(tmp_path: Path) -> None:
    repository, _ = with_files(tmp_path, {"a": "x"})
    assert repository.merge_texts("a\n", "b\n", "c\n") is None


def test_a_merge_keeps_bytes_that_are_not_text(tmp_path: Path) -> None:
    repository, _ = with_files(tmp_path, {"a": "x"})
    base = "\udce9\r\n" + "".join(f"{n}\r\n" for n in range(9))
    assert repository.merge_texts("new\r\n" + base, base, base + "end\r\n") == "new\r\n" + base + "end\r\n"


PATCH = """\
diff --git a/train.py b/train.py
--- a/train.py
+++ b/train.py
@@ -1,2 +1,2 @@
-LR = 0.1
+LR = 0.2
 print(LR)
diff --git a/program.md b/notes.md
similarity index 100%
rename from program.md
rename to notes.md
diff --git a/prepare.py b/prepare.py
deleted file mode 100644
--- a/prepare.py
+++ /dev/null
@@ -1 +0,0 @@
-sealed = True
diff --git a/new/x.py b/new/x.py
new file mode 100644
--- /dev/null
+++ b/new/x.py
@@ -0,0 +1 @@
+x = 1
"""


def test_a_patch_becomes_the_new_texts_of_what_it_changes(tmp_path: Path) -> None:
    repository, base = with_files(tmp_path, dict(FILES))
    write(tmp_path, {"a.patch": PATCH})
    assert repository.texts_after_patch(base, tmp_path / "a.patch") == {
        "train.py": "LR = 0.2\nprint(LR)\n",
        "program.md": None,
        "notes.md": FILES["program.md"],
        "prepare.py": None,
        "new/x.py": "x = 1\n",
    }
    assert git(repository.path, "rev-parse", "champion") == base


@pytest.mark.parametrize(
    "patch",
    [
        "",
        "not a patch\n",
        PATCH.replace("-LR = 0.1", "-LR = 0.7"),
        "diff --git a/../out b/../out\nnew file mode 100644\n--- /dev/null\n+++ b/../out\n@@ -0,0 +1 @@\n+x\n",
    ],
)
def test_a_patch_that_does_not_apply_is_an_error(tmp_path: Path, patch: str) -> None:
    repository, base = with_files(tmp_path, dict(FILES))
    write(tmp_path, {"a.patch": patch})
    with pytest.raises(RepositoryError):
        repository.texts_after_patch(base, tmp_path / "a.patch")
    assert not (tmp_path / "out").exists()


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


# -- foreign influence


HOSTILE = """
[core]
    hooksPath = {home}/hooks
    autocrlf = true
    attributesFile = {home}/attributes
    pager = touch {home}/touched
[commit]
    gpgsign = true
[gpg]
    program = {home}/hooks/post-commit
[diff]
    external = {home}/hooks/post-commit
    noprefix = true
[diff "odd"]
    textconv = {home}/hooks/post-commit
[i18n]
    commitEncoding = UTF-16
[init]
    templateDir = {home}/template
    defaultBranch = strange
[fetch]
    fsckObjects = true
[user]
    name = Someone Else
"""


@pytest.fixture
def hostile_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    write(home, {".gitconfig": HOSTILE.format(home=home), "attributes": "* diff=odd\n*.py text eol=crlf\n"})
    for name in ("post-commit", "reference-transaction", "post-update"):
        write(home, {f"hooks/{name}": f"#!/bin/sh\ntouch {home}/touched\n", f"template/hooks/{name}": "#!/bin/sh\nexit 1\n"})
        (home / "hooks" / name).chmod(0o755)
        (home / "template/hooks" / name).chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    return home


def story(folder: Path) -> list[str]:
    """Everything that the campaign asks of git, in a few lines."""
    repository, base = CampaignRepository.create(folder, resolve_target("user", folder.parent))
    tip = repository.commit(base, {"train.py": "LR = 1\r\nprint(LR)\n", "new.py": "x\n"}, "ü idea\n", AT)
    repository.set_ref(candidate_ref("c0001"), tip)
    patch = folder.parent / "a.patch"
    patch.write_text(PATCH)
    said = [base, tip, str(repository.diff_lines(base, tip)), str(repository.files(tip))]
    said += [str(repository.texts_after_patch(base, patch)), str(repository.reconcile(tip, {"c0001": tip}))]
    assert len(repository.bundle(tip, base)) > 100
    repository.close()
    return said


def test_the_users_settings_have_no_effect(tmp_path: Path, hostile_home: Path) -> None:
    init(tmp_path / "user")
    found = story(tmp_path / "hostile")
    (hostile_home / ".gitconfig").unlink()
    assert found == story(tmp_path / "plain")
    assert not (hostile_home / "touched").exists()


def test_variables_that_point_git_elsewhere_have_no_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init(tmp_path / "user")
    other = init(tmp_path / "other", {"else.txt": "1"})
    before, plain = git(other, "rev-parse", "HEAD"), story(tmp_path / "plain")
    elsewhere = {
        "GIT_DIR": other / ".git", "GIT_WORK_TREE": other, "GIT_INDEX_FILE": other / ".git/index", "GIT_NAMESPACE": "odd",
        "GIT_OBJECT_DIRECTORY": other / ".git/objects", "GIT_COMMON_DIR": other / ".git",
        "GIT_EXTERNAL_DIFF": "false", "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "diff.noprefix", "GIT_CONFIG_VALUE_0": "true",
        "GIT_AUTHOR_DATE": "1 +0000", "GIT_COMMITTER_NAME": "Someone Else",
    }  # fmt: skip
    for name, value in elsewhere.items():
        monkeypatch.setenv(name, str(value))
    assert story(tmp_path / "elsewhere") == plain
    assert git(other, "rev-parse", "HEAD") == before
    assert git(other, "status", "--porcelain") == ""


def test_attributes_of_the_target_do_not_change_what_is_compared(tmp_path: Path) -> None:
    repository, base = with_files(tmp_path, {".gitattributes": "*.py diff=odd -diff\n", "a.py": "1\n"})
    tip = repository.commit(base, {"a.py": "1\n2\n"}, "m", AT)
    assert repository.diff_lines(base, tip) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("given", ["user", "user/sub"])
def test_a_repository_of_another_owner_is_taken_where_the_user_calls_it_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    user, home = init(tmp_path / "user", {"sub/train.py": "LR = 1\n"}), tmp_path / "home"
    for path in [user, *user.rglob("*")]:
        os.chown(path, 12345, 12345)
    monkeypatch.setenv("HOME", str(home))
    home.mkdir()
    with pytest.raises(TargetError, match=r"safe\.directory"):
        resolve_target(given, tmp_path)
    (home / ".gitconfig").write_text(f"[safe]\n    directory = {user}\n")
    repository, base = made(tmp_path, given)
    assert [name.removeprefix("sub/") for name in repository.files(base)] == ["train.py"]
