"""Typed readers for environment variables: each refuses a bad value in one line that names the variable and the remedy.

A secret may also come from a file named by `<NAME>_FILE`. An empty value counts as unset.
"""

import ipaddress
import os
import re
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from instances.webhooks import addresses
from instances.webhooks.signing import key_of

T = TypeVar("T")
N = TypeVar("N", int, float)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TRUE = {"true", "1", "yes", "on"}
_FALSE = {"false", "0", "no", "off"}
_MAIL_WITHOUT_SERVER = ("consolemail", "filemail", "memorymail", "dummymail")
# Beyond every use, and small enough that a time before or after now exists.
_LONGEST = timedelta(days=3650)


def parse_duration(text: str, *, bare: str | None) -> timedelta:
    """A duration written `30s`, `5m`, `1h` or `2d`.

    `bare` is the unit of a number without one, or None where such a number is refused. Raises ValueError with the remedy.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip().lower())
    if found is None:
        raise ValueError("write a number and a unit, such as 30s, 5m or 1h")
    number, unit = found.groups()
    if not unit and bare is None:
        raise ValueError(f"write {number}s or {number}m")
    seconds = float(number) * _UNITS[unit or bare or "s"]
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f"write at most {_LONGEST.days}d")
    return timedelta(seconds=seconds)


class Environment:
    """Reads variables from a mapping (the process's own by default) and remembers which names were asked for."""

    def __init__(self, source: Mapping[str, str] | None = None) -> None:
        self._source = os.environ if source is None else source
        self.known: set[str] = set()

    def text(self, name: str, default: str = "") -> str:
        self.known.update({name, f"{name}_FILE"})
        path = self._source.get(f"{name}_FILE", "")
        value = self._source.get(name, "")
        if path and value:
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: keep one of them")
        if path:
            value = self._read_file(name, path)
        return value.strip() or default

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise ImproperlyConfigured(f"{name}={value}: use one of {', '.join(allowed)}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name, "true" if default else "false").lower()
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise ImproperlyConfigured(f"{name}={value}: write true or false")

    def integer(self, name: str, default: int, *, minimum: int, maximum: int = 10**9) -> int:
        return self._checked(name, str(default), lambda text: _bounded(int(text), minimum, maximum), "a whole number")

    def number(self, name: str, default: float, *, minimum: float, maximum: float = 1e9) -> float:
        return self._checked(name, str(default), lambda text: _bounded(float(text), minimum, maximum), "a number")

    def money(self, name: str, default: str) -> Decimal:
        value = self.text(name, default)
        try:
            amount = Decimal(value)
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite() or amount < 0:
            raise ImproperlyConfigured(f"{name}={value}: write an amount in USD, such as 5 or 12.50")
        return amount

    def duration(self, name: str, default: str, *, bare: str | None, minimum: str = "1s") -> timedelta:
        value = self.text(name, default)
        try:
            duration = parse_duration(value, bare=bare)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}={value}: {error}") from None
        least = parse_duration(minimum, bare="s")
        if duration < least:
            raise ImproperlyConfigured(f"{name}={value}: must be at least {minimum}")
        return duration

    def words(self, name: str, default: str = "") -> list[str]:
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def networks(self, name: str, default: str = "") -> list[Network]:
        found: list[Network] = []
        for word in self.words(name, default):
            try:
                found.append(ipaddress.ip_network(word, strict=False))
            except ValueError:
                raise ImproperlyConfigured(
                    f"{name}={word}: write addresses or networks such as 10.0.0.5 or 10.0.0.0/8, split by commas"
                ) from None
        return found

    def url(self, name: str, default: str = "", *, schemes: tuple[str, ...] = ("http", "https")) -> str:
        value = self.text(name, default).rstrip("/")
        if not value:
            return ""
        try:
            parts = urlsplit(value)
            usable = parts.scheme in schemes and bool(parts.hostname or parts.path)
        except ValueError:
            usable = False
        if not usable:
            raise ImproperlyConfigured(
                f"{name}: write an address that starts with {' or '.join(f'{s}://' for s in schemes)}"
            )
        return value

    def origins(self, name: str, *, subdomains: bool = False) -> list[str]:
        """Scheme, host and port of pages, as browsers send them in `Origin`; `subdomains` takes https://*.example too."""
        found: list[str] = []
        for word in self.words(name):
            found.append(word.rstrip("/"))
            host = found[-1].replace("://*.", "://", 1) if subdomains else found[-1]
            if re.fullmatch(r"https?://[^/?#\s@*]+", host) is None:
                raise ImproperlyConfigured(f"{name}={word}: write origins such as https://manager.example, split by commas")
        return found

    def rate(self, name: str, default: str) -> str:
        """A request limit in django-ratelimit's form: a count, a slash, a period of s, m, h or d."""
        value = self.text(name, default)
        if re.fullmatch(r"[1-9]\d*/(\d*)[smhd]", value) is None:
            raise ImproperlyConfigured(f"{name}={value}: write a count per period, such as 300/m")
        return value

    def database(self, name: str, default: str) -> dict[str, object]:
        value = self.text(name, default)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it would show the whole address, password included
                parsed: dict[str, object] = environ.Env.db_url_config(value)
        except (ValueError, ImproperlyConfigured):
            parsed = {}
        if not str(parsed.get("ENGINE", "")).endswith(("sqlite3", "postgresql")):
            raise ImproperlyConfigured(
                f"{name}: write sqlite:///path/to/file or postgresql://user:password@host:5432/database"
            )
        return parsed

    def receiver(self, name: str) -> str:
        """The address of a webhook's receiver, kept to the letter."""
        value = self.text(name)
        try:
            if value:
                addresses.parse(value)
        except addresses.AddressRefused as refusal:
            raise ImproperlyConfigured(f"{name}: {refusal}") from None
        return value

    def signing_secrets(self, name: str) -> list[str]:
        """The newest first; the older ones sign too, until they are taken away."""
        found = self.words(name)
        for word in found:
            try:
                key_of(word)
            except ValueError as error:
                raise ImproperlyConfigured(f"{name}: {error}") from None
        return found

    def email(self, name: str) -> dict[str, object]:
        """Django's settings of an address such as smtp+tls://user:password@host:587?from=me@example.com; {} where unset.

        `FROM` is who writes: as named by `from`, else the user where that is an address, else "".
        """
        value = self.text(name)
        if not value:
            return {}
        try:
            found: dict[str, object] = environ.Env.email_url_config(value)
            parts = urlsplit(value)
            usable = parts.scheme in _MAIL_WITHOUT_SERVER or bool(parts.hostname)
        except (ValueError, ImproperlyConfigured):
            usable = False
        if not usable:
            raise ImproperlyConfigured(f"{name}: write smtp+tls://user:password@host:587?from=me@example.com")
        user = str(found["EMAIL_HOST_USER"] or "")
        sender = parse_qs(parts.query).get("from", [""])[0] or (user if "@" in user else "")
        return {
            **{key: given or "" for key, given in found.items() if key != "OPTIONS"},
            "EMAIL_FILE_PATH": parts.path,
            "FROM": sender,
        }

    def unknown(self, prefixes: tuple[str, ...]) -> list[str]:
        """Names in the environment that look like ours and are read by nothing."""
        return sorted(name for name in self._source if name.startswith(prefixes) and name not in self.known)

    def _read_file(self, name: str, path: str) -> str:
        try:
            return Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise ImproperlyConfigured(f"{name}_FILE={path}: cannot be read ({reason})") from None

    def _checked(self, name: str, default: str, parse: Callable[[str], T], what: str) -> T:
        value = self.text(name, default)
        try:
            return parse(value)
        except ValueError as error:
            hint = str(error) if str(error).startswith("must ") else f"write {what}"
            raise ImproperlyConfigured(f"{name}={value}: {hint}") from None


def _bounded(value: N, minimum: N, maximum: N) -> N:
    if not minimum <= value <= maximum:
        raise ValueError(f"must lie between {minimum} and {maximum}")
    return value
