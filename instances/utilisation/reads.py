"""Asking Novita for the metrics of many machines, a few at a time and within a time. What is not read is no data."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from django.db import DatabaseError, connections

from instances.models import Machine
from instances.novita.errors import NovitaError, PaceExceeded
from instances.novita.types import InstanceMetrics
from instances.set_aside import AWAY
from instances.utilisation.rollup import GRAIN_SECONDS, Minute, begin_of, minute_of, rollup

log = structlog.get_logger("metrics")

IN_PARALLEL = 4
FURTHEST_BACK = timedelta(hours=24)
_MOST_FINE_POINTS = 720  # three hours at Novita's finest grain


class MetricsSource(Protocol):
    """What is asked of the provider client."""

    def instance_metrics(
        self, instance_id: str, start: datetime, end: datetime, *, interval: timedelta = ...
    ) -> InstanceMetrics: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The metrics of one machine over a window."""

    machine_id: int
    novita_id: str
    gpu_num: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came: the minutes told, or why there are none."""

    minutes: tuple[Minute, ...] = ()
    error: str = ""


def question_of(machine: Machine, *, newest_at: datetime | None, cpu_only: bool, now: datetime) -> Question:
    """From the minute of its last sample on, which is told again in full, but not from before this run began."""
    began = machine.running_since or now
    start = max(began, now - FURTHEST_BACK)
    if newest_at is not None:
        start = max(start, begin_of(minute_of(newest_at)))
    gpu_num = 0 if cpu_only else machine.gpu_num
    return Question(machine_id=machine.pk, novita_id=machine.novita_id or "", gpu_num=gpu_num, start=start, end=now)


def read(questions: Sequence[Question], source: MetricsSource, *, seconds: float) -> dict[int, Answer]:
    """The answers, by machine, that came within `seconds`. Who is left out of them was not asked.

    A failed or unanswered read is an answer with an error.
    """
    if not questions:
        return {}
    pool = ThreadPoolExecutor(max_workers=IN_PARALLEL, thread_name_prefix="metrics")
    futures = {pool.submit(_in_thread, question, source): question for question in questions}
    wait(futures, timeout=seconds)
    answers: dict[int, Answer] = {}
    for future, question in futures.items():
        answer = _outcome(future, seconds)
        if answer is not None:
            answers[question.machine_id] = answer
    pool.shutdown(wait=False, cancel_futures=True)
    return answers


def _in_thread(question: Question, source: MetricsSource) -> Answer | None:
    """The client keeps its pace in the database; this thread's connection ends with it."""
    try:
        return ask(question, source)
    finally:
        connections.close_all()


def ask(question: Question, source: MetricsSource) -> Answer | None:
    """What one machine's metrics tell; None where the pace leaves no room to ask."""
    fine = (question.end - question.start).total_seconds() / GRAIN_SECONDS <= _MOST_FINE_POINTS
    grain = GRAIN_SECONDS if fine else 60
    try:
        metrics = source.instance_metrics(
            question.novita_id, question.start, question.end, interval=timedelta(seconds=grain)
        )
    except PaceExceeded:
        return None
    except NovitaError as error:
        return Answer(error=error.message[:200] or error.code)
    except DatabaseError as error:  # the shared pace lives there; one machine's failed read is not the pass's
        return Answer(error=f"{type(error).__name__} of our database")
    minutes = rollup(metrics, start=question.start, end=question.end, gpu_num=question.gpu_num, grain=grain)
    return Answer(minutes=minutes)


def _outcome(future: Future[Answer | None], seconds: float) -> Answer | None:
    if future.cancel():
        return None
    if future.done():
        try:
            return future.result()
        except AWAY:
            raise
        except Exception as error:  # what one machine's metrics make fail is told of that machine
            log.exception("metrics.unreadable")
            return Answer(error=f"its metrics cannot be read: {type(error).__name__}: {str(error)[:100]}")
    return Answer(error=f"no answer within {seconds:g} s")
