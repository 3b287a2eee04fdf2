"""Whether anything on the fleet page differs from what a browser has: every value it shows, in one query and unrendered.

Money that runs is left out, since the browser counts it by itself from values that stand still. What changes without a
row of its own on the page (counts, filters to choose from) never does so without an event.
"""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, DateTimeField, Exists, Expression, Max, Subquery, Value
from django.db.models.functions import TruncMinute

from instances.models import Alarm, AutomationPause, Event, Instance, PeriodicWork, ProviderAccount
from novita_manager.pages.fleet_cards import SILENT_AFTER, list_is_stale
from novita_manager.pages.fleet_query import PAGE_ROWS, FleetQuery, chosen_rows
from novita_manager.redis_state import redis_problem
from sync.models import SyncRun

_OF_ROWS = (
    "id", "name", "owner", "managed", "protected", "wanted", "phase", "phase_reason", "phase_since", "ended_at",
    "last_used_at",
    "next_job_action", "next_auto_stop_action", "next_sync_action", "auto_stop_evaluation__idle_since", "machine__status",
    "machine__region", "machine__product_name", "machine__billing_mode", "machine__price_usd_per_hour",
    "machine__metered_usd",
    "machine__billed_since", "machine__billed_price_usd_per_hour", "machine__spot_status", "machine__reclaim_at",
    "machine__observed_at", "machine__missing_since", "machine__absent_at",
)  # fmt: skip


def fleet_version(query: FleetQuery, now: datetime) -> tuple[Any, ...]:
    """Equal as long as the page is; one query, a second one where it has no row."""
    everywhere = _everywhere(now)
    start = (query.page - 1) * PAGE_ROWS
    chosen = chosen_rows(Instance.objects.all(), query, now).annotate(**everywhere)
    rows: list[Any] = list(chosen.values_list(*_OF_ROWS, *everywhere)[start : start + PAGE_ROWS])
    if not rows:
        if query.page > 1:
            return (now,)  # past the end: the last page is shown instead, whatever is on it
        rows = list(PeriodicWork.objects.annotate(**everywhere).values_list(*everywhere)[:1])
    listed_at = rows[0][-1] if rows else None
    return (tuple(map(str, rows)), list_is_stale(listed_at, now), bool(settings.REDIS_URL and redis_problem()), now.date())


def _everywhere(now: datetime) -> dict[str, Expression | Exists | Subquery]:
    """What the page shows beside its rows. The age of the newest complete list comes last."""
    account = ProviderAccount.objects.filter(pk=1)
    alarms = Alarm.objects.filter(cleared_at=None).order_by().annotate(all=Value(1)).values("all")
    work = PeriodicWork.objects.filter(finished_at__gte=now - SILENT_AFTER)
    return {
        "newest_event": Subquery(Event.objects.order_by("-id").values("id")[:1]),
        "newest_run": Subquery(SyncRun.objects.order_by("-id").values("id")[:1]),
        "open_alarms": Subquery(alarms.annotate(found=Count("pk")).values("found")),
        "alarms_seen": Subquery(
            alarms.annotate(found=TruncMinute(Max("last_seen_at"))).values("found"), output_field=DateTimeField()
        ),
        "paused": Exists(AutomationPause.objects.filter(pk=1, paused_until__gt=now)),
        "worker": Exists(work.filter(name="worker")),
        "beat": Exists(work.filter(name="beat")),
        "balance": Subquery(account.values("balance_usd")[:1]),
        "frozen": Subquery(account.values("frozen_since")[:1]),
        "list_problem": Subquery(account.values("last_list_problem")[:1]),
        "listed_at": Subquery(account.values("complete_list_at")[:1]),
    }
