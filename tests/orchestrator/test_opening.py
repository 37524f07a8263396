"""Opening: a run directory appears complete or not at all, and a head gets back what the journal knows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from subject import git, init, write

from orchestrator import events as ev
from orchestrator import opening
from orchestrator.config import ConfigError
from orchestrator.edits import Edit
from orchestrator.events import Verdict
from orchestrator.journal import Journal
from orchestrator.opening import open_new, open_parts
from orchestrator.proposers.base import Brief, Proposal, Result
from orchestrator.repository import RepositoryError
from orchestrator.run_directory import RunDirectory, RunDirectoryError
from orchestrator.target import TargetError

PROPOSALS = [{"description": f"idea {n}", "edits": [{"path": "code.py", "content": f"x = {n}\n"}]} for n in range(2, 5)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working directory with a target, proposals and a config."""
    init(tmp_path / "user", {"code.py": "x = 1\n", "bench.sh": "echo METRIC t=1\n"})
    (tmp_path / "ideas.jsonl").write_text("".join(json.dumps(each) + "\n" for each in PROPOSALS))
    configured(tmp_path)
    return tmp_path


def configured(place: Path, **changes: object) -> None:
    config: dict[str, object] = {
        "name": "small",
        "target": {"repo": "user", "editable": ["code.py"], "command": "sh bench.sh"},
        "objective": {"metric": "t"},
        "proposers": [{"kind": "replay", "path": "ideas.jsonl"}],
        **changes,
    }
    (place / "config.yaml").write_text(yaml.safe_dump(config))


def opened(place: Path, *overrides: str) -> RunDirectory:
    return open_new(str(place / "config.yaml"), overrides, None, place)


def tell(run: RunDirectory, *events: ev.Event) -> None:
    journal = Journal.open(run.journal)
    for event in events:
        journal.append(event, 1.0)
    journal.close()


def test_litellm_is_loaded_by_no_campaign_without_a_model(place: Path) -> None:
    """Its import takes seconds."""
    code = (
        "import sys, pathlib, orchestrator.head, orchestrator.views.report, orchestrator.views.summary\n"
        "from orchestrator.opening import open_new, open_parts\n"
        "open_parts(open_new('config.yaml', (), None, pathlib.Path.cwd())).close()\n"
        "print('litellm' in sys.modules)"
    )
    configured(place, proposers=[{"kind": "replay", "path": "ideas.jsonl"}, {"kind": "program", "command": "true"}])
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr


# -- a new run


def test_a_new_run_is_complete(place: Path) -> None:
    run = opened(place)
    assert run.path == place / "runs" / "small"
    assert sorted(path.name for path in run.path.iterdir()) == ["config.yaml", "inbox", "journal.sqlite", "repo", "trials"]
    parts = open_parts(run)
    assert parts.ledger.opened is not None
    assert parts.ledger.opened.base == git(place / "user", "rev-parse", "HEAD")
    assert parts.ledger.opened.planned_candidates == 3
    assert parts.admission.scoping.sealed == ("bench.sh",)
    assert parts.settings.metric == "t"
    parts.close()


def test_the_run_goes_where_it_is_told(place: Path) -> None:
    assert open_new(str(place / "config.yaml"), [], place / "elsewhere", place).path == place / "elsewhere"


def test_the_runner_is_written_down(place: Path) -> None:
    assert yaml.safe_load(opened(place).config.read_text())["target"]["runner"] == "command"


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"surprise": 1}, ConfigError, "surprise"),
        ({"name": "a/b"}, ConfigError, "name"),
        ({"proposers": [{"kind": "replay", "path": "gone.jsonl"}]}, ConfigError, "gone.jsonl"),
        ({"target": {"repo": "gone", "editable": ["code.py"], "command": "true"}}, TargetError, "gone"),
        ({"target": {"repo": "user", "editable": ["none.py"], "command": "true"}}, TargetError, "matches no file"),
        ({"target": {"repo": "user", "editable": ["code.py"]}}, TargetError, "target.command"),
        ({"target": {"repo": "user", "editable": ["code.py"], "runner": "train"}}, TargetError, "train needs"),
        ({"target": {"repo": "user", "editable": ["code.py"], "command": "true", "corpus": "x"}}, ConfigError, "corpus"),
    ],
)
def test_what_is_refused_leaves_no_directory_behind(
    place: Path, changes: dict[str, object], error: type[Exception], said: str
) -> None:
    configured(place, **changes)
    before = sorted(place.iterdir())
    with pytest.raises(error, match=said):
        opened(place)
    assert sorted(place.iterdir()) == before


def test_a_dirty_target_leaves_no_directory_behind(place: Path) -> None:
    write(place / "user", {"code.py": "x = 2\n"})
    with pytest.raises(TargetError, match=r"code\.py"):
        opened(place)
    assert not (place / "runs").exists()


def test_a_run_is_never_made_over_another(place: Path) -> None:
    before = opened(place).journal.read_bytes()
    with pytest.raises(RunDirectoryError, match="regatta resume"):
        opened(place)
    assert (place / "runs/small/journal.sqlite").read_bytes() == before


def test_a_machine_without_git_is_told_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TargetError, match="not found"):
        opened(place)
    assert not (place / "runs").exists()


def test_a_failure_of_git_half_way_leaves_no_directory_behind(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object) -> None:
        raise RepositoryError("git fetch: no space left")

    monkeypatch.setattr(opening.CampaignRepository, "create", fails)
    with pytest.raises(RepositoryError, match="no space left"):
        opened(place)
    assert not (place / "runs").exists()


# -- going on


class Listener:
    """A proposer that notes what it hears."""

    name = "replay"

    def __init__(self) -> None:
        self.heard: list[Result] = []

    def propose(self, brief: Brief) -> Proposal | None:
        return None

    def learn(self, result: Result) -> None:
        self.heard.append(result)

    def planned(self) -> int | None:
        return 3


def proposed(name: str, token: str | None = None, proposer: str = "replay") -> ev.Proposed:
    return ev.Proposed(name, proposer, name, (Edit("code.py", content="x"),), token=token)


def test_proposers_are_told_the_past_in_its_order(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, listener = opened(place), Listener()
    monkeypatch.setattr(opening.proposers, "build_all", lambda *args, **kwargs: (listener,))
    tell(
        run,
        ev.HeadStarted(1, "h", 0, "none"),
        proposed("c0001", "first"),
        proposed("c0002", "second"),
        proposed("c0003", "third", proposer="person"),
        proposed("c0004", "fourth"),
        ev.Rejected("c0002", "scope", "no"),
        ev.Rejected("c0003", "scope", "no"),
        ev.Rejected("c0001", "edit", "no"),
    )
    parts = open_parts(run)
    parts.close()
    assert [(result.candidate, result.token, result.status) for result in listener.heard] == [
        ("c0002", "second", "rejected"),
        ("c0001", "first", "rejected"),
    ]


@pytest.mark.parametrize(("direction", "effect"), [("minimize", -0.5), ("maximize", 0.5)])
def test_effects_are_told_so_that_negative_is_better(
    place: Path, monkeypatch: pytest.MonkeyPatch, direction: str, effect: float
) -> None:
    configured(place, objective={"metric": "t", "direction": direction})
    run, listener = opened(place), Listener()
    monkeypatch.setattr(opening.proposers, "build_all", lambda *args, **kwargs: (listener,))
    base = git(run.repo, "rev-parse", "champion")
    found = ev.Evidence(0.5, 2, 1.0, 4, -0.5, 0.1, 0.1, 5, 1.0, None, 0.9, None, "calibrated")
    tell(
        run,
        ev.HeadStarted(1, "h", 0, "none"),
        proposed("c0001"),
        ev.Admitted("c0001", base, base, 1, "f"),
        ev.TrialStarted("t1", ev.Purpose.RACE, base, ("c0001",), 1, "w0"),
        ev.CandidateDecided("c0001", Verdict.DISCARD, "worse", found),
    )
    open_parts(run).close()
    assert [result.effect for result in listener.heard] == [effect]


def test_a_run_can_be_gone_on_with_from_anywhere(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = opened(place)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    parts = open_parts(RunDirectory.existing(run.path))
    assert parts.proposers[0].planned() == 3
    parts.close()


def test_a_program_is_found_from_anywhere_though_it_begins_in_a_worktree(place: Path) -> None:
    for name in ("agent.sh", "bench.sh"):
        (place / name).write_text("true\n")
    configured(place, proposers=[{"kind": "program", "command": "sh agent.sh; sh bench.sh < {prompt}"}])
    command = yaml.safe_load(opened(place).config.read_text())["proposers"][0]["command"]
    assert command == f"sh {place.resolve()}/agent.sh; sh bench.sh < {{prompt}}", "the target has a bench.sh of its own"


def test_limits_that_are_raised_are_written_down(place: Path) -> None:
    run = opened(place)
    parts = open_parts(run, ["limits.trials=7"])
    assert parts.settings.limits.trials == 7
    parts.close()
    again = open_parts(run)
    assert again.settings.limits.trials == 7
    again.close()


def test_a_wrong_override_changes_nothing(place: Path) -> None:
    run = opened(place)
    before = run.config.read_text()
    with pytest.raises(ConfigError, match=r"limits\.trials"):
        open_parts(run, ["limits.trials=-1"])
    assert run.config.read_text() == before


def test_refs_are_mended_before_anything_else(place: Path) -> None:
    run = opened(place)
    base = git(run.repo, "rev-parse", "champion")
    git(run.repo, "update-ref", "-d", "refs/heads/champion")
    open_parts(run).close()
    assert git(run.repo, "rev-parse", "champion") == base
