"""The daily digest: what yesterday cost, what runs now at what price, what idling stopped, what alarms are open."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import Q

from instances.lifecycle import Verb
from instances.messages.message import Entry, Link, Message, cut
from instances.models import Alarm, Instance, Job, Machine, RunningInterval
from instances.models.machine import interval_usd
from instances.webhooks.kinds import Severity
from instances.words import listed, usd, usd_per_hour

_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """`running` and `stopped` hold names, `alarms` texts; prices in USD per hour, GPU money only."""

    date: str
    cost_usd: Decimal
    cost_before_usd: Decimal
    running: tuple[str, ...]
    unmanaged: int
    price_usd_per_hour: Decimal
    stopped: tuple[str, ...]
    alarms: tuple[str, ...]


def digest(day: Day, *, home: Link) -> Message:
    """Pure."""
    rate = f" at {usd_per_hour(day.price_usd_per_hour)} per hour" if day.running else ""
    unmanaged = f"{day.unmanaged} of them not made here" if day.unmanaged else ""
    return Message(
        title=f"{day.date}: {usd(day.cost_usd)} spent, {len(day.running)} running now{rate}",
        severity=Severity.INFO,
        entries=(
            Entry(
                heading=f"Spent on {day.date}: {usd(day.cost_usd)}",
                facts=(f"{usd(day.cost_before_usd)} the day before", "GPU time; disks apart"),
            ),
            _part("Running now", day.running, more=unmanaged),
            _part("Stopped for idling", day.stopped),
            _part("Open alarms", day.alarms, apart="\n"),
        ),
        home=home,
    )


def day_before(now: datetime, zone: ZoneInfo) -> Day:
    """The figures of the last whole day there."""
    end = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    start = (end - timedelta(hours=12)).replace(hour=0)
    before = (start - timedelta(hours=12)).replace(hour=0)
    billed = Machine.objects.filter(billed_since__isnull=False).select_related("instance").defer("instance__envs")
    machines = list(billed.order_by("instance__name"))
    price = sum((one.billed_price_usd_per_hour or Decimal(0) for one in machines), Decimal(0))
    stops = Job.objects.filter(verb=Verb.STOP, requested_by_kind="rule", created_at__gte=start, created_at__lt=end)
    alarms = Alarm.objects.filter(cleared_at=None).order_by("-opened_at")
    return Day(
        date=f"{start:%Y-%m-%d}",
        cost_usd=spent(start, end, now),
        cost_before_usd=spent(before, start, now),
        running=tuple(_name(one.instance) for one in machines),
        unmanaged=sum(not one.instance.managed for one in machines),
        price_usd_per_hour=price,
        stopped=tuple(stops.order_by("created_at").values_list("instance__name", flat=True)),
        alarms=tuple(alarms.values_list("text", flat=True)),
    )


def spent(start: datetime, end: datetime, now: datetime) -> Decimal:
    """USD of GPU time between two moments, from the running intervals at their own prices."""
    overlapping = RunningInterval.objects.filter(Q(ended_at=None) | Q(ended_at__gt=start), started_at__lt=end)
    return sum(
        (
            interval_usd(max(one.started_at, start), min(one.ended_at or now, end), one.price_usd_per_hour)
            for one in overlapping.iterator(chunk_size=2000)
        ),
        Decimal(0),
    )


def _name(box: Instance) -> str:
    return box.name or str(box.pk)


def _part(heading: str, words: tuple[str, ...], *, more: str = "", apart: str = "") -> Entry:
    if not words:
        return Entry(heading=f"{heading}: none")
    named = [cut(one, 200) for one in words[:_NAMED]]
    rest = len(words) - len(named)
    text = apart.join(named) if apart else listed(named)
    told = text + (f"{apart or ' '}and {rest} more" if rest else "")
    return Entry(heading=f"{heading}: {len(words)}", facts=(more,) if more else (), sentences=(told,))
