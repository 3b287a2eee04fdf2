"""How the product does: whether a process lives, whether it can serve, and a deep look at what it rests on.

The deep look is remembered for a few seconds. `since` is when a state began, as all processes noted it together.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Min, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from rest_framework.request import Request
from rest_framework.response import Response

from instances.alarms import clear_alarm, raise_alarm
from instances.api.times import rfc3339
from instances.host_clock import is_ahead
from instances.lifecycle import OPEN_STATES
from instances.models import Alarm, Job, PeriodicWork, ProviderAccount, ProviderBreaker
from instances.novita.breaker import BreakerState
from instances.periodic import claim, finish
from novita_manager.admission import MonitorView
from novita_manager.errors import problem_http_response
from novita_manager.models import HealthState
from novita_manager.redis_state import redis_problem

OK, DEGRADED, DOWN = "ok", "degraded", "down"
_REMEMBERED_SECONDS = 5.0
_LATE = timedelta(seconds=30)
_DEAD = timedelta(minutes=2)
_STALE_LISTS = 3
_NOTED_EVERY = timedelta(seconds=5)


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
        self.began_at = timezone.now()

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


class Health(MonitorView):
    """The deep look."""

    def get(self, request: Request) -> Response:
        report = current_report(timezone.now())
        return Response(report, status=503 if report["status"] == DOWN else 200)


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
        "worker": _worker,
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
    since = _since(checks, now)
    return {
        "status": status,
        "version": settings.VERSION,
        "checks": {
            name: {"status": check.status, "since": rfc3339(since[name]), "detail": check.detail}
            for name, check in checks.items()
        },
    }


def note_states_if_due(now: datetime) -> bool:
    """Note changes every few seconds, so that `since` is true also of what nobody was looking at; alarm for a dead beat."""
    held = claim("health_states", every=_NOTED_EVERY, lease=_LATE, now=now)
    if held is None:
        return False
    _watch_beat(now, redis_answers=_look(now)["checks"]["broker"]["status"] == OK)
    return finish(held, now=timezone.now(), ok=True)


def _watch_beat(now: datetime, *, redis_answers: bool) -> None:
    """While Redis is away beat cannot be heard, and before this process lived nobody listened: that is no evidence."""
    seen = PeriodicWork.objects.filter(name="beat").values_list("finished_at", flat=True).first()
    if seen is None or not redis_answers:
        return
    if now - max(seen, memory.began_at) > _DEAD:
        raise_alarm(
            "beat_dead",
            "",
            text=f"beat was last heard of at {rfc3339(seen)}; workers go on by their own clock",
            remedy="Start the beat process again; without it a worker that hangs is noticed by nobody else",
            now=now,
        )
    else:
        clear_alarm("beat_dead", "", now=now)


def _since(checks: dict[str, Check], now: datetime) -> dict[str, datetime]:
    """When each check came into its state, as the processes noted it together; by this process alone without a database."""
    try:
        known = {row.name: (row.status, row.since) for row in HealthState.objects.all()}
        for name, check in checks.items():
            _note(name, check, known.get(name, ("", now))[0], now)
    except (DatabaseError, InterfaceError):
        known = {}
    for name, check in checks.items():
        status, since = known.get(name) or memory.states.get(name) or ("", now)
        memory.states[name] = (check.status, check.since or (since if status == check.status else now))
    return {name: memory.states[name][1] for name in checks}


def _note(name: str, check: Check, before: str, now: datetime) -> None:
    """Write a change, once: whoever else saw it too finds it written."""
    if before == check.status:
        return
    changed = {"status": check.status, "since": check.since or now}
    if not before:
        HealthState.objects.get_or_create(name=name, defaults=changed)
    else:
        HealthState.objects.filter(name=name, status=before).update(**changed)


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


def _worker(now: datetime) -> Check:
    """Whether a worker reports, and whether what is due is taken up."""
    alive = _heartbeat("worker", now, dead=DOWN)
    due = Job.objects.filter(Q(lease_until=None) | Q(lease_until__lte=now), state__in=OPEN_STATES, next_attempt_at__lte=now)
    oldest = due.aggregate(oldest=Min("next_attempt_at"))["oldest"]
    if oldest is None or now - oldest <= _LATE:
        return alive
    waits = f"the oldest due job waits since {rfc3339(oldest)}"
    if alive.status != OK:
        return replace(alive, detail=f"{alive.detail}; {waits}")
    return Check(status=DEGRADED, detail=f"{alive.detail}, but {waits}", since=oldest)


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
    breakers = {row.kind: BreakerState(**row.state) for row in ProviderBreaker.objects.all() if row.state}
    opened = {kind: state.opened_at for kind, state in breakers.items() if state.is_open}
    listed_at = account.complete_list_at
    limit = max(settings.INSTANCE_POLL_INTERVAL * _STALE_LISTS, timedelta(minutes=1))
    ahead = is_ahead(listed_at, now)
    stale = listed_at is None or ahead or now - listed_at > limit
    age = f"the last complete list is from {rfc3339(listed_at)}" if listed_at else "no complete list was read yet"
    if ahead:
        age = f"{age}, later than now: the clock was set back"
    if stale and listed_at is not None and "list" in opened:
        return Check(status=DOWN, detail=f"Novita does not answer; {age}", since=listed_at)
    if account.key_refused_since is not None:
        detail = f"Novita refuses the API key: nothing is sent until it is taken; {age}"
        return Check(status=DEGRADED, detail=detail, since=account.key_refused_since)
    if opened:
        return Check(
            status=DEGRADED,
            detail=f"calls of these kinds keep failing: {', '.join(sorted(opened))}; {age}",
            since=datetime.fromtimestamp(min(opened.values()), UTC),
        )
    if stale:
        return Check(status=DEGRADED, detail=f"{age}; {account.last_list_problem}".rstrip("; "), since=listed_at)
    if account.frozen_since is not None:
        return Check(status=DEGRADED, detail=f"frozen: {account.frozen_reason}", since=account.frozen_since)
    if account.doubted_since is not None:
        return Check(status=DEGRADED, detail=account.doubt_reason, since=account.doubted_since)
    pending = Alarm.objects.filter(kind="unconfirmed", cleared_at=None).order_by("opened_at")
    if pending:
        return Check(status=DEGRADED, detail="; ".join(one.text for one in pending[:3]), since=pending[0].opened_at)
    return Check(status=OK, detail=f"{age} and shows {account.list_total}")
