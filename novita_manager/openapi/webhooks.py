"""The `webhooks` part of the description: what is sent to endpoints that people name."""

from typing import Any

from instances.webhooks.kinds import TEST, WEBHOOK_TYPES

_WHEN = {
    "instance.created": "Novita made it and told its id",
    "instance.running": "Novita shows it running",
    "instance.ready": "It runs and its health checks have passed",
    "instance.unhealthy": "Its health checks failed three times in a row",
    "instance.recovered": "It was unhealthy and is ready again",
    "instance.stopping": "A stop was asked for and is not shown yet",
    "instance.stopped": "Novita shows it stopped",
    "instance.failed": "Its create was given up, or a deadline passed; `data.phase_reason` says what is still billed",
    "instance.reclaim_notified": "Novita takes this spot instance back: ahead of time, or by having done it",
    "instance.migrated": "It moved to another place",
    "instance.deleted": "It was deleted and proven absent",
    "instance.gone": "It is gone from Novita though nobody here deleted it",
    "instance.auto_stop_warning": "A rule is going to stop it",
    "instance.discovered": "It was found in the account and was not made here",
    "instance.changed_outside": "Somebody started, stopped or deleted it at Novita",
    TEST: "Somebody asked for it by `POST /webhooks/{id}/test`",
}
_HOW = (
    "Signed as Standard Webhooks has it. Any 2xx within 15 s accepts it; redirects are not followed; all else is tried "
    "again for three days, with the same `webhook-id` and body. 410 switches the webhook off."
)
_SIGNED = {
    "webhook-id": "The same in every attempt",
    "webhook-timestamp": "Seconds since 1970",
    "webhook-signature": "`v1,` and the base64 of HMAC-SHA256 over id, timestamp and body; several, split by spaces, while "
    "a secret is replaced",
}


def with_webhooks(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """A hook of drf-spectacular."""
    of_event = {
        "previous_phase": {"type": ["string", "null"], "description": "Of a move: the phase it came from"},
        "reason": {"type": "string"},
        "event_id": {"type": "integer", "description": "As in /events"},
    }
    instance = {"$ref": "#/components/schemas/Instance"}
    of_test = {"webhook_id": {"type": "string", "format": "uuid"}, "reason": {"type": "string"}}
    result["components"]["schemas"] |= {
        "InstanceWebhook": _body(list(WEBHOOK_TYPES), {"allOf": [instance, _all_of(of_event)]}),
        "TestWebhook": _body([TEST], _all_of(of_test)),
    }
    result["webhooks"] = {name: _webhook(name) for name in (*WEBHOOK_TYPES, TEST)}
    return result


def _body(types: list[str], data: dict[str, Any]) -> dict[str, Any]:
    moment = {"type": "string", "format": "date-time", "description": "When it happened"}
    return _all_of({"type": {"type": "string", "enum": types}, "timestamp": moment, "data": data})


def _all_of(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _webhook(name: str) -> dict[str, Any]:
    shape = "TestWebhook" if name == TEST else "InstanceWebhook"
    return {
        "post": {
            "summary": _WHEN[name],
            "description": _HOW,
            "operationId": f"webhook_{name.replace('.', '_')}",
            "security": [],
            "parameters": [
                {"name": header, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
                for header, text in _SIGNED.items()
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape}"}}},
            },
            "responses": {"2XX": {"description": "Taken"}},
        }
    }
