"""GPU money by the meter's intervals within a span of time: what was spent, and at what rate it goes on."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from instances.models import RunningInterval
from instances.models.machine import interval_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """`ended_at` is None while it runs."""

    started_at: datetime
    ended_at: datetime | None
    usd_per_hour: Decimal | None


def spent_usd(intervals: Iterable[Interval], *, since: datetime, until: datetime) -> Decimal:
    """What the parts of the intervals between the two moments cost together. Pure."""
    total = Decimal(0)
    for one in intervals:
        start = max(one.started_at, since)
        end = min(one.ended_at or until, until)
        if end > start:
            total += interval_usd(start, end, one.usd_per_hour)
    return total


def intervals_since(since: datetime) -> list[Interval]:
    """All that ran at any time since then, of every machine in the account; one query."""
    rows = RunningInterval.objects.filter(Q(ended_at=None) | Q(ended_at__gt=since)).order_by()
    found = rows.values_list("started_at", "ended_at", "price_usd_per_hour")
    return [Interval(started_at=start, ended_at=end, usd_per_hour=price) for start, end, price in found]
