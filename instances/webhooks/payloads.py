"""The body of a webhook: `{type, timestamp, data}`, written once and sent the same in every attempt."""

import json
from datetime import datetime
from typing import Any

from instances.api.representations import instance_json
from instances.api.times import rfc3339
from instances.models import Event, Instance, ProviderAccount, WebhookEndpoint
from instances.webhooks.kinds import TEST, telling_of


def event_body(event: Event, instance: Instance, *, account: ProviderAccount | None, now: datetime) -> str:
    """`instance` fetched with `for_display`. Of a move, the phase told is the one moved to, even where it moved on since."""
    data = instance_json(instance, now=now, account=account)
    phase = event.after.get("phase")
    if phase and phase != data["phase"]:
        data |= {"phase": phase, "phase_reason": event.reason, "phase_since": rfc3339(event.at)}
    data |= {"previous_phase": event.before.get("phase"), "reason": event.reason, "event_id": event.pk}
    return _body(telling_of(event.type).webhook, event.at, data)


def test_body(endpoint: WebhookEndpoint, *, asked_by: str, now: datetime) -> str:
    data = {"webhook_id": str(endpoint.pk), "reason": f"a test that {asked_by or 'somebody'} asked for"}
    return _body(TEST, now, data)


def _body(type_: str, at: datetime, data: dict[str, Any]) -> str:
    whole = {"type": type_, "timestamp": rfc3339(at), "data": data}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False)
