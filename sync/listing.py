"""One list of Novita's, compared and taken over. Start-up, poll, watch and a person's sync are the same code."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from instances.correlation import correlation_id_in
from instances.events import SYSTEM, Actor
from instances.host_clock import is_ahead
from instances.lifecycle import Wanted
from instances.models import Machine, ProviderAccount
from instances.novita.client import Novita
from instances.novita.errors import AuthFailed, NovitaError
from instances.novita.types import InstanceList
from instances.provider_key import note_key_refused
from instances.readings import COMPARED, Reading, reading_of
from instances.vouching import calls_that_move, locked_account, vouched_at
from sync.account import first_contact, frozen_by_key, note_list, store_fingerprint, store_key_verdict, trust_of
from sync.apply import apply, is_bulk
from sync.models import SyncRun
from sync.plan import Change, Known, Plan, plan

# Changes a transaction takes at most, so that no other writer waits long: one by one, and stored in bulk.
BATCH = 200
BULK_BATCH = 2000
KEPT_CHANGES = 200
_COLUMNS = (
    "id",
    "instance_id",
    "novita_id",
    "correlation_id",
    "observed_at",
    "called_at",
    "missing_since",
    "unverified_since",
    "not_found_at",
    "absent_at",
    "unsettled",
    "ours_to_end",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`doubt` says why the list is not believed, "" where it is."""

    run: SyncRun
    listed: InstanceList
    changes: tuple[Change, ...]
    doubt: str = ""


def run_list(
    client: Novita,
    *,
    trigger: str,
    actor: Actor = SYSTEM,
    dry_run: bool = False,
    on_page: Callable[[int], None] | None = None,
) -> Result:
    """List, plan, and unless `dry_run` apply. Raises NovitaError where nothing could be listed.

    `on_page` hears of each page and of each batch stored: whoever holds a lease renews it there.
    """
    began_at = timezone.now()
    run = SyncRun(trigger=trigger, actor_kind=actor.kind, actor_name=actor.name[:255], dry_run=dry_run, started_at=began_at)
    try:
        listed = client.list_instances(on_page=on_page)
    except NovitaError as error:
        if not dry_run:
            _note_failure(run, error)
        raise
    readings = tuple(reading_of(remote) for remote in listed.instances)
    if dry_run:
        found = _plan(listed, readings, ProviderAccount.objects.filter(pk=1).first())
        done = _Done(changes=list(found.changes), doubt=found.doubt)
    else:
        first_contact(listed.began_at)
        done = _take_over(listed, readings, on_page)
    _describe(run, listed, done)
    if not dry_run:
        run.save()
    return Result(run=run, listed=listed, changes=tuple(done.changes), doubt=done.doubt)


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
    ours = Q(instance__wanted=Wanted.DELETED) | Q(let_go_at__isnull=False)
    machines = Machine.objects.filter(condition).annotate(
        unsettled=Case(When(unsettled, then=Value(True)), default=Value(False)),
        ours_to_end=Case(When(ours, then=Value(True)), default=Value(False)),
    )
    rows: Iterable[dict[str, Any]] = machines.values(*_COLUMNS, *COMPARED).iterator(chunk_size=2000)
    return rows


def _known(row: dict[str, Any], account: ProviderAccount | None) -> Known:
    return Known(
        machine_id=row["id"],
        instance_id=str(row["instance_id"]),
        novita_id=row["novita_id"],
        correlation_id=row["correlation_id"],
        values={name: row[name] for name in COMPARED},
        observed_at=vouched_at(row["observed_at"], row["missing_since"], account),
        called_at=row["called_at"],
        missing=row["missing_since"] is not None,
        unverified=row["unverified_since"] is not None,
        not_found=_is_not_found(row),
        absent=row["absent_at"] is not None,
        unsettled=row["unsettled"] and row["absent_at"] is None,
        ours_to_end=row["ours_to_end"],
    )


def _plan(listed: InstanceList, readings: tuple[Reading, ...], account: ProviderAccount | None) -> Plan:
    """What the list means, under a frozen account where its key makes it one: the same for a rehearsal and in earnest."""
    rows = _with_calls(known_machines(account, readings), readings)
    seen_ids = {reading.novita_id for reading in readings}
    known_seen = sum(1 for row in rows if row.novita_id in seen_ids and not row.absent)
    return plan(
        rows,
        readings,
        complete=listed.complete,
        disagrees=listed.disagrees,
        began_at=listed.began_at,
        settle=settings.SETTLE_PERIOD,
        trust=trust_of(account),
        frozen=frozen_by_key(account, known_seen, complete=listed.complete),
    )


def _with_calls(rows: list[Known], readings: tuple[Reading, ...]) -> list[Known]:
    """The rows, and of those the list lacks, when a call of ours ended that may explain it."""
    seen = {reading.novita_id for reading in readings}
    lacking = {uuid.UUID(row.instance_id) for row in rows if row.novita_id not in seen and not row.absent}
    calls = calls_that_move(lacking) if lacking else {}
    return [replace(row, moved_at=calls.get(uuid.UUID(row.instance_id))) for row in rows] if calls else rows


def _is_not_found(row: dict[str, Any]) -> bool:
    """Whether a read by id, begun after the list that lacks it, did not find it."""
    read_at, since = row["not_found_at"], row["unverified_since"]
    return read_at is not None and since is not None and read_at > since


@dataclass(slots=True, kw_only=True)
class _Done:
    """`changes` were found, `applied` counts those that were stored."""

    changes: list[Change] = field(default_factory=list)
    applied: Counter[str] = field(default_factory=Counter)
    doubt: str = ""


def _take_over(listed: InstanceList, readings: tuple[Reading, ...], on_batch: Callable[[int], None] | None) -> _Done:
    """Apply the plan, in batches while it is long. The list vouches for the rest only with its last batch."""
    done, taken = _Done(), set[str]()
    while True:
        now = timezone.now()
        with transaction.atomic():
            account = locked_account()
            if account is None or is_ahead(listed.began_at, now):
                return done  # the clock was set back meanwhile: against later reads and calls its start says nothing
            if account.complete_list_at and account.complete_list_at > listed.began_at:
                return done  # a newer list was taken over meanwhile
            found = _plan(listed, readings, account)
            frozen = frozen_by_key(account, found.known_seen, complete=listed.complete)
            store_key_verdict(account, frozen=frozen, now=now)
            left = [change for change in found.changes if change.novita_id not in taken]
            batch = _batch(left)
            done.applied += apply(batch, began_at=listed.began_at, now=now, account=account)
            taken |= {change.novita_id for change in batch}
            done.changes += batch
            done.doubt = found.doubt
            if len(left) == len(batch):
                store_fingerprint(account, found, frozen=frozen)
                note_list(account, found, listed, now=now)
                return done
        if on_batch is not None:
            on_batch(listed.pages)


def _batch(left: Sequence[Change]) -> list[Change]:
    """The first of them: as many as one transaction takes."""
    batch: list[Change] = []
    weight = 0.0
    for change in left:
        weight += 1 / BULK_BATCH if is_bulk(change) else 1 / BATCH
        if batch and weight > 1:
            break
        batch.append(change)
    return batch


def _describe(run: SyncRun, listed: InstanceList, done: _Done) -> None:
    run.finished_at = timezone.now()
    run.complete, run.problem = listed.complete, (done.doubt or listed.problem)[:500]
    run.pages, run.seen = listed.pages, len(listed.instances)
    found = news(done.changes)
    run.counts = dict(Counter(one.kind for one in found))
    run.applied = {kind: count for kind, count in done.applied.items() if kind in run.counts}
    run.changes = [change_json(one) for one in found[:KEPT_CHANGES]]


def news(changes: Sequence[Change]) -> list[Change]:
    """Without what only lets an open wish be judged again by a newer read."""
    return [change for change in changes if change.kind != "recheck"]


def change_json(change: Change) -> dict[str, str]:
    return {
        "kind": change.kind,
        "novita_id": change.novita_id,
        "instance_id": change.instance_id,
        "reason": change.reason,
    }


def _note_failure(run: SyncRun, error: NovitaError) -> None:
    now = timezone.now()
    run.finished_at, run.problem = now, f"{error.code}: {error.message}"[:500]
    run.save()
    if isinstance(error, AuthFailed):
        note_key_refused(error.message, now=now)
