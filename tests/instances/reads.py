"""Reads of an instance's machine as tests tell them."""

from datetime import datetime, timedelta
from typing import Any

from instances.models import Instance, Machine
from instances.novita.types import RemoteInstance
from instances.observation import observe, observe_missing, observe_not_found
from instances.readings import reading_of
from instances.vouching import locked_account

SECOND = timedelta(seconds=1)


def machine_of(instance: Instance) -> Machine:
    instance.refresh_from_db()
    assert instance.machine is not None
    return instance.machine


def show(instance: Instance, status: str, at: datetime, **fields: Any) -> bool:
    """One read, begun at `at`, that shows its machine so."""
    machine = machine_of(instance)
    remote = RemoteInstance(id=machine.novita_id or "", status=status, billing_mode=machine.billing_mode, **fields)
    taken = observe(machine, reading_of(remote), began_at=at, now=at, account=locked_account())
    instance.refresh_from_db()
    return taken


def lose(instance: Instance, at: datetime) -> bool:
    """A complete list without it, then a read by id that does not find it."""
    observe_missing([machine_of(instance).pk], list_began_at=at)
    gone = observe_not_found(machine_of(instance), began_at=at + SECOND, now=at + SECOND, account=locked_account())
    instance.refresh_from_db()
    return gone
