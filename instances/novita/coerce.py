"""Reading JSON that means well: numbers as strings, null for a list, words nobody documented.

Novita's JSON writes 64-bit numbers as strings and 32-bit ones as numbers, and the documentation is not always
right about which is which; so every scalar is read by what was meant. No JSON value makes
anything here raise, but for `Fields`, which raises Malformed for what is no object or lacks its id.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

Json = object

PRICE_UNITS_PER_USD = Decimal(100_000)
"""Prices, also of disks: 1/100 000 USD."""
BALANCE_UNITS_PER_USD = Decimal(10_000)
"""Balances and bills: 1/10 000 USD."""

_LARGEST = Decimal(10) ** 18
_MILLISECONDS_FROM = 10**11
_LONGEST_NUMBER = 40


class Malformed(ValueError):
    """A JSON value from which the wanted thing cannot be made. The message never holds the value."""


def to_text(value: Json) -> str:
    """A string or number as text, anything else as ''.

    NUL and lone surrogates, which JSON can carry and databases refuse, are replaced.
    """
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    return str(value) if math.isfinite(value) and abs(value) < _LARGEST else ""


def to_decimal(value: Json) -> Decimal | None:
    """A finite number below 10^18, from a number or its text; else None."""
    text = to_text(value).strip()
    if not text or len(text) > _LONGEST_NUMBER:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < _LARGEST else None


def to_int(value: Json, default: int = 0) -> int:
    """A whole number (fractions are cut off), or `default`."""
    number = to_decimal(value)
    return default if number is None else int(number)


def to_bool(value: Json) -> bool:
    """True for true, 1 and "true"."""
    return value is True or to_text(value).strip().lower() in ("true", "1")


def to_time(value: Json) -> datetime | None:
    """Epoch seconds, or milliseconds if that large, as an aware time. 0, -1 and '' mean never: None."""
    number = to_decimal(value)
    if number is None or number <= 0:
        return None
    try:
        return datetime.fromtimestamp(float(number / 1000 if number >= _MILLISECONDS_FROM else number), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def to_usd(value: Json, units_per_usd: Decimal) -> Decimal | None:
    """Units as USD, or None. It may be below zero, as a balance may."""
    number = to_decimal(value)
    return None if number is None else number / units_per_usd


def to_list(value: Json) -> list[Json]:
    """The list, or an empty one for null and anything else."""
    return value if isinstance(value, list) else []


class Fields:
    """The members of one JSON object, read by what they should be. Missing and null read as empty."""

    def __init__(self, raw: Json) -> None:
        if not isinstance(raw, dict):
            raise Malformed("expected a JSON object")
        self._raw: dict[str, Json] = raw

    def __contains__(self, name: str) -> bool:
        return name in self._raw

    def first(self, *names: str) -> Json:
        """The first member of these names that is not null, else None."""
        return next((self._raw[name] for name in names if self._raw.get(name) is not None), None)

    def identity(self, *names: str) -> str:
        """The non-empty text of the first of these members that has one; raises Malformed without any."""
        for name in names:
            text = to_text(self._raw.get(name)).strip()
            if text:
                return text
        raise Malformed(f"an object without {names[0]}")

    def text(self, *names: str) -> str:
        return to_text(self.first(*names))

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(text for item in to_list(self._raw.get(name)) if (text := to_text(item)))

    def number(self, *names: str, default: int = 0) -> int:
        return to_int(self.first(*names), default)

    def flag(self, name: str) -> bool:
        return to_bool(self._raw.get(name))

    def time(self, *names: str) -> datetime | None:
        return to_time(self.first(*names))

    def price(self, *names: str) -> Decimal | None:
        """A price in USD; None if missing, unreadable or negative."""
        usd = to_usd(self.first(*names), PRICE_UNITS_PER_USD)
        return usd if usd is None or usd >= 0 else None

    def balance(self, name: str) -> Decimal | None:
        """A balance in USD, below zero too; None if missing or unreadable."""
        return to_usd(self._raw.get(name), BALANCE_UNITS_PER_USD)

    def part(self, name: str) -> "Fields | None":
        """The object of that name, or None."""
        value = self._raw.get(name)
        return Fields(value) if isinstance(value, dict) else None

    def parts(self, name: str) -> Iterator["Fields"]:
        """The objects in the list of that name; what is no object is left out."""
        return (Fields(item) for item in to_list(self._raw.get(name)) if isinstance(item, dict))

    def pairs(self, name: str) -> dict[str, str]:
        """[{key, value}] as a dict; also takes a plain object."""
        value = self._raw.get(name)
        if isinstance(value, dict):
            return {key: to_text(item) for key, item in value.items()}
        return {key: part.text("value") for part in self.parts(name) if (key := part.text("key"))}


class SecretMapping(dict[str, str]):
    """Names whose values nobody should read in a log: repr and str show the names only."""

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name!r}: '***'" for name in self) + "}"

    __str__ = __repr__
