"""What auto-stop did and what it saved. It is counted low: only time that Novita showed it stopped, a day at most."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from autostop.models import RecordedDecision
from instances.models import RunningInterval
from instances.models.machine import SUBSCRIPTION, interval_usd

LONGEST_SAVING = timedelta(hours=24)
FORMULA = (
    "for each stop by auto-stop: price per hour at the stop x the time from when Novita showed it stopped until it was next "
    "started, ended or now, at most 24 h per stop; nothing for monthly-billed instances and where the price was not known"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """Of all stops of a time: how many counted, how long they lasted, what was not spent. GPU money, disks apart."""

    stops: int
    counted: int
    length: timedelta
    usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One stop by auto-stop, and the times its instance was billed."""

    at: datetime
    price_usd_per_hour: Decimal | None
    billing_mode: str = ""
    ended_at: datetime | None = None
    billed: Sequence[tuple[datetime, datetime | None]] = ()


def saving_of(stop: Stop, now: datetime) -> tuple[timedelta, Decimal]:
    """How long a stop has kept it off, and what that would have cost. Pure."""
    nothing = timedelta(0), Decimal(0)
    if stop.billing_mode == SUBSCRIPTION or stop.price_usd_per_hour is None:
        return nothing
    off_from = stop.at
    for began, ended in stop.billed:
        if began <= stop.at:
            if ended is None:
                return nothing  # Novita has not shown it stopped
            off_from = max(off_from, ended)
    next_start = min((began for began, _ in stop.billed if began > stop.at), default=now)
    until = min(next_start, stop.ended_at or now, now, off_from + LONGEST_SAVING)
    length = max(until - off_from, timedelta(0))
    return length, interval_usd(off_from, off_from + length, stop.price_usd_per_hour)


def savings(now: datetime, *, since: datetime) -> Saving:
    """All stops from a time on. Two queries."""
    rows = RecordedDecision.objects.filter(acted=True, decided_at__gte=since).select_related("instance")
    acted = list(rows.only("instance_id", "decided_at", "price_usd_per_hour", "billing_mode", "instance__ended_at"))
    billed = _billed({one.instance_id for one in acted})
    length, usd, counted = timedelta(0), Decimal(0), 0
    for one in acted:
        stop = Stop(
            at=one.decided_at,
            price_usd_per_hour=one.price_usd_per_hour,
            billing_mode=one.billing_mode,
            ended_at=one.instance.ended_at,
            billed=billed.get(one.instance_id, ()),
        )
        off, saved = saving_of(stop, now)
        length, usd, counted = length + off, usd + saved, counted + bool(off)
    return Saving(stops=len(acted), counted=counted, length=length, usd=usd)


def _billed(instance_ids: Iterable[UUID]) -> dict[UUID, list[tuple[datetime, datetime | None]]]:
    found: dict[UUID, list[tuple[datetime, datetime | None]]] = defaultdict(list)
    rows = RunningInterval.objects.filter(machine__instance_id__in=list(instance_ids)).order_by("started_at")
    for instance_id, began, ended in rows.values_list("machine__instance_id", "started_at", "ended_at"):
        found[instance_id].append((began, ended))
    return found
