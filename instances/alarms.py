"""Alarms: conditions that need a person. Opened, refreshed and cleared by the code that sees the condition."""

from datetime import datetime

from django.db import transaction

from instances.events import SYSTEM, Actor, record
from instances.models import Alarm, Instance


def raise_alarm(kind: str, subject: str, *, text: str, remedy: str, now: datetime, instance: Instance | None = None) -> None:
    """Open the alarm of this kind and subject, or note that its condition still holds."""
    with transaction.atomic():
        alarm, opened = Alarm.objects.get_or_create(
            kind=kind,
            subject=subject,
            cleared_at=None,
            defaults={
                "text": text[:1000],
                "remedy": remedy[:1000],
                "instance": instance,
                "opened_at": now,
                "last_seen_at": now,
            },
        )
        if opened:
            record(
                "alarm.opened",
                at=now,
                actor=SYSTEM,
                instance=instance,
                reason=text,
                after={"kind": kind, "subject": subject},
            )
        else:
            Alarm.objects.filter(pk=alarm.pk).update(last_seen_at=now, text=text[:1000], remedy=remedy[:1000])


def clear_alarm(kind: str, subject: str, *, now: datetime) -> bool:
    """Close the open alarm of this kind and subject; False where there is none."""
    with transaction.atomic():
        alarm = Alarm.objects.filter(kind=kind, subject=subject, cleared_at=None).first()
        if alarm is None or not Alarm.objects.filter(pk=alarm.pk, cleared_at=None).update(cleared_at=now):
            return False
        record(
            "alarm.cleared",
            at=now,
            actor=SYSTEM,
            instance=alarm.instance,
            reason=alarm.text,
            after={"kind": kind, "subject": subject},
        )
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
