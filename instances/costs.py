"""What was spent between two times, summed by whatever people ask for: instance, owner, label, product, billing mode.

GPU time is metered: the running intervals, each at the price of its start. Disks apart: they are reckoned from the time a
machine ran and the time it stood, at the size and the prices last read. Two queries, however many instances there are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Min, Q, QuerySet

from instances.models import Machine, RunningInterval
from instances.models.machine import interval_usd

GROUPS = ("instance", "owner", "label", "product", "billing_mode")
_DAY = Decimal(24 * 3600)
_COLUMNS = (
    *(
        "id",
        "created_at",
        "stopped_at",
        "absent_at",
        "data_purged_at",
        "first_run_at",
        "product_name",
        "billing_mode",
        "rootfs_size_gb",
    ),
    *("free_disk_gb", "disk_usd_per_gb_day", "stopped_disk_usd_per_gb_day"),
    *("instance_id", "instance__name", "instance__owner", "instance__labels", "instance__managed"),
)


@dataclass(slots=True, kw_only=True)
class Spent:
    """USD. `uncertain_usd` bounds how far GPU time may be off, since reads see its edges late."""

    compute_usd: Decimal = Decimal(0)
    disk_usd: Decimal = Decimal(0)
    uncertain_usd: Decimal = Decimal(0)
    hours: Decimal = Decimal(0)  # of instances, not of GPUs
    instances: set[Any] = field(default_factory=set)

    @property
    def total_usd(self) -> Decimal:
        return self.compute_usd + self.disk_usd

    def add(self, other: "Spent") -> None:
        self.compute_usd += other.compute_usd
        self.disk_usd += other.disk_usd
        self.uncertain_usd += other.uncertain_usd
        self.hours += other.hours
        self.instances |= other.instances


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """`groups` by key, the dearest first. With labels one instance counts in each group it bears the label of."""

    total: Spent
    groups: dict[str, Spent]
    names: dict[str, str]


def costs_between(start: datetime, end: datetime, *, by: str, label: str = "", now: datetime) -> Costs:
    """Sums over [start, end), no later than `now`. `label` names one label's key for `by="label"`; "" takes every label."""
    end = min(end, now)
    runs = _runs(start, end, now)
    total, groups, names = Spent(), dict[str, Spent](), dict[str, str]()
    for machine in _machines(start, end).values(*_COLUMNS).iterator(chunk_size=2000):
        spent = _spent(machine, runs.get(machine["id"], []), start, end)
        if not spent.total_usd and not spent.hours:
            continue
        total.add(spent)
        for key, name in _keys(machine, by, label):
            groups.setdefault(key, Spent()).add(spent)
            names[key] = name
    ordered = sorted(groups.items(), key=lambda item: (-item[1].total_usd, item[0]))
    return Costs(total=total, groups=dict(ordered), names=names)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """An interval, clipped; `loose` is how long it may really have been longer or shorter."""

    start: datetime
    end: datetime
    price: Decimal | None
    loose: timedelta


def _machines(start: datetime, end: datetime) -> QuerySet[Machine]:
    """Every machine that was there at some time between."""
    there = Machine.objects.filter(Q(absent_at=None) | Q(absent_at__gt=start), created_at__lt=end).exclude(novita_id=None)
    return there.annotate(first_run_at=Min("intervals__started_at"))


def _runs(start: datetime, end: datetime, now: datetime) -> dict[int, list[_Run]]:
    overlapping = RunningInterval.objects.filter(Q(ended_at=None) | Q(ended_at__gt=start), started_at__lt=end)
    found: dict[int, list[_Run]] = {}
    edges = ("started_not_before", "started_at", "started_not_after", "ended_not_before", "ended_at", "ended_not_after")
    for row in overlapping.values("machine_id", "price_usd_per_hour", *edges).order_by("id").iterator(chunk_size=2000):
        ended_at = row["ended_at"] or now
        run = _Run(
            start=max(row["started_at"], start),
            end=min(ended_at, end),
            price=row["price_usd_per_hour"],
            loose=_looseness(row, start, end),
        )
        found.setdefault(row["machine_id"], []).append(run)
    return found


def _looseness(row: Mapping[str, Any], start: datetime, end: datetime) -> timedelta:
    """The farther side of each edge that lies in the span."""
    loose = timedelta(0)
    for name in ("started", "ended"):
        at, earliest, latest = (row[f"{name}_{what}"] for what in ("at", "not_before", "not_after"))
        if at is not None and earliest is not None and latest is not None and start <= latest and earliest < end:
            loose += max(at - earliest, latest - at)
    return loose


def _spent(machine: Mapping[str, Any], runs: list[_Run], start: datetime, end: datetime) -> Spent:
    spent = Spent(instances={machine["instance_id"]})
    ran = timedelta(0)
    for run in runs:
        ran += max(run.end - run.start, timedelta(0))
        spent.compute_usd += interval_usd(run.start, run.end, run.price)
        spent.uncertain_usd += interval_usd(start, start + run.loose, run.price)
    spent.hours = _seconds(ran) / 3600
    spent.disk_usd = _disk_usd(machine, ran=ran, stood=_held_disks(machine, start, end) - ran)
    return spent


def _held_disks(machine: Mapping[str, Any], start: datetime, end: datetime) -> timedelta:
    """How long it had disks within the span: since its first run that is known, until it was deleted or its data purged."""
    began: datetime = machine["first_run_at"] or machine["stopped_at"] or machine["created_at"]
    ended = min(one for one in (end, machine["absent_at"], machine["data_purged_at"]) if one is not None)
    return max(ended - max(began, start), timedelta(0))


def _disk_usd(machine: Mapping[str, Any], *, ran: timedelta, stood: timedelta) -> Decimal:
    size, free = int(machine["rootfs_size_gb"]), int(machine["free_disk_gb"])
    running = Decimal(machine["disk_usd_per_gb_day"] or 0) * max(0, size - free)
    stopped = Decimal(machine["stopped_disk_usd_per_gb_day"] or 0) * size
    return (running * _seconds(ran) + stopped * _seconds(max(stood, timedelta(0)))) / _DAY


def _keys(machine: Mapping[str, Any], by: str, label: str) -> Iterator[tuple[str, str]]:
    """The groups it counts in: a key and what people call it."""
    if by == "instance":
        yield str(machine["instance_id"]), machine["instance__name"]
    elif by == "label":
        labels: dict[str, str] = machine["instance__labels"] or {}
        for name in [label] if label else sorted(labels) or [""]:
            text = f"{name}={labels[name]}" if name in labels else ""
            yield text, text or "(without)"
    else:
        text = {
            "owner": machine["instance__owner"] if machine["instance__managed"] else "",
            "product": machine["product_name"],
            "billing_mode": machine["billing_mode"],
        }[by]
        yield text, text or "(none)"


def _seconds(span: timedelta) -> Decimal:
    return Decimal(str(span.total_seconds()))
