"""What may run in the name of one key: how many instances, and for how many USD per hour.

Asked when one is admitted, and when its cap is raised.

An instance counts for whoever asked for its creation or for a start of it, by the actor's name, until it has ended. Its
price counts while it is wanted running or still billed: the price of its machine, or before it has one its own cap.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from django.db.models import Exists, OuterRef

from instances.lifecycle import BILLED, Verb, Wanted
from instances.models import Instance, Job
from instances.models.instance import InstanceQuerySet
from instances.operations.refusals import OperationRefused
from instances.operations.wishes import InstanceSpec

_ADMITS = (Verb.CREATE, Verb.START)


class KeyLimit(OperationRefused):
    code = "key_limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """None where there is no bound."""

    kind: str
    name: str
    max_instances: int | None = None
    max_usd_per_hour: Decimal | None = None


def admit_create(allowance: Allowance | None, spec: InstanceSpec, prices: Iterable[Decimal]) -> InstanceSpec:
    """The spec, its price capped so that what is chosen later stays within the bound. Raises KeyLimit.

    `prices` are those of the offers that fit, USD per hour for the whole instance; empty where none is in stock.
    """
    if allowance is None:
        return spec
    counted = list(_counted(allowance))
    _refuse_more_than(allowance, len(counted) + 1)
    if allowance.max_usd_per_hour is None:
        return spec
    left = allowance.max_usd_per_hour - sum(map(_usd_per_hour, counted), Decimal(0))
    known = list(prices)
    affordable = [price for price in known if price <= left]
    if left <= 0 or (known and not affordable):
        cheapest = f"; the cheapest offer is ${min(known):f} per hour" if known else ""
        raise KeyLimit(_text_of(allowance, left) + cheapest)
    bound = max(affordable, default=left)
    asked = spec.max_price_usd_per_hour
    return replace(spec, max_price_usd_per_hour=bound if asked is None else min(asked, bound))


def admit_running(allowance: Allowance | None, instance: Instance) -> None:
    """Refuse that it runs in this name beside what does so already. Raises KeyLimit."""
    if allowance is None or (instance.wanted == Wanted.RUNNING and not instance.given_up):
        return
    others = list(_counted(allowance).exclude(pk=instance.pk))
    _refuse_more_than(allowance, len(others) + 1)
    if allowance.max_usd_per_hour is None:
        return
    left = allowance.max_usd_per_hour - sum(map(_usd_per_hour, others), Decimal(0))
    price = _price(instance)
    if price > left:
        raise KeyLimit(f"{_text_of(allowance, left)}; this instance costs ${price:f} per hour")


def admit_cap(allowance: Allowance | None, instance: Instance, cap: Decimal | None) -> None:
    """Refuse a higher cap, or none, where what is chosen later could go beyond the bound. Raises KeyLimit."""
    if allowance is None or allowance.max_usd_per_hour is None:
        return
    before = instance.max_price_usd_per_hour
    lowers = cap is not None and (before is None or cap <= before)
    others = _counted(allowance).exclude(pk=instance.pk)
    left = allowance.max_usd_per_hour - sum(map(_usd_per_hour, others), Decimal(0))
    if lowers or (cap is not None and cap <= left):
        return
    highest = max(left, before or Decimal(0))
    raise KeyLimit(
        f"{_text_of(allowance, left)}: name a price of at most ${highest:f} per hour", field="max_price_usd_per_hour"
    )


def _counted(allowance: Allowance) -> InstanceQuerySet:
    asked = Job.objects.filter(
        instance=OuterRef("pk"),
        verb__in=_ADMITS,
        requested_by_kind=allowance.kind,
        requested_by_name=allowance.name,
    )
    return Instance.objects.managed().not_ended().filter(Exists(asked)).select_related("machine").defer("envs")


def _refuse_more_than(allowance: Allowance, number: int) -> None:
    if allowance.max_instances is not None and number > allowance.max_instances:
        raise KeyLimit(f"this key may have {allowance.max_instances} instances and has {number - 1}: delete one first")


def _text_of(allowance: Allowance, left: Decimal) -> str:
    return f"this key may spend ${allowance.max_usd_per_hour:f} per hour and ${max(left, Decimal(0)):f} of it is left"


def _usd_per_hour(instance: Instance) -> Decimal:
    runs = instance.wanted == Wanted.RUNNING or instance.observed in BILLED
    return _price(instance) if runs else Decimal(0)


def _price(instance: Instance) -> Decimal:
    machine = instance.machine
    price = machine.price_usd_per_hour if machine else None
    return price if price is not None else instance.max_price_usd_per_hour or Decimal(0)
