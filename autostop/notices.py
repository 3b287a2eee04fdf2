"""Warnings before a stop: one event per stop time, with what it costs, what it ends, and links to do something about it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from autostop.decide_facts import Code
from autostop.decide_outcome import Decision
from autostop.links import issue, links_of
from autostop.models import Evaluation, KeepLink
from autostop.words import clock_words
from instances.api.times import rfc3339
from instances.events import Actor, record
from instances.models import Event, Instance, Offer
from instances.observation import KEPT_DATA
from instances.words import usd_per_hour

WARNING = "instance.auto_stop_warning"


def warn(instance_id: UUID, decision: Decision, *, actor: Actor, now: datetime) -> bool:
    """Tell of the stop time, once; False where it was told already. The evaluation keeps what was promised."""
    stop_at = decision.warn_of
    if stop_at is None:
        return False
    with transaction.atomic():
        instance = Instance.objects.select_for_update(of=("self",)).select_related("machine").get(pk=instance_id)
        if KeepLink.objects.filter(instance=instance, stop_at=stop_at).exists():
            return False
        issue(instance, stop_at=stop_at, now=now)
        after = warning_values(instance, stop_at)
        reason = f"{_why(decision, stop_at)}. {after['local_data']}. {after['restart']}"
        record(WARNING, at=now, actor=actor, instance=instance, reason=reason, after=after)
        Evaluation.objects.filter(instance=instance).update(promised_at=stop_at)
        return True


def _why(decision: Decision, stop_at: datetime) -> str:
    """What stops it: idleness, as the decision says, or a stop time that no activity moves."""
    if decision.code is Code.WARNED:
        return decision.reason
    return f"it is stopped at {clock_words(stop_at)}, whatever it does: {decision.deadlines.hard_by}"


def warning_values(instance: Instance, stop_at: datetime) -> dict[str, Any]:
    """What a warning tells beside its reason; no link, for events hold no secret."""
    machine = instance.machine
    price = machine.price_usd_per_hour if machine else None
    return {
        "stop_at": rfc3339(stop_at),
        "price_usd_per_hour": str(price) if price is not None else None,
        "price": f"{usd_per_hour(price)} per hour" if price is not None else "its price is not known",
        "data_purged_at": rfc3339(stop_at + KEPT_DATA),
        "local_data": f"Novita keeps its local data until {clock_words(stop_at + KEPT_DATA)} once it is stopped",
        "in_stock": in_stock(instance),
        "restart": restart_words(instance),
    }


def in_stock(instance: Instance) -> bool | None:
    """Whether the catalogue has the same GPU in the same place for a restart; None where it does not know."""
    machine = instance.machine
    if machine is None or not machine.product_id:
        return None
    offer = Offer.objects.filter(product_id=machine.product_id, cluster_id=machine.cluster_id).first()
    if offer is None:
        return None
    return offer.available and offer.inventory != "none"


def restart_words(instance: Instance) -> str:
    stock = in_stock(instance)
    name = (instance.machine.product_name if instance.machine else "") or "GPU"
    if stock is None:
        return f"Whether {name} is in stock there for a restart is not known"
    return (
        f"{name} is in stock there for a restart" if stock else f"{name} is sold out there now: a restart may have to wait"
    )


def links_of_event(event: Event) -> list[dict[str, str]]:
    """The links of a warning's event, made again for a message that carries it: {act, label, url} each."""
    if event.type != WARNING or event.instance_id is None:
        return []
    since = event.at - timedelta(seconds=1)
    row = KeepLink.objects.filter(instance_id=event.instance_id, issued_at__gte=since, issued_at__lte=event.at).first()
    if row is None:
        return []
    return [{"act": one.act, "label": one.label, "url": one.url} for one in links_of(event.instance_id, row.stop_at)]
