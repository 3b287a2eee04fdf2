"""Carrying out a plan's changes, in the transaction that holds the account's lock.

What concerns many and no wish is stored in bulk; what may move a wish or end a job is taken over one by one.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import structlog
from django.db import DataError, IntegrityError, transaction

from instances.alarms import clear_alarm, raise_alarm
from instances.attempts import note_surplus, resolve_attempt
from instances.discovery import discover
from instances.models import Alarm, Machine, ProviderAccount
from instances.observation import note_unverified, observe, observe_missing, observe_quietly
from instances.outside import SETTINGS
from sync.plan import Change

log = structlog.get_logger("sync")

_NOT_QUIET = {"status", "spot_status", "reclaim_at", "started_at", "stopped_at", "billing_mode", *SETTINGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    began_at: datetime
    now: datetime
    account: ProviderAccount | None
    refused: set[str] = field(default_factory=set)  # ids whose records could not be stored before


def is_bulk(change: Change) -> bool:
    """Whether it is stored together with others, in few statements."""
    return change.kind in ("discover", "missing", "unverified") or _is_quiet(change)


def apply(changes: Sequence[Change], *, began_at: datetime, now: datetime, account: ProviderAccount | None) -> Counter[str]:
    """How many of each kind were stored. One that cannot be stored is alarmed and never stops the rest."""
    if not changes:
        return Counter()
    refused = Alarm.objects.filter(kind="record_refused", cleared_at=None).values_list("subject", flat=True)
    scene = _Scene(began_at=began_at, now=now, account=account, refused=set(refused))
    done: Counter[str] = Counter()
    single = [change for change in changes if not is_bulk(change) or change.novita_id in scene.refused]
    together = [change for change in changes if is_bulk(change) and change.novita_id not in scene.refused]
    for group in (_discover, _observe_quietly, _miss, _note_unverified):
        kinds = [change for change in together if _GROUPS[group](change)]
        if kinds and _stored(partial(group, kinds, scene)):
            done.update(change.kind for change in kinds)
        else:
            single += kinds  # one of them is at fault: find it
    rows = Machine.objects.in_bulk([change.machine_id for change in single if change.machine_id is not None])
    for change in single:
        done[change.kind] += _one(change, rows.get(change.machine_id or 0), scene)
    return done


def _is_quiet(change: Change) -> bool:
    """Whether nothing follows for a wish, a job, the meter or the phase from what it changes."""
    return (
        change.kind == "observe" and bool(change.differing) and not change.unsettled and not _NOT_QUIET & {*change.differing}
    )


def _stored(store: Callable[[], None]) -> bool:
    try:
        with transaction.atomic():
            store()
    except (DataError, IntegrityError, ValueError):
        return False
    return True


def _discover(changes: Sequence[Change], scene: _Scene) -> None:
    discover([one.reading for one in changes if one.reading is not None], began_at=scene.began_at, now=scene.now)


def _observe_quietly(changes: Sequence[Change], scene: _Scene) -> None:
    readings = {one.machine_id: one.reading for one in changes if one.machine_id is not None and one.reading is not None}
    observe_quietly(readings, began_at=scene.began_at, account=scene.account)


def _miss(changes: Sequence[Change], scene: _Scene) -> None:
    observe_missing(_machine_ids(changes), list_began_at=scene.began_at)


def _note_unverified(changes: Sequence[Change], scene: _Scene) -> None:
    note_unverified(_machine_ids(changes), list_began_at=scene.began_at)


def _machine_ids(changes: Sequence[Change]) -> list[int]:
    return [change.machine_id for change in changes if change.machine_id is not None]


_GROUPS: dict[Callable[[Sequence[Change], _Scene], None], Callable[[Change], bool]] = {
    _discover: lambda change: change.kind == "discover",
    _observe_quietly: _is_quiet,
    _miss: lambda change: change.kind == "missing",
    _note_unverified: lambda change: change.kind == "unverified",
}


def _one(change: Change, machine: Machine | None, scene: _Scene) -> bool:
    """In a savepoint of its own; False where it cannot be stored."""
    try:
        with transaction.atomic():
            _apply(change, machine, scene)
            if change.novita_id in scene.refused:
                clear_alarm("record_refused", change.novita_id, now=scene.now)
    except (DataError, IntegrityError, ValueError) as error:
        log.exception("sync.change_refused", novita_id=change.novita_id, kind=change.kind)
        raise_alarm(
            "record_refused",
            change.novita_id,
            text=f"what Novita says of {change.novita_id} cannot be stored: {str(error)[:200]}",
            remedy="Its record stays as it was; look at it in Novita's console and report this text",
            now=scene.now,
        )
        return False
    return True


def _apply(change: Change, machine: Machine | None, scene: _Scene) -> None:
    if change.kind == "discover":
        _discover([change], scene)
    elif machine is None:
        return
    elif change.kind == "missing":
        _miss([change], scene)
    elif change.kind == "unverified":
        _note_unverified([change], scene)
    elif change.reading is not None:
        if change.kind == "surplus":
            machine = _surplus_of(machine, change.novita_id, scene.now)
        elif change.kind == "resolve":
            how = "found in Novita's list by its correlation id"
            resolve_attempt(machine, change.novita_id, now=scene.now, how=how)
        observe(machine, change.reading, began_at=scene.began_at, now=scene.now, account=scene.account, listed=True)


def _surplus_of(machine: Machine, novita_id: str, now: datetime) -> Machine:
    """A row of its own for a second machine that bears the correlation id of one we know."""
    second = Machine.objects.create(instance_id=machine.instance_id, novita_id=novita_id, created_at=now)
    note_surplus(second.instance, second, now=now, how="a second machine at Novita bears the id of one create attempt")
    return second
