"""Strict reading of requests: each function names the field it refuses. Unknown members are ignored, as Novita does."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from instances.novita.simulator.errors import RefusedError, invalid

RESERVED_PORTS = frozenset({2222, 2223, 2224})
PORT_TYPES = ("tcp", "http")
MOST_PORTS = 15
_PORT = re.compile(r"^([0-9]{1,5})/(tcp|http)$")

Body = Mapping[str, Any]


class Page(NamedTuple):
    """`number` counts from 0, whatever the base of the wire."""

    number: int
    size: int

    def cut(self) -> slice:
        return slice(self.number * self.size, (self.number + 1) * self.size)


def text(body: Body, field: str, *, required: bool = False, longest: int = 255) -> str:
    """Null counts as absent; a required text may not be empty."""
    value = body.get(field)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise invalid(field, "a string is required")
    if required and not value:
        raise invalid(field, "must not be empty")
    if len(value) > longest:
        raise invalid(field, f"longer than {longest} characters")
    return value


def choice(body: Body, field: str, words: tuple[str, ...], *, default: str | None = None) -> str:
    value = body.get(field)
    if value in (None, "") and default is not None:
        return default
    if value not in words:
        raise invalid(field, "one of " + ", ".join(words) + " is required")
    return str(value)


def whole(
    body: Body, field: str, *, low: int, high: int = 2**31 - 1, default: int | None = None, lenient: bool = False
) -> int:
    """A JSON integer (not a boolean); `lenient` also takes a decimal string."""
    value = body.get(field)
    if value is None and default is not None:
        return default
    if lenient and isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(field, "an integer is required")
    if not low <= value <= high:
        raise invalid(field, f"must be between {low} and {high}")
    return value


def flag(body: Body, field: str, *, default: bool | None = None) -> bool:
    value = body.get(field)
    if value is None and default is not None:
        return default
    if not isinstance(value, bool):
        raise invalid(field, "a boolean is required")
    return value


def items(body: Body, field: str, *, most: int, required: bool = False) -> list[dict[str, Any]]:
    value = body.get(field)
    if value is None and not required:
        return []
    if not isinstance(value, list):
        raise invalid(field, "an array is required")
    if len(value) > most:
        raise invalid(field, f"more than {most} entries")
    if any(not isinstance(item, dict) for item in value):
        raise invalid(field, "an array of objects is required")
    return value


def envs(body: Body, *, required: bool = False) -> list[dict[str, str]]:
    found = []
    for item in items(body, "envs", most=100, required=required):
        if not item.get("key"):
            raise invalid("envs", "key must not be empty")
        found.append({"key": text(item, "key", longest=511), "value": text(item, "value", longest=4095)})
    return found


def port_number(value: object, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        raise invalid(field, "a port between 1 and 65535 is required")
    if value in RESERVED_PORTS:
        raise invalid(field, "2222 to 2224 are reserved")
    return value


def port_text(body: Body) -> list[tuple[int, str]]:
    """The notation of create: `80/http, 3306/tcp`."""
    value = text(body, "ports", longest=1024)
    ports = []
    for part in value.split(",") if value.strip() else []:
        match = _PORT.match(part.strip())
        if match is None:
            raise invalid("ports", f"{part.strip()!r} is not like 80/http or 3306/tcp")
        ports.append((port_number(int(match[1]), "ports"), match[2]))
    return checked_ports(ports)


def port_list(body: Body) -> list[tuple[int, str]]:
    """The notation of edit: an array of port and type."""
    return checked_ports(
        [
            (port_number(item.get("port"), "ports"), choice(item, "type", PORT_TYPES))
            for item in items(body, "ports", most=MOST_PORTS)
        ]
    )


def checked_ports(ports: list[tuple[int, str]], *, tools: int = 0) -> list[tuple[int, str]]:
    if len(ports) + tools > MOST_PORTS:
        raise invalid("ports", f"more than {MOST_PORTS} ports together with tools")
    if len({port for port, _ in ports}) != len(ports):
        raise invalid("ports", "a port is named twice")
    return ports


def tools(body: Body) -> list[dict[str, Any]]:
    found = []
    for item in items(body, "tools", most=MOST_PORTS):
        port = text(item, "port", required=True)
        if not port.isdigit():
            raise invalid("tools", "port is a string of digits")
        found.append(
            {
                "name": choice(item, "name", ("Jupyter",)),
                "port": port_number(int(port), "tools"),
                "type": choice(item, "type", PORT_TYPES),
            }
        )
    return found


def query_whole(query: Body, field: str, *, high: int = 2**31 - 1) -> int:
    """0 when absent or empty."""
    value = str(query.get(field, "")).strip()
    if not value:
        return 0
    if not (value.isascii() and value.isdigit()) or int(value) > high:
        raise invalid(field, f"an integer between 0 and {high} is required")
    return int(value)


def page(query: Body, *, base: int = 1, name: str = "pageNum", size: int = 10) -> Page:
    """With base 1 both 0 and 1 are the first page; a size of 0 is the default."""
    number = query_whole(query, name)
    return Page(max(number - base, 0), query_whole(query, "pageSize", high=1000) or size)


def json_object(body: object) -> Body:
    if not isinstance(body, dict):
        raise RefusedError("REQUEST", "the body must be a JSON object")
    return body
