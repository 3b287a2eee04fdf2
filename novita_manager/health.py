"""How the product does: whether a process lives, whether it can serve, and a deep look at what it rests on.

The deep look is remembered for a few seconds. `since` is when a state began, as far as this process saw it.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from instances.api.times import rfc3339
from instances.models import PeriodicWork, ProviderAccount, ProviderBreaker
from novita_manager.authentication import ApiKeyAuthentication
from novita_manager.errors import problem_http_response
from novita_manager.middleware import came_by_unknown_proxy, is_in
from novita_manager.redis_state import redis_problem

OK, DEGRADED, DOWN = "ok", "degraded", "down"
_REMEMBERED_SECONDS = 5.0
_LATE = timedelta(seconds=30)
_DEAD = timedelta(minutes=2)
_STALE_LISTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One dependency's state; `since` is set where the check itself knows when it began."""

    status: str
    detail: str
    since: datetime | None = None


class _Memory:
    """The last look, and since when each dependency is in its state."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.looked_at = float("-inf")
        self.report: dict[str, Any] = {}
        self.states: dict[str, tuple[str, datetime]] = {}

    def forget(self) -> None:
        with self.lock:
            self.looked_at = float("-inf")
            self.states.clear()


memory = _Memory()


def _reads_only(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Other methods are answered as the API does; they change nothing, so no token of a form is asked for."""

    @csrf_exempt
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if request.method in ("GET", "HEAD"):
            return view(request)
        return problem_http_response(
            405, "method_not_allowed", f'Method "{request.method}" not allowed.', headers={"Allow": "GET, HEAD"}
        )

    return answer


@_reads_only
def live(request: HttpRequest) -> HttpResponse:
    """This process answers."""
    return JsonResponse({"status": OK})


@_reads_only
def ready(request: HttpRequest) -> HttpResponse:
    """This process can serve: the database answers, and Redis where it must."""
    checks = {"database": _database()}
    if not settings.REDIS_ENABLE_FALLBACK and settings.REDIS_URL:
        checks["broker"] = _broker()
    able = all(check.status == OK for check in checks.values())
    shown = {name: check.status for name, check in checks.items()}
    return JsonResponse({"status": OK if able else DOWN, "checks": shown}, status=200 if able else 503)


class Health(APIView):
    """The deep look, for a key with the read scope or a client in HEALTH_ALLOWED_NETWORKS."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []
    schema = None

    def get(self, request: Request) -> Response:
        self._admit(request)
        report = current_report(timezone.now())
        return Response(report, status=503 if report["status"] == DOWN else 200)

    def get_authenticate_header(self, request: Request) -> str:
        return ApiKeyAuthentication().authenticate_header(request)

    def _admit(self, request: Request) -> None:
        address = request.META.get("REMOTE_ADDR", "")
        if is_in(address, settings.HEALTH_ALLOWED_NETWORKS) and not came_by_unknown_proxy(request._request):
            return
        found = ApiKeyAuthentication().authenticate(request)
        if found is None:
            raise NotAuthenticated()
        if not found[1].has_scope("read"):
            self.permission_denied(request, "this API key lacks the scope 'read'")


def current_report(now: datetime) -> dict[str, Any]:
    """{"status", "version", "checks": {name: {"status", "since", "detail"}}}, at most 5 s old."""
    with memory.lock:
        if time.monotonic() - memory.looked_at > _REMEMBERED_SECONDS:
            memory.report = _look(now)
            memory.looked_at = time.monotonic()
        return memory.report


def _look(now: datetime) -> dict[str, Any]:
    checks = {"database": _database(), "broker": _broker()}
    judges: dict[str, Callable[[datetime], Check]] = {
        "worker": lambda at: _heartbeat("worker", at, dead=DOWN),
        "beat": lambda at: _heartbeat("beat", at, dead=DEGRADED),
        "provider": _provider,
    }
    for name, judge in judges.items():
        try:
            checks[name] = judge(now)
        except (DatabaseError, InterfaceError):
            checks[name] = Check(status=DEGRADED, detail="unknown while the database is away")
    serving = (checks["database"], checks["broker"], checks["worker"])
    status = OK if all(check.status == OK for check in checks.values()) else DEGRADED
    if any(check.status == DOWN for check in serving):
        status = DOWN
    return {
        "status": status,
        "version": settings.VERSION,
        "checks": {name: _shown(name, check, now) for name, check in checks.items()},
    }


def _shown(name: str, check: Check, now: datetime) -> dict[str, Any]:
    known = memory.states.get(name)
    since = check.since or (known[1] if known and known[0] == check.status else now)
    memory.states[name] = (check.status, since)
    return {"status": check.status, "since": rfc3339(since), "detail": check.detail}


def _database() -> Check:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        return Check(status=DOWN, detail=f"the database does not answer ({type(error).__name__})")
    return Check(status=OK, detail=f"{connection.vendor} answers")


def _broker() -> Check:
    if not settings.REDIS_URL:
        return Check(status=DEGRADED, detail="no Redis is configured: due work is done by the timetable alone")
    problem = redis_problem()
    if not problem:
        return Check(status=OK, detail="Redis answers")
    if settings.REDIS_ENABLE_FALLBACK:
        return Check(status=DEGRADED, detail=f"{problem}: due work is done by the timetable alone")
    return Check(status=DOWN, detail=f"{problem} and REDIS_ENABLE_FALLBACK is false: writes are refused")


def _heartbeat(name: str, now: datetime, *, dead: str) -> Check:
    row = PeriodicWork.objects.filter(name=name).first()
    seen = row.finished_at if row else None
    if seen is None:
        return Check(status=DEGRADED, detail=f"no {name} has reported yet")
    age = now - seen
    if age <= _LATE:
        return Check(status=OK, detail=f"reported {max(0, age.total_seconds()):.0f} s ago")
    return Check(
        status=dead if age > _DEAD else DEGRADED,
        detail=f"last reported at {rfc3339(seen)}: is the {name} process running?",
        since=seen,
    )


def _provider(now: datetime) -> Check:
    account = ProviderAccount.objects.filter(pk=1).first()
    if account is None:
        return Check(status=DEGRADED, detail="Novita was not reached yet")
    opened = [row.kind for row in ProviderBreaker.objects.all() if _is_open(row.state)]
    listed_at = account.complete_list_at
    limit = max(settings.INSTANCE_POLL_INTERVAL * _STALE_LISTS, timedelta(minutes=1))
    stale = listed_at is None or now - listed_at > limit
    age = f"the last complete list is from {rfc3339(listed_at)}" if listed_at else "no complete list was read yet"
    if stale and listed_at is not None and "list" in opened:
        return Check(status=DOWN, detail=f"Novita does not answer; {age}", since=listed_at)
    if opened:
        return Check(status=DEGRADED, detail=f"calls of these kinds keep failing: {', '.join(sorted(opened))}; {age}")
    if stale:
        return Check(status=DEGRADED, detail=f"{age}; {account.last_list_problem}".rstrip("; "), since=listed_at)
    if account.frozen_since is not None:
        return Check(status=DEGRADED, detail=f"frozen: {account.frozen_reason}", since=account.frozen_since)
    return Check(status=OK, detail=age)


def _is_open(state: dict[str, Any]) -> bool:
    return float(state.get("opened_at") or 0) > 0
