"""Keeping an instance: until a time, and for a reason, no rule stops it. It always ends."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from instances.events import Actor, record
from instances.models import Instance
from instances.operations.refusals import TooLong
from instances.operations.wishes import managed_instance

LONGEST_KEEP = timedelta(days=30)
_COLUMNS = ("keep_until", "keep_reason", "keep_by")


def keep_until(instance_id: UUID, until: datetime, *, reason: str, actor: Actor, now: datetime) -> Instance:
    """No rule stops it before `until`, which replaces an earlier one. Raises TooLong, Unmanaged, WrongPhase."""
    if until > now + LONGEST_KEEP:
        raise TooLong("an instance is kept for at most 30 days: keep it again then, or protect it", field="until")
    with transaction.atomic():
        instance = managed_instance(instance_id)
        before = instance.keep_until
        if (before, instance.keep_reason) == (until, reason[:500]):
            return instance
        instance.keep_until, instance.keep_reason, instance.keep_by = until, reason[:500], actor.name[:255]
        instance.save(update_fields=_COLUMNS)
        record(
            "instance.kept",
            at=now,
            actor=actor,
            instance=instance,
            reason=reason,
            before={"keep_until": before.isoformat() if before else None},
            after={"keep_until": until.isoformat()},
        )
        return instance


def end_keep(instance_id: UUID, *, reason: str = "", actor: Actor, now: datetime) -> Instance:
    """Let rules act on it again."""
    with transaction.atomic():
        instance = managed_instance(instance_id)
        before = instance.keep_until
        if before is None:
            return instance
        instance.keep_until, instance.keep_reason, instance.keep_by = None, "", ""
        instance.save(update_fields=_COLUMNS)
        record(
            "instance.keep_ended",
            at=now,
            actor=actor,
            instance=instance,
            reason=reason,
            before={"keep_until": before.isoformat()},
            after={"keep_until": None},
        )
        return instance
