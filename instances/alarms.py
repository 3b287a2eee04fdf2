"""Alarms: conditions that need a person. Opened, refreshed and cleared by the code that sees the condition."""

from datetime import datetime, timedelta

from django.db import transaction

from instances.events import SYSTEM, Actor, record
from instances.models import Alarm, Instance

_UNACKNOWLEDGED = {"acknowledged_by": "", "acknowledged_reason": "", "acknowledged_until": None}


def raise_alarm(
    kind: str,
    subject: str,
    *,
    text: str,
    remedy: str,
    now: datetime,
    instance: Instance | None = None,
    level: int = 0,
    repeat: timedelta | None = None,
) -> None:
    """Open the alarm of this kind and subject, or note that its condition still holds.

    It is told anew, by one event, when its level rises, when an acknowledgement runs out, and every `repeat` while nobody
    has acknowledged it.
    """
    text, remedy = text[:1000], remedy[:1000]
    with transaction.atomic():
        alarm, opened = Alarm.objects.get_or_create(
            kind=kind,
            subject=subject,
            cleared_at=None,
            defaults={
                "text": text,
                "remedy": remedy,
                "instance": instance,
                "level": level,
                "opened_at": now,
                "told_at": now,
                "last_seen_at": now,
            },
        )
        if opened:
            _tell(alarm, "alarm.opened", now=now)
            return
        again = "alarm.escalated" if level > alarm.level else due_again(alarm, repeat, now)
        changes: dict[str, object] = {"last_seen_at": now, "text": text, "remedy": remedy, "level": level}
        if again:
            changes |= {"told_at": now, **_UNACKNOWLEDGED}
        # Of two processes that see the same, one tells it.
        won = Alarm.objects.filter(pk=alarm.pk, told_at=alarm.told_at, level=alarm.level).update(**changes)
        if again and won:
            alarm.text = text
            _tell(alarm, again, now=now)


def clear_alarm(kind: str, subject: str, *, now: datetime) -> bool:
    """Close the open alarm of this kind and subject; False where there is none."""
    alarm = Alarm.objects.filter(kind=kind, subject=subject, cleared_at=None).first()
    if alarm is None:
        return False
    with transaction.atomic():
        if not Alarm.objects.filter(pk=alarm.pk, cleared_at=None).update(cleared_at=now):
            return False
        _tell(alarm, "alarm.cleared", now=now)
        return True


def acknowledge(alarm_id: int, *, actor: Actor, reason: str, until: datetime | None, now: datetime) -> Alarm:
    """Note that a person knows, with a reason. Raises Alarm.DoesNotExist where it is not open."""
    with transaction.atomic():
        alarm = Alarm.objects.get(pk=alarm_id, cleared_at=None)
        alarm.acknowledged_by = actor.name
        alarm.acknowledged_reason = reason
        alarm.acknowledged_until = until
        alarm.save(update_fields=["acknowledged_by", "acknowledged_reason", "acknowledged_until"])
        record(
            "alarm.acknowledged",
            at=now,
            actor=actor,
            instance=alarm.instance,
            reason=reason,
            after={
                "kind": alarm.kind,
                "subject": alarm.subject,
                "until": until.isoformat() if until else None,
            },
        )
        return alarm


def due_again(alarm: Alarm, repeat: timedelta | None, now: datetime) -> str:
    """The type of the event by which an open alarm is told anew at the same level; "" where it is not."""
    if alarm.is_acknowledged(now):
        return ""
    ran_out = bool(alarm.acknowledged_by)
    silent = now - (alarm.told_at or alarm.opened_at)
    return "alarm.repeated" if ran_out or (repeat is not None and silent >= repeat) else ""


def _tell(alarm: Alarm, type_: str, *, now: datetime) -> None:
    after = {"kind": alarm.kind, "subject": alarm.subject}
    record(type_, at=now, actor=SYSTEM, instance=alarm.instance, reason=alarm.text, after=after)
