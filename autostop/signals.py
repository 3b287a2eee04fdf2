"""Utilisation from Novita, for candidates only. What cannot be read is no data, and no data is never idle."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from django.db import DatabaseError, connections

from autostop.judgement import OLDEST_SAMPLE, Level, Reading
from instances.novita.errors import NovitaError, PaceExceeded
from instances.novita.types import InstanceMetrics, MetricPoint

_IN_PARALLEL = 4
_FINEST_GRAIN = timedelta(seconds=15)
_COARSEST_GRAIN = timedelta(seconds=60)
_POINTS = 240


class MetricsSource(Protocol):
    """What is asked of the provider client."""

    def instance_metrics(
        self, instance_id: str, start: datetime, end: datetime, *, interval: timedelta = ...
    ) -> InstanceMetrics: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The metrics of one machine over a window."""

    instance_id: UUID
    novita_id: str
    start: datetime
    end: datetime


def reading_of(metrics: InstanceMetrics, *, start: datetime, end: datetime) -> Reading:
    """The window's means. Samples outside it, or dated beyond any clock's error, are left out. Pure."""
    gpus = {name: _level(series, start, end) for name, series in metrics.gpus.items()}
    return Reading(
        start=start,
        end=end,
        gpus={name: level for name, level in gpus.items() if level is not None},
        gpu_avg=_level(metrics.gpu_avg, start, end),
        cpu=_level(metrics.cpu, start, end),
    )


def read_metrics(questions: Sequence[Question], source: MetricsSource, *, seconds: float) -> dict[UUID, Reading]:
    """The readings that came within `seconds`, a few at a time. Who is left out of the answer was not asked.

    A failed or unanswered read is a reading with an error.
    """
    if not questions:
        return {}
    pool = ThreadPoolExecutor(max_workers=_IN_PARALLEL, thread_name_prefix="auto-stop-metrics")
    futures = {pool.submit(_read, question, source): question for question in questions}
    wait(futures, timeout=seconds)
    readings: dict[UUID, Reading] = {}
    for future, question in futures.items():
        reading = _outcome(future, question, seconds)
        if reading is not None:
            readings[question.instance_id] = reading
    pool.shutdown(wait=False, cancel_futures=True)
    return readings


def _read(question: Question, source: MetricsSource) -> Reading | None:
    grain = min(max((question.end - question.start) / _POINTS, _FINEST_GRAIN), _COARSEST_GRAIN)
    try:
        metrics = source.instance_metrics(question.novita_id, question.start, question.end, interval=grain)
    except PaceExceeded:
        return None
    except NovitaError as error:
        return Reading(start=question.start, end=question.end, error=error.message)
    except DatabaseError as error:  # the shared pace lives there; one machine's failed read is not the pass's
        return Reading(start=question.start, end=question.end, error=f"{type(error).__name__} of our database")
    finally:
        # The client keeps its pace in the database; this thread's connection ends with it.
        connections.close_all()
    return reading_of(metrics, start=question.start, end=question.end)


def _outcome(future: Future[Reading | None], question: Question, seconds: float) -> Reading | None:
    if future.cancel():
        return None
    if future.done():
        return future.result()
    return Reading(start=question.start, end=question.end, error=f"no answer within {seconds:g} s")


def _level(points: Sequence[MetricPoint], start: datetime, end: datetime) -> Level | None:
    inside = [point for point in points if start <= point.at <= end + OLDEST_SAMPLE]
    if not inside:
        return None
    mean = sum(point.value for point in inside) / len(inside)
    return Level(mean=mean, newest_at=max(point.at for point in inside), samples=len(inside))
