"""From the minutes of one machine to what metrics say of its run. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from autostop.decide_facts import Rules, Usage
from autostop.decide_signals import window_start
from instances.utilisation.rows import Sample


def usage_of(
    samples: Sequence[Sample],
    *,
    rules: Rules,
    floor: datetime | None,
    now: datetime,
    read_at: datetime | None,
    gpu_active_at: datetime | None = None,
    cpu_active_at: datetime | None = None,
    error: str = "",
) -> Usage:
    """`samples` are in order. `floor` is the begin of what they can tell of; the times of activity are remembered ones.

    A minute at its limit or above is active up to its newest sample.
    """
    start = window_start(now, rules.threshold, floor)
    first, oldest = int(start.timestamp()), int(floor.timestamp()) if floor else 0
    gpu_limit, cpu_limit = rules.gpu_percent, rules.cpu_cores
    gpu_at = cpu_at = known = 0
    gpu_peak: float | None = None
    cpu_peak: float | None = None
    newest = samples[-1].newest_at if samples and samples[-1].newest_at > oldest else 0
    for _, seconds, at, busiest, ceiling, cores in samples:
        if at <= oldest:
            continue
        gpu_busy = busiest is not None and busiest >= gpu_limit
        if gpu_busy:
            gpu_at = at
        if cores is not None and cores >= cpu_limit:
            cpu_at = at
        if at < first:
            continue
        if busiest is not None and (gpu_peak is None or busiest > gpu_peak):
            gpu_peak = busiest
        if cores is not None:
            if cpu_peak is None or cores > cpu_peak:
                cpu_peak = cores
            # Busy is shown by one GPU, idle only by what none of them can have exceeded.
            if gpu_busy or (ceiling is not None and ceiling < gpu_limit):
                known += seconds
    return Usage(
        window_start=start,
        read_at=read_at,
        newest_at=_time(newest),
        gpu_active_at=_later(_time(gpu_at), gpu_active_at),
        cpu_active_at=_later(_time(cpu_at), cpu_active_at),
        gpu_peak=gpu_peak,
        cpu_peak=cpu_peak,
        known_share=min(1.0, known / max(newest - first, 15)) if newest >= first else 0.0,
        error=error,
    )


def _time(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _later(first: datetime | None, second: datetime | None) -> datetime | None:
    return max((one for one in (first, second) if one is not None), default=None)
