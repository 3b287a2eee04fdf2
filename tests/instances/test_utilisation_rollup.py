from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.novita.types import InstanceMetrics, MetricPoint
from instances.utilisation.rollup import Minute, begin_of, minute_of, rollup

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
START = NOW - timedelta(minutes=20)


def points(*values: float, until: datetime = NOW, every: int = 15) -> tuple[MetricPoint, ...]:
    """Samples `every` so many seconds, the last at `until`."""
    last = len(values) - 1
    return tuple(
        MetricPoint(at=until - timedelta(seconds=every * (last - index)), value=v) for index, v in enumerate(values)
    )


def the_minute(metrics: InstanceMetrics, *, gpu_num: int = 2) -> Minute:
    """The one minute of samples that end 15 s before the full one."""
    (minute,) = rollup(metrics, start=START, end=NOW, gpu_num=gpu_num)
    return minute


END = NOW - timedelta(seconds=15)


def test_a_minute_holds_the_mean_of_each_series_and_its_newest_sample() -> None:
    minute = the_minute(
        InstanceMetrics(
            cpu=points(100, 300, until=END),
            gpu_avg=points(10, until=END),
            gpus={"0": points(0, 20, until=END), "1": points(4, until=END)},
            gpu_memory_avg=points(33, until=END),
        )
    )

    assert begin_of(minute.minute) == NOW - timedelta(minutes=1)
    assert (minute.seconds, minute.newest_at) == (30, int(END.timestamp()))
    assert (minute.cpu_cores, minute.gpus, minute.gpu_memory_percent) == (2, (10, 4), 33)
    assert (minute.busiest_gpu_percent, minute.ceiling_gpu_percent, minute.average_gpu_percent) == (10, 10, 10)


@pytest.mark.parametrize(
    ("gpus", "average", "busiest", "ceiling"),
    [
        ({"0": 3.0}, None, 3, None),
        ({"0": 3.0}, 2.0, 3, 4),
        ({"0": 50.0}, 2.0, 50, 50),
        ({}, 2.0, 2, 4),
        ({}, None, None, None),
        ({"0": 1.0, "1": 2.0}, None, 2, 2),
    ],
)
def test_one_gpu_may_carry_what_the_others_do_not_show(
    gpus: dict[str, float], average: float | None, busiest: float | None, ceiling: float | None
) -> None:
    minute = the_minute(
        InstanceMetrics(
            cpu=points(0, until=END),
            gpu_avg=() if average is None else points(average, until=END),
            gpus={name: points(value, until=END) for name, value in gpus.items()},
        )
    )

    assert (minute.busiest_gpu_percent, minute.ceiling_gpu_percent) == (busiest, ceiling)


def test_without_a_gpu_nothing_of_one_is_missing() -> None:
    minute = the_minute(InstanceMetrics(cpu=points(10, until=END)), gpu_num=0)

    assert (minute.busiest_gpu_percent, minute.ceiling_gpu_percent) == (0, 0)


def test_samples_before_the_window_and_from_a_clock_far_ahead_do_not_count() -> None:
    early = InstanceMetrics(cpu=points(0, until=START - timedelta(seconds=1)))
    ahead = InstanceMetrics(cpu=points(0, until=NOW + timedelta(hours=1)))

    assert rollup(early, start=START, end=NOW, gpu_num=1) == ()
    assert rollup(ahead, start=START, end=NOW, gpu_num=1) == ()


def test_ten_gpus_keep_the_order_of_their_numbers() -> None:
    gpus = {str(number): points(number, until=END) for number in (10, 2, 1)}

    assert the_minute(InstanceMetrics(gpus=gpus), gpu_num=3).gpus == (1, 2, 10)


@given(st.lists(st.floats(min_value=0, max_value=6400), min_size=1, max_size=80))
def test_no_minute_covers_more_than_itself_and_every_mean_lies_among_its_samples(values: list[float]) -> None:
    minutes = rollup(InstanceMetrics(cpu=points(*values)), start=NOW - timedelta(hours=1), end=NOW, gpu_num=0)

    assert [one.minute for one in minutes] == sorted({minute_of(point.at) for point in points(*values)})
    for one in minutes:
        assert 15 <= one.seconds <= 60
        assert one.cpu_cores is not None
        assert min(values) / 100 - 1e-3 <= one.cpu_cores <= max(values) / 100 + 1e-3
