"""Bodies of requests about webhooks, and the shapes of their answers."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from instances.api.clock_fields import TimeOfDay, TimeZone
from instances.api.fields import Choice, Duration, Flag, Strict, Text
from instances.api.receivers import ReceiverAddress
from instances.models.webhook import DeliveryState, WebhookFormat, WebhookSource
from instances.webhooks import endpoints
from instances.webhooks.kinds import TOPICS, WEBHOOK_TYPES, Severity

_MAIL_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_MOST_RECIPIENTS = 20
_LONGEST_OVERLAP = timedelta(days=7)
_FOR_PEOPLE = ("min_severity", "quiet_hours", "digest_at")


class QuietHours(Strict):
    """From when until when only urgent messages come; over midnight where `until` is earlier."""

    def get_fields(self) -> Any:
        """`from` is a word of Python's own."""
        return {"from": TimeOfDay(), "until": TimeOfDay()}


class WebhookPatch(Strict):
    """`types` empty means all. `min_severity`, `quiet_hours` and `digest_at` are of messages."""

    name = Text(max_length=100, allow_blank=True, required=False)
    url = ReceiverAddress(required=False)
    types = serializers.ListField(child=Choice(choices=TOPICS), max_length=len(TOPICS), required=False)
    owner = Text(max_length=255, allow_blank=True, required=False)
    enabled = Flag(required=False)
    min_severity = Choice(choices=Severity.values, required=False)
    time_zone = TimeZone(max_length=64, required=False)
    quiet_hours = QuietHours(required=False, allow_null=True)
    digest_at = TimeOfDay(required=False, allow_null=True)


class WebhookCreate(WebhookPatch):
    url = ReceiverAddress()
    format = Choice(choices=WebhookFormat.values, default=WebhookFormat.STANDARD.value)


class Rotate(Strict):
    overlap = Duration(most=_LONGEST_OVERLAP, default=endpoints.OVERLAP)


def columns_of(body: Mapping[str, Any], *, format_: str) -> dict[str, Any]:
    """A validated body as columns, judged together with the format. Raises ValidationError."""
    errors: dict[str, Any] = {}
    if format_ == WebhookFormat.STANDARD:
        errors |= {
            name: [ErrorDetail("only messages have it", "not_of_this_format")] for name in _FOR_PEOPLE if name in body
        }
        extra = sorted(set(body.get("types", ())) - set(WEBHOOK_TYPES))
        if extra:
            errors["types"] = [ErrorDetail(f"only messages tell {', '.join(extra)}", "not_of_this_format")]
    if "url" in body:
        errors |= _url_errors(str(body["url"]), format_)
    if errors:
        raise serializers.ValidationError(errors)
    columns = {name: value for name, value in body.items() if name != "quiet_hours"}
    if "quiet_hours" in body:
        hours = body["quiet_hours"] or {}
        columns |= {"quiet_from": hours.get("from"), "quiet_until": hours.get("until")}
    return columns


def _url_errors(url: str, format_: str) -> dict[str, Any]:
    is_mail = url.startswith(endpoints.MAILTO)
    if is_mail != (format_ == WebhookFormat.MAIL):
        words = (
            "write mailto: and one or more addresses, split by commas" if not is_mail else "mailto: is for the format mail"
        )
        return {"url": [ErrorDetail(words, "not_of_this_format")]}
    if not is_mail:
        return {}
    to = endpoints.recipients(url)
    if not 1 <= len(to) <= _MOST_RECIPIENTS or not all(_MAIL_ADDRESS.fullmatch(one) for one in to):
        return {"url": [ErrorDetail(f"write 1 to {_MOST_RECIPIENTS} mail addresses, split by commas", "invalid")]}
    if not settings.EMAIL:
        return {"url": [ErrorDetail("no mail can be sent: set EMAIL_URL and restart", "no_mail_server")]}
    return {}


class QuietHoursShape(serializers.Serializer[None]):
    def get_fields(self) -> Any:
        return {"from": serializers.CharField(), "until": serializers.CharField()}


class WebhookShape(serializers.Serializer[None]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    declared_in = serializers.ChoiceField(choices=WebhookSource.values)
    instance_id = serializers.UUIDField(allow_null=True)
    url = serializers.CharField(help_text="Without its path for keys that are not admin")
    format = serializers.ChoiceField(choices=WebhookFormat.values)
    types = serializers.ListField(child=serializers.CharField(), help_text="Empty: all")
    owner = serializers.CharField(allow_null=True)
    min_severity = serializers.ChoiceField(choices=Severity.values, allow_null=True)
    time_zone = serializers.CharField()
    quiet_hours = QuietHoursShape(allow_null=True)
    digest_at = serializers.CharField(allow_null=True)
    enabled = serializers.BooleanField()
    disabled_reason = serializers.CharField()
    failing_since = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField()
    previous_secret_until = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class WebhookSecretShape(WebhookShape):
    secret = serializers.CharField(help_text="Shown this once; empty where nothing is signed")


class AttemptShape(serializers.Serializer[None]):
    at = serializers.DateTimeField()
    status = serializers.IntegerField(allow_null=True)
    milliseconds = serializers.IntegerField()
    error = serializers.CharField()


class DeliveryShape(serializers.Serializer[None]):
    id = serializers.UUIDField()
    webhook_id = serializers.UUIDField()
    message_id = serializers.CharField(help_text="The `webhook-id` of every attempt")
    event_id = serializers.IntegerField(allow_null=True)
    instance_id = serializers.UUIDField(allow_null=True)
    type = serializers.CharField()
    severity = serializers.ChoiceField(choices=Severity.values)
    state = serializers.ChoiceField(choices=DeliveryState.values)
    told_in = serializers.UUIDField(allow_null=True)
    attempts = serializers.IntegerField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class DeliveryDetailShape(DeliveryShape):
    attempt_log = AttemptShape(many=True)
    body = serializers.CharField(allow_null=True, help_text="What is sent and signed; null for messages")
