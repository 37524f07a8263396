"""Which kind of GPU a kernel is compiled for, by what NVML tells of the worker's own."""

from __future__ import annotations

import pytest

from workers.kernel.arch import ARCHS, DEFAULT, of_capability


@pytest.mark.parametrize(
    ("capability", "name"),
    [((8, 0), "sm_80"), ((8, 9), "sm_89"), ((9, 0), "sm_90"), ((10, 0), "sm_100"), ((12, 0), "sm_120")],
)
def test_a_known_capability_is_its_own_kind(capability: tuple[int, int], name: str) -> None:
    assert of_capability(capability) == name
    assert name in ARCHS


@pytest.mark.parametrize(("capability", "name"), [((8, 7), "sm_86"), ((10, 3), "sm_100"), ((12, 1), "sm_120")])
def test_an_unknown_one_is_the_newest_kind_before_it(capability: tuple[int, int], name: str) -> None:
    assert of_capability(capability) == name


def test_where_nothing_is_known_the_default_stands() -> None:
    assert of_capability(None) == of_capability((7, 5)) == DEFAULT
