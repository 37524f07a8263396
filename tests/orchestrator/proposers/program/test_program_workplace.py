"""A worktree of its own: whatever a program does to files and to git, what changed is seen and nothing else is touched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from campaign_repository import with_files
from subject import git

from orchestrator.proposers.program.workplace import Change, Workplace, WorkplaceError, sweep

FILES: dict[str, str | bytes] = {
    "train.py": "LR = 0.1\n",
    "old.py": "x = 1\n",
    "src/model.py": "depth = 8\n",
    ".gitignore": "*.log\n",
    "raw.bin": b"\0\xff",
}


@pytest.fixture
def campaign(tmp_path: Path) -> tuple[Path, str]:
    repository, base = with_files(tmp_path, FILES)
    repository.close()
    return repository.path, base


def place_for(campaign: tuple[Path, str], tmp_path: Path, number: str = "0001") -> Workplace:
    return Workplace(campaign[0], tmp_path / "program" / number, campaign[1])


def shell(place: Workplace, program: str) -> None:
    subprocess.run(["sh", "-ec", program], cwd=place.worktree, check=True, capture_output=True)


def test_it_holds_the_commits_files_and_nothing_has_changed(campaign: tuple[Path, str], tmp_path: Path) -> None:
    with place_for(campaign, tmp_path) as place:
        assert (place.worktree / "src/model.py").read_text() == "depth = 8\n"
        assert git(place.worktree, "rev-parse", "HEAD") == campaign[1]
        assert git(place.worktree, "status", "--porcelain") == ""
        place.tell({"prompt.md": "do it"})
        assert git(place.worktree, "status", "--porcelain") == ""
        assert place.changes() == []
        assert place.subject() is None


def test_it_is_gone_afterwards_also_what_was_made_read_only(campaign: tuple[Path, str], tmp_path: Path) -> None:
    with place_for(campaign, tmp_path) as place:
        shell(place, "mkdir -p a/b; touch a/b/c; chmod -R a-w a")
    assert list(place.folder.iterdir()) == []


@pytest.mark.parametrize(
    "then",
    [
        "true",
        "git add -A",
        "git add -A; git commit -qm x",
        "git checkout -q -b mine; git add -A; git commit -qm x",
        "git add -A; git commit -qm x; git reset -q --soft champion; git gc -q",
        "rm -rf .git",
        "rm -f .git/index; echo garbage > .git/HEAD",
        "git config core.worktree /tmp; git config core.fileMode false; git config core.bare true",
        "git update-index --assume-unchanged train.py || true",
    ],
)
def test_what_changed_is_read_from_the_files_whatever_was_done_with_git(
    campaign: tuple[Path, str], tmp_path: Path, then: str
) -> None:
    refs = git(campaign[0], "for-each-ref")
    with place_for(campaign, tmp_path) as place:
        shell(
            place,
            "echo LR=1 > train.py; rm old.py; echo y > src/new.py; echo z > made.log; mkdir .regatta; echo d > .regatta/x; "
            + then,
        )
        assert place.changes() == [
            Change("old.py", deleted=True),
            Change("src/new.py", added=True),
            Change("train.py"),
        ]
        assert place.after("train.py") == "LR=1\n"
        assert place.before("train.py") == "LR = 0.1\n"
    assert git(campaign[0], "for-each-ref") == refs
    git(campaign[0], "fsck", "--full", "--strict")


def test_a_change_that_keeps_size_and_time_of_the_file_is_seen(campaign: tuple[Path, str], tmp_path: Path) -> None:
    with place_for(campaign, tmp_path) as place:
        shell(place, "touch -r train.py /tmp/$$; echo 'LR = 0.2' > train.py; touch -r /tmp/$$ train.py; rm /tmp/$$")
        assert place.changes() == [Change("train.py")]


def test_links_submodules_and_repositories_in_it_are_unfit(campaign: tuple[Path, str], tmp_path: Path) -> None:
    with place_for(campaign, tmp_path) as place:
        shell(
            place,
            "ln -sf /etc/passwd train.py; ln -s /etc/passwd new.py; git init -q sub; touch sub/x; rm -r src; ln -s /etc src",
        )
        found = {change.path: change for change in place.changes()}
        assert found["train.py"].unfit == "a symbolic link"
        assert found["sub"].unfit == "a git repository of its own"
        assert found["src/model.py"].deleted
        with pytest.raises(WorkplaceError, match=r"new\.py: is a symbolic link"):
            place.after("new.py")


def test_what_is_no_text_of_a_plain_file_of_some_size_is_refused_by_name(campaign: tuple[Path, str], tmp_path: Path) -> None:
    with place_for(campaign, tmp_path) as place:
        (place.worktree / "bin.py").write_bytes(b"a\0b")
        (place.worktree / "latin.py").write_bytes(b"caf\xe9")
        os.mkfifo(place.worktree / "pipe.py")
        with (place.worktree / "big.py").open("wb") as file:
            file.truncate(1 << 30)
        for name, why in (
            ("bin.py", "binary"),
            ("latin.py", "binary"),
            ("pipe.py", "no plain file"),
            ("big.py", "bytes; at most"),
        ):
            with pytest.raises(WorkplaceError, match=f"{name}: .*{why}"):
                place.after(name)


def test_a_mode_alone_is_a_change_without_another_text(campaign: tuple[Path, str], tmp_path: Path) -> None:
    with place_for(campaign, tmp_path) as place:
        shell(place, "chmod +x train.py")
        assert all(place.before(change.path) == place.after(change.path) for change in place.changes())


def test_a_worktree_that_was_removed_is_said_so(campaign: tuple[Path, str], tmp_path: Path) -> None:
    with place_for(campaign, tmp_path) as place:
        subprocess.run(["rm", "-rf", str(place.worktree)], check=True)
        with pytest.raises(WorkplaceError, match="removed its worktree"):
            place.changes()


def test_the_subject_of_its_own_last_commit_is_known(campaign: tuple[Path, str], tmp_path: Path) -> None:
    with place_for(campaign, tmp_path) as place:
        shell(place, "echo 1 > train.py; git commit -qam one; echo 2 > train.py; git commit -qam 'feat: two'")
        assert place.subject() == "feat: two"


def test_no_hook_or_filter_runs_and_no_key_is_asked_for(
    campaign: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text(f"[commit]\n gpgSign = true\n[core]\n hooksPath = {tmp_path}/hooks\n")
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks/pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "hooks/pre-commit").chmod(0o755)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    with place_for(campaign, tmp_path) as place:
        shell(place, "echo 1 > train.py; git commit -qam mine")
        assert place.subject() == "mine"


def test_files_are_seen_byte_for_byte_whatever_the_targets_attributes_say(tmp_path: Path) -> None:
    attributes = "*.py text eol=crlf\n*.dat filter=lfs\n*.id ident\n"
    files: dict[str, str | bytes] = {".gitattributes": attributes, "a.py": "x\ny\n", "b.dat": "b\n", "c.id": "$Id$\n"}
    repository, base = with_files(tmp_path, files)
    with Workplace(repository.path, tmp_path / "p/0001", base) as place:
        assert (place.worktree / "a.py").read_bytes() == b"x\ny\n"
        assert (place.worktree / "c.id").read_bytes() == b"$Id$\n"
        assert [change for change in place.changes() if place.before(change.path) != place.after(change.path)] == []
        (place.worktree / "a.py").write_text("x\nz\n")
        assert place.changes() == [Change("a.py")]
    repository.close()


def test_a_targets_own_folder_of_that_name_does_not_count(tmp_path: Path) -> None:
    repository, base = with_files(tmp_path, {"a.py": "1\n", ".regatta": "a file\n"})
    with Workplace(repository.path, tmp_path / "p/0001", base) as place:
        place.tell({"prompt.md": "x"})
        assert place.changes() == []
    repository.close()


def test_what_a_killed_head_left_is_swept(campaign: tuple[Path, str], tmp_path: Path) -> None:
    left = [place_for(campaign, tmp_path, number) for number in ("0001", "0002")]
    for place in left:
        place.__enter__()
    (left[0].folder / "output.txt").write_text("stays")
    assert sweep(tmp_path / "program") == 2
    assert sorted(path.name for path in tmp_path.glob("program/*/*")) == ["output.txt"]
