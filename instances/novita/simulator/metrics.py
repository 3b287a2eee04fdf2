"""Utilisation as the provider shows it: a point every 15 s, a minute late, both divided by the speed.

Pure: what an instance did follows from its history and its loads, so a series asked for twice is the same twice.
"""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from instances.novita.simulator.records import Instance, Load

MOST_POINTS = 5000
BUSY_MEMORY, IDLE_MEMORY = 62.0, 12.0


class Window(NamedTuple):
    """Whole wall clock seconds; the points lie on multiples of `grain`."""

    start: int
    end: int
    grain: int

    def times(self) -> range:
        first = self.start // self.grain * self.grain
        last = self.end // self.grain * self.grain
        return range(max(first, last - MOST_POINTS * self.grain), last + 1, self.grain)


def empty() -> dict[str, Any]:
    return {
        "cpuUtilization": [],
        "memUtilization": [],
        "rootDiskUtilization": [],
        "gpuUtilization": {"avg": [], "gpuIds": []},
        "gpuMemUtilization": {"avg": [], "gpuIds": []},
    }


def series(instance: Instance, window: Window) -> dict[str, Any]:
    """Points exist only for the time the instance was running and its load was being measured."""
    points = [(at, load) for at in window.times() if (load := _load_at(instance, at)) is not None]
    answer = empty()
    answer["cpuUtilization"] = _points(points, lambda at, load: load.cpu_cores * 100 * _wobble(at, "cpu"))
    answer["memUtilization"] = _points(points, lambda at, load: (12 + load.cpu_cores) * _wobble(at, "memory"))
    answer["rootDiskUtilization"] = _points(points, lambda _, __: 33.0)
    if instance.gpu_num:
        answer["gpuUtilization"] = _per_gpu(instance, points, _gpu_percent)
        answer["gpuMemUtilization"] = _per_gpu(instance, points, _gpu_memory)
    return answer


def _load_at(instance: Instance, at: int) -> Load | None:
    moment = instance.moment_at(at)
    if moment is None or moment.status != "running":
        return None
    load = next((load for load in reversed(instance.loads) if load.at <= at), None)
    return load if load is not None and load.metrics != "stale" else None


def _points(points: list[tuple[int, Load]], value: Callable[[int, Load], float]) -> list[dict[str, Any]]:
    return [{"timestamp": str(at), "value": round(value(at, load), 2)} for at, load in points]


def _per_gpu(instance: Instance, points: list[tuple[int, Load]], value: Callable[[int, Load, int], float]) -> dict[str, Any]:
    numbers = range(instance.gpu_num)
    return {
        "avg": _points(points, lambda at, load: sum(value(at, load, n) for n in numbers) / len(numbers)),
        "gpuIds": [
            {"gpuId": str(n), "items": _points(points, lambda at, load, n=n: value(at, load, n))}  # type: ignore[misc]
            for n in numbers
        ],
    }


def _gpu_percent(at: int, load: Load, number: int) -> float:
    asked = load.gpu.get(str(number), load.gpu.get("*", 0.0))
    return min(100.0, asked * _wobble(at, f"gpu{number}"))


def _gpu_memory(_: int, load: Load, number: int) -> float:
    """Memory stays taken in idle notebooks too, only less of it."""
    asked = load.gpu.get(str(number), load.gpu.get("*", 0.0))
    return BUSY_MEMORY if asked > 1 else IDLE_MEMORY


def _wobble(at: int, topic: str) -> float:
    """Within two percent of 1, the same for the same second."""
    return 0.98 + 0.04 * Random(f"{topic}/{at}").random()
