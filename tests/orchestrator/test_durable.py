"""A file that is written durably is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.durable import sync, write_durably


def test_the_content_is_on_the_disk_before_its_name_and_then_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    path = tmp_path / "answer.json"
    monkeypatch.setattr(os, "fsync", lambda descriptor: events.append(str(Path(f"/proc/self/fd/{descriptor}").readlink())))
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda draft, target: (events.append("named"), replace(draft, target))[1])
    write_durably(path, b"42")
    assert path.read_bytes() == b"42"
    assert events == [str(tmp_path / ".answer.json"), "named", str(tmp_path)]
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_there_cannot_be_synced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "nothing")
