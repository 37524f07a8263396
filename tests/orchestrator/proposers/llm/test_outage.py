"""While no model answers: waits that double, an end, and few words."""

from __future__ import annotations

from orchestrator.proposers.llm.calls import CallError
from orchestrator.proposers.llm.outage import PERMANENT_TRIES, Outage

DOWN = CallError("it is down")


def test_the_wait_doubles_and_one_request_at_a_time_finds_out_whether_it_is_over() -> None:
    outage = Outage("llm", 10.0, 3600.0)
    assert outage.may_try(0.0, in_flight=5)
    assert "10 s" in outage.failed(DOWN, 0.0)[0]
    assert not outage.may_try(9.0, in_flight=0)
    assert outage.may_try(10.0, in_flight=0)
    assert not outage.may_try(10.0, in_flight=1)
    outage.failed(DOWN, 10.0)
    assert not outage.may_try(29.0, in_flight=0)
    assert outage.may_try(30.0, in_flight=0)
    assert outage.over() == ("llm: a model answers again",)
    assert outage.over() == ()
    assert outage.may_try(30.0, in_flight=5)


def test_those_in_flight_when_it_began_count_once() -> None:
    outage = Outage("llm", 10.0, 3600.0)
    assert outage.failed(DOWN, 0.0)
    assert outage.failed(DOWN, 1.0) == ()
    assert outage.may_try(10.0, in_flight=0)


def test_a_server_that_asks_to_be_left_alone_is() -> None:
    outage = Outage("llm", 1.0, 1e9)
    outage.failed(CallError("429", retry_after_s=120.0), 0.0)
    assert not outage.may_try(119.0, in_flight=0)
    assert outage.may_try(120.0, in_flight=0)


def test_what_a_person_must_mend_is_given_up_soon_and_the_rest_after_its_patience() -> None:
    refused = Outage("llm", 1.0, 1e9)
    for nth in range(PERMANENT_TRIES):
        assert refused.given_up is None
        refused.failed(CallError("401", permanent=True), 100.0 * nth)
    assert "401" in str(refused.given_up)
    assert not refused.may_try(1e9, in_flight=0)
    down = Outage("llm", 1.0, 500.0)
    for nth in range(5):
        down.failed(DOWN, 100.0 * nth)
    assert down.given_up is None
    down.failed(DOWN, 500.0)
    assert down.given_up is not None
