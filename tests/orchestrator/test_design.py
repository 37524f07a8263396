"""The designs of blocks: any candidate's effect is told with all others' held apart, and no drift is taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.design import SIZES, columns_for, hadamard, inclusion, order_of, smallest_size

POWERS_OF_TWO = [size for size in SIZES if size & (size - 1) == 0]
OTHERS = [size for size in SIZES if size not in POWERS_OF_TWO]


@pytest.mark.parametrize("size", SIZES)
def test_any_two_columns_agree_in_half_of_the_rows(size: int) -> None:
    matrix = hadamard(size).astype(int)
    assert (matrix.T @ matrix == size * np.eye(size, dtype=int)).all()


@pytest.mark.parametrize("size", SIZES)
def test_a_design_is_of_plus_and_minus_ones_and_begins_with_a_column_of_ones(size: int) -> None:
    matrix = hadamard(size)
    assert set(np.unique(matrix)) == {-1, 1}
    assert (matrix[:, 0] == 1).all()


@pytest.mark.parametrize("size", [1, 7, 28, 256])
def test_a_size_without_a_known_design_is_refused(size: int) -> None:
    with pytest.raises(KeyError, match=f"order {size}"):
        hadamard(size)


@pytest.mark.parametrize("size", SIZES)
def test_row_0_holds_nobody(size: int) -> None:
    assert not inclusion(size, tuple(range(1, size)))[0].any()


@pytest.mark.parametrize("size", SIZES)
def test_each_candidate_is_in_half_of_the_rows_and_each_pair_in_a_quarter(size: int) -> None:
    held = inclusion(size, tuple(range(1, size))).astype(int)
    together = held.T @ held
    assert (np.diag(together) == size // 2).all()
    assert (together[~np.eye(size - 1, dtype=bool)] == size // 4).all()


@pytest.mark.parametrize("in_time", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_the_columns_are_distinct_and_never_the_column_of_ones(size: int, in_time: bool) -> None:
    columns = columns_for(size, size - 1, "0/b0001", in_time=in_time)
    assert sorted(columns) == list(range(1, size))


@pytest.mark.parametrize("in_time", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_each_row_is_run_once_and_the_base_first(size: int, in_time: bool) -> None:
    order = order_of(size, "0/b0001", in_time=in_time)
    assert order[0] == 0
    assert sorted(order) == list(range(size))


@pytest.mark.parametrize("in_time", [False, True])
def test_columns_and_order_follow_from_the_seed_alone(in_time: bool) -> None:
    def drawn(seed: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return columns_for(20, 17, seed, in_time=in_time), order_of(20, seed, in_time=in_time)

    assert drawn("0/b0001") == drawn("0/b0001")
    others = [drawn(f"{campaign}/b{block:04d}") for campaign in range(3) for block in range(3)]
    assert len({columns for columns, _ in others}) == len({order for _, order in others}) == 9


def test_fewer_candidates_take_the_first_of_the_columns_that_more_would_take() -> None:
    whole = columns_for(32, 31, "0/b0001", in_time=False)
    assert all(columns_for(32, count, "0/b0001", in_time=False) == whole[:count] for count in range(32))


@pytest.mark.parametrize("size", POWERS_OF_TWO)
def test_rows_run_one_after_the_other_keep_their_natural_order(size: int) -> None:
    assert order_of(size, "0/b0001", in_time=True) == tuple(range(size))


@pytest.mark.parametrize("size", POWERS_OF_TWO)
def test_the_two_columns_on_which_most_of_a_drift_would_lie_are_taken_last(size: int) -> None:
    drift = np.arange(size) - (size - 1) / 2
    lies_on = {column: abs(float(hadamard(size)[:, column] @ drift)) for column in range(1, size)}
    slowest = sorted(lies_on, key=lies_on.__getitem__)[-2:]
    assert list(columns_for(size, size - 1, "0/b0001", in_time=True)[-2:]) == slowest
    assert sum(lies_on[column] ** 2 for column in slowest) > 0.93 * sum(each**2 for each in lies_on.values())


@pytest.mark.parametrize("size", OTHERS)
def test_where_no_order_keeps_a_drift_off_most_columns_rows_are_shuffled(size: int) -> None:
    assert order_of(size, "0/b0001", in_time=True) == order_of(size, "0/b0001", in_time=False) != tuple(range(size))


@pytest.mark.parametrize("spare", [0, 1, 3])
def test_the_smallest_design_has_as_many_columns_to_spare_as_asked_for(spare: int) -> None:
    for candidates in range(1, SIZES[-1] - spare - 1):
        found = smallest_size(candidates, spare)
        assert found - 1 - candidates >= spare
        assert not [size for size in SIZES if size < found and size - 1 - candidates >= spare]


def test_more_candidates_than_any_design_has_columns_get_the_largest_there_is() -> None:
    assert smallest_size(1000) == SIZES[-1]
