"""The life of an API key: issued, replaced by another with an overlap, revoked. Each leaves an event, never the key."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from instances.events import Actor, record
from novita_manager.models import ApiKey


def issue_key(*, actor: Actor, now: datetime, reason: str = "", **columns: Any) -> tuple[ApiKey, str]:
    """As `ApiKey.objects.issue`. Raises ValueError."""
    with transaction.atomic():
        row, plain = ApiKey.objects.issue(**columns)
        _tell("api_key.created", row, actor=actor, now=now, reason=reason)
    return row, plain


def rotate_key(key: ApiKey, *, overlap: timedelta, actor: Actor, now: datetime) -> tuple[ApiKey, str]:
    """A successor that may do the same; the old key works on for `overlap`, no longer than it would have.

    Raises ValueError for a key that lets nobody in or has a successor already.
    """
    with transaction.atomic():
        old = ApiKey.objects.select_for_update().get(pk=key.pk)
        why = old.why_invalid(now) or ("it has a successor already" if old.replaced_by_id else "")
        if why:
            raise ValueError(why)
        fresh, plain = ApiKey.objects.issue(
            name=old.name,
            scopes=old.scopes,
            owner=old.owner,
            expires_at=old.expires_at,
            allowed_networks=old.allowed_networks,
            max_instances=old.max_instances,
            max_usd_per_hour=old.max_usd_per_hour,
        )
        ends_at = now + overlap
        old.expires_at = min(old.expires_at, ends_at) if old.expires_at else ends_at
        old.replaced_by = fresh
        old.save(update_fields=["expires_at", "replaced_by"])
        reason = f"it replaces {old.prefix}, which works until {old.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        _tell("api_key.rotated", fresh, actor=actor, now=now, reason=reason)
    return fresh, plain


def revoke_key(key: ApiKey, *, actor: Actor, now: datetime, reason: str = "") -> bool:
    """From now on it lets nobody in; False where it was revoked before."""
    with transaction.atomic():
        if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now):
            return False
        _tell("api_key.revoked", key, actor=actor, now=now, reason=reason)
    return True


def _tell(type_: str, key: ApiKey, *, actor: Actor, now: datetime, reason: str) -> None:
    after = {
        "name": key.name,
        "prefix": key.prefix,
        "scopes": key.scopes,
        "owner": key.owner,
        "allowed_networks": key.allowed_networks,
        "max_instances": key.max_instances,
        "max_usd_per_hour": None if key.max_usd_per_hour is None else f"{key.max_usd_per_hour:f}",
    }
    record(type_, at=now, actor=actor, reason=reason, after=after)
