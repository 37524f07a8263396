"""Which campaigns may run without a sandbox."""

from __future__ import annotations

import pytest

from orchestrator.confinement import Sandbox, UnconfinedError, sandbox_for

LACKS = "bubblewrap is not installed; mend it with: apt-get install bubblewrap"


def test_auto_confines_everything_where_that_is_possible() -> None:
    assert sandbox_for("auto", {"knobs", "replay"}, lacks=None) is Sandbox.BUBBLEWRAP


def test_none_is_a_persons_choice_and_holds_even_where_a_sandbox_is_possible() -> None:
    assert sandbox_for("none", {"replay"}, lacks=None) is Sandbox.NONE
    assert sandbox_for("none", {"replay"}, lacks=LACKS) is Sandbox.NONE


def test_without_a_sandbox_knobs_alone_may_run() -> None:
    assert sandbox_for("auto", {"knobs"}, lacks=LACKS) is Sandbox.NONE


@pytest.mark.parametrize("kinds", [{"replay"}, {"llm", "knobs"}, {"program"}])
def test_without_a_sandbox_anything_else_is_refused_with_what_to_do(kinds: set[str]) -> None:
    with pytest.raises(UnconfinedError, match=r"apt-get install bubblewrap.*sandbox: none"):
        sandbox_for("auto", kinds, lacks=LACKS)
