"""Machines that nobody made here: listed, priced and left alone until somebody adopts them. Many in few statements."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import OuterRef, Subquery

from instances import health_checks, meter
from instances.events import OUTSIDE, event_of
from instances.lifecycle import Observed
from instances.models import Event, Instance, Machine, RunningInterval
from instances.models.instance import AutoStopMode, BillingMode
from instances.phases import set_first_phase
from instances.readings import Reading
from instances.sightings import take_columns

_MOST_GPUS = 8
REASON = "it runs in the account and was not made here: it is left alone until someone adopts it"


def discover(readings: Sequence[Reading], *, began_at: datetime, now: datetime) -> None:
    """In the transaction that holds the account's lock. One event each, but for what Novita calls removed already."""
    machines = [_machine(reading, began_at, now) for reading in readings]
    instances = [machine.instance for machine in machines]
    billed = [
        meter.first_interval(machine, machine.observed, read_began_at=began_at, read_ended_at=now) for machine in machines
    ]
    Instance.objects.bulk_create(instances)
    Machine.objects.bulk_create(machines)
    own = Machine.objects.filter(instance=OuterRef("pk")).values("pk")[:1]
    Instance.objects.filter(pk__in=[one.pk for one in instances]).update(machine=Subquery(own))
    RunningInterval.objects.bulk_create([one for one in billed if one is not None])
    Event.objects.bulk_create([_told(one, now) for one in machines if one.observed is not Observed.ABSENT])


def hand_over(novita_id: str, instance: Instance) -> bool:
    """Make way for the attempt of `instance` that turns out to have made this machine: its discovery was mistaken.

    So it is where a list told of it without its name. Its events become those of the instance. False, and nothing done,
    where somebody has adopted it meanwhile.
    """
    machine = Machine.objects.select_related("instance").filter(novita_id=novita_id).first()
    if machine is None:
        return True
    mistaken = machine.instance
    if mistaken.managed or mistaken.jobs.exists() or mistaken.pk == instance.pk:
        return False
    Event.objects.filter(instance=mistaken).update(instance=instance)
    Instance.objects.filter(pk=mistaken.pk).update(machine=None)
    machine.intervals.all().delete()
    machine.delete()
    mistaken.delete()
    return True


def _machine(reading: Reading, began_at: datetime, now: datetime) -> Machine:
    """The rows of one, linked and not stored."""
    said = reading.columns
    instance = Instance(
        name=str(said["provider_name"])[:255],
        managed=False,
        auto_stop_mode=AutoStopMode.OFF,
        product_name=str(said.get("product_name", "")),
        product_id=str(said.get("product_id", "")),
        gpu_num=min(int(said.get("gpu_num", 1)), _MOST_GPUS),
        image_url=str(said.get("image_url", "")),
        billing_mode=BillingMode.SPOT if said.get("billing_mode") == "spot" else BillingMode.ON_DEMAND,
        created_at=reading.created_at or now,
    )
    machine = Machine(instance=instance, novita_id=reading.novita_id, created_at=reading.created_at or now)
    take_columns(machine, said, machine.observed, began_at=began_at, listed=True)
    instance.machine = machine
    if machine.observed is Observed.RUNNING:
        health_checks.expect_endpoints(instance)
    set_first_phase(instance, now=now)
    instance.machine = None  # is linked once both have ids
    return machine


def _told(machine: Machine, now: datetime) -> Event:
    return event_of(
        "instance.discovered",
        at=now,
        actor=OUTSIDE,
        instance=machine.instance,
        reason=REASON,
        after={
            "novita_id": machine.novita_id,
            "name": machine.instance.name,
            "status": machine.status,
            "phase": str(machine.instance.phase),
        },
    )
