"""The fleet as its page shows it: one page of rows, the open alarms, and the counts to page by."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Prefetch, QuerySet, Subquery, Sum
from django.utils.dateparse import parse_datetime

from instances.lifecycle import BILLED, Observed
from instances.models import Alarm, Instance, Job, Machine, ProviderAccount
from instances.models.instance import InstanceQuerySet
from instances.models.machine import interval_usd
from instances.person_verbs import offered
from instances.tones import tone_of_phase
from instances.vouching import effective_observed_at
from instances.words import usd, usd_per_hour
from novita_manager.pages.fleet_query import PAGE_ROWS, FleetQuery, chosen_rows

MOST_ALARMS = 50

_NEXT_WORDS = {"would_stop": "auto-stop would stop it", "save_image": "save image"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Money as a meter that may run: what stood on it at `since`, and what is added per hour from then on, both in USD."""

    closed_usd: Decimal
    usd_per_hour: Decimal = Decimal(0)
    since: datetime | None = None

    def at(self, moment: datetime) -> Decimal:
        return self.closed_usd + (interval_usd(self.since, moment, self.usd_per_hour) if self.since else Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    what: str
    at: datetime | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    id: UUID
    name: str
    novita_id: str
    owner: str
    managed: bool
    protected: bool
    ended: bool
    phase: str
    tone: str
    reason: str
    since: datetime | None
    reclaim_at: datetime | None
    region: str
    product: str
    billing: str
    price: str
    billed: bool
    cost: str
    idle_since: datetime | None
    last_used_at: datetime | None
    next: Next | None
    observed_at: datetime | None
    meter: Cost
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An open alarm; `acknowledged_by` is empty where nobody knows of it, or no longer."""

    id: int
    instance_id: UUID | None
    text: str
    remedy: str
    opened_at: datetime
    acknowledged_by: str
    acknowledged_reason: str
    acknowledged_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """`count` is how many fit the query, over all its pages."""

    query: FleetQuery
    rows: tuple[Row, ...]
    count: int
    pages: int
    owners: tuple[str, ...]
    regions: tuple[str, ...]


def read_fleet(query: FleetQuery, account: ProviderAccount | None, now: datetime) -> Fleet:
    """One page of what fits; a page past the end is the last one."""
    rows = chosen_rows(Instance.objects.all(), query, now)
    count = rows.count()
    pages = max(1, -(-count // PAGE_ROWS))
    page = min(query.page, pages)
    start = (page - 1) * PAGE_ROWS
    fetched = list(_for_rows(rows)[start : start + PAGE_ROWS]) if count else []
    owners, regions = _choices()
    return Fleet(
        query=replace(query, page=page),
        rows=rows_of(fetched, account, now),
        count=count,
        pages=pages,
        owners=owners,
        regions=regions,
    )


def _choices() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The owners and regions there are to filter by."""
    found = set(Instance.objects.not_ended().order_by().values_list("owner", "machine__region").distinct())
    owners = {owner for owner, _ in found if owner}
    regions = {region for _, region in found if region}
    return tuple(sorted(owners)), tuple(sorted(regions))


def read_row(instance_id: UUID, now: datetime, *, may_act: bool) -> Row:
    """One instance. Raises Instance.DoesNotExist."""
    account = ProviderAccount.objects.filter(pk=1).first()
    (row,) = rows_of([_for_rows(Instance.objects.all()).get(pk=instance_id)], account, now)
    return row if may_act else replace(row, verbs=())


def _for_rows(instances: InstanceQuerySet) -> InstanceQuerySet:
    """With the machine, the last evaluation, whether a job is open, and what former machines cost."""
    return (
        instances.select_related("machine", "auto_stop_evaluation")
        .defer("envs", "machine__connection")
        .prefetch_related(_open_jobs())
        .annotate(closed_usd=Subquery(_metered()))
    )


def _metered() -> QuerySet[Machine, Decimal]:
    machines = Machine.objects.filter(instance=OuterRef("pk")).order_by()
    return machines.values("instance").annotate(total=Sum("metered_usd")).values_list("total", flat=True)


def _open_jobs() -> Any:
    open_ones = Job.objects.filter(finished_at=None).only("id", "instance_id", "verb", "state")
    return Prefetch("jobs", queryset=open_ones, to_attr="open_jobs")


def rows_of(instances: Iterable[Instance], account: ProviderAccount | None, now: datetime) -> tuple[Row, ...]:
    return tuple(_row(instance, account, now) for instance in instances)


def _row(instance: Instance, account: ProviderAccount | None, now: datetime) -> Row:
    machine = instance.machine
    evaluation = getattr(instance, "auto_stop_evaluation", None)
    running = instance.observed is Observed.RUNNING
    meter = _meter(instance)
    return Row(
        id=instance.pk,
        name=instance.name or "(no name)",
        novita_id=(machine.novita_id if machine else None) or "",
        owner=instance.owner,
        managed=instance.managed,
        protected=instance.protected,
        ended=instance.has_ended,
        phase=instance.phase,
        tone=tone_of_phase(instance.phase),
        reason=instance.phase_reason,
        since=instance.phase_since,
        reclaim_at=machine.reclaim_at if machine and _is_to_be_reclaimed(machine) else None,
        region=(machine.region if machine else "") or ", ".join(map(str, instance.regions)),
        product=_product(instance, machine),
        billing=((machine.billing_mode if machine else "") or instance.billing_mode).replace("_", "-"),
        price=usd_per_hour(machine.hourly_usd if machine else None),
        billed=instance.observed in BILLED,
        cost=usd(meter.at(now)),
        idle_since=evaluation.idle_since if evaluation and running else None,
        last_used_at=instance.last_used_at,
        next=_next(instance),
        observed_at=effective_observed_at(machine, account) if machine else None,
        meter=meter,
        verbs=offered(instance),
    )


def _meter(instance: Instance) -> Cost:
    closed = Decimal(getattr(instance, "closed_usd", None) or 0)
    machine = instance.machine
    if machine is None or machine.billed_since is None:
        return Cost(closed_usd=closed)
    return Cost(closed_usd=closed, usd_per_hour=machine.billed_price_usd_per_hour or Decimal(0), since=machine.billed_since)


def _product(instance: Instance, machine: Machine | None) -> str:
    name = (machine.product_name if machine else "") or instance.product_name or instance.product_id
    return f"{instance.gpu_num} \u00d7 {name}" if instance.gpu_num > 1 else name


def _is_to_be_reclaimed(machine: Machine) -> bool:
    return machine.spot_status.lower() in ("notified", "reclaiming") and machine.observed is not Observed.ABSENT


def _next(instance: Instance) -> Next | None:
    action: dict[str, Any] | None = instance.next_action
    if action is None:
        return None
    what = str(action.get("what") or "")
    at = parse_datetime(str(action.get("at") or ""))
    return Next(what=_NEXT_WORDS.get(what, what.replace("_", " ")), at=at, why=str(action.get("why") or ""))


def notices(alarms: QuerySet[Alarm], now: datetime) -> tuple[Notice, ...]:
    """The open ones: first those nobody has taken note of, or whose note has lapsed; the newest of each first."""
    shown = [_notice(alarm, noted=alarm.is_acknowledged(now)) for alarm in alarms.filter(cleared_at=None)[:MOST_ALARMS]]
    return tuple(sorted(shown, key=lambda notice: bool(notice.acknowledged_by)))


def _notice(alarm: Alarm, *, noted: bool) -> Notice:
    return Notice(
        id=alarm.pk,
        instance_id=alarm.instance_id,
        text=alarm.text,
        remedy=alarm.remedy,
        opened_at=alarm.opened_at,
        acknowledged_by=alarm.acknowledged_by if noted else "",
        acknowledged_reason=alarm.acknowledged_reason if noted else "",
        acknowledged_until=alarm.acknowledged_until if noted else None,
    )
