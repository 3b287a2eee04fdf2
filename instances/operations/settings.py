"""What people change without a provider call, and the use that clients report."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q

from instances import health_checks
from instances.events import Actor, record
from instances.lifecycle import Observed
from instances.models import Event, Instance
from instances.operations.refusals import NameTaken
from instances.operations.wishes import managed_instance
from instances.phases import refresh_phase
from instances.webhooks.addresses import origin

SETTINGS = (
    "name",
    "auto_stop_mode",
    "auto_stop_threshold",
    "stop_at",
    "health_check",
    "webhook_url",
    "labels",
    "owner",
    "protected",
    "local_data",
    "on_startup_timeout",
    "fallback_to_on_demand",
    "max_price_usd_per_hour",
)


def change_settings(instance_id: UUID, changes: dict[str, Any], *, actor: Actor, reason: str, now: datetime) -> Instance:
    """Set columns named in SETTINGS; one event tells those that differ. Raises NameTaken."""
    with transaction.atomic():
        instance = managed_instance(instance_id)
        differing = {name: value for name, value in changes.items() if getattr(instance, name) != value}
        if not differing:
            return instance
        before = {name: getattr(instance, name) for name in differing}
        for name, value in differing.items():
            setattr(instance, name, value)
        try:
            with transaction.atomic():
                instance.save(update_fields=list(differing))
        except IntegrityError as error:
            raise NameTaken("a managed instance has this name: choose another", field="name") from error
        if "health_check" in differing and instance.machine and instance.observed is Observed.RUNNING:
            health_checks.begin_checks(instance, instance.machine, now=now)
            refresh_phase(instance, now=now, actor=actor)
        record(
            "instance.settings_changed",
            at=now,
            actor=actor,
            instance=instance,
            reason=reason,
            before={name: _plain(name, value) for name, value in before.items()},
            after={name: _plain(name, differing[name]) for name in before},
        )
        return instance


def record_use(instance_id: UUID, *, at: datetime, actor: Actor, now: datetime) -> bool:
    """Move the last use forward, in one atomic update that no other write can undo; False where it is older than stored.

    A use is no event, but the first after ready is. `at` must not lie in the future.
    """
    moved = Instance.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=at), pk=instance_id).update(last_used_at=at)
    if not moved:
        return False
    first_uses = Event.objects.filter(instance=OuterRef("pk"), type="instance.first_used", at__gte=OuterRef("ready_at"))
    instance: Any = Instance.objects.only("id", "ready_at").annotate(told=Exists(first_uses)).get(pk=instance_id)
    if instance.ready_at is not None and instance.ready_at <= at and not instance.told:
        record(
            "instance.first_used",
            at=now,
            actor=actor,
            instance=instance,
            reason="first use since it became ready",
        )
    return True


def _plain(name: str, value: Any) -> Any:
    """A value as JSON can hold it; of a receiver's address, which may hold a token, only where it is."""
    if name == "webhook_url":
        return origin(str(value))
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    return value if isinstance(value, str | int | bool | list | dict | None) else str(value)
