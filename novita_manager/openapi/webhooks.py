"""The `webhooks` part of the description: what is sent to endpoints that people name."""

from typing import Any

_INSTANCE_EVENTS = (
    "created",
    "running",
    "ready",
    "unhealthy",
    "recovered",
    "stopping",
    "stopped",
    "failed",
    "reclaim_notified",
    "migrated",
    "deleted",
    "gone",
    "auto_stop_warning",
    "discovered",
    "changed_outside",
)
TYPES = tuple(f"instance.{word}" for word in _INSTANCE_EVENTS)
_SIGNED = {
    "webhook-id": "The same in every attempt",
    "webhook-timestamp": "Seconds since 1970",
    "webhook-signature": "`v1,` and the base64 of HMAC-SHA256 over id, timestamp and body, as Standard Webhooks has it",
}


def with_webhooks(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """A hook of drf-spectacular."""
    result["components"]["schemas"]["InstanceWebhook"] = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"type": "string", "enum": list(TYPES)},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": {
                "allOf": [
                    {"$ref": "#/components/schemas/Instance"},
                    {
                        "type": "object",
                        "required": ["previous_phase", "reason", "event_id"],
                        "properties": {
                            "previous_phase": {"type": ["string", "null"]},
                            "reason": {"type": "string"},
                            "event_id": {"type": "integer"},
                        },
                    },
                ]
            },
        },
    }
    result["webhooks"] = {name: _webhook(name) for name in TYPES}
    return result


def _webhook(name: str) -> dict[str, Any]:
    return {
        "post": {
            "summary": name,
            "description": "Signed as Standard Webhooks has it; any 2xx accepts it, all else is tried again for three days.",
            "operationId": f"webhook_{name.replace('.', '_')}",
            "security": [],
            "parameters": [
                {"name": header, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
                for header, text in _SIGNED.items()
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InstanceWebhook"}}},
            },
            "responses": {"2XX": {"description": "Taken"}},
        }
    }
