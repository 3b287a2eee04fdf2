"""What people change without a provider call."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import IntegrityError, transaction

from instances import health_checks
from instances.events import Actor, record
from instances.lifecycle import Observed
from instances.models import Instance
from instances.operations.allowance import Allowance, admit_cap
from instances.operations.refusals import NameTaken
from instances.operations.wishes import managed_instance
from instances.phases import refresh_phase

SETTINGS = (
    "name",
    "auto_stop_mode",
    "auto_stop_threshold",
    "stop_at",
    "auto_stop_policy",
    "health_check",
    "webhook_url",
    "labels",
    "owner",
    "protected",
    "local_data",
    "on_startup_timeout",
    "on_reclaim",
    "fallback_to_on_demand",
    "max_price_usd_per_hour",
)


def change_settings(
    instance_id: UUID,
    changes: dict[str, Any],
    *,
    actor: Actor,
    reason: str,
    now: datetime,
    allowance: Allowance | None = None,
) -> Instance:
    """Set columns named in SETTINGS; one event tells those that differ. Raises NameTaken, and KeyLimit for a price cap."""
    with transaction.atomic():
        instance = managed_instance(instance_id)
        if "on_reclaim" in changes:  # what is left out stays as it was
            changes = {**changes, "on_reclaim": {**instance.on_reclaim, **changes["on_reclaim"]}}
        differing = {name: value for name, value in changes.items() if getattr(instance, name) != value}
        if not differing:
            return instance
        if "max_price_usd_per_hour" in differing:
            admit_cap(allowance, instance, differing["max_price_usd_per_hour"])
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
            before={name: _told(name, value) for name, value in before.items()},
            after={name: _told(name, differing[name]) for name in before},
        )
        return instance


def _told(name: str, value: Any) -> Any:
    """As an event may tell it: of an address that holds a token, as those of chats do, its host alone."""
    if name == "webhook_url" and value:
        return f"{urlsplit(value).scheme}://{urlsplit(value).hostname}/…"
    return _plain(value)


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    return value if isinstance(value, str | int | bool | list | dict | None) else str(value)
