"""Carrying out a plan's changes, in the transaction that holds the account's lock."""

import uuid
from collections.abc import Sequence
from datetime import datetime

import structlog
from django.db import DataError, IntegrityError, transaction

from instances.alarms import clear_alarm, raise_alarm
from instances.events import OUTSIDE, record
from instances.lifecycle import Observed
from instances.models import Alarm, Instance, Machine, ProviderAccount
from instances.observation import note_surplus, observe, observe_missing, resolve_attempt
from instances.readings import Reading
from sync.plan import Change

log = structlog.get_logger("sync")


def apply(changes: Sequence[Change], *, began_at: datetime, now: datetime, account: ProviderAccount | None) -> None:
    """Each change in a savepoint of its own: one that cannot be stored is alarmed and never stops the rest."""
    rows = Machine.objects.in_bulk([change.machine_id for change in changes if change.machine_id is not None])
    refused = set(Alarm.objects.filter(kind="record_refused", cleared_at=None).values_list("subject", flat=True))
    for change in changes:
        try:
            with transaction.atomic():
                _apply(change, rows.get(change.machine_id or 0), began_at, now, account)
                if change.novita_id in refused:
                    clear_alarm("record_refused", change.novita_id, now=now)
        except (DataError, IntegrityError, ValueError) as error:
            log.exception("sync.change_refused", novita_id=change.novita_id, kind=change.kind)
            raise_alarm(
                "record_refused",
                change.novita_id,
                text=f"what Novita says of {change.novita_id} cannot be stored: {str(error)[:200]}",
                remedy="Its record stays as it was; look at it in Novita's console and report this text",
                now=now,
            )


def _apply(
    change: Change, machine: Machine | None, began_at: datetime, now: datetime, account: ProviderAccount | None
) -> None:
    if change.kind == "discover" and change.reading is not None:
        _observe(_discover(change.reading, now), change.reading, began_at, now, account)
    elif machine is None:
        return
    elif change.kind == "missing":
        observe_missing(machine, list_began_at=began_at)
    elif change.reading is not None:
        if change.kind == "surplus":
            machine = _surplus_of(machine, change.novita_id, now)
        elif change.kind == "resolve":
            resolve_attempt(machine, change.novita_id, now=now, how="found in Novita's list by its correlation id")
        _observe(machine, change.reading, began_at, now, account)


def _observe(machine: Machine, reading: Reading, began_at: datetime, now: datetime, account: ProviderAccount | None) -> None:
    observe(machine, reading, began_at=began_at, now=now, account=account)


def _surplus_of(machine: Machine, novita_id: str, now: datetime) -> Machine:
    """A row of its own for a second machine that bears the correlation id of one we know."""
    second = Machine.objects.create(instance_id=machine.instance_id, novita_id=novita_id, created_at=now, surplus_since=now)
    note_surplus(second.instance, second, now=now, how="a second machine at Novita bears the id of one create attempt")
    return second


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
