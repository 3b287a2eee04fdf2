"""What utilisation metrics say of one machine: busy, idle, or nothing. Pure.

No data is not idle: idle has to be shown for every GPU and for the CPU by a fresh sample of this run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from autostop.words import duration_words

OLDEST_SAMPLE = timedelta(minutes=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One series over the window: its mean in percent, and the time of its newest sample."""

    mean: float
    newest_at: datetime
    samples: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A machine's metrics over a window; a series without samples is missing. `cpu` is summed over cores.

    `error` says why nothing could be read.
    """

    start: datetime
    end: datetime
    gpus: Mapping[str, Level] = field(default_factory=dict)
    gpu_avg: Level | None = None
    cpu: Level | None = None
    error: str = ""


class Activity(StrEnum):
    GPU = "gpu"
    CPU = "cpu"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    activity: Activity
    reason: str
    evidence: Mapping[str, object]


def judge(
    reading: Reading, *, now: datetime, after: datetime | None, gpu_num: int, gpu_percent: float, cpu_cores: float
) -> Judgement:
    """Busy where any usable series reaches its limit, idle where all are usable and below, else unknown.

    Usable is a series whose newest sample was taken after `after` and at most 3 minutes ago.
    """
    gpus = {name: level for name, level in reading.gpus.items() if _usable(level, now, after)}
    average = reading.gpu_avg if _usable(reading.gpu_avg, now, after) else None
    cpu = reading.cpu if _usable(reading.cpu, now, after) else None
    evidence = _evidence(reading, gpu_percent, cpu_cores)

    busiest = max(gpus, key=lambda name: gpus[name].mean, default="")
    if busiest and gpus[busiest].mean >= gpu_percent:
        reason = f"GPU {busiest} was {gpus[busiest].mean:.1f} % busy (limit {gpu_percent:g} %)"
        return Judgement(activity=Activity.GPU, reason=reason, evidence=evidence)
    if average is not None and average.mean >= gpu_percent:
        reason = f"its GPUs were {average.mean:.1f} % busy on average (limit {gpu_percent:g} %)"
        return Judgement(activity=Activity.GPU, reason=reason, evidence=evidence)
    if cpu is not None and cpu.mean / 100 >= cpu_cores:
        reason = f"{cpu.mean / 100:.2f} CPU cores were busy (limit {cpu_cores:g})"
        return Judgement(activity=Activity.CPU, reason=reason, evidence=evidence)

    missing = _missing(reading, gpus, average, cpu, gpu_num, gpu_percent)
    if missing:
        return Judgement(activity=Activity.UNKNOWN, reason=_no_data(reading, missing, now), evidence=evidence)
    return Judgement(activity=Activity.NONE, reason=_idle(gpus, average, cpu, gpu_percent, cpu_cores), evidence=evidence)


def _usable(level: Level | None, now: datetime, after: datetime | None) -> bool:
    return level is not None and now - level.newest_at <= OLDEST_SAMPLE and (after is None or level.newest_at > after)


def _missing(
    reading: Reading, gpus: Mapping[str, Level], average: Level | None, cpu: Level | None, gpu_num: int, gpu_percent: float
) -> str:
    """What is not known, or "". One GPU may carry the whole average: only below limit ÷ GPUs does it speak for all."""
    if gpu_num > len(gpus) and not (average is not None and average.mean * gpu_num < gpu_percent):
        return f"{len(gpus)} of {gpu_num} GPUs report use" if reading.gpus or average else "no GPU reports use"
    return "" if cpu is not None else "its CPU reports no use"


def _no_data(reading: Reading, missing: str, now: datetime) -> str:
    if reading.error:
        return f"it is running, paid, no data: its metrics could not be read ({reading.error})"
    newest = max((level.newest_at for level in _levels(reading)), default=None)
    age = f"the newest sample is {duration_words(now - newest)} old" if newest else "there is no sample"
    return f"it is running, paid, no data: {missing}; {age}, and a judgement needs one of this run within 3 min"


def _idle(gpus: Mapping[str, Level], average: Level | None, cpu: Level | None, gpu_percent: float, cpu_cores: float) -> str:
    peak = max((level.mean for level in gpus.values()), default=average.mean if average else None)
    cores = cpu.mean / 100 if cpu else 0.0
    gpu_text = f"GPU at most {peak:.1f} % busy (limit {gpu_percent:g} %), " if peak is not None else ""
    return f"{gpu_text}{cores:.2f} CPU cores busy (limit {cpu_cores:g})"


def _evidence(reading: Reading, gpu_percent: float, cpu_cores: float) -> dict[str, object]:
    newest = max((level.newest_at for level in _levels(reading)), default=None)
    return {
        "window_start": reading.start.isoformat(),
        "window_end": reading.end.isoformat(),
        "gpu_percent": {name: round(level.mean, 2) for name, level in reading.gpus.items()},
        "gpu_percent_average": round(reading.gpu_avg.mean, 2) if reading.gpu_avg else None,
        "gpu_percent_limit": gpu_percent,
        "cpu_cores_busy": round(reading.cpu.mean / 100, 3) if reading.cpu else None,
        "cpu_cores_limit": cpu_cores,
        "samples": max((level.samples for level in _levels(reading)), default=0),
        "newest_sample_at": newest.isoformat() if newest else None,
        "error": reading.error,
    }


def _levels(reading: Reading) -> list[Level]:
    single = [level for level in (reading.gpu_avg, reading.cpu) if level is not None]
    return [*reading.gpus.values(), *single]
