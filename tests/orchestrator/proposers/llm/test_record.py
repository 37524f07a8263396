"""Exchanges on disk: in order, whole or not at all, and found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config_text import ConfigError
from orchestrator.proposers.llm.record import Exchanges, Message, Reply, Task, to_replay

REPLY = Reply("text é\n", "openai/x", 10, 5, 0.5, 1.5, "stop", 1.0)


def test_what_is_stored_is_read_again(tmp_path: Path) -> None:
    exchange = Exchanges(tmp_path / "llm").new()
    task = Task("explore", "c" * 40, 2, ("c0001",), "idea")
    exchange.begin(task)
    exchange.ask(1, [Message("user", "hello")])
    exchange.answer(1, REPLY)
    exchange.end(2)
    again = Exchanges(tmp_path / "llm").all()[0]
    assert (again.task(), again.asked(1), again.answered(1), again.candidates()) == (task, [Message("user", "hello")], REPLY, 2)
    assert again.answered(2) is None
    assert not [path for path in again.folder.iterdir() if path.name.startswith(".")]


def test_numbers_go_on_where_a_former_head_stopped(tmp_path: Path) -> None:
    for expected in ("x000001", "x000002"):
        exchange = Exchanges(tmp_path).new()
        assert exchange.name == expected
        exchange.begin(Task("explore", "c"))
    assert [each.name for each in Exchanges(tmp_path).all()] == ["x000001", "x000002"]


def test_half_a_file_is_none(tmp_path: Path) -> None:
    exchange = Exchanges(tmp_path).new()
    exchange.begin(Task("explore", "c"))
    (exchange.folder / "1.answer.json").write_bytes(b'{"text": "half')
    assert exchange.answered(1) is None


def test_a_night_to_be_played_again_is_found_by_its_run_its_exchanges_or_its_proposer(tmp_path: Path) -> None:
    exchanges = Exchanges(tmp_path / "runs/night/exchanges/llm")
    for answered in (True, False, True):
        exchange = exchanges.new()
        exchange.begin(Task("explore", "c"))
        if answered:
            exchange.answer(1, REPLY)
    for given in ("runs/night", "runs/night/exchanges", "runs/night/exchanges/llm"):
        found = to_replay(given, tmp_path, "llm", "proposers[0].replay")
        assert [each.name for each in found] == ["x000001", "x000003"]
    with pytest.raises(ConfigError, match=r"proposers\[0\]\.replay: given 'runs/none'"):
        to_replay("runs/none", tmp_path, "llm", "proposers[0].replay")
