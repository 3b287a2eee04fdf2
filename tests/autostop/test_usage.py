"""What the minutes of a machine say of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autostop.decide import decide
from autostop.decide_facts import Action, Code, Usage
from autostop.usage import usage_of
from instances.novita.types import InstanceMetrics, MetricPoint
from instances.utilisation.rollup import minute_of, rollup
from instances.utilisation.rows import Sample, sample_of
from tests.autostop.decide_cases import MINUTE, NOW, THRESHOLD, idle_for_two_hours, rules

LAST = minute_of(NOW) - 1


def minute(back: int = 0, **values: Any) -> Sample:
    """A full minute that ended so many minutes before now, idle but for what is named."""
    at = LAST - back
    known: dict[str, Any] = {"busiest_gpu_percent": 0.0, "ceiling_gpu_percent": 0.0, "cpu_cores": 0.0}
    return Sample(**{"minute": at, "seconds": 60, "newest_at": at * 60 + 45, **known, **values})


def minutes(count: int = 22, **of: Sample) -> list[Sample]:
    """Idle ones up to now, oldest first; `of` replaces the one so many minutes back, as in `b3`."""
    return [of.get(f"b{back}", minute(back)) for back in range(count - 1, -1, -1)]


def judged(samples: list[Sample], **more: Any) -> Usage:
    return usage_of(samples, **{"rules": rules(), "floor": NOW - timedelta(hours=2), "now": NOW, "read_at": NOW, **more})


def test_calm_minutes_are_known_and_idle() -> None:
    found = judged(minutes())

    assert (found.gpu_active_at, found.cpu_active_at, found.known_share) == (None, None, 1.0)
    assert found.newest_at == NOW - timedelta(seconds=15)
    assert (found.gpu_peak, found.cpu_peak) == (0, 0)
    assert decide(idle_for_two_hours(usage=found)).action is Action.STOP


@pytest.mark.parametrize(
    ("busy", "code"),
    [
        ({"busiest_gpu_percent": 90.0, "ceiling_gpu_percent": 90.0}, Code.GPU_ACTIVE),
        ({"cpu_cores": 0.8}, Code.CPU_ACTIVE),
        ({"busiest_gpu_percent": 5.0, "ceiling_gpu_percent": 5.0}, Code.GPU_ACTIVE),
        ({"cpu_cores": 0.5}, Code.CPU_ACTIVE),
    ],
)
def test_one_busy_minute_holds_it_for_the_threshold(busy: dict[str, float], code: Code) -> None:
    found = judged(minutes(b3=minute(3, **busy)))

    decision = decide(idle_for_two_hours(usage=found))

    assert (decision.action, decision.code) == (Action.KEEP, code)
    assert decision.deadlines.idle_at == NOW - 3 * MINUTE - timedelta(seconds=15) + THRESHOLD


def test_just_below_every_limit_is_idle() -> None:
    calm = {"busiest_gpu_percent": 4.99, "ceiling_gpu_percent": 4.99, "cpu_cores": 0.49}
    samples = [minute(back, **calm) for back in range(21, -1, -1)]

    assert decide(idle_for_two_hours(usage=judged(samples))).action is Action.STOP


def test_a_gpu_that_shows_nothing_is_unknown_and_not_idle() -> None:
    samples = [minute(back, busiest_gpu_percent=3.0, ceiling_gpu_percent=24.0) for back in range(21, -1, -1)]

    found = judged(samples)

    assert found.known_share == 0
    assert decide(idle_for_two_hours(usage=found)).code is Code.NO_DATA


def test_a_box_of_eight_gpus_that_uses_one_is_held_by_it() -> None:
    def series(value: float) -> tuple[MetricPoint, ...]:
        return tuple(MetricPoint(at=NOW - timedelta(seconds=60 + 15 * step), value=value) for step in range(80))

    gpus = {str(number): series(100.0 if number == 5 else 0.0) for number in range(8)}
    metrics = InstanceMetrics(cpu=series(10), gpu_avg=series(12.5), gpus=gpus)
    told = rollup(metrics, start=NOW - THRESHOLD, end=NOW, gpu_num=8)

    decision = decide(idle_for_two_hours(usage=judged([sample_of(one) for one in told])))

    assert (decision.action, decision.code) == (Action.KEEP, Code.GPU_ACTIVE)
    assert decision.evidence["gpu_percent"] == 100


def test_gaps_lower_what_is_known() -> None:
    every_second = [one for one in minutes() if one.minute % 2]
    assert 0.4 <= judged(every_second).known_share <= 0.6


def test_samples_up_to_the_floor_tell_nothing() -> None:
    busy = minute(10, busiest_gpu_percent=90.0)
    floor = datetime.fromtimestamp(busy.newest_at, UTC)

    found = judged(minutes(b10=busy), floor=floor)

    assert found.gpu_active_at is None
    assert found.window_start == floor


def test_activity_before_the_window_counts_and_is_remembered() -> None:
    long_ago = judged(minutes(count=30, b26=minute(26, cpu_cores=4.0)))
    assert long_ago.cpu_active_at == NOW - 26 * MINUTE - timedelta(seconds=15)
    assert long_ago.cpu_peak == 0
    remembered = judged(minutes(), gpu_active_at=NOW - 40 * MINUTE)
    assert remembered.gpu_active_at == NOW - 40 * MINUTE


def test_without_samples_nothing_is_known() -> None:
    found = judged([], error="HTTP 500")
    assert (found.newest_at, found.known_share, found.error) == (None, 0, "HTTP 500")
