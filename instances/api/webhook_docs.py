"""What receivers of webhooks get, for the OpenAPI description."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, OpenApiWebhook, extend_schema
from rest_framework import serializers

from instances.api.shapes import InstanceShape
from instances.webhooks.kinds import WEBHOOK_TYPES

_HOW = (
    "Signed after Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,…` with HMAC-SHA256 over "
    "id, timestamp and body. Any 2xx within 15 s is taken for received; redirects are not followed; anything else is tried "
    "again for three days, with the same id and body. 410 switches the webhook off."
)
_WHEN = {
    "instance.created": "Novita made it and told its id.",
    "instance.running": "Novita shows it running.",
    "instance.ready": "It runs and its health checks have passed.",
    "instance.unhealthy": "Its health checks failed three times in a row.",
    "instance.recovered": "It was unhealthy and is ready again.",
    "instance.stopping": "A stop was asked for and is not shown yet.",
    "instance.stopped": "Novita shows it stopped.",
    "instance.failed": "Its create was given up, or a deadline passed; `data.phase_reason` says what is still billed.",
    "instance.reclaim_notified": "Novita takes this spot instance back: ahead of time, or by having done it.",
    "instance.migrated": "It moved to another place.",
    "instance.deleted": "It was deleted and proven absent.",
    "instance.gone": "It is gone from Novita though nobody here deleted it.",
    "instance.auto_stop_warning": "A rule is going to stop it.",
    "instance.discovered": "It was found in the account and was not made here.",
    "instance.changed_outside": "Somebody started, stopped or deleted it at Novita.",
}


class WebhookData(InstanceShape):
    previous_phase = serializers.CharField(allow_null=True, help_text="Of a move: the phase it came from")
    reason = serializers.CharField()
    event_id = serializers.IntegerField(help_text="As in /events")


class WebhookBody(serializers.Serializer[None]):
    def get_fields(self) -> Any:
        """`data` is a word of the serializer's own."""
        return {
            "type": serializers.ChoiceField(choices=WEBHOOK_TYPES),
            "timestamp": serializers.DateTimeField(help_text="When it happened"),
            "data": WebhookData(),
        }


WEBHOOKS = [
    OpenApiWebhook(
        name=type_,
        decorator=extend_schema(
            summary=_WHEN[type_],
            description=_HOW,
            request=WebhookBody,
            responses={204: OpenApiResponse(description="Received")},
        ),
    )
    for type_ in WEBHOOK_TYPES
]
