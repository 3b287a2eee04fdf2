"""One list of Novita's, compared and taken over. Poll, watch, start-up and a person's sync are the same code."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from instances.alarms import clear_alarm
from instances.correlation import correlation_id_in
from instances.events import SYSTEM, Actor
from instances.lifecycle import Wanted
from instances.models import Machine, ProviderAccount
from instances.novita.client import Novita
from instances.novita.types import InstanceList
from instances.observation import calls_that_move, effective_observed_at, locked_account
from instances.readings import COMPARED, Reading, reading_of
from sync.account import first_contact, judge_key, note_list
from sync.apply import apply
from sync.models import SyncRun
from sync.plan import Change, Known, Plan, plan

BATCH = 200  # changes a transaction takes at most, so that no other writer waits long
_KEPT_CHANGES = 200
_COLUMNS = (
    "id",
    "instance_id",
    "novita_id",
    "correlation_id",
    "observed_at",
    "called_at",
    "missing_since",
    "absent_at",
    "unsettled",
    "ours_to_end",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    run: SyncRun
    listed: InstanceList
    changes: tuple[Change, ...]


def run_list(
    client: Novita,
    *,
    trigger: str,
    actor: Actor = SYSTEM,
    dry_run: bool = False,
    now: datetime | None = None,
    on_page: Callable[[int], None] | None = None,
) -> Result:
    """List, plan, and unless `dry_run` apply. Raises NovitaError where nothing could be listed.

    `on_page` hears of each page: whoever holds a lease renews it there.
    """
    listed = client.list_instances(on_page=on_page)
    started_at = now or listed.began_at
    readings = tuple(reading_of(remote) for remote in listed.instances)
    if dry_run:
        changes = _dry_plan(listed, readings).changes
    else:
        first_contact(listed.began_at)
        changes = _take_over(listed, readings)
        clear_alarm("provider_key_refused", "", now=listed.began_at)
    run = SyncRun(
        trigger=trigger,
        actor_kind=actor.kind,
        actor_name=actor.name,
        dry_run=dry_run,
        started_at=started_at,
        finished_at=timezone.now(),
        complete=listed.complete,
        problem=listed.problem[:500],
        pages=listed.pages,
        seen=len(listed.instances),
        counts=dict(Counter(one.kind for one in changes)),
        changes=[
            {"kind": one.kind, "novita_id": one.novita_id, "instance_id": one.instance_id, "reason": one.reason}
            for one in changes[:_KEPT_CHANGES]
        ],
    )
    found = [one for one in changes if one.kind != "recheck"]
    if not dry_run and (found or trigger == "person" or not listed.complete):
        run.save()  # a poll that found nothing new leaves no row
    return Result(run=run, listed=listed, changes=changes)


def known_machines(account: ProviderAccount | None, seen: Sequence[Reading]) -> list[Known]:
    """The live machines, and whatever else on record the list speaks of: absent ones come back, attempts made something."""
    live = [_known(row, account) for row in _rows(Q(novita_id__isnull=False, absent_at=None))]
    ids = {known.novita_id for known in live}
    strange = [reading for reading in seen if reading.novita_id not in ids]
    correlations = {correlation_id_in(str(reading.columns["provider_name"])) for reading in strange} - {""}
    others = Q(novita_id__in=[reading.novita_id for reading in strange]) | Q(correlation_id__in=correlations)
    known = {one.machine_id for one in live}
    return live + [_known(row, account) for row in _rows(others) if row["id"] not in known] if strange else live


def _rows(condition: Q) -> Iterable[dict[str, Any]]:
    unsettled = Q(instance__managed=True, instance__met_at=None) & ~Q(instance__wanted="")
    differs = Q(instance__wanted=Wanted.RUNNING) & ~Q(status__iexact="running")
    differs |= Q(instance__wanted=Wanted.STOPPED) & ~Q(status__iexact="exited")
    unsettled |= Q(instance__machine_id=F("id")) & differs
    machines = Machine.objects.filter(condition).annotate(
        unsettled=Case(When(unsettled, then=Value(True)), default=Value(False)),
        ours_to_end=Case(When(instance__wanted=Wanted.DELETED, then=Value(True)), default=Value(False)),
    )
    rows: Iterable[dict[str, Any]] = machines.values(*_COLUMNS, *COMPARED).iterator(chunk_size=2000)
    return rows


def _known(row: dict[str, Any], account: ProviderAccount | None) -> Known:
    vouched = Machine(observed_at=row["observed_at"], missing_since=row["missing_since"])
    return Known(
        machine_id=row["id"],
        instance_id=str(row["instance_id"]),
        novita_id=row["novita_id"],
        correlation_id=row["correlation_id"],
        values={name: row[name] for name in COMPARED},
        observed_at=effective_observed_at(vouched, account),
        called_at=row["called_at"],
        missing=row["missing_since"] is not None,
        absent=row["absent_at"] is not None,
        unsettled=row["unsettled"] and row["absent_at"] is None,
        ours_to_end=row["ours_to_end"],
    )


def _dry_plan(listed: InstanceList, readings: tuple[Reading, ...]) -> Plan:
    account = ProviderAccount.objects.filter(pk=1).first()
    return _plan(listed, readings, account)


def _plan(listed: InstanceList, readings: tuple[Reading, ...], account: ProviderAccount | None) -> Plan:
    return plan(
        _with_calls(known_machines(account, readings), readings),
        readings,
        complete=listed.complete,
        began_at=listed.began_at,
        settle=settings.SETTLE_PERIOD,
        believed_suspicion=account.suspicion if account else "",
        frozen=bool(account and account.frozen_since),
    )


def _with_calls(rows: list[Known], readings: tuple[Reading, ...]) -> list[Known]:
    """The rows, and of those the list lacks, when a call of ours ended that may explain it."""
    seen = {reading.novita_id for reading in readings}
    lacking = {uuid.UUID(row.instance_id) for row in rows if row.novita_id not in seen and not row.absent}
    calls = calls_that_move(lacking) if lacking else {}
    return [replace(row, moved_at=calls.get(uuid.UUID(row.instance_id))) for row in rows] if calls else rows


def _take_over(listed: InstanceList, readings: tuple[Reading, ...]) -> tuple[Change, ...]:
    """Apply the plan, in batches while it is long. The list vouches for the rest only with its last batch."""
    done: list[Change] = []
    applied: set[str] = set()
    while True:
        now = timezone.now()
        with transaction.atomic():
            account = locked_account()
            if account is not None and account.complete_list_at and account.complete_list_at > listed.began_at:
                return tuple(done)  # a newer list was taken over meanwhile
            found = _plan(listed, readings, account)
            if account is not None and judge_key(account, found, listed, now=now):
                found = _plan(listed, readings, account)  # under a frozen account nothing is missing
            left = [change for change in found.changes if change.novita_id not in applied]
            batch = left[:BATCH]
            apply(batch, began_at=listed.began_at, now=now, account=account)
            applied |= {change.novita_id for change in batch}
            done += batch
            if len(left) <= BATCH:
                note_list(found, listed, now=now)
                return tuple(done)
