"""The two stop times, and the warnings before them."""

from datetime import datetime, timedelta

import pytest

from autostop.decide import decide
from autostop.decide_facts import Action, Code, Facts, Hold, Mode
from instances.lifecycle import Observed
from tests.autostop.decide_cases import HOUR, MINUTE, NOW, THRESHOLD, idle_for_two_hours, rules, usage

SECOND = timedelta(seconds=1)


def test_a_stop_time_needs_no_metrics_and_no_idleness() -> None:
    decision = decide(idle_for_two_hours(stop_at=NOW, usage=None, last_used_at=NOW))

    assert (decision.action, decision.code) == (Action.STOP, Code.STOP_AT_PASSED)
    assert decision.reason == "its stop time 2026-01-05 12:00:00 UTC has passed"


def test_a_stop_time_that_passed_when_it_was_last_wanted_is_overruled() -> None:
    recent = {"wanted_since": NOW - MINUTE, "last_used_at": NOW}
    assert decide(idle_for_two_hours(**recent, stop_at=NOW - MINUTE)).action is Action.KEEP
    assert decide(idle_for_two_hours(**recent, stop_at=NOW - MINUTE + SECOND)).action is Action.STOP


def test_one_that_ran_for_its_longest_is_stopped_whatever_it_does() -> None:
    busy = usage(gpu_active_at=NOW)
    old = decide(idle_for_two_hours(rules=rules(max_age=3 * HOUR), usage=busy))
    young = decide(idle_for_two_hours(rules=rules(max_age=3 * HOUR + SECOND), usage=busy))

    assert (old.code, old.action) == (Code.MAX_AGE, Action.STOP)
    assert old.reason == "it has run for as long as it may: 3 h since it began to run, the longest it may"
    assert (young.action, young.next_at) == (Action.KEEP, NOW + SECOND)


def test_the_end_of_working_hours_stops_it() -> None:
    decision = decide(idle_for_two_hours(scheduled_stop_at=NOW - HOUR, last_used_at=NOW))

    assert (decision.code, decision.action) == (Code.SCHEDULE, Action.STOP)
    assert decision.reason == "its working hours ended at 2026-01-05 11:00:00 UTC"


def test_the_earliest_of_several_stop_times_holds() -> None:
    facts = idle_for_two_hours(
        stop_at=NOW + 2 * HOUR, scheduled_stop_at=NOW + HOUR, rules=rules(max_age=9 * HOUR), last_used_at=NOW
    )
    assert decide(facts).deadlines.hard_at == NOW + HOUR
    assert decide(facts).deadlines.hard_code is Code.SCHEDULE


def test_a_stop_time_to_come_is_the_next_time_something_may_happen() -> None:
    soon = NOW + MINUTE
    for facts in (
        idle_for_two_hours(stop_at=soon, last_used_at=NOW),
        idle_for_two_hours(stop_at=soon, usage=usage(newest_at=None)),
        idle_for_two_hours(stop_at=soon, usage=None),
        idle_for_two_hours(stop_at=soon, observed=Observed.MIGRATING),
        idle_for_two_hours(stop_at=soon, ready_at=None, startup_deadline_at=NOW + HOUR),
        idle_for_two_hours(stop_at=soon, hold=Hold.PAUSED),
    ):
        assert decide(facts).next_at == soon


@pytest.mark.parametrize("stop_time", ["stop_at", "scheduled_stop_at"])
def test_people_are_warned_of_a_stop_time_once_and_early_enough(stop_time: str) -> None:
    """The lead is 5 min, and the next evaluation comes in 5 min."""

    def warned_of(at: datetime, **more: object) -> datetime | None:
        return decide(idle_for_two_hours(**{stop_time: at, "last_used_at": NOW, **more})).warn_of

    assert warned_of(NOW + 10 * MINUTE) == NOW + 10 * MINUTE
    assert warned_of(NOW + 10 * MINUTE + SECOND) is None
    assert warned_of(NOW + SECOND) == NOW + SECOND
    assert warned_of(NOW + MINUTE, promised_at=NOW + MINUTE) is None
    assert warned_of(NOW + MINUTE, promised_at=NOW + 2 * MINUTE) == NOW + MINUTE
    assert warned_of(NOW + MINUTE, mode=Mode.OBSERVE) is None
    assert warned_of(NOW + MINUTE, hold=Hold.PAUSED) is None


def test_of_two_stop_times_only_the_earlier_is_warned_of() -> None:
    facts = idle_for_two_hours(stop_at=NOW + 9 * MINUTE, last_used_at=NOW - 12 * MINUTE)
    assert decide(facts).warn_of == NOW + 8 * MINUTE
    assert decide(facts).code is Code.WARNED


# --- keeping, grace, holds ------------------------------------------------------------------------------------------
def warned(**changes: object) -> Facts:
    return idle_for_two_hours(**{"warns_first": True, **changes})


def test_no_stop_for_idleness_comes_without_a_warning() -> None:
    first = decide(warned())
    promised = NOW + 5 * MINUTE

    assert (first.action, first.code, first.warn_of, first.next_at) == (Action.KEEP, Code.WARNED, promised, promised)
    assert first.reason.endswith("threshold 20 min; warned: it is stopped at 2026-01-05 12:05:00 UTC")
    assert first.found_idle
    waits = decide(warned(promised_at=NOW + SECOND))
    assert (waits.code, waits.warn_of, waits.next_at) == (Code.WARNED, None, NOW + SECOND)
    assert decide(warned(promised_at=NOW)).action is Action.STOP


def test_what_was_promised_ends_with_activity_and_after_an_hour() -> None:
    used_since = decide(warned(last_used_at=NOW - 15 * MINUTE, promised_at=NOW - MINUTE))
    assert used_since.warn_of == NOW + 5 * MINUTE
    assert decide(warned(promised_at=NOW - HOUR)).action is Action.STOP
    assert decide(warned(promised_at=NOW - HOUR - SECOND)).warn_of == NOW + 5 * MINUTE


def test_what_was_promised_outlasts_the_wait_for_the_next_evaluations() -> None:
    """Evaluations may be hours apart: each would else find the warning of the one before too old, and only warn again."""
    slow = {"interval": 2 * HOUR, "running_since": NOW - 9 * HOUR, "ready_at": NOW - 9 * HOUR}
    assert decide(warned(**slow, promised_at=NOW - 4 * HOUR)).action is Action.STOP
    assert decide(warned(**slow, promised_at=NOW - 4 * HOUR - SECOND)).warn_of == NOW + 5 * MINUTE
    assert decide(warned(interval=HOUR / 2 + SECOND, promised_at=NOW - HOUR - 2 * SECOND)).action is Action.STOP


def test_a_warning_comes_one_lead_and_one_interval_before_the_stop() -> None:
    """Lead and interval are 5 min each, the threshold is 20 min."""
    assert decide(warned(last_used_at=NOW - 10 * MINUTE)).warn_of == NOW + 10 * MINUTE
    early = decide(warned(last_used_at=NOW - 10 * MINUTE + SECOND))
    assert (early.code, early.warn_of) == (Code.THRESHOLD_NOT_REACHED, None)
    quick = warned(last_used_at=NOW - 14 * MINUTE, interval=SECOND)
    assert decide(quick).code is Code.THRESHOLD_NOT_REACHED


def test_nothing_is_warned_of_before_half_the_threshold_has_passed() -> None:
    slow = {"interval": HOUR}
    assert decide(warned(**slow, last_used_at=NOW - 10 * MINUTE)).code is Code.WARNED
    assert decide(warned(**slow, last_used_at=NOW - 10 * MINUTE + SECOND)).code is Code.THRESHOLD_NOT_REACHED


def test_nothing_is_warned_of_before_samples_may_be_expected() -> None:
    quick = {"interval": HOUR, "rules": rules(threshold=4 * MINUTE)}
    assert decide(warned(**quick, last_used_at=NOW - 3 * MINUTE)).code is Code.WARNED
    assert decide(warned(**quick, last_used_at=NOW - 3 * MINUTE + SECOND)).code is Code.THRESHOLD_NOT_REACHED


def test_the_lead_is_at_most_half_the_threshold_and_none_is_no_warning() -> None:
    long = rules(warning_lead=HOUR)
    assert decide(warned(rules=long)).warn_of == NOW + 10 * MINUTE
    none = rules(warning_lead=timedelta(0))
    assert decide(warned(rules=none)).action is Action.STOP
    assert decide(warned(rules=none, last_used_at=NOW - THRESHOLD + SECOND)).warn_of is None


def test_a_warning_too_rests_on_metrics_read_just_now() -> None:
    near = {"last_used_at": NOW - 16 * MINUTE}
    assert decide(warned(**near, usage=usage(read_at=NOW - HOUR))).action is Action.READ_METRICS
    assert decide(warned(**near, usage=usage(newest_at=None))).code is Code.NO_DATA


@pytest.mark.parametrize("held", [{"mode": Mode.OBSERVE}, {"hold": Hold.PAUSED}, {"idle_hold": Hold.METRICS}])
def test_what_no_rule_stops_is_not_warned_of(held: dict[str, object]) -> None:
    due, near = decide(warned(**held)), decide(warned(**held, last_used_at=NOW - 16 * MINUTE))

    assert (due.action, due.warn_of) == (Action.WOULD_STOP, None)
    assert (near.code, near.warn_of) == (Code.THRESHOLD_NOT_REACHED, None)


# --- holds ----------------------------------------------------------------------------------------------------------
