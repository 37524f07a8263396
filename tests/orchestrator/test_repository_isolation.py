"""No setting, hook, filter, attribute or variable of the machine, the user or the target has a say in the campaign's git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from campaign_repository import AT, PATCH, made, with_files
from subject import FILES, git, init, write

from orchestrator.repository import CampaignRepository, candidate_ref
from orchestrator.target import Target, TargetError, resolve_target
from workers.workspace import NodeRepository

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


# -- programs that git would run


PROGRAMS = """
[core]
    hooksPath = {run}/hooks
    fsmonitor = {run}/program
    sshCommand = {run}/program
    pager = {run}/program
    editor = {run}/program
    attributesFile = {run}/attributes
    alternateRefsCommand = {run}/program
[credential]
    helper = {run}/program
[diff]
    external = {run}/program
[diff "odd"]
    command = {run}/program
    textconv = {run}/program
[merge "odd"]
    driver = {run}/program %A
[filter "odd"]
    clean = {run}/program
    smudge = {run}/program
    required = true
[filter "odder"]
    process = {run}/program
[uploadpack]
    packObjectsHook = {run}/program
[gpg]
    program = {run}/program
[protocol]
    allow = always
"""
HOOKS = (
    *("applypatch-msg", "pre-commit", "post-commit", "post-checkout", "post-merge", "pre-push", "pre-receive", "update"),
    *("post-receive", "post-update", "reference-transaction", "post-index-change", "fsmonitor-watchman", "push-to-checkout"),
)
ATTRIBUTES = "*.py filter=odd diff=odd merge=odd\n*.md filter=odder export-subst\n"


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's repository whose every hook, filter and driver leaves a mark, with the same in the global settings."""
    run = tmp_path / "programs"
    program = f'#!/bin/sh\necho "$0 $@" >> {run}/marks\ncat\n'
    write(run, {"program": program, "attributes": ATTRIBUTES, **{f"hooks/{name}": program for name in HOOKS}})
    user = init(tmp_path / "user", {**FILES, ".gitattributes": ATTRIBUTES, "sub/train.py": "LR = 1\n"})
    write(user / ".git", {f"hooks/{name}": program for name in HOOKS})
    with (user / ".git/config").open("a") as config:
        config.write(PROGRAMS.format(run=run))
    write(tmp_path / "home", {".gitconfig": PROGRAMS.format(run=run), ".config/git/attributes": ATTRIBUTES})
    for path in [run / "program", *(run / "hooks").iterdir(), *(user / ".git/hooks").iterdir()]:
        path.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return run


def test_the_programs_that_are_planted_do_run_where_nobody_turns_them_off(tmp_path: Path, planted: Path) -> None:
    (tmp_path / "user/train.py").touch()
    subprocess.run(["git", "-C", str(tmp_path / "user"), "status"], capture_output=True, check=False)
    assert (planted / "marks").exists()


@pytest.mark.parametrize("given", ["user", "user/sub"])
def test_no_program_of_the_user_or_the_target_runs_in_the_head(tmp_path: Path, planted: Path, given: str) -> None:
    for path in (tmp_path / "user").glob("**/*.py"):
        path.touch()  # git has to look into it again, through a filter if there is one
    target = resolve_target(given, tmp_path)
    repository, base = CampaignRepository.create(tmp_path / "repo", target)
    tip = repository.commit(base, {"train.py": "LR = 2\n"}, "m", AT)
    other = repository.commit(base, {"train.py": "LR = 3\n", "new.py": "x"}, "m", AT)
    write(tmp_path, {"a.patch": "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-LR = 2\n+LR = 4\n"})
    repository.set_ref(candidate_ref("c0001"), tip)
    repository.diff_lines(tip, other)
    repository.changed(tip, other)
    repository.merge_texts("a\n", "b\n", "b\nc\n")
    assert repository.texts_after_patch(tip, tmp_path / "a.patch") == {"train.py": "LR = 4\n"}
    repository.reconcile(tip, {"c0001": other})
    repository.bundle(tip, base)
    repository.base_bundle()
    repository.close()
    assert not (planted / "marks").exists(), (planted / "marks").read_text()


def test_no_program_of_a_shipped_folder_runs(tmp_path: Path, planted: Path) -> None:
    folder = tmp_path / "shipped"
    write(folder, {**FILES, ".gitattributes": ATTRIBUTES})
    repository, base = CampaignRepository.create(tmp_path / "repo", Target("nanotrain", None, "", folder, None))
    assert repository.read(base, "train.py") == FILES["train.py"]
    assert not (planted / "marks").exists(), (planted / "marks").read_text()


def test_no_program_runs_in_the_hands(tmp_path: Path, planted: Path) -> None:
    user = tmp_path / "user"
    head = git(user, "rev-parse", "HEAD")
    node = NodeRepository(tmp_path / "node")
    node.take_from(user, [head])
    with node.workspace(head, head, ["prepare.py"]) as workspace:
        assert (workspace.path / "train.py").read_text() == FILES["train.py"]
    node.close()
    assert not (planted / "marks").exists(), (planted / "marks").read_text()
