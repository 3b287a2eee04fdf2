"""What one instance tells of itself: its timeline, how to get in, how busy it is, its log."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from instances.api import detail_shapes, shapes
from instances.api.filters import EventFilter
from instances.api.pagination import NewestFirst
from instances.api.problems import Problem
from instances.api.provider_reads import ask
from instances.api.references import find
from instances.api.representations import event_json
from instances.api.times import rfc3339
from instances.api.viewsets import ApiViewSet, actor_of, may
from instances.events import record
from instances.models import Event, Instance, Machine
from instances.novita.errors import NovitaError
from instances.novita.types import InstanceMetrics, LogTail, MetricPoint
from instances.operations import WrongPhase
from instances.provider import novita

_PROVIDER_SECONDS = 5.0
_FRESH = timedelta(seconds=15)
_KEPT_SECONDS = 3600
_LONGEST_LOG_BYTES = 512 * 1024
_BYTES_PER_LINE = 256
_SOURCES = ("instance", "system")


class AccessMixin(ApiViewSet):
    @extend_schema(responses=shapes.EventShape(many=True), filters=True)
    @action(detail=True, pagination_class=NewestFirst, filterset_class=EventFilter)
    def events(self, request: Request, ref: str) -> Response:
        rows = Event.objects.filter(instance_id=find(ref).pk)
        return self.listed(self.filter_queryset(rows), event_json)

    @extend_schema(responses=detail_shapes.ConnectionShape)
    @action(detail=True, filterset_class=None)
    def connection(self, request: Request, ref: str) -> Response:
        """Endpoints and other ways in; passwords, addresses with tokens and env values only with the scope `secrets`."""
        instance = find(ref)
        secrets = may(request, "secrets")
        machine = instance.machine
        shown = {
            "endpoints": machine.endpoints if machine else [],
            **_ways_in((machine.connection if machine else None) or {}, secrets),
            "envs": [{"key": one["key"], "value": one["value"] if secrets else None} for one in instance.envs or []],
            "secrets_shown": secrets,
            "read_at": rfc3339(machine.details_read_at) if machine and machine.details_read_at else None,
        }
        if secrets:
            self._tell(instance, "instance.connection_read", "passwords and environment were read")
        return Response(shown)

    @extend_schema(
        responses=detail_shapes.MetricsShape,
        parameters=[OpenApiParameter("minutes", int, description="How far back, 1 to 1440; default 30")],
    )
    @action(detail=True, filterset_class=None)
    def metrics(self, request: Request, ref: str) -> Response:
        """Utilisation in percent as Novita measures it, at most 15 s old; `cpu` sums over cores."""
        minutes = _number(request, "minutes", default=30, most=1440)
        instance = find(ref)
        novita_id = _machine_of(instance).novita_id or ""
        body = _cached(
            f"metrics:{novita_id}:{minutes}",
            lambda: _metrics_json(novita().instance_metrics(novita_id, self.now - timedelta(minutes=minutes), self.now)),
            now=self.now,
        )
        return Response({"instance_id": str(instance.pk), "minutes": minutes, **body})

    @extend_schema(
        responses=detail_shapes.LogShape,
        parameters=[
            OpenApiParameter("source", str, enum=_SOURCES),
            OpenApiParameter("tail", int, description="How many lines from the end, 1 to 2000; default 200"),
        ],
    )
    @action(detail=True, filterset_class=None)
    def logs(self, request: Request, ref: str) -> Response:
        """The end of the container's own log."""
        source = request.query_params.get("source", "instance")
        if source not in _SOURCES:
            raise ValidationError({"source": ["write system or instance"]}, "invalid_choice")
        lines = _number(request, "tail", default=200, most=2000)
        instance = find(ref)
        machine = _machine_of(instance)
        address = ((machine.connection or {}).get("logs") or {}).get(source) or ""
        if not address:
            raise Problem(
                f"Novita has told no address of the {source} log yet", code="log_unavailable", status=503, retry_after=30
            )
        self._tell(instance, "instance.log_read", f"the {source} log was read")
        size = min(lines * _BYTES_PER_LINE, _LONGEST_LOG_BYTES)
        body = _cached(
            f"log:{machine.novita_id}:{source}:{lines}",
            lambda: _log_json(novita().container_log(address, tail_bytes=size, seconds=_PROVIDER_SECONDS), lines),
            now=self.now,
        )
        return Response({"instance_id": str(instance.pk), "source": source, **body})

    def _tell(self, instance: Instance, type_: str, reason: str) -> None:
        record(type_, at=self.now, actor=actor_of(self.request), instance=instance, reason=reason)


def _ways_in(connection: dict[str, Any], secrets: bool) -> dict[str, Any]:
    ssh, jupyter, terminal = (connection.get(name) for name in ("ssh", "jupyter", "web_terminal"))
    return {
        "ssh": ssh and {"command": ssh.get("command"), "password": ssh.get("password") if secrets else None},
        "jupyter": jupyter and {"url": jupyter.get("url") if secrets else None},
        "web_terminal": terminal
        and {
            "url": terminal.get("url") if secrets else None,
            "username": terminal.get("username"),
            "password": terminal.get("password") if secrets else None,
        },
    }


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


def _number(request: Request, name: str, *, default: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 8) or not 1 <= int(text) <= most:
        raise ValidationError({name: [f"write a whole number from 1 to {most}"]}, "invalid")
    return int(text)
