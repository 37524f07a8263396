"""Windows by the worker's clock: one call's time, what is taken off, and two clocks that do not agree."""

from __future__ import annotations

import pytest

from workers.kernel.clock import Window, longer_inside, quantile, shorter_inside, speed_up, timing

SLOTS = 10


def windows(*main_s: float, inside: float = 1.0, replays: int = 50) -> list[Window]:
    """Windows with 1 ms of pokes and waking up, each with a control window before it."""
    found = []
    for worker_s in main_s:
        found.append(Window("kernel", replays, 1e-3, 0.8e-3, is_control=True))
        found.append(Window("kernel", replays, worker_s, inside * (worker_s - 0.2e-3), (0.8e-3 / replays + 2e-4,)))
    return found


def test_a_call_takes_its_share_of_a_window_without_the_control_windows_time() -> None:
    found = timing(windows(0.061, 0.063, 0.062, 0.066), SLOTS)
    assert found.windows_us == pytest.approx((120.0, 124.0, 122.0, 130.0))
    assert found.latency_us == pytest.approx(123.0)
    assert (found.p20_us, found.p80_us) == (pytest.approx(121.2), pytest.approx(126.4))
    assert found.error_us == pytest.approx(50.0 / (50 * SLOTS))
    assert found.replay_p20_us == pytest.approx(20.0)


def test_one_control_window_that_was_held_up_changes_nothing() -> None:
    taken = windows(0.061, 0.061, 0.061)
    held_up = [Window("kernel", 50, 0.030, 0.8e-3, is_control=True), *taken[1:]]
    assert timing(held_up, SLOTS).latency_us == timing(taken, SLOTS).latency_us


def test_no_call_takes_less_than_the_clock_can_tell() -> None:
    found = timing(windows(0.0005, 0.0009, 0.001), SLOTS)  # no longer than their control windows
    assert found.windows_us == (found.error_us,) * 3


def test_clocks_that_agree_are_no_reason() -> None:
    assert longer_inside(windows(0.061, 0.062)) is None
    assert shorter_inside(windows(0.061, 0.062)) is None


def test_more_time_inside_than_passed_outside_cannot_be() -> None:
    assert "66" in str(longer_inside(windows(0.061, inside=1.1)))
    tiny = [Window("kernel", 1, 30e-6, 70e-6)]
    assert longer_inside(tiny) is None  # more than 5 %, but within what clocks may differ by


def test_less_time_inside_than_outside_means_a_busy_machine() -> None:
    assert shorter_inside(windows(0.061, 0.061, 0.061, inside=0.9)) is not None
    late = [*windows(0.061, 0.061, 0.061), *windows(0.061, inside=0.5)]
    assert shorter_inside(late) is None  # one window of four


def test_an_even_drift_cancels_between_implementations_that_take_turns() -> None:
    clock = [100.0, 101.0, 102.0, 103.0]  # A B B A while the chip grows warm, both as fast
    assert speed_up([clock[0], clock[3]], [clock[1], clock[2]]) == pytest.approx(1.0)
    assert speed_up([100.0, 103.0, 100.0, 103.0], [202.0, 204.0, 202.0, 204.0]) == pytest.approx(2.0)


def test_quantiles_lie_between_the_values() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0], 0.2) == 1.0
    assert quantile([0.0, 10.0], 0.8) == pytest.approx(8.0)
