"""Gauges of what keeps the product going: timetable, signs of life, the pace towards Novita and its breakers."""

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from prometheus_client.core import Metric

from instances.models import PeriodicWork, ProviderBreaker, ProviderPace
from instances.novita.breaker import BreakerState, CallKind
from instances.novita.pace import PaceState, full_pace, tokens_left
from novita_manager.metrics.families import gauge

_SIGNS_OF_LIFE = ("worker", "beat")
_WITHOUT_CADENCE = (*_SIGNS_OF_LIFE, "heartbeat")


def gauges(now: datetime) -> Iterator[Metric]:
    rows = list(PeriodicWork.objects.order_by("name"))
    yield _lateness(rows, now)
    yield gauge(
        "periodic_work_last_success_timestamp_seconds",
        "When each kind of work of the timetable last succeeded.",
        {(row.name,): row.succeeded_at.timestamp() for row in rows if row.succeeded_at and row.name not in _SIGNS_OF_LIFE},
        "work",
    )
    yield gauge(
        "sign_of_life_timestamp_seconds",
        "When a worker and beat last reported.",
        {(row.name,): row.finished_at.timestamp() for row in rows if row.finished_at and row.name in _SIGNS_OF_LIFE},
        "process",
    )
    yield _pace(now)
    yield _breakers()


def _lateness(rows: list[PeriodicWork], now: datetime) -> Metric:
    without = set(_WITHOUT_CADENCE) | (set() if settings.MIGRATION_ENABLED else {"reclaims"})
    late = {
        (row.name,): 0.0 if _is_at_work(row, now) else max(0.0, (now - row.next_due_at).total_seconds())
        for row in rows
        if row.name not in without
    }
    text = "For how long each kind of work of the timetable has been due and taken up by nobody."
    return gauge("periodic_work_lateness_seconds", text, late, "work")


def _is_at_work(row: PeriodicWork, now: datetime) -> bool:
    return row.lease_until is not None and row.lease_until > now


def _pace(now: datetime) -> Metric:
    row = ProviderPace.objects.filter(pk=1).first()
    at, per_minute = now.timestamp(), settings.NOVITA_REQUESTS_PER_MINUTE
    state = PaceState(**row.state) if row and row.state else full_pace(at, per_minute)
    whole, lists = tokens_left(state, at, per_minute)
    text = "How many requests to Novita may go at once by the pace that all processes share; below 0 so many are owed."
    return gauge("provider_pace_tokens", text, {("any",): whole, ("list",): lists}, "rank")


def _breakers() -> Metric:
    states = {row.kind: BreakerState(**row.state) for row in ProviderBreaker.objects.all() if row.state}
    samples = {(kind.value,): float(states.get(kind.value, BreakerState()).is_open) for kind in CallKind}
    text = "1 while calls of this kind to Novita are held back, because it keeps failing."
    return gauge("provider_breaker_open", text, samples, "kind")
