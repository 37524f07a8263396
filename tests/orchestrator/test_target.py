"""What may be a target, what is refused and in which words, and what of it may be edited."""

from __future__ import annotations

from pathlib import Path

import pytest
from subject import commit, git, init, write

from orchestrator import target as target_module
from orchestrator.target import TargetError, resolve_target, scope_of, shipped_subjects

# -- where the base comes from


def test_the_root_of_a_repository_is_taken_whole(tmp_path: Path) -> None:
    user = init(tmp_path / "user")
    found = resolve_target("user", tmp_path)
    assert found.whole
    assert (found.repository, found.folder, found.head) == (user, "", git(user, "rev-parse", "HEAD"))


def test_a_committed_folder_is_taken_from_the_repository_around_it(tmp_path: Path) -> None:
    user = init(tmp_path / "user", {"README": "x", "sub/ject/train.py": "LR = 1\n"})
    found = resolve_target("user/sub/ject", tmp_path)
    assert (found.repository, found.folder, found.whole) == (user, "sub/ject", False)


@pytest.mark.parametrize("given", [".", "../user", "../user/"])
def test_paths_are_relative_to_the_working_directory(tmp_path: Path, given: str) -> None:
    user = init(tmp_path / "user")
    assert resolve_target(given, user).repository == user


def test_a_path_in_the_home_folder_may_be_given_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    user = init(tmp_path / "user")
    assert resolve_target("~/user", tmp_path / "elsewhere").repository == user


def test_a_link_to_a_repository_leads_to_it(tmp_path: Path) -> None:
    user = init(tmp_path / "user")
    (tmp_path / "link").symlink_to(user)
    assert resolve_target("link", tmp_path).repository == user


def test_a_detached_head_is_a_head(tmp_path: Path) -> None:
    user = init(tmp_path / "user")
    first = git(user, "rev-parse", "HEAD")
    commit(user, {"train.py": "LR = 2\n"})
    git(user, "checkout", "--quiet", first)
    assert resolve_target("user", tmp_path).head == first


def test_a_bare_repository_is_a_repository(tmp_path: Path) -> None:
    user = init(tmp_path / "user")
    git(tmp_path, "clone", "--quiet", "--bare", str(user), "bare.git")
    found = resolve_target("bare.git", tmp_path)
    assert found.whole
    assert found.repository == tmp_path / "bare.git"


def test_a_worktree_is_a_repository(tmp_path: Path) -> None:
    user = init(tmp_path / "user")
    git(user, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "tree"))
    assert resolve_target("tree", tmp_path).head == git(user, "rev-parse", "HEAD")


def test_the_subject_that_ships_is_found_from_anywhere(tmp_path: Path) -> None:
    assert (shipped_subjects()["nanotrain"] / "prepare.py").is_file()


def test_a_shipped_subject_inside_an_uncommitted_environment_is_taken_as_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with `pip install` into a .venv inside the user's own repository.
    user = init(tmp_path / "user", {"mine.py": "", ".gitignore": ".venv\n"})
    inside = user / ".venv" / "shipped" / "nanotrain"
    write(inside, {"prepare.py": "", "train.py": ""})
    monkeypatch.setattr(target_module, "shipped_subjects", lambda: {"nanotrain": inside})
    found = resolve_target("nanotrain", user)
    assert (found.repository, found.path) == (None, inside)


def test_a_folder_of_the_users_comes_before_a_shipped_subject_of_its_name(tmp_path: Path) -> None:
    user = init(tmp_path / "nanotrain")
    assert resolve_target("nanotrain", tmp_path).repository == user


# -- what is refused


def refused(given: str, working_dir: Path) -> str:
    with pytest.raises(TargetError) as raised:
        resolve_target(given, working_dir)
    said = str(raised.value)
    assert said.startswith(f"target.repo: {given}: ")
    return said


def test_what_is_not_there_is_refused_with_what_is_allowed(tmp_path: Path) -> None:
    said = refused("nowhere", tmp_path)
    assert "there is no such folder" in said
    assert "nanotrain" in said


def test_a_file_is_refused(tmp_path: Path) -> None:
    init(tmp_path / "user")
    assert "is a file" in refused("user/train.py", tmp_path)


def test_a_folder_that_is_not_under_git_is_refused_with_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert f"git -C {tmp_path / 'plain'} init" in refused("plain", tmp_path)


def test_a_repository_without_a_commit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "--quiet")
    assert "has no commit yet" in refused("empty", tmp_path)


@pytest.mark.parametrize("name", ["train.py", "new.py"])
def test_changes_that_are_not_committed_are_refused_and_named(tmp_path: Path, name: str) -> None:
    user = init(tmp_path / "user")
    write(user, {name: "LR = 9\n"})
    assert f"not committed ({name})" in refused("user", tmp_path)


def test_changes_that_are_staged_are_refused(tmp_path: Path) -> None:
    user = init(tmp_path / "user")
    write(user, {"train.py": "LR = 9\n"})
    git(user, "add", "train.py")
    assert "train.py" in refused("user", tmp_path)


def test_untracked_files_are_seen_also_where_the_user_hides_them(tmp_path: Path) -> None:
    user = init(tmp_path / "user")
    git(user, "config", "status.showUntrackedFiles", "no")
    write(user, {"new.py": ""})
    assert "new.py" in refused("user", tmp_path)


def test_an_ignored_file_is_no_change(tmp_path: Path) -> None:
    user = init(tmp_path / "user", {"train.py": "", ".gitignore": "*.log\n"})
    write(user, {"run.log": "x"})
    assert resolve_target("user", tmp_path).whole


@pytest.mark.parametrize("name", ["train.py", "new.py"])
def test_changes_in_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    user = init(tmp_path / "user", {"sub/train.py": "LR = 1\n"})
    write(user, {f"sub/{name}": "LR = 2\n"})
    assert name in refused("user/sub", tmp_path)


def test_changes_beside_the_folder_do_not_matter(tmp_path: Path) -> None:
    user = init(tmp_path / "user", {"sub/train.py": "LR = 1\n", "other.py": ""})
    write(user, {"other.py": "changed", "new.py": ""})
    assert resolve_target("user/sub", tmp_path).folder == "sub"


def test_a_folder_that_is_not_committed_is_refused(tmp_path: Path) -> None:
    user = init(tmp_path / "user")
    write(user, {"sub/train.py": "LR = 1\n"})
    assert "the folder is not committed" in refused("user/sub", tmp_path)


@pytest.mark.parametrize("folder", ["", "/sub"])
def test_a_shallow_clone_is_refused_whole_but_a_folder_of_it_is_enough(tmp_path: Path, folder: str) -> None:
    user = init(tmp_path / "user", {"sub/train.py": "LR = 1\n"})
    commit(user, {"sub/train.py": "LR = 2\n"})
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{user}", "clone")
    if folder:
        assert resolve_target("clone/sub", tmp_path).folder == "sub"
    else:
        assert "fetch --unshallow" in refused("clone", tmp_path)


def test_variables_that_point_git_elsewhere_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user, other = init(tmp_path / "user"), init(tmp_path / "other", {"a": "1"})
    write(user, {"new.py": ""})
    for name, value in (("GIT_DIR", other / ".git"), ("GIT_WORK_TREE", other), ("GIT_INDEX_FILE", other / ".git/index")):
        monkeypatch.setenv(name, str(value))
    assert "new.py" in refused("user", tmp_path)


# -- what may be edited


FILES = ("prepare.py", "program.md", "train.py", "model/a.py", "model/b.py")


def test_what_the_globs_match_is_editable_and_all_else_is_sealed() -> None:
    found = scope_of(FILES, ("train.py", "model/"), None, has_command=False)
    assert found.runner == "train"
    assert found.editable == ("train.py", "model/a.py", "model/b.py")
    assert found.sealed == ("prepare.py", "program.md")
    assert found.scope.matches("model/new.py")
    assert not found.scope.matches("prepare.py")


def test_a_negated_glob_takes_files_out_again() -> None:
    found = scope_of(FILES, ("*.py", "!prepare.py", "!model/b.py"), None, has_command=False)
    assert found.editable == ("train.py", "model/a.py")


def test_a_glob_that_matches_nothing_is_refused_with_what_there_is() -> None:
    with pytest.raises(TargetError, match=r"target\.editable: 'trian\.py' matches no file.*train\.py"):
        scope_of(FILES, ("train.py", "trian.py"), None, has_command=False)


@pytest.mark.parametrize("editable", [("!train.py",), ("train.py", "!train.py"), ("*.md", "!*")])
def test_globs_that_leave_nothing_to_edit_are_refused(editable: tuple[str, ...]) -> None:
    with pytest.raises(TargetError, match=r"target\.editable: .* leave no file to edit"):
        scope_of(FILES, editable, None, has_command=False)


@pytest.mark.parametrize("editable", [("*.py",), ("*",), ("prepare.py", "train.py"), ("/prepare.py",)])
def test_globs_that_catch_the_sealed_file_of_the_runner_are_refused(editable: tuple[str, ...]) -> None:
    with pytest.raises(TargetError, match=r"includes prepare\.py, which the train runner seals"):
        scope_of(FILES, editable, None, has_command=False)


def test_the_command_runner_seals_no_name() -> None:
    found = scope_of(FILES, ("*.py",), None, has_command=True)
    assert found.runner == "command"
    assert "prepare.py" in found.editable


def test_a_target_that_neither_trains_nor_has_a_command_is_refused() -> None:
    with pytest.raises(TargetError, match=r"give target\.command"):
        scope_of(("a.py",), ("a.py",), None, has_command=False)


def test_the_train_runner_needs_its_two_files() -> None:
    with pytest.raises(TargetError, match=r"needs prepare\.py in the target"):
        scope_of(("train.py",), ("train.py",), "train", has_command=False)
