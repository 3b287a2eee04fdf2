"""`migrated` is said once health checks have passed at the new place, with id, region, price and endpoints."""

from datetime import datetime
from typing import Any

from instances.events import SYSTEM, record
from instances.lifecycle import JobState, Verb
from instances.models import Event, Instance, Job, Machine

TYPE = "instance.migrated"


def tell_if_moved(instance: Instance, *, now: datetime) -> None:
    """It became ready: where a move that somebody asked for went before, tell that it is over. Those of reclaims are told
    with their outcome."""
    job = Job.objects.filter(instance=instance).exclude(called_at=None).order_by("-called_at").first()
    if job is None or job.verb != Verb.MIGRATE or job.state != JobState.SUCCEEDED or "reclaim" in job.arguments:
        return
    if not Event.objects.filter(instance=instance, type=TYPE, at__gte=job.created_at).exists():
        tell(instance, before={}, now=now, job=job)


def tell(instance: Instance, *, before: dict[str, Any], now: datetime, job: Job | None = None) -> None:
    machine = instance.machine
    if machine is None:
        return
    record(
        TYPE,
        at=now,
        actor=SYSTEM,
        instance=instance,
        job=job,
        reason="it runs at its new place, and its health checks pass",
        before=before,
        after={**place_of(machine), "endpoints": machine.endpoints},
    )


def place_of(machine: Machine) -> dict[str, str | None]:
    """What tells one place from another in events."""
    return place(machine.novita_id, machine.region, machine.price_usd_per_hour)


def place(novita_id: str | None, region: str, price: Any) -> dict[str, str | None]:
    return {
        "novita_id": novita_id or None,
        "region": region or None,
        "price_usd_per_hour": None if price is None else str(price),
    }
