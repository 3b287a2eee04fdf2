"""The uses that clients report, many of them in one transaction.

Whoever comes while one is being stored waits and is stored with all others who wait, by one of them; and where several came
together of late, as many are waited for, for a moment. Each is told once the commit that holds its use is done; so a busy
moment costs few commits, and no use that was confirmed is ever lost.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from instances.events import Actor, record
from instances.lifecycle import ENDED_PHASES
from instances.models import Event, Instance
from instances.operations.refusals import OperationRefused, Unmanaged, WrongPhase


@dataclass(frozen=True, slots=True)
class Used:
    """What is stored after a use: `last_used_at` may be a later one than was told."""

    name: str
    last_used_at: datetime


@dataclass(slots=True, kw_only=True)
class _Report:
    instance_id: UUID
    at: datetime
    actor: Actor
    now: datetime
    done: bool = False
    outcome: Used | OperationRefused | None = None  # None: there is no such instance
    failed: BaseException | None = None


_FIRST = "instance.first_used"
_COLUMN, _KEY = Instance._meta.get_field("last_used_at"), Instance._meta.get_field("id")
_MOVED = (
    f"UPDATE {Instance._meta.db_table} SET last_used_at = %s WHERE id = %s AND managed = %s "  # noqa: S608 - our own names
    f"AND phase NOT IN ({', '.join(['%s'] * len(ENDED_PHASES))}) AND (last_used_at IS NULL OR last_used_at < %s)"
)
_MOVE = f"{_MOVED} RETURNING name, ready_at"
_MOVE_IF_TOLD = f"{_MOVED} AND (ready_at IS NULL OR ready_at = %s) RETURNING name, ready_at"
# Instances whose first use was told, and since which time of becoming ready: asked of the database once.
_told_since: dict[UUID, Any] = {}
_MOST_TOLD = 10_000
_waiting: list[_Report] = []
_arrived = threading.Condition()
_storing = threading.Lock()
_MOMENT_SECONDS = 0.001


@dataclass(slots=True)
class _Company:
    """How many were stored together the last time."""

    size: int = 1


_company = _Company()


def record_use(instance_id: UUID, *, at: datetime, actor: Actor, now: datetime) -> Used:
    """Move the last use forward; an older one changes nothing. `at` must not lie in the future.

    A use is no event, but the first after ready is. Raises Instance.DoesNotExist, Unmanaged and WrongPhase.
    """
    report = _Report(instance_id=instance_id, at=at, actor=actor, now=now)
    if connection.in_atomic_block:  # the caller's transaction decides whether it counts
        _store([report])
        return _told(report)
    with _arrived:
        _waiting.append(report)
        _arrived.notify()
    with _storing:
        if not report.done:
            _store_all(_gathered())
    return _told(report)


def _gathered() -> list[_Report]:
    with _arrived:
        _arrived.wait_for(lambda: len(_waiting) >= _company.size, timeout=_MOMENT_SECONDS)
        batch = _waiting.copy()
        _waiting.clear()
    _company.size = len(batch)
    return batch


def _told(report: _Report) -> Used:
    if report.failed is not None:
        raise report.failed
    if isinstance(report.outcome, Used):
        return report.outcome
    raise report.outcome or Instance.DoesNotExist()


def _store_all(batch: Sequence[_Report]) -> None:
    """All in one transaction; when it fails, whoever waits is told so."""
    try:
        if not _store_one_instance(batch):
            with transaction.atomic():
                _store(batch)
    except BaseException as error:
        for report in batch:
            report.failed = error
        raise
    finally:
        for report in batch:
            report.done = True


def _store_one_instance(batch: Sequence[_Report]) -> bool:
    """By one statement that commits itself, which is cheaper; False where there are several, or a first use may be told."""
    if len({report.instance_id for report in batch}) > 1:
        return False
    newest = max(batch, key=lambda report: report.at)
    moved = _forward(newest, _MOVE_IF_TOLD, _told_since.get(newest.instance_id))
    if moved is None:
        return False
    for report in batch:
        report.outcome = Used(moved[0], newest.at)
    return True


def _store(batch: Sequence[_Report]) -> None:
    by_instance: dict[UUID, list[_Report]] = {}
    for report in batch:
        by_instance.setdefault(report.instance_id, []).append(report)
    for _, reports in sorted(by_instance.items()):  # in one order, so that two processes never wait for each other
        newest = max(reports, key=lambda report: report.at)
        moved = _forward(newest, _MOVE)
        outcome = Used(moved[0], newest.at) if moved else _as_stored(newest.instance_id)
        for report in reports:
            report.outcome = outcome
        if moved:
            _tell_the_first(newest, ready_at=moved[1])


def _forward(report: _Report, statement: str, *more: Any) -> tuple[str, Any] | None:
    """Name and raw `ready_at` of the row that was moved; None where none was. Plain SQL: nothing is asked more often."""
    moment = _COLUMN.get_db_prep_value(report.at, connection)
    key = _KEY.get_db_prep_value(report.instance_id, connection)
    with connection.cursor() as cursor:
        cursor.execute(statement, [moment, key, True, *ENDED_PHASES, moment, *more])
        moved: tuple[str, Any] | None = cursor.fetchone()
    return moved


def _as_stored(instance_id: UUID) -> Used | OperationRefused | None:
    row = Instance.objects.only("name", "managed", "phase", "last_used_at").filter(pk=instance_id).first()
    if row is None:
        return None
    if not row.managed:
        return Unmanaged("it was not made here and is left alone: adopt it first")
    if row.phase in ENDED_PHASES or row.last_used_at is None:
        return WrongPhase(f"it is {row.phase}: nothing uses it")
    return Used(row.name, row.last_used_at)


def _tell_the_first(report: _Report, *, ready_at: Any) -> None:
    """Asked once the row is ours: another process may be telling it. `ready_at` is as the database gave it."""
    if ready_at is None or _told_since.get(report.instance_id) == ready_at:
        return
    told = Exists(Event.objects.filter(instance=OuterRef("pk"), type=_FIRST, at__gte=OuterRef("ready_at")))
    rows = Instance.objects.filter(pk=report.instance_id, ready_at__lte=report.at).annotate(told=told)
    row: Any = rows.only("id").first()
    if row is None:
        return
    if not row.told:
        reason = "first use since it became ready"
        record(_FIRST, at=report.now, actor=report.actor, instance=row, reason=reason)
        return
    if len(_told_since) >= _MOST_TOLD:
        _told_since.clear()
    _told_since[row.pk] = ready_at
