"""A person's own idea: what cannot be tried is refused at once, in clear words, and the rest lies in the inbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from campaign_repository import made
from subject import FILES, commit, init, write

from orchestrator import events as ev
from orchestrator.config import parse_config
from orchestrator.edits import Edit
from orchestrator.ledger import Ledger
from orchestrator.run_directory import RunDirectory
from orchestrator.suggestion import SuggestionError, edits_of_file, edits_of_patch, suggest
from orchestrator.views.loading import Record

CONFIG = """
name: night
target: {repo: user, editable: ["*.py", "!prepare.py", "notes/"], runner: train}
objective: {metric: val_bpb}
proposers: [{kind: knobs}]
"""


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A run whose champion is its base."""
    user = init(tmp_path / "user", {**FILES, "notes/a.md": "a\n"})
    (user / "link.py").symlink_to("train.py")
    commit(user, {})
    (tmp_path / "run").mkdir()
    repository, base = made(tmp_path, name="run/repo")
    repository.close()
    ledger = Ledger("val_bpb")
    ledger.apply(ev.CampaignOpened("night", base, "user", "train", 0, 10), 0.0)
    return Record(RunDirectory(tmp_path / "run"), parse_config(CONFIG, "test"), ledger, None)


def refused(record: Record, *edits: Edit) -> str:
    with pytest.raises(SuggestionError) as error:
        suggest(record, "mine", edits)
    assert not list(record.run.inbox.glob("*"))
    return str(error.value)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (Edit("prepare.py", content="x = 1\n"), "out of scope"),
        (Edit("../x.py", content="x = 1\n"), "leads out of the target"),
        (Edit("a\nb.py", content="x = 1\n"), "control characters"),
        (Edit("sitecustomize.py", content="x = 1\n"), "would change how sealed files are read or run"),
        (Edit("torch.py", content="x = 1\n"), "would shadow the library"),
        (Edit("link.py", content="x = 1\n"), "is a symbolic link or a submodule"),
        (Edit("train.py", content="x = (\n"), "does not compile"),
        (Edit("train.py", search="gone", replace="x"), "search text not found"),
        (Edit("train.py", content=f"W = {list(range(1000))}\n"), "holds 1,000 constants; allowed: 512"),
    ],
)
def test_what_no_gate_would_let_through_is_said_at_once(record: Record, edit: Edit, words: str) -> None:
    assert words in refused(record, edit)


def test_what_may_be_tried_lies_in_the_inbox_with_the_champion_it_was_written_against(record: Record) -> None:
    suggest(record, "mine", (Edit("train.py", search="0.1", replace="0.2"),))
    message = json.loads(next(record.run.inbox.glob("*.json")).read_text())
    assert message["description"] == "mine"
    assert message["against"] == record.ledger.base


def test_a_patch_that_makes_a_link_is_refused_by_its_name(record: Record, tmp_path: Path) -> None:
    text = "diff --git a/new.py b/new.py\nnew file mode 120000\n--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+/etc/passwd\n"
    write(tmp_path, {"a.patch": text + "\\ No newline at end of file\n"})
    with pytest.raises(SuggestionError, match=r"a\.patch: cannot be applied to the champion: new\.py: is a symbolic link"):
        edits_of_patch(record, tmp_path / "a.patch")


def test_a_patch_becomes_whole_files(record: Record, tmp_path: Path) -> None:
    write(tmp_path, {"a.patch": "--- a/train.py\n+++ b/train.py\n@@ -1,2 +1,2 @@\n-LR = 0.1\n+LR = 0.2\n print(LR)\n"})
    assert edits_of_patch(record, tmp_path / "a.patch") == (Edit("train.py", content="LR = 0.2\nprint(LR)\n"),)


def test_a_file_of_edits_that_is_none_says_what_is_allowed(tmp_path: Path) -> None:
    write(tmp_path, {"edits.json": '[{"path": "a.py"}]'})
    with pytest.raises(SuggestionError, match="allowed: a JSON list"):
        edits_of_file(tmp_path / "edits.json")
