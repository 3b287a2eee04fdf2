"""What the fleet can be ordered by beyond its columns, as the database computes it. Good for an order, not for a bill."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import DateTimeField, ExpressionWrapper, F, FloatField, Func, OuterRef, Subquery, Sum, TextField, Value
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce, Least, NullIf

from instances.models import Machine

_NEVER = "9999"
_SOURCES = ("next_job_action", "next_auto_stop_action", "next_sync_action")


class HoursBetween(Func):
    """From the first moment to the second one, as a float."""

    template = "(EXTRACT(EPOCH FROM (%(expressions)s)) / 3600.0)"
    arg_joiner = " - "
    output_field = FloatField()

    def __init__(self, start: Combinable, end: Combinable) -> None:
        super().__init__(end, start)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        given = {"template": "((JULIANDAY(%(expressions)s)) * 24.0)", "arg_joiner": ") - JULIANDAY("}
        return self.as_sql(compiler, connection, **given, **context)


def cost_usd(now: datetime) -> Combinable:
    """As `Instance.cost_usd`: what all its machines have metered, and what the running one adds."""
    machines = Machine.objects.filter(instance=OuterRef("pk")).order_by().values("instance")
    metered = Cast(Subquery(machines.annotate(total=Sum("metered_usd")).values("total")), FloatField())
    hours = HoursBetween(F("machine__billed_since"), Value(now, DateTimeField()))
    runs = Cast("machine__billed_price_usd_per_hour", FloatField()) * hours
    zero = Value(0.0, FloatField())
    return ExpressionWrapper(Coalesce(metered, zero) + Coalesce(runs, zero), output_field=FloatField())


def next_action_at(_: datetime) -> Combinable:
    """As `Instance.next_action`: the earliest of its sources, null where none has a time. All are written in UTC."""
    never = Value(_NEVER, TextField())
    times = [Coalesce(Cast(KeyTextTransform("at", source), TextField()), never) for source in _SOURCES]
    return NullIf(Least(*times), never)


COMPUTED: dict[str, Callable[[datetime], Combinable]] = {"cost_so_far": cost_usd, "next_at": next_action_at}
