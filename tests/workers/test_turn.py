"""One trial at a time has the GPU; whoever waits can be called off."""

from __future__ import annotations

import threading

import pytest

from workers.turn import Turn
from workers.waiting import Cancellation, CancelledError


def test_who_waits_gets_it_when_it_is_given_up() -> None:
    turn, order = Turn(), list[str]()

    def second() -> None:
        with turn.taken(Cancellation()):
            order.append("second")

    thread = threading.Thread(target=second)
    with turn.taken(Cancellation()):
        thread.start()
        order.append("first")
    thread.join(timeout=30)
    assert order == ["first", "second"]


def test_many_never_have_it_together() -> None:
    turn, inside, most = Turn(), list[int](), list[int]()

    def one(nth: int) -> None:
        for _ in range(50):
            with turn.taken(Cancellation()):
                inside.append(nth)
                most.append(len(inside))
                inside.remove(nth)

    threads = [threading.Thread(target=one, args=(nth,)) for nth in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(most) == 200
    assert set(most) == {1}


def test_who_is_called_off_while_waiting_leaves_the_turn_alone() -> None:
    turn, cancel = Turn(), Cancellation()
    with turn.taken(Cancellation()):
        cancel.cancel()
        with pytest.raises(CancelledError), turn.taken(cancel):
            pytest.fail("two have it")
    with turn.taken(Cancellation()):
        pass


def test_an_error_gives_it_up() -> None:
    turn = Turn()
    with pytest.raises(ValueError, match="of the block"), turn.taken(Cancellation()):
        raise ValueError("of the block")
    with turn.taken(Cancellation()):
        pass
