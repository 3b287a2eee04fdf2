"""The fleet as its page shows it: values read in a fixed number of queries, without anything that moves with the clock.

So two equal snapshots make the same page, but for the ages that the browser counts by itself.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.utils.dateparse import parse_datetime

from instances.lifecycle import BILLED, Observed, Phase
from instances.models import Alarm, AutomationPause, Event, Instance, Machine, ProviderAccount
from instances.models.instance import InstanceQuerySet
from instances.observation import effective_observed_at
from instances.person_verbs import offered
from instances.story import Told, sentence, who
from instances.tones import tone_of_phase
from instances.words import usd, usd_per_hour

MOST_ROWS = 500
MOST_ALARMS = 50
ENDED_STAY = timedelta(hours=1)
_STALE_LISTS = 3
_SHORTEST_STALE = timedelta(minutes=1)

_NEXT_WORDS = {"would_stop": "auto-stop would stop it", "save_image": "save image"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One event of a story."""

    id: int
    at: datetime
    text: str
    who: str
    reason: str


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
    latest: Line | None
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An open alarm."""

    id: int
    instance_id: UUID | None
    text: str
    remedy: str
    opened_at: datetime
    acknowledged_by: str
    acknowledged_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    living: int
    ready: int
    on_their_way: int
    billed: int
    usd_per_hour: str
    balance: str
    balance_lasts: timedelta | None
    listed_at: datetime | None
    list_is_stale: bool
    list_problem: str
    frozen_since: datetime | None
    frozen_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    until: datetime
    who: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    totals: Totals
    paused: Paused | None
    alarms: tuple[Notice, ...]
    rows: tuple[Row, ...]
    not_shown: int


def read_fleet(now: datetime, *, may_act: bool) -> Fleet:
    """All that lives and what ended within the last hour."""
    account = ProviderAccount.objects.filter(pk=1).first()
    shown = Instance.objects.filter(Q(ended_at=None) | Q(ended_at__gte=now - ENDED_STAY))
    fetched = list(_for_rows(shown).order_by(F("ended_at").desc(nulls_first=True), "-created_at", "id")[: MOST_ROWS + 1])
    more = shown.count() - MOST_ROWS if len(fetched) > MOST_ROWS else 0
    rows = rows_of(fetched[:MOST_ROWS], account, now)
    return Fleet(
        totals=_totals(account, now),
        paused=_paused(now),
        alarms=notices(Alarm.objects.all()),
        rows=rows if may_act else tuple(replace(row, verbs=()) for row in rows),
        not_shown=more,
    )


def read_row(instance_id: UUID, now: datetime, *, may_act: bool) -> Row:
    """One instance. Raises Instance.DoesNotExist."""
    account = ProviderAccount.objects.filter(pk=1).first()
    (row,) = rows_of([_for_rows(Instance.objects.all()).get(pk=instance_id)], account, now)
    return row if may_act else replace(row, verbs=())


def _for_rows(instances: InstanceQuerySet) -> InstanceQuerySet:
    latest = Event.objects.filter(instance=OuterRef("pk")).order_by("-id").values("id")[:1]
    return (
        instances.for_display()
        .select_related("machine", "auto_stop_evaluation")
        .defer("envs", "machine__connection")
        .annotate(latest_event_id=Subquery(latest))
    )


def rows_of(instances: list[Instance], account: ProviderAccount | None, now: datetime) -> tuple[Row, ...]:
    ids = [getattr(one, "latest_event_id", None) for one in instances]
    events = Event.objects.in_bulk([one for one in ids if one is not None])
    return tuple(
        _row(instance, account, now, events.get(event_id) if event_id is not None else None)
        for instance, event_id in zip(instances, ids, strict=True)
    )


def _row(instance: Instance, account: ProviderAccount | None, now: datetime, latest: Event | None) -> Row:
    machine = instance.machine
    evaluation = getattr(instance, "auto_stop_evaluation", None)
    running = instance.observed is Observed.RUNNING
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
        price=usd_per_hour(machine.price_usd_per_hour if machine else None),
        billed=instance.observed in BILLED,
        cost=usd(instance.cost_usd(now)),
        idle_since=evaluation.idle_since if evaluation and running else None,
        last_used_at=instance.last_used_at,
        next=_next(instance),
        observed_at=effective_observed_at(machine, account) if machine else None,
        latest=line_of(latest) if latest else None,
        verbs=offered(instance),
    )


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


def line_of(event: Event) -> Line:
    told = Told(
        type=event.type,
        actor_kind=event.actor_kind,
        actor_name=event.actor_name,
        reason=event.reason,
        before=event.before,
        after=event.after,
    )
    return Line(
        id=event.pk,
        at=event.at,
        text=_capital(sentence(told)),
        who=who(event.actor_kind, event.actor_name),
        reason=event.reason,
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def notices(alarms: QuerySet[Alarm]) -> tuple[Notice, ...]:
    """The open ones, the newest first."""
    return tuple(
        Notice(
            id=alarm.pk,
            instance_id=alarm.instance_id,
            text=alarm.text,
            remedy=alarm.remedy,
            opened_at=alarm.opened_at,
            acknowledged_by=alarm.acknowledged_by,
            acknowledged_reason=alarm.acknowledged_reason,
        )
        for alarm in alarms.filter(cleared_at=None)[:MOST_ALARMS]
    )


def _paused(now: datetime) -> Paused | None:
    pause = AutomationPause.objects.filter(pk=1).first()
    if pause is None or pause.paused_until is None or not pause.holds(now):
        return None
    return Paused(until=pause.paused_until, who=who(pause.actor_kind, pause.actor_name), reason=pause.reason)


def _totals(account: ProviderAccount | None, now: datetime) -> Totals:
    phases = dict(Instance.objects.not_ended().values_list("phase").annotate(count=Count("pk")).order_by())
    billed = Machine.objects.filter(billed_since__isnull=False, absent_at=None).aggregate(
        count=Count("pk"), per_hour=Sum("billed_price_usd_per_hour")
    )
    per_hour = Decimal(billed["per_hour"] or 0)
    balance = account.balance_usd if account else None
    listed_at = account.complete_list_at if account else None
    limit = max(settings.INSTANCE_POLL_INTERVAL * _STALE_LISTS, _SHORTEST_STALE)
    return Totals(
        living=sum(phases.values()),
        ready=phases.get(Phase.READY, 0),
        on_their_way=sum(phases.get(one, 0) for one in (Phase.REQUESTED, Phase.CREATING, Phase.PULLING, Phase.STARTING)),
        billed=billed["count"],
        usd_per_hour=usd_per_hour(per_hour),
        balance="" if balance is None else usd(balance),
        balance_lasts=_whole_hours(balance / per_hour) if balance and per_hour > 0 else None,
        listed_at=listed_at,
        list_is_stale=listed_at is None or now - listed_at > limit,
        list_problem=account.last_list_problem if account else "",
        frozen_since=account.frozen_since if account else None,
        frozen_reason=account.frozen_reason if account else "",
    )


def _whole_hours(hours: Decimal) -> timedelta:
    return timedelta(hours=min(int(hours), 24 * 3650))
