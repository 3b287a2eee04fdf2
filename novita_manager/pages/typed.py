"""What people type into a form, as the body that the API takes; and what the API refused, beside the field it was typed in.

A form is a tuple of Inputs. The API's own serializers check the body: nothing is judged here beyond the shape of the text.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from drf_standardized_errors.formatter import flatten_errors
from rest_framework.exceptions import ValidationError

Path = tuple[str, ...]
Choices = Sequence[tuple[str, str]]


class Unreadable(ValueError):
    """A text that has no shape to be checked; its words are for the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One field: `name` in the form and `path` in the body. `read` makes the body's value of the stripped text.

    An empty text is left out of the body, or sent as `empty` where that is given.
    """

    name: str
    label: str
    kind: str = "text"  # text, number, moment, lines, choice, radio, flag, several
    path: Path = ()
    hint: str = ""
    choices: Choices = ()
    read: Callable[[str], Any] = str
    empty: Any = ...
    required: bool = False
    placeholder: str = ""
    width: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """An input as it is shown: what was typed, and what is wrong with it."""

    input: Input
    value: str
    values: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One refusal: where in the body, dotted, and its words."""

    field: str
    text: str


def body_of(inputs: Iterable[Input], typed: Mapping[str, Any]) -> tuple[dict[str, Any], list[Refused]]:
    """The body, and what could not be read at all. `typed` is a QueryDict."""
    body: dict[str, Any] = {}
    unreadable: list[Refused] = []
    for one in inputs:
        try:
            value = _value(one, typed)
        except Unreadable as refusal:
            unreadable.append(Refused(field=".".join(one.path), text=str(refusal)))
            continue
        if value is not ...:
            _put(body, one.path, value)
    return body, unreadable


def _value(one: Input, typed: Any) -> Any:
    if one.kind == "flag":
        return one.name in typed
    if one.kind == "several":
        return typed.getlist(one.name) or one.empty
    text = str(typed.get(one.name, "")).strip()
    return one.read(text) if text else one.empty


def _put(body: dict[str, Any], path: Path, value: Any) -> None:
    for name in path[:-1]:
        body = body.setdefault(name, {})
    body[path[-1]] = value


def fields_of(inputs: Iterable[Input], typed: Any, refused: Sequence[Refused]) -> tuple[dict[str, Field], tuple[str, ...]]:
    """The fields by name, and the refusals that belong to none of them."""
    inputs = tuple(inputs)
    placed: dict[str, list[str]] = {}
    homeless: list[str] = []
    for one in refused:
        home = _home(inputs, one.field)
        if home is None:
            homeless.append(f"{one.field}: {one.text}" if one.field else one.text)
        else:
            placed.setdefault(home.name, []).append(_capital(one.text))
    fields = {
        one.name: Field(
            input=one,
            value=str(typed.get(one.name, "")),
            values=tuple(typed.getlist(one.name)),
            errors=tuple(dict.fromkeys(placed.get(one.name, ()))),
        )
        for one in inputs
    }
    return fields, tuple(map(_capital, homeless))


def _home(inputs: Sequence[Input], field: str) -> Input | None:
    """The input whose path reaches deepest towards the field at fault; for a part of the body, its first input."""
    asked = tuple(field.split(".")) if field else ()
    above = [one for one in inputs if one.path and asked[: len(one.path)] == one.path]
    if above:
        return max(above, key=lambda one: len(one.path))
    return next((one for one in inputs if asked and one.path[: len(asked)] == asked), None)


def problems_of(refusal: ValidationError) -> list[Refused]:
    """What a serializer refused, field by field."""
    return [
        Refused(
            field="" if one.attr in (None, "non_field_errors") else str(one.attr).removesuffix(".non_field_errors"),
            text=str(one.detail),
        )
        for one in flatten_errors(refusal.detail)
    ]


# How texts become values. What is no number goes on as text, and the API says what is wrong with it.


def number(text: str) -> Any:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else text


def utc_moment(text: str) -> str:
    """What a date and time field sends, read as UTC."""
    return text if text.endswith("Z") or "+" in text else f"{text}Z"


def moment_text(at: datetime | None) -> str:
    """As a date and time field takes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M}" if at else ""


def labels(text: str) -> dict[str, str]:
    """`name=text`, one a line."""
    return dict(_pairs(text, "write each label on a line of its own, as name=text"))


def environment(text: str) -> list[dict[str, str]]:
    """`NAME=value`, one a line."""
    return [{"key": key, "value": value} for key, value in _pairs(text, "write each on a line of its own, as NAME=value")]


def _pairs(text: str, hint: str) -> list[tuple[str, str]]:
    pairs = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals:
            raise Unreadable(hint)
        pairs.append((name.strip(), value.strip()))
    return pairs


def ports(text: str) -> list[dict[str, Any]]:
    """`8080/http, 22/tcp`; http where nothing is said."""
    found = []
    for word in text.replace(",", " ").split():
        port, _, kind = word.partition("/")
        found.append({"port": number(port), "type": kind or "http"})
    return found


def health_check(text: str) -> dict[str, Any] | None:
    """`any`, `none`, or `http 8080 /health 200` and/or `tcp 22`, with a comma between."""
    words = text.casefold()
    if words in ("any", "none"):
        return {} if words == "any" else None
    check: dict[str, Any] = {}
    for part in text.split(","):
        kind, *rest = part.split() or [""]
        if kind.casefold() not in ("http", "tcp") or not rest:
            raise Unreadable("write any, none, or such as: http 8080 /health 200, tcp 22")
        names = ("port", "path", "status") if kind.casefold() == "http" else ("port",)
        values = {name: number(word) if name != "path" else word for name, word in zip(names, rest, strict=False)}
        check[kind.casefold()] = values
    return check


def health_check_text(check: Mapping[str, Any] | None) -> str:
    """The text that `health_check` reads back."""
    if check is None:
        return "none"
    parts = [" ".join(str(one[name]) for name in ("port", "path", "status") if name in one) for one in check.values() if one]
    kinds = [kind for kind, one in check.items() if one]
    return ", ".join(f"{kind} {words}" for kind, words in zip(kinds, parts, strict=True)) or "any"


def labels_text(given: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={text}" for name, text in given.items())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
