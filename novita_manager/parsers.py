"""Request bodies: one JSON object, strictly. And answers: JSON, whatever is asked for."""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from instances.api.problems import Problem

LONGEST_BODY = 1_048_576
# Read and thrown away, so that a client that is still sending gets the answer instead of a reset connection.
_DRAINED = 64 * LONGEST_BODY
_DEEPEST = 32
_REASONS: dict[type[Exception], str] = {
    RecursionError: "nested too deeply",
    InvalidOperation: "a number is beyond all bounds",
    UnicodeDecodeError: "it is not UTF-8",
}


class StrictJSONParser(BaseParser):
    """UTF-8, one object, no NaN, no name twice, at most 1 MiB and 32 levels. Fractions come as Decimal."""

    media_type = "application/json"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        raw = stream.read(LONGEST_BODY + 1)
        if len(raw) > LONGEST_BODY:
            _drain(stream)
            raise Problem("the request body is larger than 1 MiB", code="body_too_large", status=413)
        try:
            value = _DECODER.decode(raw.decode("utf-8"))
        except (ValueError, ArithmeticError, RecursionError) as error:
            reason = _REASONS.get(type(error)) or str(error)
            raise ParseError(f"the request body is not JSON as we take it: {reason[:200]}") from None
        if not isinstance(value, dict):
            raise ParseError("the request body must be one JSON object")
        _refuse_depth(value)
        return value


class AlwaysJSON(BaseContentNegotiation):
    """The first parser that takes the content type; the first renderer, since there is one form of answer only."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        sent = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == sent), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


def _drain(stream: Any) -> None:
    left = _DRAINED
    while left > 0:
        piece = stream.read(LONGEST_BODY)
        if not piece:
            return
        left -= len(piece)


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON value")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _refuse_depth(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise ParseError(f"the request body is nested more than {_DEEPEST} levels deep")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats)
