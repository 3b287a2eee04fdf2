"""Addresses of receivers as requests give them."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field

from instances.api.fields import Text
from instances.webhooks import endpoints
from instances.webhooks.addresses import LONGEST_URL, AddressRefused, PrivateAddress, refuse_literal


@extend_schema_field({"type": "string", "format": "uri", "maxLength": LONGEST_URL})
class ReceiverAddress(Text):
    """An http or https address that is not private by its own letters; where its name leads is judged at each attempt."""

    default_error_messages = {"not_an_address": "{why}", "private_address": "{why}"}

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=LONGEST_URL, **options)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if len(text) > LONGEST_URL:
            self.fail("max_length", max_length=LONGEST_URL)
        try:
            if not text.startswith(endpoints.MAILTO):
                refuse_literal(text, allowed=settings.WEBHOOK_ALLOWED_NETWORKS)
        except AddressRefused as refusal:
            self.fail("private_address" if isinstance(refusal, PrivateAddress) else "not_an_address", why=str(refusal))
        return text


class InstanceReceiver(ReceiverAddress):
    """Of an instance's own webhook_url: no mail."""

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, str) and data.startswith(endpoints.MAILTO):
            self.fail("not_an_address", why="write an address that begins with http:// or https://")
        return super().to_internal_value(data)
