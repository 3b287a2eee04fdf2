"""What the fleet page costs with 1,000 instances, beside a view that does nothing: in full, and while nothing changes.

Times are those of one core: SQLite runs within the process, and what else the machine does is not the page's.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks.table import Row
from instances.models import Machine, ProviderAccount, RunningInterval
from novita_manager.lanes import show_alive

LONGEST_MS = 300.0
MOST_QUERIES = 15
MOST_QUERIES_UNCHANGED = 3
RUNS_A_MACHINE = 10  # in this month, but for the one that goes on
ROUNDS = 15


def fleet_page() -> list[Row]:
    """On the instances that are there: `watching` leaves 1,000 of them behind."""
    now = timezone.now()
    for name in ("worker", "beat"):
        show_alive(name, now + timedelta(hours=1))  # nobody falls silent meanwhile
    intervals = _add_past(now)
    caller = Client()
    caller.force_login(User.objects.create_superuser("bench"))
    bare = _milliseconds(lambda: caller.get("/health/live"))
    ProviderAccount.objects.update(complete_list_at=now + timedelta(hours=1))
    etag = caller.get("/fleet/rows")["ETag"]
    what = f"the fleet page, {Machine.objects.count():,} machines, {intervals:,} runs this month"
    return [
        *_asked(caller, "/", bare, what=what, queries_allowed=MOST_QUERIES, milliseconds_allowed=LONGEST_MS),
        *_asked(caller, "/?sort=-cost", bare, what="  by its dearest", queries_allowed=MOST_QUERIES),
        *_asked(caller, "/?q=1", bare, what="  searched", queries_allowed=MOST_QUERIES),
        *_asked(caller, "/fleet/rows", bare, what="  its update", queries_allowed=MOST_QUERIES),
        *_asked(
            caller,
            "/fleet/rows",
            bare,
            what="  its update while nothing changes",
            queries_allowed=MOST_QUERIES_UNCHANGED,
            etag=etag,
        ),
    ]


def _add_past(now: datetime) -> int:
    """Runs of every machine that ended, so that the money of this month has something to add up."""
    price = Decimal("0.35")
    RunningInterval.objects.bulk_create(
        [
            RunningInterval(
                machine_id=machine_id,
                started_at=now - timedelta(hours=2 * run + 1),
                ended_at=now - timedelta(hours=2 * run),
                price_usd_per_hour=price,
            )
            for machine_id in Machine.objects.values_list("pk", flat=True)
            for run in range(1, RUNS_A_MACHINE + 1)
        ],
        batch_size=1000,
    )
    return RunningInterval.objects.count()


def _asked(
    caller: Client,
    path: str,
    bare: float,
    *,
    what: str,
    queries_allowed: int,
    milliseconds_allowed: float | None = None,
    etag: str = "",
) -> list[Row]:
    headers = {"If-None-Match": etag} if etag else {}
    with CaptureQueriesContext(connection) as queries:
        answer = caller.get(path, headers=headers)
        counted = len(queries)
    took = _milliseconds(lambda: caller.get(path, headers=headers))
    right = answer.status_code == (304 if etag else 200)
    limit = f"\u2264 {milliseconds_allowed:.0f} ms, " if milliseconds_allowed else ""
    in_time = milliseconds_allowed is None or took <= milliseconds_allowed
    return [
        Row(
            what=f"{what}: {counted} queries, {_size(answer)}",
            figure=f"{took:.1f} ms CPU",
            ratio=f"{took / bare:.0f} of the bare view",
            limit=f"{limit}\u2264 {queries_allowed} queries",
            ok=right and in_time and counted <= queries_allowed,
        )
    ]


def _size(answer: Any) -> str:
    return f"{len(answer.content) / 1000:.0f} kB"


def _milliseconds(act: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        act()
        times.append((time.process_time() - started) * 1000)
    return median(times)
