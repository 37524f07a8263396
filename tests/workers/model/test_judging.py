"""How far a model's outputs may be off, and from what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from workers.model.judging import judged
from workers.model.loading import Loaded, forward, leaves
from workers.model.state import Buffers, mark

Outputs = list[torch.Tensor]


class InFp32(nn.Module):
    """Names its type."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float() @ torch.ones(16, 4)


class Choosing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.argmax(-1)


class Statistics(nn.Module):
    """Answers in what another module keeps from one call to the next."""

    def __init__(self, norm: nn.BatchNorm1d) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert self.norm.running_var is not None
        return self.norm.running_var + x


def verdict(model: nn.Module, change: Any, folder: Path) -> dict[str, Any]:
    """What is said of the model's own outputs after `change`."""
    torch.manual_seed(5)
    loaded = Loaded(model, (torch.randn(32, 16),), torch.device("cpu"))
    (folder / "mark.json").write_text(str(mark(loaded)))
    buffers = Buffers(model)
    with torch.no_grad():
        torch.save([change(one.clone()) for one in leaves(forward(loaded, 0))], folder / "outputs-0.pt")
    buffers.restore()
    return judged(loaded, folder, 0, [0])


def reason(found: dict[str, Any]) -> str | None:
    said: str | None = found["variants"]["0"]["reason"]
    return said


def same(one: torch.Tensor) -> torch.Tensor:
    return one


def test_the_models_own_outputs_are_right_and_their_error_is_that_of_the_model(tmp_path: Path) -> None:
    found = verdict(nn.Linear(16, 4), same, tmp_path)
    assert found["oracle"] == "the model in fp64"
    assert found["variants"]["0"] == {"reason": None, **found["own"]}
    assert 0 < found["own"]["norm"] < 1e-6


def test_running_statistics_are_as_they_were_for_each_call(tmp_path: Path) -> None:
    norm = nn.BatchNorm1d(16, momentum=0.5)
    found = verdict(nn.Sequential(norm, Statistics(norm)), same, tmp_path)
    assert found["oracle"] == "the model in fp64"
    assert found["own"]["norm"] < 1e-6


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: one * 1.001, "its norm error is"),
        (lambda one: one.index_put((torch.tensor(3), torch.tensor(2)), one[3, 2] + 5e-5), "its largest error is"),
        (lambda one: one.index_put((torch.tensor(3), torch.tensor(2)), torch.tensor(torch.nan)), "not finite"),
        (lambda one: one.double(), "another shape or type"),
        (lambda one: one[:3], "another shape or type"),
    ],
    ids=["all a little", "one entry", "NaN", "type", "shape"],
)
def test_outputs_that_are_off_say_how(change: Any, why: str, tmp_path: Path) -> None:
    assert why in (reason(verdict(nn.Linear(16, 4), change, tmp_path)) or "")


@pytest.mark.parametrize(
    ("model", "said"),
    [(InFp32(), "cannot be raised to fp64"), (nn.Sequential(nn.Linear(16, 4), nn.Dropout()), "draws random numbers")],
    ids=["names its type", "dropout"],
)
def test_where_fp64_is_no_oracle_the_unmodified_model_is(model: nn.Module, said: str, tmp_path: Path) -> None:
    found = verdict(model, same, tmp_path)
    assert said in found["oracle"]
    assert found["own"] is None
    assert reason(found) is None
    assert "its norm error" in (reason(verdict(model.float(), lambda one: one * 1.001, tmp_path)) or "")


def test_whole_numbers_must_be_those_of_fp64(tmp_path: Path) -> None:
    assert reason(verdict(Choosing(), same, tmp_path)) is None
    assert reason(verdict(Choosing(), lambda one: one + 1, tmp_path)) == "32 whole numbers differ, allowed are 0"


def test_a_file_that_holds_no_outputs_is_told(tmp_path: Path) -> None:
    model = nn.Linear(16, 4)
    verdict(model, same, tmp_path)
    (tmp_path / "outputs-0.pt").write_bytes(b"nothing")
    loaded = Loaded(model.float(), (torch.randn(32, 16),), torch.device("cpu"))
    (tmp_path / "mark.json").write_text(str(mark(loaded)))
    assert "cannot be read" in (reason(judged(loaded, tmp_path, 0, [0])) or "")
