"""What Novita is asked while somebody waits: how busy a machine is, and the end of its log. A short time-out, a short cache.

Raises WrongPhase where nothing is at Novita, and Problem with the age of what is known where it gives no answer.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache

from instances.api.problems import Problem
from instances.api.provider_reads import ask
from instances.api.times import rfc3339
from instances.events import Actor, record
from instances.models import Instance, Machine
from instances.novita.errors import NovitaError
from instances.novita.types import InstanceMetrics, LogTail, MetricPoint
from instances.operations import WrongPhase
from instances.provider import novita

LOG_SOURCES = ("instance", "system")
MOST_LOG_LINES = 2000
MOST_MINUTES = 1440

_PROVIDER_SECONDS = 5.0
_FRESH = timedelta(seconds=15)
_KEPT_SECONDS = 3600
_LONGEST_LOG_BYTES = 512 * 1024
_BYTES_PER_LINE = 256


def utilisation(instance: Instance, *, minutes: int, now: datetime) -> dict[str, Any]:
    """Utilisation in percent as Novita measures it, at most 15 s old; `cpu` sums over cores."""
    novita_id = _machine_of(instance).novita_id or ""
    return _cached(
        f"metrics:{novita_id}:{minutes}",
        lambda: _metrics_json(novita().instance_metrics(novita_id, now - timedelta(minutes=minutes), now)),
        now=now,
    )


def log_tail(instance: Instance, *, source: str, lines: int, actor: Actor, now: datetime) -> dict[str, Any]:
    """The end of the container's own log, and the event that tells who read it."""
    machine = _machine_of(instance)
    address = ((machine.connection or {}).get("logs") or {}).get(source) or ""
    if not address:
        raise Problem(
            f"Novita has told no address of the {source} log yet", code="log_unavailable", status=503, retry_after=30
        )
    record("instance.log_read", at=now, actor=actor, instance=instance, reason=f"the {source} log was read")
    size = min(lines * _BYTES_PER_LINE, _LONGEST_LOG_BYTES)
    return _cached(
        f"log:{machine.novita_id}:{source}:{lines}",
        lambda: _log_json(novita().container_log(address, tail_bytes=size, seconds=_PROVIDER_SECONDS), lines),
        now=now,
    )


def _machine_of(instance: Instance) -> Machine:
    machine = instance.machine
    if machine is None or machine.novita_id is None or instance.has_ended:
        raise WrongPhase(f"it is {instance.phase}: there is nothing at Novita to ask about")
    return machine


def _cached(key: str, read: Callable[[], dict[str, Any]], *, now: datetime) -> dict[str, Any]:
    """What was read up to 15 s ago, else what is read now. Raises Problem with the age of what is known."""
    known: dict[str, Any] | None = cache.get(key)
    if known is not None and now - known["read_at"] < _FRESH:
        return {**known["body"], "read_at": rfc3339(known["read_at"])}
    try:
        body = ask(read, seconds=_PROVIDER_SECONDS)
    except NovitaError as error:
        raise _away(error, known["read_at"] if known else None, now) from error
    cache.set(key, {"read_at": now, "body": body}, _KEPT_SECONDS)
    return {**body, "read_at": rfc3339(now)}


def _away(error: NovitaError, known_at: datetime | None, now: datetime) -> Problem:
    age = None if known_at is None else round((now - known_at).total_seconds())
    known = "nothing was read before" if age is None else f"the newest reading is {age} s old"
    return Problem(
        f"Novita gives no answer ({error.code}); {known}",
        code="provider_away",
        status=503,
        retry_after=15,
        more={"known_at": rfc3339(known_at) if known_at else None, "age_seconds": age},
    )


def _metrics_json(metrics: InstanceMetrics) -> dict[str, Any]:
    return {
        "gpu_percent": _points(metrics.gpu_avg),
        "gpu_memory_percent": _points(metrics.gpu_memory_avg),
        "cpu_percent": _points(metrics.cpu),
        "memory_percent": _points(metrics.memory),
        "disk_percent": _points(metrics.disk),
        "gpus": {name: _points(series) for name, series in metrics.gpus.items()},
    }


def _points(series: tuple[MetricPoint, ...]) -> list[dict[str, Any]]:
    return [{"at": rfc3339(point.at), "value": point.value} for point in series]


def _log_json(tail: LogTail, lines: int) -> dict[str, Any]:
    every = tail.text.splitlines()
    return {"text": "\n".join(every[-lines:]), "complete": tail.complete and len(every) <= lines}
