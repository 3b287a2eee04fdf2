"""Fields that take a value as it is or refuse it: no "3" for 3, no 1 for true, no control characters, no unknown names."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from instances.api.times import duration_text, parse_duration, rfc3339

_LINE_ENDS = "\n\r\t"
_LONGEST_NAME_SHOWN = 100
_MOST_UNKNOWN_TOLD = 20


def has_control_characters(text: str, *, allowed: str = "") -> bool:
    """Whether it holds a character no text of people has: control, or half of a surrogate pair."""
    return any(unicodedata.category(one) in ("Cc", "Cs") and one not in allowed for one in text)


class Text(serializers.CharField):
    """A string as it was sent. `lines` lets line ends and tabs in."""

    default_error_messages = {
        "not_text": "write a string",
        "control_characters": "control characters are not taken",
        "blank": "it must not be empty",
        "max_length": "at most {max_length} characters are taken",
        "pattern": "{hint}",
    }

    def __init__(self, *, lines: bool = False, pattern: str = "", hint: str = "", **options: Any) -> None:
        options.setdefault("trim_whitespace", False)
        super().__init__(**options)
        self._allowed = _LINE_ENDS if lines else ""
        self._pattern = re.compile(pattern) if pattern else None
        self._hint = hint

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("not_text")
        if has_control_characters(data, allowed=self._allowed):
            self.fail("control_characters")
        if self._pattern is not None and not self._pattern.fullmatch(data):
            self.fail("pattern", hint=self._hint)
        return data

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, bool | int | Decimal):
            self.fail("not_text")
        return super().run_validation(data)


class WholeNumber(serializers.IntegerField):
    default_error_messages = {
        "not_a_number": "write a whole number",
        "max_value": "at most {max_value} is possible",
        "min_value": "at least {min_value} is needed",
    }

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("not_a_number")
        return data


class Flag(serializers.BooleanField):
    default_error_messages = {"not_a_flag": "write true or false"}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("not_a_flag")
        return data


class Choice(serializers.ChoiceField):
    default_error_messages = {"invalid_choice": "write one of {choices}"}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            self.fail("invalid_choice", choices=", ".join(map(str, self.choices)))
        return data


class Money(serializers.DecimalField):
    """USD: a decimal string, or a JSON number, which is read exactly."""

    default_error_messages = {"not_money": 'write an amount above 0 such as "0.75"'}

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=12, decimal_places=5, **options)

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, str | int | Decimal):
            self.fail("not_money")
        amount: Decimal = super().to_internal_value(str(data))
        if amount <= 0:
            self.fail("not_money")
        return amount


@extend_schema_field({"type": "string", "pattern": r"^[0-9]{1,9}(s|m|h|d)$", "examples": ["30s", "20m", "2h"]})
class Duration(serializers.Field):  # type: ignore[type-arg]
    default_error_messages = {
        "not_a_duration": 'write a duration such as "30s", "20m" or "2h"',
        "max_value": "at most {limit} is possible",
        "min_value": "at least {limit} is needed",
    }

    def __init__(self, *, least: timedelta = timedelta(0), most: timedelta, **options: Any) -> None:
        super().__init__(**options)
        self._least, self._most = least, most

    def to_internal_value(self, data: Any) -> timedelta:
        try:
            span = parse_duration(data if isinstance(data, str) else "")
        except ValueError:
            self.fail("not_a_duration")
        if span < self._least:
            self.fail("min_value", limit=duration_text(self._least))
        if span > self._most:
            self.fail("max_value", limit=duration_text(self._most))
        return span

    def to_representation(self, value: timedelta) -> str:
        return duration_text(value)


class Moment(serializers.DateTimeField):
    """RFC 3339 with its offset; comes as UTC. `future` refuses what has passed."""

    default_error_messages = {
        "not_a_time": "write a time with its offset such as 2026-01-31T12:00:00Z",
        "past": "write a time that is yet to come",
    }

    def __init__(self, *, future: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._future = future

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str) or not _HAS_OFFSET.search(value):
            self.fail("not_a_time")
        try:
            moment: datetime = super().to_internal_value(value)
        except (ValueError, OverflowError):
            self.fail("not_a_time")
        if self._future and moment <= self.context["now"]:
            self.fail("past")
        return moment

    def to_representation(self, value: datetime) -> str:
        return rfc3339(value)


_HAS_OFFSET = re.compile(r"(?:[Zz]|[+-]\d\d:?\d\d)$")


@extend_schema_field({"type": "object", "additionalProperties": {"type": "string", "maxLength": 255}, "maxProperties": 50})
class Labels(serializers.Field):  # type: ignore[type-arg]
    """Up to 50 names of 1 to 63 characters, each with a text of up to 255."""

    default_error_messages = {
        "not_labels": "write an object of strings by name",
        "too_many": "at most 50 labels are taken",
        "bad_name": "a label's name has 1 to 63 characters and no control characters",
        "bad_text": "a label's text is a string of at most 255 characters without control characters",
    }

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if not isinstance(data, Mapping):
            self.fail("not_labels")
        if len(data) > 50:
            self.fail("too_many")
        for name, text in data.items():
            if not 1 <= len(name) <= 63 or has_control_characters(name):
                self.fail("bad_name")
            if not isinstance(text, str) or len(text) > 255 or has_control_characters(text):
                self.fail("bad_text")
        return dict(data)

    def to_representation(self, value: dict[str, str]) -> dict[str, str]:
        return value


class Strict(serializers.Serializer):  # type: ignore[type-arg]
    """Refuses names it does not know, and tells them together with what else is wrong."""

    default_error_messages = {"invalid": "write an object"}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError("write an object", "not_an_object")
        unknown = [name for name in data if name not in self.fields or self.fields[name].read_only]
        errors: dict[str, Any] = {
            _shown(name): [serializers.ErrorDetail("there is no such field", "unknown_field")]
            for name in unknown[:_MOST_UNKNOWN_TOLD]
        }
        value: Any = None
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not isinstance(error.detail, dict):
                raise
            errors.update(error.detail)
        if errors:
            raise serializers.ValidationError(errors)
        return value


def _shown(name: str) -> str:
    text = "".join(one if not has_control_characters(one) else "?" for one in name)
    return text[:_LONGEST_NAME_SHOWN]


AnyObject = extend_schema_field(OpenApiTypes.OBJECT)(serializers.JSONField)
