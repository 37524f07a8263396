"""Everything that must be hidden is, behind few mounts, and nothing that is needed goes with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.veil import Veil, veil_over


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "veils"


def made(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)
    return [folder / name for name in names]


def test_a_few_files_are_hidden_one_by_one(tmp_path: Path, store: Path) -> None:
    paths = made(tmp_path / "lib", "a.py", "b.py")
    assert veil_over(paths, [], store) == Veil(hidden=tuple(paths))


def test_another_installation_is_hidden_whole_with_all_below_it(tmp_path: Path, store: Path) -> None:
    other = tmp_path / "other"
    paths = made(other, *"abcde") + made(other / "__pycache__", *"abcde") + made(other / "package", "x")
    assert veil_over(paths, [tmp_path / "own"], store) == Veil(hidden=(other,))


@pytest.mark.parametrize("needed", ["lib", "lib/python", "lib/python/site-packages"])
def test_a_folder_with_something_needed_in_it_is_not_hidden_whole(tmp_path: Path, store: Path, needed: str) -> None:
    paths = made(tmp_path / "lib", *"abcde")
    assert veil_over(paths, [tmp_path / needed], store).hidden == tuple(paths)


def test_bytecode_is_replaced_by_a_copy_without_what_is_hidden(tmp_path: Path, store: Path) -> None:
    folder = tmp_path / "lib/__pycache__"
    paths = made(folder, *"abcde")
    made(folder, "fine.pyc")
    veil = veil_over(paths, [tmp_path / "lib"], store)
    assert veil.hidden == ()
    ((place, instead),) = veil.replaced
    assert place == folder
    assert [path.name for path in instead.iterdir()] == ["fine.pyc"]
    assert veil_over(paths, [tmp_path / "lib"], store) == veil  # made once
    assert [path.name for path in store.iterdir()] == [instead.name]
