"""What all operations share, put into the description once: the problem, headers, parameters, and what is sent out."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings

from novita_manager.openapi.codes import CODES

_EXAMPLE_ID = "7f0c1de4b25a4f6e9d3a5b8c1e2f4a60"
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. `code` is stable and for programs: see docs/errors.md.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "urn:novita-manager:problem:<code>"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people"},
        "code": {"type": "string", "description": "For programs; it never changes its meaning"},
        "request_id": {"type": "string", "description": "Also on log lines and events"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldProblem"}},
        "ids": {"type": "array", "items": {"type": "string"}, "description": "With `ambiguous_ref`, `not_current`"},
        "known_at": {"type": ["string", "null"], "format": "date-time", "description": "With `provider_away`"},
        "age_seconds": {"type": ["integer", "null"], "description": "With `provider_away`"},
    },
}
_FIELD_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["field", "code", "message"],
    "properties": {name: {"type": "string"} for name in ("field", "code", "message")},
}
_HEADERS: dict[str, Any] = {
    "XRequestId": {"description": "What was sent as X-Request-ID, else one made up here", "schema": {"type": "string"}},
    "RateLimitPolicy": {
        "description": 'draft-ietf-httpapi-ratelimit-headers: `"read";q=1200;w=60`, requests and seconds',
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": 'draft-ietf-httpapi-ratelimit-headers: `"read";r=1150;t=38`, what is left and until when, in seconds',
        "schema": {"type": "string"},
    },
    "RetryAfter": {"description": "Seconds", "schema": {"type": "integer", "minimum": 0}},
    "ETag": {"description": "Send it back in If-None-Match", "schema": {"type": "string"}},
    "IdempotentReplayed": {
        "description": "`true` where the answer is the one of an earlier request with this Idempotency-Key",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Location": {"description": "The address of what was created", "schema": {"type": "string"}},
    "WwwAuthenticate": {"description": "How to be let in", "schema": {"type": "string"}},
}
_PARAMETERS: dict[str, Any] = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": (
            "Makes the request safe to repeat for 24 hours: it is carried out once, and repeats get the first answer. "
            "Refusals are not kept."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
        "example": "order-4711",
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of what is known: 304 where it is still so",
        "schema": {"type": "string", "maxLength": 1000},
    },
    "RequestId": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "Found again on log lines, events and calls of Novita; 1 to 64 of letters, digits and `._:-`",
        "schema": {"type": "string", "maxLength": 200},
    },
}
_DESCRIPTION = """\
A control plane for GPU instances rented on Novita.ai.

- **Keys**: `Authorization: Bearer <api key>`. A page may use the session of a person instead, with `X-CSRFToken`.
- **Scopes**: `read`; `operate` includes it; `create` includes both; `secrets` is added to any; `admin` is all. Each
  operation names the one it needs as `x-required-scope`.
- **Errors** are `application/problem+json` (RFC 9457) with a stable `code`.
- **Requests that may be repeated**: send an `Idempotency-Key` with a POST.
- **Limits**: `RateLimit-Policy` and `RateLimit` tell what is left, `Retry-After` when to come back.
- **Lists** take `limit` (up to 500), filters, `ordering` and `search`; events and jobs page by `cursor`.
- **Nothing new** is told by 304, where `If-None-Match` brings the `ETag` of an earlier answer.
- Times are RFC 3339 in UTC; money is a decimal string with its currency in the name.
"""


def with_components(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """A hook of drf-spectacular."""
    result["info"]["description"] = _DESCRIPTION
    result["servers"] = [{"url": settings.PUBLIC_URL or "/", "description": "This installation"}]
    components = result.setdefault("components", {})
    components["schemas"] |= {"Problem": _PROBLEM, "FieldProblem": _FIELD_PROBLEM}
    components["headers"], components["parameters"] = _HEADERS, _PARAMETERS
    components["responses"] = {"NotModified": _not_modified(), **_problems()}
    return result


def _problems() -> Mapping[str, Any]:
    statuses = sorted({status for code in CODES.values() for status in code.statuses} - {405, 411})
    return {f"Problem{status}": _problem(status) for status in statuses}


def _problem(status: int) -> dict[str, Any]:
    codes = [name for name, code in CODES.items() if status in code.statuses]
    headers: dict[str, Any] = {"X-Request-ID": {"$ref": "#/components/headers/XRequestId"}}
    if status in (429, 503):
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = {"$ref": "#/components/headers/WwwAuthenticate"}
    return {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}",
        "headers": headers,
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {name: {"value": _example(status, name)} for name in codes},
            }
        },
    }


def _example(status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": f"urn:novita-manager:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": CODES[code].meaning,
        "code": code,
        "request_id": _EXAMPLE_ID,
    }
    if code == "validation_error":
        body["errors"] = [{"field": "gpu_num", "code": "not_a_number", "message": "write a whole number"}]
    return body


def _not_modified() -> dict[str, Any]:
    return {"description": "It is as it was", "headers": {"ETag": {"$ref": "#/components/headers/ETag"}}}
