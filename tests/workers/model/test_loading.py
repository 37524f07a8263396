"""MODEL.py: what it must define, and how its author is told what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from workers.model.loading import ModelError, forward, leaves, load
from workers.model.profiling import measured
from workers.model.state import Buffers, mark

RIGHT = """
import torch

def model():
    return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout())

def inputs():
    return (torch.randn(8, 4),)
"""


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading puts the folder on the path and the module among the known ones."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


def written(folder: Path, text: str) -> Path:
    path = folder / "given_model.py"
    path.write_text(text)
    return path


def test_two_loads_with_one_seed_are_the_same_model_and_another_seed_makes_another(tmp_path: Path) -> None:
    path = written(tmp_path, RIGHT)
    assert mark(load(path, "cpu", 3)) == mark(load(path, "cpu", 3))
    assert mark(load(path, "cpu", 3)) != mark(load(path, "cpu", 4))


def test_a_call_can_be_repeated_dropout_and_running_statistics_included(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, RIGHT), "cpu", 0)
    buffers, before = Buffers(loaded.model), mark(loaded)
    first = forward(loaded, 0)
    assert mark(loaded) != before
    buffers.restore()
    assert mark(loaded) == before
    assert torch.equal(first, forward(loaded, 0))


def test_the_tensors_of_an_output_are_found_wherever_they_lie() -> None:
    one, two = torch.ones(1), torch.ones(2)
    assert leaves({"a": [one, 3], "b": (two, None)}) == [one, two]
    with pytest.raises(ModelError, match="the model returned a int"):
        leaves(3)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("def model", "def modell", r"defines no model\(\); it must define model\(\) -> torch.nn.Module"),
        ("return (torch", "return list(torch", r"inputs\(\) returned a list; it must"),
        (
            "import torch",
            "import torch, nothing_like_it",
            r"imported: ModuleNotFoundError: .* \(given_model.py, line 2\)",
        ),
        ("torch.randn(8, 4)", "torch.randn(8, -4)", r"inputs\(\) failed: RuntimeError"),
    ],
    ids=["no model", "a list", "an import", "raises"],
)
def test_a_file_that_is_not_as_it_must_be_says_what_is_wrong(old: str, new: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said):
        load(written(tmp_path, RIGHT.replace(old, new)), "cpu", 0)


def test_a_model_that_does_not_take_its_inputs_says_so(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, RIGHT.replace("randn(8, 4)", "randn(8, 5)")), "cpu", 0)
    with pytest.raises(ModelError, match="the model failed on its inputs: RuntimeError"):
        measured(loaded, 1, backward=False)
