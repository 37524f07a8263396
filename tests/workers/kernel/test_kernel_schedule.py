"""What of a target is timed and how: cases, slots, replays, turns."""

from __future__ import annotations

import random

from workers.kernel import schedule
from workers.kernel.cases import Case, DType, InputDType, Role, TensorInput

MIB = 1 << 20


def case(name: str, role: Role = Role.REAL, *, small: bool = False, dtype: DType = DType.BF16, mib: int = 1) -> Case:
    one = TensorInput((mib * MIB // 4,), InputDType(dtype))
    return Case(name, role, dtype, (one,), 1, mib * MIB, small)


ALL = (
    case("real"),
    case("real_small", small=True, dtype=DType.FP32),
    case("odd", Role.ODD),
    case("edge_small", Role.EDGE, small=True, dtype=DType.FP32),
    case("held_out", Role.HELD_OUT),
    case("held_out_small", Role.HELD_OUT, small=True, dtype=DType.FP32),
)


def names(cases: tuple[Case, ...]) -> list[str]:
    return [each.name for each in cases]


def test_real_and_held_out_shapes_are_timed_and_the_others_are_checked() -> None:
    timed = schedule.timed(ALL, interpreted=False)
    assert names(timed) == ["real", "held_out"]
    checked = schedule.checked(ALL, names(timed), interpreted=False)
    assert names(checked) == ["real_small", "odd", "edge_small", "held_out", "held_out_small"]  # its shapes of this trial


def test_an_interpreter_is_asked_for_what_is_small_and_in_fp32() -> None:
    timed = schedule.timed(ALL, interpreted=True)
    assert names(timed) == ["real_small", "held_out_small"]
    assert names(schedule.checked(ALL, names(timed), interpreted=True)) == ["edge_small", "held_out_small"]


def test_a_target_without_shapes_of_models_has_all_its_cases_timed() -> None:
    odd = (case("a", Role.ODD), case("b", Role.EDGE))
    assert names(schedule.timed(odd, interpreted=False)) == ["a", "b"]


def test_held_out_shapes_that_are_timed_are_those_of_the_campaign() -> None:
    assert schedule.held_out_seed("a" * 40) == schedule.held_out_seed("a" * 40) != schedule.held_out_seed("b" * 40)


def test_slots_are_together_larger_than_the_cache_and_fit_into_the_memory() -> None:
    assert schedule.slots(case("a", mib=4), 50 * MIB, 10_000 * MIB, 2) == 50
    assert schedule.slots(case("a", mib=1), 256 * MIB, 10_000 * MIB, 2) == schedule.MOST_SLOTS
    assert schedule.slots(case("a", mib=400), 50 * MIB, 10_000 * MIB, 2) == schedule.LEAST_SLOTS
    assert schedule.slots(case("a", mib=4), 50 * MIB, 200 * MIB, 2) == 10
    assert schedule.slots(case("a", mib=4), 50 * MIB, 20 * MIB, 2) is None


def test_every_fourth_slot_is_adversarial_and_one_of_the_fewest() -> None:
    assert schedule.adversarial(2) == [1]
    assert schedule.adversarial(10) == [1, 5, 9]


def test_adversarial_and_plain_outputs_are_judged_as_often() -> None:
    draw = random.Random(1)
    slots = [schedule.judged_slot(16, draw) for _ in range(400)]
    hostile = sum(slot in schedule.adversarial(16) for slot in slots)
    assert 160 < hostile < 240
    assert set(slots) == set(range(16))


def test_implementations_take_turns_forward_and_backward() -> None:
    for seed in range(20):
        order = schedule.order(["a", "b"], random.Random(seed))
        assert order[:4] in (("a", "b", "b", "a"), ("b", "a", "a", "b"))
        assert order[4:] in (("a", "b", "b", "a"), ("b", "a", "a", "b"))
    four = schedule.order(["a", "b", "c", "d"], random.Random(3))
    assert four[:4] == four[7:3:-1]
    assert all(four.count(each) == schedule.WINDOWS for each in "abcd")


def test_replays_fill_the_window_and_are_at_least_one() -> None:
    assert schedule.replays(1e-3, 0.06) == 60
    assert schedule.replays(1.0, 0.06) == 1
    assert schedule.replays(0.0, 0.06) == schedule.MOST_REPLAYS


def test_making_and_viewing_memory_is_allowed_and_computing_is_not() -> None:
    assert schedule.computing(["empty_like", "view", "transpose", "clone", "zeros"]) == []
    assert schedule.computing(["empty", "mm", "add", "mm"]) == ["add", "mm"]
