"""What stands above the fleet: how many, what they cost now, today and this month, the balance, and what all rests on."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Count, Q, Sum

from instances import balance
from instances.lifecycle import Phase
from instances.models import Instance, Machine, PeriodicWork, ProviderAccount
from instances.spending import spent_since
from instances.spot import NOTICE_WORDS
from instances.words import usd, usd_per_hour
from novita_manager.pages.fleet_snapshot import Cost
from novita_manager.redis_state import redis_problem
from sync.models import SyncRun

_ON_THEIR_WAY = (Phase.REQUESTED, Phase.CREATING, Phase.PULLING, Phase.STARTING, Phase.CHECKING)
_STALE_LISTS = 3
_SHORTEST_STALE = timedelta(minutes=1)
SILENT_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A thing all rests on. `tone` is good, warn or bad; `problem` is empty where it is well."""

    name: str
    tone: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    living: int
    ready: int
    on_their_way: int
    billed: int
    usd_per_hour: str
    today: Cost
    month: Cost
    balance: str
    balance_lasts: timedelta | None
    listed_at: datetime | None
    last_run: SyncRun | None
    reclaims_announced: int
    reclaims_away: int
    parts: tuple[Part, ...]
    frozen_since: datetime | None
    frozen_reason: str


def read_cards(account: ProviderAccount | None, now: datetime) -> Cards:
    phases = dict(Instance.objects.not_ended().values_list("phase").annotate(count=Count("pk")).order_by())
    billed = Machine.objects.filter(billed_since__isnull=False, absent_at=None).aggregate(
        count=Count("pk"),
        per_hour=Sum("billed_price_usd_per_hour"),
        announced=Count("pk", filter=Q(spot_status__in=NOTICE_WORDS)),
    )
    per_hour = Decimal(billed["per_hour"] or 0)
    today, month = _spent(per_hour, now)
    left = account.balance_usd if account else None
    return Cards(
        living=sum(phases.values()),
        ready=phases.get(Phase.READY, 0),
        on_their_way=sum(phases.get(one, 0) for one in _ON_THEIR_WAY),
        billed=billed["count"],
        usd_per_hour=usd_per_hour(per_hour),
        today=today,
        month=month,
        balance="" if left is None else usd(left),
        balance_lasts=balance.lasts(left, per_hour),
        listed_at=account.complete_list_at if account else None,
        last_run=SyncRun.objects.defer("changes").first(),
        reclaims_announced=billed["announced"],
        reclaims_away=phases.get(Phase.RECLAIMING, 0),
        parts=_parts(account, now),
        frozen_since=account.frozen_since if account else None,
        frozen_reason=account.frozen_reason if account else "",
    )


def _spent(per_hour: Decimal, now: datetime) -> tuple[Cost, Cost]:
    """Since midnight and since the first of the month, UTC."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    spent = spent_since({"day": day, "month": month}, until=now)
    today, this_month = (Cost(closed_usd=spent[name], usd_per_hour=per_hour, since=now) for name in ("day", "month"))
    return today, this_month


def list_is_stale(listed_at: datetime | None, now: datetime) -> bool:
    return listed_at is None or now - listed_at > max(settings.INSTANCE_POLL_INTERVAL * _STALE_LISTS, _SHORTEST_STALE)


def _parts(account: ProviderAccount | None, now: datetime) -> tuple[Part, ...]:
    rows = PeriodicWork.objects.filter(name__in=["worker", "beat"]).values_list("name", "finished_at")
    seen = {name: at for name, at in rows if at and now - at <= SILENT_AFTER}
    worker = "" if "worker" in seen else "No worker has reported lately: nothing is watched, stopped or brought back."
    beat = "" if "beat" in seen else "Beat is silent: the workers go by their own clocks."
    listed_at = account.complete_list_at if account else None
    provider = ""
    if list_is_stale(listed_at, now):
        why = f" ({account.last_list_problem})" if account and account.last_list_problem else ""
        provider = f"Novita has not been read for a while{why}: what stands here may be old."
    return (
        Part(name="Novita", tone="bad" if provider else "good", problem=provider),
        Part(name="Worker", tone="bad" if worker else "good", problem=worker),
        Part(name="Beat", tone="warn" if beat else "good", problem=beat),
        _broker(),
    )


def _broker() -> Part:
    problem = redis_problem() if settings.REDIS_URL else "none is configured"
    told = f"The broker does not answer ({problem}): due work is done by the timetable alone." if problem else ""
    return Part(name="Broker", tone="warn" if problem else "good", problem=told)
