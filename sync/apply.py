"""Carrying out a plan's changes, in the transaction that holds the account's lock."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from instances.events import OUTSIDE, record
from instances.lifecycle import Observed
from instances.models import Instance, Machine, ProviderAccount
from instances.observation import observe, observe_missing, resolve_attempt
from instances.readings import Reading
from sync.plan import Change


def apply(changes: Sequence[Change], *, began_at: datetime, now: datetime, account: ProviderAccount | None) -> None:
    rows = Machine.objects.in_bulk([change.machine_id for change in changes if change.machine_id is not None])
    for change in changes:
        machine = rows.get(change.machine_id or 0)
        if change.kind == "discover" and change.reading is not None:
            _observe(_discover(change.reading, now), change.reading, began_at, now, account)
        elif machine is None:
            continue
        elif change.kind == "missing":
            observe_missing(machine, list_began_at=began_at)
        elif change.reading is not None:
            if change.kind == "surplus":
                machine = _surplus_row(machine, now)
            if change.kind in ("resolve", "surplus"):
                resolve_attempt(machine, change.novita_id, now=now, how="found in Novita's list by its correlation id")
            _observe(machine, change.reading, began_at, now, account)


def _observe(machine: Machine, reading: Reading, began_at: datetime, now: datetime, account: ProviderAccount | None) -> None:
    observe(machine, reading, began_at=began_at, now=now, account=account)


def _surplus_row(machine: Machine, now: datetime) -> Machine:
    """A row of its own for a second machine that bears the correlation id of one we know."""
    return Machine(instance_id=machine.instance_id, created_at=now, called_at=machine.called_at)


def _discover(reading: Reading, now: datetime) -> Machine:
    """An instance nobody made here: listed, priced and left alone."""
    instance = Instance.objects.create(
        id=uuid.uuid4(),
        name=str(reading.columns["provider_name"])[:255],
        managed=False,
        auto_stop_mode="off",
        product_name=str(reading.columns.get("product_name", "")),
        product_id=str(reading.columns.get("product_id", "")),
        gpu_num=min(int(reading.columns.get("gpu_num", 1)), 8),
        image_url=str(reading.columns.get("image_url", "")),
        phase_since=now,
        created_at=reading.created_at or now,
    )
    machine = Machine.objects.create(instance=instance, novita_id=reading.novita_id, created_at=reading.created_at or now)
    instance.machine = machine
    instance.save(update_fields=["machine"])
    if reading.observed is not Observed.ABSENT:
        record(
            "instance.discovered",
            at=now,
            actor=OUTSIDE,
            instance=instance,
            reason="it runs in the account and was not made here: it is left alone until someone adopts it",
            after={"novita_id": reading.novita_id, "name": instance.name, "status": reading.columns["status"]},
        )
    return machine
