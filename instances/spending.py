"""GPU money by the meter's intervals within spans of time, summed by the database: one query however many there are."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import DateTimeField, DurationField, ExpressionWrapper, F, Q, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Greatest, Least

from instances.models import RunningInterval


def spent_since(moments: Mapping[str, datetime], *, until: datetime) -> dict[str, Decimal]:
    """USD from each of the moments on, by its name. Intervals of unknown price cost nothing."""
    earliest = min(moments.values())
    ran = RunningInterval.objects.filter(_overlaps(earliest, until), price_usd_per_hour__isnull=False).order_by()
    spans = {name: Sum(_span(since, until), filter=_overlaps(since, until)) for name, since in moments.items()}
    rows: list[Any] = list(ran.values("price_usd_per_hour").annotate(**spans))
    return {name: sum((_usd(row["price_usd_per_hour"], row[name]) for row in rows), Decimal(0)) for name in moments}


def _overlaps(since: datetime, until: datetime) -> Q:
    return Q(started_at__lt=until) & (Q(ended_at=None) | Q(ended_at__gt=since))


def _span(since: datetime, until: datetime) -> Combinable:
    end = Least(Coalesce(F("ended_at"), Value(until, DateTimeField())), Value(until, DateTimeField()))
    return ExpressionWrapper(end - Greatest(F("started_at"), Value(since, DateTimeField())), output_field=DurationField())


def _usd(price_usd_per_hour: Decimal, length: timedelta | None) -> Decimal:
    return price_usd_per_hour * Decimal(str((length or timedelta(0)).total_seconds())) / 3600
