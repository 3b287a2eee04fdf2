"""Fields of clocks on the wall: a time of day, and the zone whose clock it is of."""

import re
from datetime import time
from typing import Any
from zoneinfo import available_timezones

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from instances.api.fields import Text


@extend_schema_field({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "examples": ["09:00"]})
class TimeOfDay(serializers.Field):  # type: ignore[type-arg]
    default_error_messages = {"not_a_time_of_day": "write a time of day such as 09:00"}

    def to_internal_value(self, data: Any) -> time:
        if not isinstance(data, str) or re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", data, re.ASCII) is None:
            self.fail("not_a_time_of_day")
        return time.fromisoformat(data)

    def to_representation(self, value: Any) -> Any:
        return value


class TimeZone(Text):
    default_error_messages = {"unknown_zone": "write a time zone such as Europe/Berlin"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if text not in available_timezones():
            self.fail("unknown_zone")
        return text
