"""Every combination of the facts that are words, against rules written from the promise rather than from the code."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from autostop.judgement import Level, Reading

from autostop.decide import Action, Code, Decision, Facts, Hold, Mode, decide, metrics_window, paced
from instances.lifecycle import Observed

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
THRESHOLD = 20 * MINUTE
WISHED = NOW - 4 * HOUR
FRESH = NOW - MINUTE


def level(mean: float, newest_at: datetime = FRESH) -> Level:
    return Level(mean=mean, newest_at=newest_at, samples=10)


def reading(*gpus: Level, avg: Level | None = None, cpu: Level | None = None, error: str = "") -> Reading:
    named = {str(index): one for index, one in enumerate(gpus)}
    return Reading(start=NOW - THRESHOLD, end=NOW, gpus=named, gpu_avg=avg, cpu=cpu, error=error)


# Two GPUs are rented in all of these; the limits are 5 % and half a core.
IDLE_READINGS = {
    "idle": reading(level(0), level(4.9), avg=level(2.5), cpu=level(49)),
    "idle by an average too low for any one GPU": reading(avg=level(2.4), cpu=level(0)),
}
BUSY_READINGS = {
    "one GPU busy": reading(level(0), level(100), avg=level(50), cpu=level(0)),
    "one GPU just at its limit": reading(level(0), level(5), avg=level(2.5), cpu=level(0)),
    "CPU busy": reading(level(0), level(0), avg=level(0), cpu=level(50)),
    "CPU busy and no GPU data": reading(cpu=level(800)),
}
DATALESS_READINGS = {
    "failed": reading(error="Novita does not answer"),
    "empty": reading(),
    "stale": reading(level(0, NOW - 4 * MINUTE), level(0, NOW - 4 * MINUTE), cpu=level(0, NOW - 4 * MINUTE)),
    "one GPU missing": reading(level(0), avg=level(3), cpu=level(0)),
    "CPU missing": reading(level(0), level(0), avg=level(0)),
}
READINGS: dict[str, Reading | None] = {"": None, **IDLE_READINGS, **BUSY_READINGS, **DATALESS_READINGS}
VERBS = ("", "create", "start", "stop", "delete", "restart", "edit", "migrate", "replace", "save_image")
READINESS = ("ready", "never ready, overdue", "still starting", "start unknown")
STOP_TIMES = {"": None, "passed": NOW - MINUTE, "passed before the wish": WISHED - HOUR, "to come": NOW + HOUR}


def facts_for(
    *,
    mode: Mode,
    managed: bool,
    protected: bool,
    observed: Observed,
    wanted: str,
    verb: str,
    readiness: str,
    long_idle: bool,
    stop_time: str,
    hold: Hold,
    metrics: str,
) -> Facts:
    began = NOW - (2 * HOUR if long_idle else 10 * MINUTE)
    return Facts(
        now=NOW,
        managed=managed,
        mode=mode,
        protected=protected,
        observed=observed,
        raw_status=str(observed),
        wanted=wanted,
        wanted_since=WISHED,
        open_verb=verb,
        running_since=began - 5 * MINUTE if readiness in ("ready", "never ready, overdue") else None,
        ready_at=began if readiness == "ready" else None,
        startup_deadline_at={"never ready, overdue": began, "still starting": NOW + MINUTE}.get(readiness),
        stop_at=STOP_TIMES[stop_time],
        gpu_num=2,
        threshold=THRESHOLD,
        hold=hold,
        reading=READINGS[metrics],
    )


def expected_action(
    *,
    mode: Mode,
    managed: bool,
    protected: bool,
    observed: Observed,
    wanted: str,
    verb: str,
    readiness: str,
    long_idle: bool,
    stop_time: str,
    hold: Hold,
    metrics: str,
) -> Action:
    """The promise in words, without looking at any clock."""
    rules_may_touch_it = managed and not protected and mode is not Mode.OFF
    somebody_ends_it = wanted in ("stopped", "deleted") or verb in ("stop", "delete")
    errand_runs = verb in ("restart", "edit", "migrate", "replace", "save_image")
    paid_and_up = observed in (Observed.RUNNING, Observed.PULLING, Observed.STARTING)
    paid_and_moving = observed in (Observed.RESTARTING, Observed.MIGRATING)
    if not rules_may_touch_it or somebody_ends_it or errand_runs or not (paid_and_up or paid_and_moving):
        return Action.KEEP
    stop_now = Action.STOP if mode is Mode.ENFORCE and hold is Hold.NONE else Action.WOULD_STOP
    if stop_time == "passed":
        return stop_now
    if not paid_and_up or not long_idle or readiness in ("still starting", "start unknown"):
        return Action.KEEP
    if metrics == "":
        return Action.READ_METRICS
    return stop_now if metrics in IDLE_READINGS else Action.KEEP


def combinations(observed: Observed, modes: Sequence[Mode]) -> Iterator[tuple[object, ...]]:
    """All of them for a running one; for other statuses without those metrics and holds that cannot matter there."""
    running = observed is Observed.RUNNING
    return product(
        modes,
        (True, False),
        (True, False),
        ("running", "stopped", "deleted", ""),
        VERBS if running else ("", "create", "stop", "migrate"),
        READINESS,
        (True, False),
        STOP_TIMES,
        (Hold.NONE, Hold.PAUSED, Hold.FROZEN) if running else (Hold.NONE, Hold.PAUSED),
        READINGS if running else ("", "idle"),
    )


NAMES = ("mode", "managed", "protected", "wanted", "verb", "readiness", "long_idle", "stop_time", "hold", "metrics")


@pytest.mark.parametrize("observed", [one for one in Observed if one is not Observed.RUNNING])
def test_every_combination_of_a_status_other_than_running_gets_the_promised_action(observed: Observed) -> None:
    _check_all(observed, tuple(Mode))


@pytest.mark.parametrize("mode", Mode)
def test_every_combination_of_a_running_instance_gets_the_promised_action(mode: Mode) -> None:
    _check_all(Observed.RUNNING, (mode,))


def _check_all(observed: Observed, modes: Sequence[Mode]) -> None:
    checked = 0
    for values in combinations(observed, modes):
        case = dict(zip(NAMES, values, strict=True))
        decision = decide(facts_for(observed=observed, **case))  # type: ignore[arg-type]  # values of a product
        assert decision.action is expected_action(observed=observed, **case), case  # type: ignore[arg-type]
        assert decision.reason, case
        _check_shape(decision, case)
        checked += 1
    assert checked >= 1000


def _check_shape(decision: Decision, case: dict[str, object]) -> None:
    assert (decision.action is Action.WOULD_STOP) == (decision.hold is not Hold.NONE), case
    if decision.code is Code.NO_DATA:
        assert case["metrics"] in DATALESS_READINGS, case
        assert "running, paid, no data" in decision.reason, case
    if decision.code in (Code.GPU_ACTIVE, Code.CPU_ACTIVE):
        assert case["metrics"] in BUSY_READINGS, case
    if decision.hold is Hold.OBSERVE:
        assert case["mode"] is Mode.OBSERVE, case
    if decision.code in (Code.IDLE, Code.NEVER_READY):
        assert (decision.code is Code.IDLE) == (case["readiness"] == "ready"), case


def idle_for_two_hours(**changes: object) -> Facts:
    values: dict[str, object] = {
        "now": NOW,
        "running_since": NOW - 3 * HOUR,
        "ready_at": NOW - 2 * HOUR,
        "threshold": THRESHOLD,
        "gpu_num": 2,
        "reading": IDLE_READINGS["idle"],
    }
    return Facts(**values | changes)  # type: ignore[arg-type]  # a table of keyword arguments


def test_idle_for_long_is_stopped_with_the_figures_in_the_reason() -> None:
    decision = decide(idle_for_two_hours())

    assert decision.action is Action.STOP
    assert decision.reason == (
        "2 h since it became ready, threshold 20 min; GPU at most 4.9 % busy (limit 5 %), 0.49 CPU cores busy (limit 0.5)"
    )
    assert decision.idle_since == NOW - 2 * HOUR
    assert decision.evidence["gpu_percent"] == {"0": 0, "1": 4.9}


@pytest.mark.parametrize("fact", ["last_used_at", "ready_at", "running_since", "wanted_since"])
def test_each_of_use_ready_run_and_wish_resets_the_clock(fact: str) -> None:
    decision = decide(idle_for_two_hours(**{fact: NOW - 5 * MINUTE}))

    assert decision.code is Code.THRESHOLD_NOT_REACHED
    assert decision.next_at == NOW + 15 * MINUTE


def test_the_threshold_itself_is_long_enough_and_a_second_less_is_not() -> None:
    assert decide(idle_for_two_hours(last_used_at=NOW - THRESHOLD)).action is Action.STOP
    shortly = decide(idle_for_two_hours(last_used_at=NOW - THRESHOLD + timedelta(seconds=1)))
    assert shortly.action is Action.KEEP


def test_a_sample_three_minutes_old_still_counts_and_an_older_one_does_not() -> None:
    def at(moment: datetime) -> Reading:
        return reading(level(0, moment), level(0, moment), cpu=level(0, moment))

    assert decide(idle_for_two_hours(reading=at(NOW - 3 * MINUTE))).action is Action.STOP
    assert decide(idle_for_two_hours(reading=at(NOW - 3 * MINUTE - timedelta(seconds=1)))).code is Code.NO_DATA


def test_samples_from_before_ready_judge_nothing() -> None:
    short = timedelta(seconds=30)
    ready_at = NOW - short
    before = reading(level(0, ready_at), level(0, ready_at), cpu=level(0, ready_at))
    after = reading(
        *(level(0, ready_at + timedelta(seconds=1)),) * 2, avg=None, cpu=level(0, ready_at + timedelta(seconds=1))
    )

    facts = {"running_since": ready_at, "ready_at": ready_at, "threshold": short}
    assert decide(idle_for_two_hours(**facts, reading=before)).code is Code.NO_DATA
    assert decide(idle_for_two_hours(**facts, reading=after)).action is Action.STOP


def test_the_window_is_the_threshold_at_least_three_minutes_and_never_before_ready() -> None:
    assert metrics_window(idle_for_two_hours()) == (NOW - THRESHOLD, NOW)
    assert metrics_window(idle_for_two_hours(threshold=timedelta(seconds=5))) == (NOW - 3 * MINUTE, NOW)
    assert metrics_window(idle_for_two_hours(ready_at=NOW - MINUTE)) == (NOW - MINUTE, NOW)


def test_a_cpu_instance_needs_no_gpu_data() -> None:
    assert decide(idle_for_two_hours(gpu_num=0, reading=reading(cpu=level(10)))).action is Action.STOP
    assert decide(idle_for_two_hours(gpu_num=0, reading=reading())).code is Code.NO_DATA


def test_a_stop_time_needs_no_metrics_and_says_so_by_its_code() -> None:
    decision = decide(idle_for_two_hours(stop_at=NOW, reading=None, last_used_at=NOW))

    assert decision.action is Action.STOP
    assert decision.code is Code.STOP_AT_PASSED


def test_a_stop_time_to_come_is_the_next_time_something_may_happen() -> None:
    soon = NOW + MINUTE
    assert decide(idle_for_two_hours(stop_at=soon, last_used_at=NOW)).next_at == soon
    assert decide(idle_for_two_hours(stop_at=soon, reading=BUSY_READINGS["one GPU busy"])).next_at == soon


def test_a_held_stop_names_what_holds_it() -> None:
    held = decide(idle_for_two_hours(hold=Hold.PAUSED, hold_reason="automation is paused until noon"))

    assert held.action is Action.WOULD_STOP
    assert "held: automation is paused until noon" in held.reason


def test_a_stop_beyond_the_pace_waits_and_says_so() -> None:
    waiting = paced(decide(idle_for_two_hours()), 6, NOW + 5 * MINUTE)

    assert waiting.action is Action.WOULD_STOP
    assert waiting.hold is Hold.PACE
    assert "waits for the next pass: one pass stops at most 6" in waiting.reason
    assert waiting.next_at == NOW + 5 * MINUTE
