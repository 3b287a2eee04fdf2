"""Webhooks and their deliveries as the API shows them: no secret, and no path of an address but to those who may set it."""

from datetime import datetime, time
from typing import Any

from instances.api.times import rfc3339
from instances.models import Delivery, WebhookEndpoint
from instances.webhooks.addresses import origin
from instances.webhooks.endpoints import url_of


def webhook_json(endpoint: WebhookEndpoint, *, whole: bool) -> dict[str, Any]:
    people = endpoint.is_for_people
    quiet = endpoint.quiet_from and endpoint.quiet_until
    url = url_of(endpoint)
    return {
        "id": str(endpoint.pk),
        "name": endpoint.name,
        "declared_in": endpoint.source,
        "instance_id": str(endpoint.instance_id) if endpoint.instance_id else None,
        "url": url if whole else origin(url),
        "format": endpoint.format,
        "types": endpoint.types,
        "owner": endpoint.owner or None,
        "min_severity": endpoint.min_severity if people else None,
        "time_zone": endpoint.time_zone,
        "quiet_hours": {"from": _hour(endpoint.quiet_from), "until": _hour(endpoint.quiet_until)} if quiet else None,
        "digest_at": _hour(endpoint.digest_at),
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": _time(endpoint.failing_since),
        "last_error": endpoint.last_error,
        "previous_secret_until": _time(endpoint.previous_until),
        "created_at": rfc3339(endpoint.created_at),
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """Fetched with its event."""
    pending = delivery.finished_at is None
    event = delivery.event
    return {
        "id": str(delivery.pk),
        "webhook_id": str(delivery.endpoint_id),
        "message_id": delivery.message_id,
        "event_id": delivery.event_id,
        "instance_id": str(event.instance_id) if event and event.instance_id else None,
        "type": delivery.type,
        "severity": delivery.severity,
        "state": delivery.state,
        "told_in": str(delivery.told_in_id) if delivery.told_in_id else None,
        "attempts": delivery.attempts,
        "next_attempt_at": rfc3339(delivery.next_attempt_at) if pending else None,
        "created_at": rfc3339(delivery.created_at),
        "finished_at": _time(delivery.finished_at),
    }


def delivery_detail_json(delivery: Delivery) -> dict[str, Any]:
    """With its endpoint and its attempts. A message's body may hold links that act, and is not shown."""
    log = [
        {"at": rfc3339(one.at), "status": one.status, "milliseconds": one.milliseconds, "error": one.error}
        for one in delivery.attempt_log.all()
    ]
    body = None if delivery.endpoint.is_for_people else delivery.body
    return {**delivery_json(delivery), "attempt_log": log, "body": body}


def _hour(at: time | None) -> str | None:
    return None if at is None else f"{at:%H:%M}"


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
