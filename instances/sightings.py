"""A read taken over in memory: what it says of a machine, its presence, its move. `observation` and `discovery` store it."""

from datetime import datetime
from typing import Any

from instances import meter
from instances.lifecycle import MOVING, Observed, observed_of
from instances.models import Machine
from instances.novita.types import InstanceDetail
from instances.readings import COMPARED

# What an observation writes; the columns of the create attempt are the executor's and are never touched by it.
OBSERVED_COLUMNS = (
    *COMPARED,
    *meter.METER_COLUMNS,
    "status_since",
    "running_since",
    "observed_at",
    "missing_since",
    "unverified_since",
    "not_found_at",
    "absent_at",
    "details_due",
    "endpoints",
    "connection",
)


def take_columns(machine: Machine, differing: dict[str, Any], before: Observed, *, began_at: datetime, listed: bool) -> None:
    """What a read says of a machine, in memory: its columns, its presence, its move."""
    for name, value in differing.items():
        setattr(machine, name, value)
    seen = observed_of(machine.status)
    machine.observed_at = began_at
    machine.missing_since = machine.not_found_at = None
    if listed:
        machine.unverified_since = None
    machine.absent_at = (machine.absent_at or began_at) if seen is Observed.ABSENT else None
    if seen is not before or machine.status_since is None:
        note_move(machine, seen, before, began_at=began_at)


def take_disk_prices(machine: Machine, detail: InstanceDetail) -> None:
    """Prices that Novita leaves out keep what is known."""
    machine.disk_usd_per_gb_day = detail.disk_price_usd_per_gb_day or machine.disk_usd_per_gb_day
    machine.stopped_disk_usd_per_gb_day = detail.stopped_disk_price_usd_per_gb_day or machine.stopped_disk_usd_per_gb_day
    machine.free_disk_gb = detail.free_storage_gb or machine.free_disk_gb


def note_move(machine: Machine, seen: Observed, before: Observed, *, began_at: datetime) -> None:
    machine.status_since = began_at
    if seen is Observed.UNKNOWN:
        return  # an unfamiliar word ends nothing
    if seen is Observed.RUNNING:
        machine.details_due = True
        if not _same_run(machine, before):
            machine.running_since = began_at
    elif seen is Observed.EXITED:
        machine.details_due = True
    elif seen not in MOVING:
        machine.details_due = False
    if seen is not Observed.RUNNING:
        machine.endpoints, machine.connection = [], None


def _same_run(machine: Machine, before: Observed) -> bool:
    """Whether it runs on after words nobody knew: neither its stop nor another start was told in between."""
    since = machine.running_since
    if before is not Observed.UNKNOWN or since is None:
        return False
    if machine.billed_since is None or machine.billed_since > since:
        return False
    return not any(told is not None and told > since for told in (machine.started_at, machine.stopped_at))
