import pytest

from instances.novita.breaker import (
    BreakerLimits,
    BreakerState,
    CallKind,
    LocalBreaker,
    after_failure,
    after_success,
    may_call,
)
from instances.novita.errors import BreakerOpen

LIMITS = BreakerLimits(failures=3, reset_seconds=60)
START = 1_768_435_200.0


def opened() -> BreakerState:
    state = BreakerState()
    for _ in range(3):
        state = after_failure(state, START, LIMITS)
    return state


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    state = BreakerState()
    for _ in range(2):
        state = after_failure(state, START, LIMITS)
    assert may_call(state, START, LIMITS)[1] == 0

    state = after_failure(after_failure(after_success(state), START, LIMITS), START, LIMITS)
    assert not state.is_open

    assert may_call(opened(), START + 10, LIMITS)[1] == 50


def test_one_probe_goes_after_the_reset_time_and_no_second() -> None:
    state, wait = may_call(opened(), START + 60, LIMITS)
    assert wait == 0

    assert may_call(state, START + 61, LIMITS)[1] == 59


def test_a_probe_that_succeeds_closes_it_and_one_that_fails_opens_it_anew() -> None:
    probing, _ = may_call(opened(), START + 60, LIMITS)

    assert may_call(after_success(probing), START + 61, LIMITS)[1] == 0
    assert may_call(after_failure(probing, START + 65, LIMITS), START + 66, LIMITS)[1] == 59


def test_a_probe_that_never_reports_stops_blocking() -> None:
    probing, _ = may_call(opened(), START + 60, LIMITS)

    assert may_call(probing, START + 121, LIMITS)[1] == 0


def test_stragglers_from_before_it_opened_do_not_keep_it_open() -> None:
    assert after_failure(opened(), START + 30, LIMITS) == opened()


def test_a_clock_set_back_does_not_close_the_way_for_ever() -> None:
    assert may_call(opened(), START - 1_000_000, LIMITS)[1] == 60


def test_kinds_fail_apart_and_the_error_says_when_to_come_back() -> None:
    breaker = LocalBreaker(LIMITS, clock=lambda: START)
    for _ in range(3):
        breaker.failure(CallKind.METRICS)

    breaker.before(CallKind.LIST)
    with pytest.raises(BreakerOpen) as caught:
        breaker.before(CallKind.METRICS)

    assert caught.value.retry_at is not None
    assert caught.value.retry_at.timestamp() == START + 60
    breaker.success(CallKind.METRICS)
    breaker.before(CallKind.METRICS)
    assert breaker.state(CallKind.METRICS) == BreakerState()
