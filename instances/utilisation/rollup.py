"""From Novita's samples to one value a minute. Pure.

What is not told stays unknown: a minute of which a GPU shows nothing has no ceiling, so nobody takes it for idle.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from instances.novita.types import InstanceMetrics, MetricPoint

GRAIN_SECONDS = 15
_CLOCKS_MAY_DIFFER = timedelta(minutes=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """As `UtilisationMinute` stores it."""

    minute: int
    seconds: int
    newest_at: int
    busiest_gpu_percent: float | None = None
    ceiling_gpu_percent: float | None = None
    average_gpu_percent: float | None = None
    gpus: tuple[float, ...] = field(default=())
    gpu_memory_percent: float | None = None
    cpu_cores: float | None = None


def minute_of(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


def begin_of(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


def rollup(
    metrics: InstanceMetrics, *, start: datetime, end: datetime, gpu_num: int, grain: int = GRAIN_SECONDS
) -> tuple[Minute, ...]:
    """The minutes of a reading, oldest first. Samples outside of it, or dated beyond any clock's error, are left out."""
    series: dict[str, dict[int, list[MetricPoint]]] = {
        "cpu": _by_minute(metrics.cpu, start, end),
        "average": _by_minute(metrics.gpu_avg, start, end),
        "memory": _by_minute(metrics.gpu_memory_avg, start, end),
    }
    gpus = {name: _by_minute(points, start, end) for name, points in sorted(metrics.gpus.items(), key=_number)}
    minutes = sorted({minute for one in (*series.values(), *gpus.values()) for minute in one})
    return tuple(_minute(minute, series, gpus, gpu_num, grain) for minute in minutes)


def _number(item: tuple[str, object]) -> tuple[int, str]:
    name = item[0]
    return (int(name) if name.isascii() and name.isdigit() and len(name) < 9 else 1_000_000_000, name)


def _by_minute(points: Iterable[MetricPoint], start: datetime, end: datetime) -> dict[int, list[MetricPoint]]:
    found: dict[int, list[MetricPoint]] = defaultdict(list)
    for point in points:
        if start <= point.at <= end + _CLOCKS_MAY_DIFFER:
            found[minute_of(point.at)].append(point)
    return found


def _minute(
    minute: int,
    series: Mapping[str, Mapping[int, list[MetricPoint]]],
    gpus: Mapping[str, Mapping[int, list[MetricPoint]]],
    gpu_num: int,
    grain: int,
) -> Minute:
    each = tuple(mean for one in gpus.values() if (mean := _mean(one.get(minute))) is not None)
    average, cpu = _mean(series["average"].get(minute)), _mean(series["cpu"].get(minute))
    of_minute = [one[minute] for one in (*series.values(), *gpus.values()) if minute in one]
    return Minute(
        minute=minute,
        seconds=min(60, max(len(points) for points in of_minute) * grain),
        newest_at=max(int(point.at.timestamp()) for points in of_minute for point in points),
        busiest_gpu_percent=_busiest(each, average, gpu_num),
        ceiling_gpu_percent=_ceiling(each, average, gpu_num),
        average_gpu_percent=average,
        gpus=tuple(round(one, 2) for one in each),
        gpu_memory_percent=_mean(series["memory"].get(minute)),
        cpu_cores=None if cpu is None else round(cpu / 100, 4),
    )


def _mean(points: list[MetricPoint] | None) -> float | None:
    return round(sum(point.value for point in points) / len(points), 4) if points else None


def _busiest(each: tuple[float, ...], average: float | None, gpu_num: int) -> float | None:
    known = each if average is None else (*each, average)
    return max(known, default=0.0 if gpu_num == 0 else None)


def _ceiling(each: tuple[float, ...], average: float | None, gpu_num: int) -> float | None:
    """One GPU may carry the whole average: where not every one shows its use, that is the most it can be."""
    if len(each) >= gpu_num:
        return _busiest(each, average, gpu_num)
    return None if average is None else max(average * gpu_num, *each, 0.0)
