"""The one writer and the reader of utilisation rows."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from instances.models import UtilisationMinute, UtilisationWatch
from instances.utilisation.reads import Answer
from instances.utilisation.rollup import Minute, minute_of

KEPT = timedelta(days=14)
_BATCH = 2000
_VALUES = (
    "seconds",
    "newest_at",
    "busiest_gpu_percent",
    "ceiling_gpu_percent",
    "average_gpu_percent",
    "gpus",
    "gpu_memory_percent",
    "cpu_cores",
)


class Sample(NamedTuple):
    """What judging needs of a minute; as `UtilisationMinute` says."""

    minute: int
    seconds: int
    newest_at: int
    busiest_gpu_percent: float | None
    ceiling_gpu_percent: float | None
    cpu_cores: float | None


def store(answers: Mapping[int, Answer], *, now: datetime) -> None:
    """Write the minutes told and note how each machine's reading went.

    The collector and a pass may tell of the same machines at once. Rows are written in one order, and what was read and how
    it went apart, so that the two never wait for each other; minutes without their note are read again.
    """
    told = {machine_id: answers[machine_id] for machine_id in sorted(answers)}
    rows = [
        UtilisationMinute(machine_id=machine_id, minute=one.minute, **{name: getattr(one, name) for name in _VALUES})
        for machine_id, answer in told.items()
        for one in sorted(answer.minutes, key=lambda one: one.minute)
    ]
    UtilisationMinute.objects.bulk_create(
        rows, batch_size=_BATCH, update_conflicts=True, unique_fields=["machine", "minute"], update_fields=list(_VALUES)
    )
    for changed, noted in _noted(told, now).items():
        UtilisationWatch.objects.bulk_create(
            noted, batch_size=_BATCH, update_conflicts=True, unique_fields=["machine"], update_fields=list(changed)
        )


def _noted(answers: Mapping[int, Answer], now: datetime) -> dict[tuple[str, ...], list[UtilisationWatch]]:
    """Watches by the columns that change: a failed read leaves what is known, one without samples their newest time."""
    noted: dict[tuple[str, ...], list[UtilisationWatch]] = defaultdict(list)
    for machine_id, answer in answers.items():
        watch = UtilisationWatch(machine_id=machine_id, due_at=now, error=answer.error[:200])
        changed: tuple[str, ...] = ("error",)
        if not answer.error:
            watch.read_at, changed = now, ("error", "read_at")
        if answer.minutes:
            watch.newest_at = datetime.fromtimestamp(max(one.newest_at for one in answer.minutes), UTC)
            changed = ("error", "read_at", "newest_at")
        noted[changed].append(watch)
    return noted


def samples_since(since: datetime, machine_ids: Collection[int] | None = None) -> dict[int, list[Sample]]:
    """The samples of each machine from a time on, oldest first. One query."""
    rows = UtilisationMinute.objects.filter(minute__gte=minute_of(since)).order_by("machine_id", "minute")
    if machine_ids is not None:
        rows = rows.filter(machine_id__in=machine_ids)
    found: dict[int, list[Sample]] = defaultdict(list)
    make = Sample._make
    for row in rows.values_list("machine_id", *Sample._fields).iterator(chunk_size=5000):
        found[row[0]].append(make(row[1:]))
    return found


def merged(stored: Iterable[Sample], told: Iterable[Minute]) -> list[Sample]:
    """Stored samples with those just read, which replace the same minute; for who may not store them."""
    by_minute = {one.minute: one for one in stored}
    for minute in told:
        by_minute[minute.minute] = sample_of(minute)
    return [by_minute[minute] for minute in sorted(by_minute)]


def sample_of(minute: Minute) -> Sample:
    return Sample(
        minute=minute.minute,
        seconds=minute.seconds,
        newest_at=minute.newest_at,
        busiest_gpu_percent=minute.busiest_gpu_percent,
        ceiling_gpu_percent=minute.ceiling_gpu_percent,
        cpu_cores=minute.cpu_cores,
    )


def forget_old(now: datetime) -> int:
    """Delete what is older than it is kept; how many rows."""
    deleted, _ = UtilisationMinute.objects.filter(minute__lt=minute_of(now - KEPT)).delete()
    return deleted
