"""Merges and patches: texts in, texts out, and nothing that is no text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from campaign_repository import PATCH, made, with_files
from subject import FILES, commit, git, init, write

from orchestrator.repository import RepositoryError
from orchestrator.scope import path_problem


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


# -- what is no text of a plain file


def added(mode: str, content: str, path: str = "new.py") -> str:
    body = "".join(f"+{line}\n" for line in content.splitlines())
    hunk = f"@@ -0,0 +1,{len(content.splitlines())} @@\n{body}"
    missing = "" if content.endswith("\n") else "\\ No newline at end of file\n"
    return f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n{hunk}{missing}"


MODE = "diff --git a/train.py b/train.py\nold mode 100644\nnew mode 100755\n"
TO_LINK = (
    "diff --git a/train.py b/train.py\ndeleted file mode 100644\n--- a/train.py\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-LR = 0.1\n"
    "-print(LR)\n" + added("120000", "/etc/passwd", "train.py")
)
BINARY = (
    f"diff --git a/data.bin b/data.bin\nnew file mode 100644\nindex {'0' * 40}..eaf36c1daccfdf325514461cd1a2ffbc139b5464\n"
    "GIT binary patch\nliteral 4\nLcmZQzWMT#Y01f~L\n\nliteral 0\nHcmV?d00001\n\n"
)


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        (added("120000", "/etc/passwd"), "new.py: is a symbolic link; a proposal changes the text of plain files alone"),
        (added("120000", "../../journal.sqlite", "train.txt"), "train.txt: is a symbolic link"),
        (TO_LINK, "train.py: is a symbolic link"),
        (added("160000", f"Subproject commit {'ab' * 20}\n", "vendored"), "vendored: is a submodule"),
        (added("100755", "echo 1\n", "run.sh"), "run.sh: its mode would become 100755"),
        (MODE, "train.py: its mode would become 100755; a proposal changes texts, not modes"),
        (BINARY, "data.bin: would become a binary file; a proposal changes text, in UTF-8"),
    ],
)
def test_a_patch_that_makes_more_than_text_is_refused_in_clear_words(tmp_path: Path, patch: str, words: str) -> None:
    repository, base = with_files(tmp_path, dict(FILES))
    write(tmp_path, {"a.patch": patch})
    with pytest.raises(RepositoryError, match=re.escape(words)):
        repository.texts_after_patch(base, tmp_path / "a.patch")


def test_a_patch_cannot_write_through_a_link_of_the_target(tmp_path: Path) -> None:
    user = init(tmp_path / "user")
    (user / "link.py").symlink_to("train.py")
    (user / "folder").symlink_to("/tmp")
    commit(user, {})
    repository, base = made(tmp_path)
    for patch in (
        "--- a/link.py\n+++ b/link.py\n@@ -1 +1 @@\n-train.py\n\\ No newline at end of file\n+prepare.py\n",
        "diff --git a/link.py b/link.py\ndeleted file mode 120000\n--- a/link.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-train.py\n"
        "\\ No newline at end of file\n",
        added("100644", "x\n", "folder/x.py"),
    ):
        write(tmp_path, {"a.patch": patch})
        with pytest.raises(RepositoryError, match=r"symbolic link|beyond a symbolic link|does not apply"):
            repository.texts_after_patch(base, tmp_path / "a.patch")


@pytest.mark.parametrize(
    "path", [".git/hooks/post-commit", "../out.txt", "/etc/cron.d/x", ".GIT/config", "a/../../out", "git~1/x"]
)
def test_a_patch_cannot_name_what_lies_outside(tmp_path: Path, path: str) -> None:
    repository, base = with_files(tmp_path, dict(FILES))
    write(tmp_path, {"a.patch": added("100644", "x\n", path)})
    try:
        texts = repository.texts_after_patch(base, tmp_path / "a.patch")
    except RepositoryError:
        return
    assert all(path_problem(name) is not None for name in texts)  # or it is the gate's to refuse


def test_an_executable_keeps_its_mode_and_its_text_may_change(tmp_path: Path) -> None:
    user = init(tmp_path / "user", {"run.sh": "echo 1\n"})
    (user / "run.sh").chmod(0o755)
    commit(user, {})
    repository, base = made(tmp_path)
    write(tmp_path, {"a.patch": "--- a/run.sh\n+++ b/run.sh\n@@ -1 +1 @@\n-echo 1\n+echo 2\n"})
    assert repository.texts_after_patch(base, tmp_path / "a.patch") == {"run.sh": "echo 2\n"}
