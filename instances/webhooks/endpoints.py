"""Who is told: endpoints people make, the one of the settings, and the one of each instance with a `webhook_url`.

The one writer of `WebhookEndpoint`. Functions that people reach leave an event; none of them shows a secret or a path.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction

from instances.alarms import clear_alarm, raise_alarm
from instances.encryption import UnreadableSecretError
from instances.events import SYSTEM, Actor, record
from instances.models import Instance, WebhookEndpoint
from instances.models.webhook import WebhookFormat, WebhookSource
from instances.operations.refusals import OperationRefused
from instances.webhooks.addresses import origin
from instances.webhooks.signing import new_secret
from instances.webhooks.timing import next_time

DISABLED = "webhook_disabled"
OVERLAP = timedelta(hours=24)
DIGEST_AT = time(9)
MAILTO = "mailto:"
_UNSET = "the setting WEBHOOK_URL is empty"
_NO_ADDRESS = "its instance names no webhook_url"
# What people may change of an endpoint whose address stands elsewhere.
_OF_OTHERS = {
    WebhookSource.SETTINGS: {"enabled", "types", "min_severity", "time_zone", "quiet_from", "quiet_until", "digest_at"},
    WebhookSource.INSTANCE: {"enabled", "types"},
}


class NotChangeable(OperationRefused):
    code = "not_changeable"


class NotSigned(OperationRefused):
    code = "not_signed"


@dataclass(frozen=True, slots=True)
class Made:
    """An endpoint, and its new secret where there is one to show, this once."""

    endpoint: WebhookEndpoint
    secret: str = ""


def create(columns: dict[str, Any], *, actor: Actor, now: datetime) -> Made:
    secret = new_secret() if columns.get("format", WebhookFormat.STANDARD) == WebhookFormat.STANDARD else ""
    with transaction.atomic():
        endpoint = WebhookEndpoint(**columns, secret=secret, secret_shown=bool(secret), created_at=now)
        _plan_digest(endpoint, now)
        endpoint.save(force_insert=True)
        _tell("webhook.created", endpoint, actor=actor, now=now, after=_shown(endpoint, columns))
    return Made(endpoint, secret)


def change(endpoint: WebhookEndpoint, columns: dict[str, Any], *, actor: Actor, now: datetime) -> WebhookEndpoint:
    """Raises NotChangeable for what stands in the settings or with an instance."""
    with transaction.atomic():
        endpoint = locked(endpoint)
        differing = {name: value for name, value in columns.items() if _known(endpoint, name) != value}
        fixed = set(differing) - _OF_OTHERS.get(WebhookSource(endpoint.source), set(differing))
        if fixed:
            where = "the settings" if endpoint.source == WebhookSource.SETTINGS else "its instance"
            raise NotChangeable(f"{', '.join(sorted(fixed))}: change it in {where}")
        if not differing:
            return endpoint
        before = {name: _known(endpoint, name) for name in differing}
        for name, value in differing.items():
            setattr(endpoint, name, value)
        if {"digest_at", "time_zone"} & set(differing):
            _plan_digest(endpoint, now)
        if "url" in differing or differing.get("enabled"):
            _start_afresh(endpoint, now)
        if "enabled" in differing:
            endpoint.disabled_reason = "" if endpoint.enabled else f"switched off by {actor.name}"[:500]
        endpoint.save()
        _tell(
            "webhook.changed",
            endpoint,
            actor=actor,
            now=now,
            before=_shown(endpoint, before),
            after=_shown(endpoint, differing),
        )
    return endpoint


def delete(endpoint: WebhookEndpoint, *, actor: Actor, now: datetime) -> None:
    """With its deliveries. Raises NotChangeable where it would come back by itself."""
    if endpoint.source != WebhookSource.API:
        raise NotChangeable("it stands in the settings or with its instance: take its address away there")
    with transaction.atomic():
        _tell("webhook.deleted", endpoint, actor=actor, now=now)
        clear_alarm(DISABLED, str(endpoint.pk), now=now)
        endpoint.delete()


def rotate_secret(endpoint: WebhookEndpoint, *, overlap: timedelta, actor: Actor, now: datetime) -> Made:
    """A new secret; the one before it signs too for `overlap`. Raises NotSigned where no secret of its own signs."""
    with transaction.atomic():
        endpoint = locked(endpoint)
        if endpoint.is_for_people:
            raise NotSigned("messages are not signed: whoever knows the address may write there")
        if endpoint.source != WebhookSource.API and settings.WEBHOOK_SECRETS:
            raise NotSigned("WEBHOOK_SECRET signs it: change it there, the newest first, split by commas")
        secret = new_secret()
        endpoint.previous_secret, endpoint.previous_until = endpoint.secret, now + overlap
        endpoint.secret, endpoint.secret_shown = secret, True
        endpoint.save(update_fields=["secret", "secret_shown", "previous_secret", "previous_until"])
        _tell("webhook.secret_rotated", endpoint, actor=actor, now=now, after={"overlap_seconds": overlap.total_seconds()})
    return Made(endpoint, secret)


def signing_secrets(endpoint: WebhookEndpoint, now: datetime) -> list[str]:
    """Those that sign now, the newest first."""
    if endpoint.source != WebhookSource.API and settings.WEBHOOK_SECRETS:
        return list(settings.WEBHOOK_SECRETS)
    previous = endpoint.previous_secret if endpoint.previous_until and now < endpoint.previous_until else None
    return [secret for secret in (endpoint.secret, previous) if secret]


def follow_settings(now: datetime) -> None:
    """The endpoint of WEBHOOK_URL is as the setting says; what people changed of it stays."""
    url = settings.WEBHOOK_URL
    known = WebhookEndpoint.objects.filter(source=WebhookSource.SETTINGS).first()
    if known is None:
        if url:
            _insert(WebhookEndpoint(source=WebhookSource.SETTINGS, name="WEBHOOK_URL", created_at=now), url, now)
        return
    if not url if known.disabled_reason == _UNSET else url_of(known) == url:
        return
    if not url:
        known.enabled, known.disabled_reason = False, _UNSET
    else:
        known.url, known.format = url, format_of(url)
        known.enabled, known.disabled_reason = True, ""
        _start_afresh(known, now)
    known.save()


def follow_instance(instance: Instance, *, now: datetime) -> None:
    """The endpoint of an instance's own `webhook_url` is as its column says."""
    known = WebhookEndpoint.objects.filter(instance=instance).first()
    url = instance.webhook_url
    if known is None:
        if url:
            endpoint = WebhookEndpoint(source=WebhookSource.INSTANCE, instance=instance, created_at=now)
            endpoint.name, endpoint.owner = f"webhook_url of {instance.name}"[:100], instance.owner
            _insert(endpoint, url, now)
        return
    if url_of(known) == url:
        return
    if not url:
        known.url, known.enabled, known.disabled_reason = "", False, _NO_ADDRESS
    else:
        # Another receiver: it must not be able to sign for the one before it.
        known.url, known.secret, known.secret_shown = url, new_secret(), False
        known.previous_secret, known.previous_until = None, None
        known.enabled, known.disabled_reason = True, ""
        _start_afresh(known, now)
    known.save()


def new_secret_of(instance: Instance, *, now: datetime) -> str:
    """The secret made for its `webhook_url`, the first time it is asked for; "" else, and where WEBHOOK_SECRET signs."""
    follow_instance(instance, now=now)
    endpoint = WebhookEndpoint.objects.filter(instance=instance, enabled=True, secret_shown=False).first()
    if endpoint is None or settings.WEBHOOK_SECRETS or not endpoint.secret:
        return ""
    shown = WebhookEndpoint.objects.filter(pk=endpoint.pk, secret_shown=False).update(secret_shown=True)
    return str(endpoint.secret) if shown else ""


def disable(endpoint: WebhookEndpoint, reason: str, *, now: datetime) -> None:
    """Stop telling it, and tell its owner so by an alarm. What waits is kept until it is switched on again."""
    with transaction.atomic():
        stopped = WebhookEndpoint.objects.filter(pk=endpoint.pk, enabled=True)
        if not stopped.update(enabled=False, disabled_reason=reason[:500]):
            return
        endpoint.enabled, endpoint.disabled_reason = False, reason[:500]
        _tell("webhook.disabled", endpoint, actor=SYSTEM, now=now, reason=reason)
        owner = f" of {endpoint.owner}" if endpoint.owner else ""
        raise_alarm(
            DISABLED,
            str(endpoint.pk),
            text=f"The webhook {endpoint}{owner} to {origin(url_of(endpoint))} is switched off: {reason}",
            remedy=f"Put its receiver right, then switch it on (PATCH /api/v1/webhooks/{endpoint.pk} "
            '{"enabled": true}): what waits is delivered then',
            now=now,
            instance=endpoint.instance,
        )


def format_of(url: str) -> str:
    """What a receiver speaks, by its address."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "hooks.slack.com":
        return WebhookFormat.SLACK
    if host in ("discord.com", "discordapp.com") and parts.path.startswith("/api/webhooks/"):
        return WebhookFormat.DISCORD
    return WebhookFormat.STANDARD


def url_of(endpoint: WebhookEndpoint) -> str:
    """Its address; "" where it has none, and where no key decrypts it."""
    try:
        return str(endpoint.url or "")
    except UnreadableSecretError:
        return ""


def recipients(url: str) -> list[str]:
    """The addresses of a `mailto:` of one or more."""
    return [one.strip() for one in url.removeprefix(MAILTO).split(",") if one.strip()]


def zone_of(endpoint: WebhookEndpoint) -> ZoneInfo:
    return ZoneInfo(endpoint.time_zone)


def locked(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """Its row, locked until the transaction ends. Raises WebhookEndpoint.DoesNotExist."""
    return WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)


def _known(endpoint: WebhookEndpoint, name: str) -> Any:
    return url_of(endpoint) if name == "url" else getattr(endpoint, name)


def _insert(endpoint: WebhookEndpoint, url: str, now: datetime) -> None:
    endpoint.url, endpoint.secret = url, new_secret()
    if endpoint.source == WebhookSource.SETTINGS:
        endpoint.format = format_of(url)
        endpoint.digest_at = DIGEST_AT if endpoint.is_for_people else None
        _plan_digest(endpoint, now)
    try:
        with transaction.atomic():
            endpoint.save(force_insert=True)
            _tell("webhook.created", endpoint, actor=SYSTEM, now=now)
    except IntegrityError:
        return  # another process was first


def _start_afresh(endpoint: WebhookEndpoint, now: datetime) -> None:
    """As if it had never failed."""
    endpoint.failures, endpoint.failing_since, endpoint.held_until, endpoint.last_error = 0, None, None, ""
    clear_alarm(DISABLED, str(endpoint.pk), now=now)
    endpoint.deliveries.filter(state="pending").update(next_attempt_at=now)


def _plan_digest(endpoint: WebhookEndpoint, now: datetime) -> None:
    at = endpoint.digest_at
    endpoint.next_digest_at = next_time(now, at, zone_of(endpoint)) if at and endpoint.is_for_people else None


def _shown(endpoint: WebhookEndpoint, columns: dict[str, Any]) -> dict[str, Any]:
    """Columns as an event may hold them."""
    shown = {name: value if isinstance(value, bool | list) else str(value) for name, value in columns.items()}
    if "url" in shown:
        shown["url"] = origin(str(shown["url"]))
    return {"webhook_id": str(endpoint.pk), **shown}


def _tell(
    type_: str,
    endpoint: WebhookEndpoint,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    told = {"webhook_id": str(endpoint.pk), "name": endpoint.name, **(after or {})}
    record(type_, at=now, actor=actor, instance=endpoint.instance, reason=reason, before=before, after=told)
