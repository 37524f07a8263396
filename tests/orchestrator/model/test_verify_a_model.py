"""`regatta verify`: champions back in the model, in the sandbox, under Triton's interpreter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from small_model import OTHER_EACH_TIME

from orchestrator.cli import main
from orchestrator.fleet.opening import open_fleet
from orchestrator.model.shares import Profile
from orchestrator.model.verify import verify
from orchestrator.repository import CHAMPION, CampaignRepository
from orchestrator.run_directory import RunDirectory
from workers import sandbox

pytestmark = pytest.mark.skipif(sandbox.lacks() is not None, reason="champions run in the sandbox alone")


@pytest.fixture(scope="module")
def fleet(place: Path, profiled: Profile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet on which nothing has run: its champions are the starters."""
    return open_fleet(str(place / "own/kernels.yaml"), (), tmp_path_factory.mktemp("runs") / "fleet", place).path


@pytest.fixture
def with_champion(fleet: Path) -> Callable[[str, str, str], None]:
    """Makes a changed kernel.py a member's champion."""

    def change(member: str, old: str, new: str) -> None:
        repository = CampaignRepository(RunDirectory.existing(fleet / member).repo)
        base = repository._repo.commit("refs/regatta/base").hexsha
        text = repository.read(base, "kernel.py")
        assert text is not None
        assert old in text
        changed = repository.commit(base, {"kernel.py": text.replace(old, new)}, "a champion\n", 0.0)
        repository.set_ref(CHAMPION, changed)
        repository.close()

    return change


def test_right_champions_answer_the_models_calls_and_the_outputs_stay_as_exact(fleet: Path, place: Path) -> None:
    found = verify(fleet, "block.py", place, device="cpu")
    assert found.succeeded, (found.wrong, found.parts)
    parts = {each.target: each for each in found.parts}
    assert parts["matmul"].replaced == 4 + 2
    assert parts["layernorm"].replaced == 1
    assert parts["softmax"].replaced == 1
    assert found.oracle == "the model in fp64"
    assert found.own_error is not None
    assert found.error is not None
    assert 0 < found.own_error.norm < 1e-5
    assert 0 < found.error.norm < 1e-5
    assert found.ratio is None
    assert json.loads(json.dumps(found.as_json()))["succeeded"]


def test_a_wrong_champion_is_named_and_the_others_are_not(
    fleet: Path,
    place: Path,
    with_champion: Callable[[str, str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    with_champion("layernorm", "y = centred * rstd * weight + bias", "y = centred * rstd * weight * 1.01 + bias")
    with_champion("softmax", "    return y\n", "    raise ValueError('too tired')\n")
    assert main(["verify", str(fleet), "block.py", "--device", "cpu"]) == 1
    said = capsys.readouterr().out
    assert "WRONG: layernorm: its norm error is" in said
    assert "WRONG: softmax: kernel_fn raised ValueError on 128×32: too tired" in said
    assert "WRONG: matmul" not in said
    assert "under the interpreter it says nothing" in said


def test_one_run_of_a_fleet_can_be_verified_and_a_model_that_is_another_each_time_is_told(
    fleet: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    Path("other.py").write_text(OTHER_EACH_TIME)
    assert main(["verify", str(fleet / "matmul"), "other.py", "--device", "cpu"]) == 2
    assert "makes something else each time" in capsys.readouterr().err


def test_what_is_no_run_and_a_device_that_is_not_there_are_told(
    fleet: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main(["verify", "own", "block.py"]) == 2
    assert "own: is not a run directory" in capsys.readouterr().err
    monkeypatch.setattr("orchestrator.model.verify.all_gpus", lambda: "")
    assert main(["verify", str(fleet), "block.py", "--device", "cuda"]) == 2
    assert "there is no GPU here" in capsys.readouterr().err
