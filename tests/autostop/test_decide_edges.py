"""Where one second, one default or one order decides: the last instants of rules, and the values behind decisions."""

from datetime import timedelta

from autostop.decide import decide
from autostop.decide_clock import deadlines, metrics_may_hold, sample_floor
from autostop.decide_facts import Code, Facts, Hold, Rules, SignalName, Usage
from autostop.decide_signals import Verdict, signals, unknown_since, window_start
from tests.autostop.decide_cases import FRESH, HOUR, MINUTE, NOW, THRESHOLD, idle_for_two_hours, rules, usage

SECOND = timedelta(seconds=1)


def test_what_is_not_said_is_the_careful_value() -> None:
    assert (Rules().threshold, Rules().unknown_limit) == (20 * MINUTE, 15 * MINUTE)
    assert (Usage(window_start=NOW).known_share, Facts(now=NOW).idle_before) == (0.0, 0)


def test_what_is_used_is_neither_found_idle_nor_alarmed() -> None:
    used = decide(idle_for_two_hours(last_used_at=NOW))
    left_alone = decide(idle_for_two_hours(protected=True))
    assert [(one.found_idle, one.alarms) for one in (used, left_alone)] == [(False, False), (False, False)]
    assert left_alone.facts is None


def test_one_on_its_way_has_not_been_idle_for_any_time() -> None:
    assert decide(idle_for_two_hours(ready_at=None, startup_deadline_at=NOW + MINUTE)).idle_for is None


def test_the_alarm_comes_at_the_stop_time_itself() -> None:
    unseen = usage(newest_at=None)
    assert decide(idle_for_two_hours(last_used_at=NOW - THRESHOLD, usage=unseen)).alarms


def test_a_promise_of_the_stop_time_itself_stands() -> None:
    decision = decide(idle_for_two_hours(warns_first=True, last_used_at=NOW - THRESHOLD + SECOND, promised_at=NOW + SECOND))
    assert (decision.code, decision.warn_of) == (Code.WARNED, None)


def test_a_grace_is_named_from_the_moment_the_threshold_has_passed() -> None:
    graceful = rules(grace_after_ready=3 * HOUR)
    assert decide(idle_for_two_hours(rules=graceful, last_used_at=NOW - THRESHOLD)).code is Code.GRACE
    earlier = idle_for_two_hours(rules=graceful, last_used_at=NOW - THRESHOLD + SECOND)
    assert decide(earlier).code is Code.THRESHOLD_NOT_REACHED


def test_the_latest_of_threshold_and_grace_is_the_stop_time() -> None:
    long, short = rules(grace_after_ready=3 * HOUR), rules(grace_after_ready=2 * HOUR + MINUTE)
    assert deadlines(idle_for_two_hours(rules=long, last_used_at=NOW)).idle_at == NOW + HOUR
    assert deadlines(idle_for_two_hours(rules=short, last_used_at=NOW)).idle_at == NOW + THRESHOLD


def test_being_kept_until_a_stop_time_itself_or_for_less_is_not_what_sets_it() -> None:
    kept = deadlines(idle_for_two_hours(last_used_at=NOW, stop_at=NOW + THRESHOLD, keep_until=NOW + THRESHOLD))
    assert (kept.hard_by, kept.idle_by.startswith("kept")) == ("its stop time", False)
    shortly = idle_for_two_hours(last_used_at=NOW, keep_until=NOW + MINUTE)
    assert decide(shortly).code is Code.THRESHOLD_NOT_REACHED


def test_a_held_stop_time_of_this_very_moment_is_nothing_to_come() -> None:
    assert decide(idle_for_two_hours(stop_at=NOW, hold=Hold.PAUSED)).next_at is None


def test_samples_count_from_ready_else_from_the_begin_of_the_run() -> None:
    assert sample_floor(idle_for_two_hours()) == NOW - 2 * HOUR
    assert sample_floor(idle_for_two_hours(ready_at=None)) == NOW - 3 * HOUR


def test_limited_metrics_may_hold_up_to_their_limit_after_unlimited_activity() -> None:
    limited = rules(holds={SignalName.USE: None, SignalName.GPU: 10 * MINUTE})
    assert metrics_may_hold(idle_for_two_hours(rules=limited, last_used_at=NOW - MINUTE))
    assert metrics_may_hold(idle_for_two_hours(rules=limited, last_used_at=NOW - 30 * MINUTE + SECOND))
    assert not metrics_may_hold(idle_for_two_hours(rules=limited, last_used_at=NOW - 30 * MINUTE))
    assert not metrics_may_hold(idle_for_two_hours(ready_at=None))


def test_the_window_is_the_threshold_or_three_minutes_and_begins_with_the_run() -> None:
    assert window_start(NOW, MINUTE, None) == NOW - 3 * MINUTE
    assert window_start(NOW, THRESHOLD, None) == NOW - THRESHOLD
    assert window_start(NOW, THRESHOLD, NOW - 5 * MINUTE) == NOW - 5 * MINUTE
    assert window_start(NOW, THRESHOLD, NOW - HOUR) == NOW - THRESHOLD


def test_a_sample_three_minutes_old_is_not_late() -> None:
    thin = usage(newest_at=NOW - 3 * MINUTE, known_share=0.1)
    assert unknown_since(idle_for_two_hours(usage=thin)) == NOW - THRESHOLD


def test_a_use_a_whole_threshold_ago_is_idle() -> None:
    assert signals(idle_for_two_hours(last_used_at=NOW - THRESHOLD))[0].verdict is Verdict.IDLE


def test_the_evidence_tells_coverage_and_the_newest_sample_where_there_is_one() -> None:
    seen, unseen = (decide(idle_for_two_hours(usage=one)).evidence for one in (usage(known_share=0.98765), None))
    assert (seen["coverage"], seen["newest_sample_at"]) == (0.988, FRESH.isoformat())
    assert (unseen["coverage"], unseen["newest_sample_at"]) == (0.0, None)
