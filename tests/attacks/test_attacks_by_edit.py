"""What lies in the edit itself is refused by a gate, before anything runs, and its candidate is on record as `rejected`."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from arena import HERE, Arena, Happened
from attack import BUDGET_S
from attacks_by_edit import ATTACKS, CARRIED, GIT, BadEdit
from trust_table import Notes

from orchestrator.edits import Edit
from orchestrator.repository import RepositoryError
from workers.trial import TrainPlan

CHAPTER = "In the edit itself"


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """As much may be edited as can be: everything but the sealed file."""
    folder = tmp_path_factory.mktemp("edits")
    files = {path.name: path.read_bytes() for path in (HERE / "counting").glob("*.py")} | {"lib/a.py": b"A = 1\n"}
    links = {"lib/link.py": "../prepare.py"}
    made = Arena.open(
        folder, files, ("*", "!prepare.py"), TrainPlan(BUDGET_S), "val_bpb", data_root=folder / "data", links=links
    )
    yield made
    made.close()


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_a_bad_edit_is_refused_before_anything_runs(arena: Arena, notes: Notes, attack: BadEdit) -> None:
    happened = arena.measure(attack.edits)
    refused = (
        happened.outcome == "rejected" and happened.reason.startswith(f"{attack.gate}: ") and attack.says in happened.reason
    )
    outcome, rule = (happened.outcome, attack.gate) if refused else (happened.outcome, happened.reason)
    notes.take(CHAPTER, attack.name, outcome, rule, attack.elsewhere)
    assert (outcome, rule) == ("rejected", attack.gate)


LINK = "a symbolic link, by way of a patch"
SUBMODULE = "a submodule, by way of a patch"
PATCHES = {
    LINK: "--- /dev/null\n+++ b/lib/out.py\n@@ -0,0 +1 @@\n+/etc/shadow\n\\ No newline at end of file\n",
    SUBMODULE: f"--- /dev/null\n+++ b/lib/sub\n@@ -0,0 +1 @@\n+Subproject commit {'1' * 40}\n",
}
MODES = {LINK: "120000", SUBMODULE: "160000"}


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_brings_in_no_link_and_no_submodule(arena: Arena, notes: Notes, tmp_path: Path, name: str) -> None:
    path = "lib/out.py" if name == LINK else "lib/sub"
    patch = tmp_path / "p.patch"
    patch.write_text(f"diff --git a/{path} b/{path}\nnew file mode {MODES[name]}\n{PATCHES[name]}")
    try:
        texts = arena.repository.texts_after_patch(arena.base, patch)
    except RepositoryError:
        outcome = "rejected"
    else:
        edits = tuple(Edit(path, delete=True) if text is None else Edit(path, content=text) for path, text in texts.items())
        outcome = arena.enter(edits).outcome
    notes.take(CHAPTER, name, outcome, "scope", GIT)
    assert outcome == "rejected"


INSTALMENTS = "weights by instalments: a little in each of many edits that are kept"


def test_weights_do_not_come_in_by_instalments(arena: Arena, notes: Notes) -> None:
    """Each edit alone is small enough; the champion that has them all would not be."""
    noise = random.Random(1)
    champion, happened = arena.base, Happened("admitted", "")
    for number in range(30):
        text = "".join(f'W{n} = "{noise.randbytes(40).hex()}"\n' for n in range(40))
        happened = arena.enter((Edit(f"lib/part{number}.py", content=text),), on=champion)
        if happened.outcome != "admitted":
            assert number > 1
            break
        champion = happened.commit
    rule = "scope" if happened.reason.startswith("scope: ") else happened.reason
    notes.take(CHAPTER, INSTALMENTS, happened.outcome, rule, CARRIED)
    assert (happened.outcome, rule) == ("rejected", "scope")


def test_git_itself_runs_no_hook_filter_or_setting_of_a_target(tmp_path: Path, notes: Notes) -> None:
    """The base of a campaign may be anybody's repository: with filters in .gitattributes, and hooks where it was cloned."""
    folder = tmp_path / "hooked"
    canary = tmp_path / "ran"
    files = {path.name: path.read_bytes() for path in (HERE / "counting").glob("*.py")}
    files[".gitattributes"] = b"*.py filter=evil diff=evil\n"
    arena = Arena.open(folder, files, ("train.py",), TrainPlan(BUDGET_S), "val_bpb", data_root=folder / "data")
    for repository in (folder / "user/.git", folder / "repo", folder / "node/repository.git"):
        for hook in ("post-checkout", "post-commit", "pre-commit", "reference-transaction", "post-index-change"):
            (repository / "hooks").mkdir(exist_ok=True)
            (repository / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {canary}\n")
            (repository / "hooks" / hook).chmod(0o755)
        for setting in ("smudge", "clean"):
            if repository.name == ".git":
                command = ["git", "--git-dir", str(repository), "config", f"filter.evil.{setting}", f"touch {canary}; cat"]
                subprocess.run(command, check=True)
    happened = arena.measure((Edit("train.py", search="num_steps=1", replace="num_steps=2"),))
    arena.close()
    notes.take(CHAPTER, "hooks and filters that wait in a repository", "in vain" if not canary.exists() else "ran", "git", GIT)
    assert happened.outcome == "ok", happened
    assert not canary.exists()
