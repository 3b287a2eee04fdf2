"""What each rule says, at its edges."""

from datetime import timedelta

import pytest

from autostop.decide import decide, paced, stale
from autostop.decide_facts import Action, Code, Hold, Mode
from instances.lifecycle import Observed
from tests.autostop.decide_cases import CALM, HOUR, MINUTE, NOW, THRESHOLD, idle_for_two_hours, rules, usage

SECOND = timedelta(seconds=1)


def test_idle_for_long_is_stopped_with_the_figures_in_the_reason() -> None:
    decision = decide(idle_for_two_hours())

    assert decision.action is Action.STOP
    assert decision.reason == (
        "2 h since it became ready, threshold 20 min; GPU at most 4.9 % busy (limit 5 %); "
        "0.49 CPU cores busy at most (limit 0.5)"
    )
    assert (decision.idle_since, decision.idle_for) == (NOW - 2 * HOUR, 2 * HOUR)
    assert (decision.next_at, decision.found_idle, decision.version) == (NOW, True, 2)


@pytest.mark.parametrize("fact", ["last_used_at", "ready_at", "running_since", "wanted_since", "beat_active_at"])
def test_each_of_use_ready_run_wish_and_heartbeat_resets_the_clock(fact: str) -> None:
    decision = decide(idle_for_two_hours(**{fact: NOW - 5 * MINUTE}))

    assert decision.action is Action.KEEP
    assert decision.code is (Code.HEARTBEAT_ACTIVE if fact == "beat_active_at" else Code.THRESHOLD_NOT_REACHED)
    assert decision.next_at == decision.deadlines.idle_at == NOW + 15 * MINUTE


def test_a_wish_that_is_not_to_run_does_not_reset_the_clock() -> None:
    assert decide(idle_for_two_hours(wanted="", wanted_since=NOW)).action is Action.STOP


@pytest.mark.parametrize(("signal", "code"), [("gpu_active_at", Code.GPU_ACTIVE), ("cpu_active_at", Code.CPU_ACTIVE)])
def test_what_metrics_show_busy_holds_with_its_figure_and_says_what_it_would_take(signal: str, code: Code) -> None:
    busy = usage(**{signal: NOW - MINUTE}, gpu_peak=63.0, cpu_peak=2.5)

    decision = decide(idle_for_two_hours(usage=busy))

    assert decision.code is code
    shown = {
        Code.GPU_ACTIVE: "GPU at most 63.0 % busy (limit 5 %)",
        Code.CPU_ACTIVE: "2.50 CPU cores busy at most (limit 0.5)",
    }
    last = {Code.GPU_ACTIVE: "its GPU was last busy", Code.CPU_ACTIVE: "its CPU was last busy"}
    assert decision.reason == f"1 min since {last[code]}; it may sleep after 20 min: {shown[code]}"
    assert decision.nearest_miss == (
        f"would stop in 19 min if GPU stays below 5 % and CPU below 0.5 cores and nobody uses it; held by {shown[code]}"
    )


def test_the_threshold_itself_is_long_enough_and_a_second_less_is_not() -> None:
    assert decide(idle_for_two_hours(last_used_at=NOW - THRESHOLD)).action is Action.STOP
    assert decide(idle_for_two_hours(last_used_at=NOW - THRESHOLD + SECOND)).action is Action.KEEP


def test_a_sample_three_minutes_old_still_counts_and_an_older_one_does_not() -> None:
    assert decide(idle_for_two_hours(usage=usage(newest_at=NOW - 3 * MINUTE))).action is Action.STOP
    late = decide(idle_for_two_hours(usage=usage(newest_at=NOW - 3 * MINUTE - SECOND)))
    assert late.code is Code.NO_DATA
    assert late.reason == (
        "2 h since it became ready, threshold 20 min, but it is running, paid, no data: "
        "the newest sample is 3 min 1 s old, and it takes one within 3 min"
    )


def test_samples_from_before_ready_judge_nothing() -> None:
    short = {"rules": rules(threshold=timedelta(seconds=30)), "running_since": NOW - MINUTE}

    at_ready = decide(idle_for_two_hours(**short, ready_at=NOW - MINUTE, usage=usage(newest_at=NOW - MINUTE)))
    after = decide(idle_for_two_hours(**short, ready_at=NOW - MINUTE, usage=usage(newest_at=NOW - MINUTE + SECOND)))

    assert (at_ready.code, after.action) == (Code.NO_DATA, Action.STOP)
    assert "there is no sample of this run yet" in at_ready.reason


def test_samples_have_to_cover_what_the_policy_asks_for() -> None:
    assert decide(idle_for_two_hours(usage=usage(known_share=0.8))).action is Action.STOP
    gaps = decide(idle_for_two_hours(usage=usage(known_share=0.79)))
    assert gaps.code is Code.NO_DATA
    assert "samples of every GPU and of the CPU cover 79 % of the window, and it takes 80 %" in gaps.reason
    lax = rules(coverage=0.5)
    assert decide(idle_for_two_hours(rules=lax, usage=usage(known_share=0.5))).action is Action.STOP


def test_a_reading_older_than_a_minute_is_made_again_before_a_stop() -> None:
    assert decide(idle_for_two_hours(usage=usage(read_at=NOW - 60 * SECOND))).action is Action.STOP
    old = decide(idle_for_two_hours(usage=usage(read_at=NOW - 61 * SECOND)))
    assert (old.action, old.code) == (Action.READ_METRICS, Code.METRICS_NEEDED)
    assert old.reason == "2 h since it became ready, threshold 20 min; its metrics are to be read first"
    assert old.next_at is None


def test_a_reading_that_told_nothing_is_made_again_by_the_next_pass() -> None:
    told_nothing = usage(read_at=NOW - SECOND, newest_at=None)
    assert decide(idle_for_two_hours(usage=told_nothing)).action is Action.READ_METRICS


@pytest.mark.parametrize(
    ("changes", "since"),
    [
        ({"newest_at": None, "known_share": 0.0}, 2 * HOUR),
        ({"newest_at": NOW - 14 * MINUTE}, 14 * MINUTE),
        ({"known_share": 0.1, "window_start": NOW - 16 * MINUTE}, 16 * MINUTE),
        ({"error": "away", "newest_at": NOW - 2 * MINUTE}, 2 * MINUTE),
    ],
)
def test_unseen_for_longer_than_the_limit_is_alarmed_and_never_stopped(changes: dict[str, object], since: timedelta) -> None:
    for limit, alarms in ((since, True), (since + SECOND, False)):
        decision = decide(idle_for_two_hours(rules=rules(unknown_limit=limit), usage=usage(**changes)))
        assert (decision.action, decision.code, decision.alarms) == (Action.KEEP, Code.NO_DATA, alarms)
        assert "fresh metrics showed it idle" in decision.nearest_miss


def test_a_failed_reading_is_told_with_its_error() -> None:
    never = decide(idle_for_two_hours(usage=usage(newest_at=None, error="HTTP 500")))
    once = decide(idle_for_two_hours(usage=usage(error="HTTP 500")))

    assert never.reason.endswith("no data: its metrics could not be read (HTTP 500)")
    assert once.reason.endswith("no data: its metrics could not be read (HTTP 500); the newest sample is 1 min old")


def test_one_in_use_is_not_alarmed_for_missing_metrics() -> None:
    dark = usage(newest_at=None)
    assert not decide(idle_for_two_hours(usage=dark, last_used_at=NOW - 12 * MINUTE)).alarms


# --- hard stop times ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("hard", [{}, {"stop_at": NOW - MINUTE}, {"scheduled_stop_at": NOW - HOUR}])
def test_while_it_is_kept_nothing_stops_it_and_then_it_is_due(hard: dict[str, object]) -> None:
    kept = decide(idle_for_two_hours(**hard, keep_until=NOW + HOUR, keep_reason="a demo"))
    over = decide(idle_for_two_hours(**hard, keep_until=NOW))

    assert (kept.action, kept.code) == (Action.KEEP, Code.KEPT)
    assert kept.reason == "it is kept until 2026-01-05 13:00:00 UTC (a demo)"
    assert kept.next_at == NOW + HOUR
    assert over.action is Action.STOP


def test_being_kept_for_less_than_it_has_anyway_changes_nothing() -> None:
    facts = idle_for_two_hours(last_used_at=NOW, keep_until=NOW + MINUTE, stop_at=NOW + 2 * HOUR)
    decision = decide(facts)
    assert decision.deadlines.idle_at == NOW + THRESHOLD
    assert decision.deadlines.hard_at == NOW + 2 * HOUR


@pytest.mark.parametrize(
    ("grace", "left"), [({"grace_after_ready": 3 * HOUR}, HOUR), ({"grace_after_start": 3 * HOUR + MINUTE}, MINUTE)]
)
def test_a_grace_after_start_and_ready_holds_it(grace: dict[str, timedelta], left: timedelta) -> None:
    decision = decide(idle_for_two_hours(rules=rules(**grace, warning_lead=timedelta(0))))

    assert (decision.action, decision.code) == (Action.KEEP, Code.GRACE)
    assert decision.next_at == NOW + left
    assert "of grace after it" in decision.reason


def test_a_signal_the_policy_does_not_name_holds_nothing() -> None:
    only_use = rules(holds={"use": None})
    assert decide(idle_for_two_hours(rules=only_use, usage=usage(gpu_active_at=NOW))).action is Action.STOP
    assert decide(idle_for_two_hours(rules=only_use, usage=None)).action is Action.STOP
    assert decide(idle_for_two_hours(rules=only_use, beat_active_at=NOW)).action is Action.STOP
    only_metrics = rules(holds={"gpu": None, "cpu": None})
    assert decide(idle_for_two_hours(rules=only_metrics, last_used_at=NOW)).action is Action.STOP


def test_a_signal_holds_no_longer_than_its_limit_after_the_newest_unlimited_activity() -> None:
    limited = rules(holds={"use": None, "gpu": None, "cpu": HOUR})
    busy = usage(cpu_active_at=NOW - MINUTE)
    used = {"rules": limited, "usage": busy}

    assert decide(idle_for_two_hours(**used, last_used_at=NOW - 80 * MINUTE)).action is Action.STOP
    held = decide(idle_for_two_hours(**used, last_used_at=NOW - 79 * MINUTE))
    assert (held.action, held.deadlines.idle_at) == (Action.KEEP, NOW + MINUTE)
    assert held.idle_since == NOW - 19 * MINUTE
    assert decide(idle_for_two_hours(**used)).action is Action.STOP


def test_when_no_metric_may_hold_any_longer_they_are_not_asked_for() -> None:
    limited = rules(holds={"gpu": HOUR, "cpu": 30 * MINUTE})
    assert decide(idle_for_two_hours(rules=limited, usage=None)).action is Action.STOP
    longer = rules(holds={"gpu": HOUR, "cpu": 101 * MINUTE})
    assert decide(idle_for_two_hours(rules=longer, usage=None)).action is Action.READ_METRICS


# --- in a row, warnings ---------------------------------------------------------------------------------------------
def test_it_has_to_be_found_idle_as_often_in_a_row_as_the_policy_says() -> None:
    twice = rules(in_a_row=2)
    first, second = (decide(idle_for_two_hours(rules=twice, idle_before=count)) for count in (0, 1))

    assert (first.action, first.code, first.found_idle) == (Action.KEEP, Code.IDLE_AGAIN, True)
    assert first.reason.endswith("found idle 1 of 2 times in a row")
    assert first.next_at == NOW + 5 * MINUTE
    assert second.action is Action.STOP


def test_a_held_stop_names_what_holds_it() -> None:
    paused = decide(idle_for_two_hours(hold=Hold.PAUSED, hold_reason="automation is paused until noon"))
    bare = decide(idle_for_two_hours(hold=Hold.FROZEN))

    assert (paused.action, paused.hold, paused.next_at) == (Action.WOULD_STOP, Hold.PAUSED, None)
    assert paused.reason.endswith("; held: automation is paused until noon")
    assert bare.reason.endswith("; held: automation is frozen")


def test_missing_metrics_of_the_fleet_hold_stops_for_idleness_and_no_others() -> None:
    held = {"idle_hold": Hold.METRICS, "idle_hold_reason": "metrics of 3 of 4 are missing"}
    idle = decide(idle_for_two_hours(**held))

    assert (idle.action, idle.hold, idle.found_idle, idle.next_at) == (Action.WOULD_STOP, Hold.METRICS, True, None)
    assert idle.reason.endswith("; held: metrics of 3 of 4 are missing")
    assert decide(idle_for_two_hours(**held, stop_at=NOW)).action is Action.STOP


def test_observing_names_why() -> None:
    plain = decide(idle_for_two_hours(mode=Mode.OBSERVE))
    canary = decide(idle_for_two_hours(mode=Mode.OBSERVE, mode_reason="policy labs observes"))

    assert plain.reason.endswith("; it is only observed: not stopped")
    assert canary.reason.endswith("; it is only observed (policy labs observes): not stopped")


def test_a_stop_beyond_the_pace_waits_and_says_so() -> None:
    waiting = paced(decide(idle_for_two_hours()), 6, NOW + 5 * MINUTE)

    assert (waiting.action, waiting.hold, waiting.next_at) == (Action.WOULD_STOP, Hold.PACE, NOW + 5 * MINUTE)
    assert "waits for the next pass: one pass stops at most 6" in waiting.reason


def test_a_decision_that_has_grown_old_is_not_acted_on() -> None:
    old = stale(decide(idle_for_two_hours()), 12 * MINUTE)

    assert (old.action, old.hold) == (Action.WOULD_STOP, Hold.STALE)
    assert "held: the decision is 12 min old by now" in old.reason


# --- left alone -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"managed": False}, Code.UNMANAGED, "nobody has adopted it"),
        ({"observed": Observed.UNKNOWN, "raw_status": "odd"}, Code.UNKNOWN_STATUS, "the unfamiliar status 'odd'"),
        ({"observed": Observed.EXITED}, Code.NOT_RUNNING, "does not bill it"),
        ({"observed": Observed.STOPPING}, Code.STOP_UNDER_WAY, "under way already"),
        ({"wanted": "deleted"}, Code.STOP_UNDER_WAY, "under way already"),
        ({"open_verb": "stop"}, Code.STOP_UNDER_WAY, "under way already"),
        ({"protected": True}, Code.PROTECTED, "rules leave it alone"),
        ({"mode": Mode.OFF}, Code.OFF, "auto-stop is off for it"),
    ],
)
def test_what_rules_leave_alone_says_why_and_nothing_else(changes: dict[str, object], code: Code, words: str) -> None:
    decision = decide(idle_for_two_hours(**changes))

    assert (decision.action, decision.code) == (Action.KEEP, code)
    assert words in decision.reason
    assert (decision.next_at, decision.warn_of, decision.nearest_miss, dict(decision.evidence)) == (None, None, "", {})


def test_off_says_which_stop_time_it_ignores() -> None:
    ignored = decide(idle_for_two_hours(mode=Mode.OFF, stop_at=NOW))
    assert ignored.reason == ("auto-stop is off for it; its stop time at 2026-01-05 12:00:00 UTC does not apply either")


def test_an_open_errand_goes_first() -> None:
    decision = decide(idle_for_two_hours(open_verb="save_image"))
    assert (decision.action, decision.code) == (Action.KEEP, Code.JOB_OPEN)
    assert decision.reason == "its save_image job is open: a stop would cut it short"


def test_one_on_its_way_is_judged_when_its_time_for_that_is_over() -> None:
    starting = decide(idle_for_two_hours(ready_at=None, startup_deadline_at=NOW + MINUTE))
    overdue = decide(idle_for_two_hours(ready_at=None, startup_deadline_at=NOW, running_since=None))
    unknown = decide(idle_for_two_hours(ready_at=None))
    moving = decide(idle_for_two_hours(observed=Observed.RESTARTING, raw_status="restarting"))

    assert (starting.code, starting.next_at) == (Code.STARTING, NOW + MINUTE + THRESHOLD)
    assert starting.reason == "it is not ready yet and has until 2026-01-05 12:01:00 UTC for that"
    assert (overdue.code, overdue.next_at) == (Code.THRESHOLD_NOT_REACHED, NOW + THRESHOLD)
    assert (unknown.code, unknown.next_at) == (Code.STARTING, None)
    assert unknown.reason == "it is not ready yet, and when it began to start is not known"
    assert (moving.code, moving.next_at) == (Code.MOVING, None)
    assert moving.reason == "Novita reports restarting: it is judged when it runs again"


def test_one_that_never_became_ready_says_so() -> None:
    decision = decide(idle_for_two_hours(ready_at=None, startup_deadline_at=NOW - 2 * HOUR))
    assert (decision.action, decision.code) == (Action.STOP, Code.NEVER_READY)
    assert decision.reason.startswith("it never became ready: 2 h since its start-up deadline passed")


# --- evidence -------------------------------------------------------------------------------------------------------
def test_the_evidence_holds_each_signal_with_its_value_freshness_and_verdict() -> None:
    decision = decide(
        idle_for_two_hours(
            last_used_at=NOW - 90 * MINUTE, beaten_at=NOW - MINUTE, beat_active_at=NOW - HOUR, open_verb="start"
        )
    )
    evidence = decision.evidence
    signals = {one["name"]: one for one in evidence["signals"]}  # type: ignore[attr-defined]

    assert {name: one["verdict"] for name, one in signals.items()} == {
        "use": "idle",
        "gpu": "idle",
        "cpu": "idle",
        "heartbeat": "idle",
        "job": "active",
    }
    assert signals["use"]["value"] == "used 1 h 30 min ago"
    assert signals["heartbeat"]["value"] == "heartbeat 1 min ago, its load below the limits"
    assert signals["heartbeat"]["at"] == (NOW - MINUTE).isoformat()
    assert signals["gpu"]["at"] == CALM.newest_at.isoformat()  # type: ignore[union-attr]
    assert signals["job"]["value"] == "its start job is open"
    assert (evidence["gpu_percent"], evidence["cpu_cores_busy"], evidence["coverage"]) == (4.9, 0.49, 1.0)
    assert evidence["idle_by"] == "its last heartbeat"


def test_a_signal_without_data_is_unknown_and_one_that_may_not_hold_says_so() -> None:
    decision = decide(idle_for_two_hours(rules=rules(holds={"gpu": None}), usage=usage(newest_at=None, gpu_peak=None)))
    signals = {one["name"]: one for one in decision.evidence["signals"]}  # type: ignore[attr-defined]

    assert signals["gpu"] == {"name": "gpu", "verdict": "unknown", "value": "there is no sample", "at": None, "holds": True}
    assert (signals["cpu"]["holds"], signals["use"]["holds"], signals["heartbeat"]["holds"]) == (False, False, False)
    assert (signals["use"]["value"], signals["heartbeat"]["value"]) == ("never used", "no heartbeat yet")
    assert signals["job"]["value"] == "no job is open"
